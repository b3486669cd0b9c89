"""What requests may cost, as ASGI sees them: amounts, rates, slowness, and how many at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitreid.errors import SettingsError
from bitreid.service.app import PAGE
from bitreid.service.entrance import Entrance
from bitreid.service.headers import HEADERS, SecurityHeaders
from bitreid.service.limits import Limited, Limits, Rates, Shares
from bitreid.service.problems import Answered


class Echo:
    """An app that answers with the body that it got, once it is told to go on; counts the pieces of it."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.running, self.pieces = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.running += 1
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            self.pieces += 1
            if not message["more_body"]:
                break
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        self.running -= 1


def stack(app: ASGIApp, **limits: Any) -> ASGIApp:
    return SecurityHeaders(Answered(Entrance(Limited(app, Limits(**limits)), None)))


async def asked(
    app: ASGIApp,
    pieces: Sequence[bytes | float] = (b"",),
    headers: dict[str, str] | None = None,
    path: str = "/v1/search",
    client: str = "127.0.0.1",
    ends: bool = True,
) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body that a request is answered; numbers among the pieces are seconds of waiting."""
    given = {"host": "localhost:8080"} | (headers or {})
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "client": (client, 1234),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
    }
    coming, said = list(pieces), list[Message]()

    async def receive() -> Message:
        while coming:
            piece = coming.pop(0)
            if isinstance(piece, bytes):
                return {"type": "http.request", "body": piece, "more_body": bool(coming) or not ends}
            await asyncio.sleep(piece)
        await asyncio.sleep(60)
        raise AssertionError("expected nobody to wait so long")

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return said[0]["status"], found, b"".join(each.get("body", b"") for each in said[1:])


def kind(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[2])["error"]["kind"]


PARTS = {"content-type": "multipart/form-data; boundary=b"}


def test_a_body_arrives_as_it_was_sent() -> None:
    async def run() -> None:
        echo = Echo()
        app = stack(echo)
        for pieces in ([b""], [b"a", b"", b"b"], [b"x" * 2**20, b"y" * 2**20, b"z"]):
            status, _, body = await asked(app, pieces, PARTS)
            assert (status, body) == (200, b"".join(pieces))
        assert echo.pieces == 2 + 9

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "headers", "status"),
    [
        ([b"x" * 100], PARTS, 200),
        ([b"x" * 101], PARTS, 413),
        ([b"x" * 60, b"x" * 41, b"x"], PARTS, 413),  # in chunks, without a length
        ([b""], PARTS | {"content-length": "101"}, 413),  # before anything is read
        ([b"x" * 200], PARTS | {"content-length": "3"}, 413),  # which is not true
        ([b"x" * 50], {}, 200),
        ([b"x" * 51], {}, 413),
        ([b"x" * 51], {"content-type": "application/json; multipart/form-data"}, 413),
        ([b"x"], {"content-length": "-1"}, 400),
        ([b"x"], {"content-length": "1e9"}, 400),
        ([b"x"], {"content-length": "9" * 5000}, 413),
    ],
)
def test_a_body_has_its_limit_whatever_its_headers_say(
    pieces: list[bytes], headers: dict[str, str], status: int
) -> None:
    echo = Echo
    answer = asyncio.run(asked(stack(echo(), body=100, json=50), pieces, headers))
    assert answer[0] == status
    if status != 200:
        assert kind(answer)[1] == {413: "too_large", 400: "bad_request"}[status]


@pytest.mark.parametrize(
    ("pieces", "limits"),
    [
        ([b"x", 5.0], {"start_s": 0.1}),  # stops
        ([each for _ in range(100) for each in (b"x", 0.03)], {"start_s": 0.1, "least_rate": 1000.0}),  # trickles
        ([each for _ in range(100) for each in (b"x" * 1000, 0.03)], {"body_s": 0.2}),  # never ends
    ],
)
def test_a_slow_body_ends_its_request_only(pieces: list[bytes | float], limits: dict[str, float]) -> None:
    async def run() -> None:
        app = stack(Echo(), at_once=1, **limits)
        slow = [asyncio.create_task(asked(app, pieces, PARTS, ends=False)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert (await asked(app, [b"quick"]))[0] == 200
        assert [kind(answer) for answer in await asyncio.gather(*slow)] == [(408, "too_slow")] * 5

    asyncio.run(run())


def test_steady_bodies_may_take_their_time() -> None:
    pieces = [each for _ in range(8) for each in (b"x" * 100, 0.04)] + [b"end"]
    app = stack(Echo(), start_s=0.1, least_rate=1000.0)
    assert asyncio.run(asked(app, pieces, PARTS))[0] == 200


def test_a_client_that_goes_away_is_no_request() -> None:
    async def run() -> None:
        app = stack(Echo(), at_once=1)

        async def gone() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            raise AssertionError("expected nobody to be answered")

        scope = {"type": "http", "path": "/v1/search", "headers": [(b"host", b"localhost")], "client": None}
        await app(scope, gone, send)
        assert (await asked(app))[0] == 200

    asyncio.run(run())


@asynccontextmanager
async def busy(app: ASGIApp, echo: Echo, n: int, **how: Any) -> AsyncIterator[list["asyncio.Task[Any]"]]:
    """Within it, n requests are worked on."""
    echo.go_on.clear()
    tasks = [asyncio.create_task(asked(app, **how)) for _ in range(n)]
    while echo.running < n:
        await asyncio.sleep(0.001)
    yield tasks
    echo.go_on.set()
    assert [answer[0] for answer in await asyncio.gather(*tasks)] == [200] * n


def test_so_many_are_worked_on_and_half_of_them_of_one_sender() -> None:
    async def run() -> None:
        echo = Echo()
        app = stack(echo, at_once=4, rate=None)
        async with busy(app, echo, 2, client="10.0.0.1"):
            answer = await asked(app, client="10.0.0.1")
            assert kind(answer) == (429, "too_many_requests")
            assert answer[1]["retry-after"] == "1"
            assert (await asked_when_told(app, echo, client="10.0.0.2"))[0] == 200
            assert (await asked(Entrance(app, None), path="/healthz", client="10.0.0.1"))[0] == 200
        assert (await asked(app, client="10.0.0.1"))[0] == 200

    async def asked_when_told(app: ASGIApp, echo: Echo, **how: Any) -> tuple[int, dict[str, str], bytes]:
        task = asyncio.create_task(asked(app, **how))
        while echo.running < 3:
            await asyncio.sleep(0.001)
        echo.go_on.set()
        return await task

    asyncio.run(run())


def test_a_flood_of_large_bodies_stops_nobody_else() -> None:
    async def run() -> None:
        echo = Echo()
        app = stack(echo, held=2**22, rate=None)
        large = [b"x" * 2**20, b"x" * (2**20 - 1)]
        async with busy(app, echo, 1, pieces=large, headers=PARTS, client="10.0.0.1"):
            assert kind(await asked(app, large, PARTS, client="10.0.0.1")) == (429, "too_many_requests")
            others = [asyncio.create_task(asked(app, large, PARTS, client="10.0.0.2"))]
            others.append(asyncio.create_task(asked(app, [b"a search"], client="10.0.0.1")))
            while echo.running < 3:
                await asyncio.sleep(0.001)
            assert kind(await asked(app, large, PARTS, client="10.0.0.3")) == (429, "too_many_requests")
            echo.go_on.set()
            assert [(await each)[0] for each in others] == [200, 200]
        assert (await asked(app, large, PARTS, client="10.0.0.1"))[0] == 200

    asyncio.run(run())


def test_rates_are_of_each_sender() -> None:
    clock = 0.0
    rates = Rates(2.0, lambda: clock)
    assert [rates.take("a") for _ in range(4)] == [0.0] * 4
    assert rates.take("a") == 0.5
    assert rates.take("b") == 0.0
    clock = 0.5
    assert [rates.take("a"), rates.take("a")] == [0.0, 0.5]
    clock = 100.0
    assert [rates.take("a") for _ in range(5)] == [0.0] * 4 + [0.5]  # no more is saved
    slow = Rates(0.1, lambda: clock)
    assert [slow.take("a"), slow.take("a")] == [0.0, 10.0]
    for i in range(30_000):
        rates.take(f"address {i}")
    assert len(rates._buckets) == 10_000
    answers = asyncio.run(several(stack(Echo(), rate=1.0), 4))
    assert [answer[0] for answer in answers] == [200, 200, 429, 429]
    assert answers[2][1]["retry-after"] == "1"


async def several(app: ASGIApp, n: int) -> list[tuple[int, dict[str, str], bytes]]:
    return [await asked(app) for _ in range(n)]


def test_the_page_loads_at_any_rate() -> None:
    paths = ["/", *(f"/page/{file.name}" for file in PAGE.iterdir())]
    app = stack(Echo(), rate=0.5)
    assert {asyncio.run(asked(app, path=path))[0] for path in paths} == {200}
    assert [asyncio.run(asked(app))[0] for _ in range(2)] == [200, 429]


def test_addresses_of_one_network_are_one_sender() -> None:
    async def run() -> list[int]:
        app = stack(Echo(), rate=0.5)
        clients = ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:3::1", "10.0.0.1", "10.0.0.2")
        return [(await asked(app, client=client))[0] for client in clients]

    assert asyncio.run(run()) == [200, 429, 200, 200, 200]


def test_shares() -> None:
    shares = Shares(1)
    assert shares.take("a", 1)
    assert not shares.take("b", 1)
    shares.give_back("a", 1)
    assert not shares.taken


@pytest.mark.parametrize("limits", [{"rate": 0.0}, {"body": -1}, {"least_rate": float("nan")}])
def test_limits_are_above_zero(limits: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="above 0"):
        Limits(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost"}, 200),
        ({"host": "127.0.0.1:8080"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "evil.example"}, 403),  # a name of somebody else that means this machine
        ({"host": "127.evil.example"}, 403),
        ({"host": "127.0.0.1:80@evil.example"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": ""}, 403),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, 200),
        ({"host": "localhost:8080", "origin": "http://evil.example"}, 403),  # its page, in a browser here
        ({"host": "localhost:8080", "origin": "http://localhost:3000"}, 403),
        ({"host": "localhost:8080", "origin": "null"}, 403),
    ],
)
def test_pages_of_other_sites_do_not_reach_a_service_without_keys(headers: dict[str, str], status: int) -> None:
    answer = asyncio.run(asked(stack(Echo()), headers=headers))
    assert answer[0] == status
    if status == 403:
        assert kind(answer)[1] == "forbidden"


def test_every_answer_has_its_headers() -> None:
    async def run() -> None:
        app = stack(Echo(), body=10)
        for how, caching in (
            ({}, "no-store"),
            ({"pieces": [b"x" * 100]}, "no-store"),
            ({"headers": {"host": "evil.example"}}, "no-store"),
            ({"path": "/"}, "no-cache"),
            ({"path": "/page/page.js"}, "no-cache"),
        ):
            _, headers, _ = await asked(app, **how)
            assert headers["cache-control"] == caching
            assert {name: headers[name.lower()] for name in HEADERS} == HEADERS

    asyncio.run(run())
