"""The client and the service understand each other, and the client tries again what may succeed later."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bitreid import Client
from bitreid.encoding.encoder import Encoder
from bitreid.errors import (
    BadRequest,
    DataError,
    FilterError,
    GalleryBusy,
    GalleryClosed,
    GalleryUnreachable,
    ItemNotFound,
    PictureError,
    ServiceError,
    SettingsError,
    WrongModel,
)
from bitreid.gallery.query import query_of_pictures
from bitreid.service.schemas import ItemIn
from tests.service.cases import app_of, empty, serving


@pytest.fixture(scope="module")
def address(encoder: Encoder) -> Iterator[str]:
    with serving(app_of(empty(encoder), encoder)) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """A client of a service whose gallery is empty."""
    with Client(address) as made:
        yield made
        made.delete([each.id for each in made.items()])


def test_all_that_a_client_asks(client: Client, encoder: Encoder, pictures: list[Path]) -> None:
    person = pictures[0].name[:4]
    assert client.ready()
    known = [ItemIn(id=i, camera=1, person=each.name[:4]) for i, each in enumerate(pictures)]
    added = client.add(pictures, known)
    assert (added.ids, added.new, added.failed) == (list(range(6)), 6, [])
    assert client.add(pictures, known).new == 0
    found = client.search(pictures[0], k=2, parts=("stripe1", "stripe2"), where="camera = 1")
    assert (found.hits[0].id, found.hits[0].distance) == (0, 0)
    assert set((found.hits[0].part_distances or {}).values()) == {0}
    assert found.attributes is not None
    assert client.search(pictures[:2], box=(0, 0, 20, 60)).hits
    assert client.search(pictures[0].read_bytes(), by="person").hits[0].person == person
    query = query_of_pictures(encoder, pictures[:1])
    by_codes = client.search_codes(query.codes, query.attribute_codes, model=query.model, features=query.features)
    assert [each.hits[0].distance for each in by_codes] == [0]
    encoded = client.encode(pictures[:2], features=True)
    assert [each.hits[0].id for each in client.search_codes(encoded.codes, rescore=True)] == [0, 1]
    assert 0 not in [hit.id for hit in client.search_item(0).hits]
    assert client.search_attributes({"backpack": True}, k=3).hits[0].attributes is not None
    codes = encoder.encode_files(pictures[:1])
    more = client.add_codes(
        codes.codes, [{"id": "s:x/y"}], attribute_codes=codes.attribute_codes, model=encoder.model, replace=True
    )
    assert more.new == 1
    assert client.get("s:x/y").camera is None
    assert len(list(client.items(page_size=2))) == 7
    assert [each.id for each in client.items("id = 's:x/y'")] == ["s:x/y"]
    assert client.confirm(["s:x/y"], "Ada") == 1
    assert client.merge(person, "Ada") == 1
    assert client.reject(["s:x/y"], person) == 1
    assert (client.undo() or "").startswith("reject")
    assert client.info().items == 7
    assert client.delete_where("camera = 1", dry_run=True) == 6
    assert client.delete_where("camera = 1") == 6
    assert client.delete(["s:x/y", 5]) == 1


def test_an_item_without_an_id_is_added_once(client: Client, pictures: list[Path]) -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.read())
        if len(sent) == 1:
            raise httpx.ReadTimeout("no answer in time")
        body = json.loads(sent[1].split(b"\r\n\r\n")[-1].split(b"\r\n--")[0])
        return httpx.Response(201, json={"ids": [body["items"][0]["id"]], "new": 1, "failed": []})

    with Client("http://service", transport=httpx.MockTransport(answer)) as other:
        (id,) = other.add(pictures[0]).ids
    assert len(sent) == 2
    assert all(str(id).encode() in each for each in sent)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda client: client.get("nobody"), ItemNotFound),
        (lambda client: client.search_attributes({"hat": 1}, where="camera <<= 1"), FilterError),
        (lambda client: client.search(b"no picture"), DataError),
        (lambda client: client.search("/nowhere/a.jpg"), PictureError),
        (lambda client: client.search([]), BadRequest),
        (lambda client: client.search_attributes({"umbrella": 1}), BadRequest),
        (lambda client: client.picture(1), ServiceError),
        (lambda client: client.search_item(0, kk=1), BadRequest),
    ],
)
def test_errors_are_those_of_a_gallery(ask: Callable[[Client], Any], error: type[Exception], client: Client) -> None:
    with pytest.raises(error):
        ask(client)


def test_codes_of_another_model(client: Client, encoder: Encoder, pictures: list[Path]) -> None:
    with pytest.raises(WrongModel, match="encode them again"):
        client.search_codes(encoder.encode_files(pictures[:1]).codes, model="another")


def answering(*answers: int | Exception) -> tuple[httpx.MockTransport, list[str]]:
    """Gives these answers one after the other; and the paths that were asked for."""
    left, paths = list(answers), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        status = left.pop(0)
        if isinstance(status, Exception):
            raise status
        kind = {429: "too_many_requests", 503: "gallery_busy", 401: "unauthorised"}.get(status, "internal")
        error = {"error": {"kind": kind, "message": "expected patience, got none; wait", "where": None}}
        return httpx.Response(status, json={"undone": "x"} if status == 200 else error, headers={"Retry-After": "0"})

    return httpx.MockTransport(answer), paths


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited before each further try."""
    waited: list[float] = []
    monkeypatch.setattr("bitreid.service.client.time.sleep", waited.append)
    return waited


def test_what_is_refused_for_now_is_sent_again(waits: list[float]) -> None:
    transport, paths = answering(503, 429, httpx.ConnectError("refused"), 200)
    assert Client(transport=transport).undo() == "x"
    assert len(paths) == 4
    assert waits == [0.25, 0.5, 1.0]


def test_a_decision_that_may_have_arrived_is_not_sent_again(waits: list[float]) -> None:
    transport, paths = answering(httpx.ReadTimeout("slow"))
    with pytest.raises(ServiceError, match="see that it runs") as told:
        Client(transport=transport).undo()
    assert (len(paths), waits, told.value.kind, told.value.status) == (1, [], "unreachable", None)


def test_tries_end(waits: list[float]) -> None:
    transport, paths = answering(503, 503)
    with pytest.raises(GalleryBusy, match="expected patience"):
        Client(transport=transport, tries=2).info()
    assert (len(paths), len(waits)) == (2, 1)


def test_what_will_not_succeed_is_not_tried_again(waits: list[float]) -> None:
    transport, _ = answering(401)
    with pytest.raises(ServiceError) as told:
        Client(transport=transport).info()
    assert (told.value.kind, told.value.status, waits) == ("unauthorised", 401, [])


def test_an_undo_that_a_server_may_have_half_done_is_not_sent_again(waits: list[float]) -> None:
    error = {"error": {"kind": "gallery_unreachable", "message": "expected a server, got none", "where": None}}
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(503, json=error, headers={"Retry-After": "0"})

    client = Client(transport=httpx.MockTransport(answer), tries=2)
    with pytest.raises(GalleryUnreachable):
        client.undo()
    assert len(paths) == 1
    with pytest.raises(GalleryUnreachable):
        client.info()
    assert (len(paths), len(waits)) == (3, 1)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>proxy</html>"),
        httpx.Response(200, text="<html>another program</html>"),
        httpx.Response(200, json={"version": "1"}),
        httpx.Response(204),
    ],
)
def test_an_answer_of_somebody_else(answer: httpx.Response, pictures: list[Path]) -> None:
    client = Client(transport=httpx.MockTransport(lambda _: answer))
    asks: list[Callable[[], object]] = [
        client.info,
        lambda: list(client.items()),
        lambda: client.picture(1),
        lambda: client.delete([1]),
        lambda: client.add(pictures[0]),
    ]
    for ask in asks:
        with pytest.raises(ServiceError, match=f"got another with the status {answer.status_code}") as told:
            ask()
        assert (told.value.kind, told.value.status) == ("not_bitreid", answer.status_code)
    assert not client.ready()


def test_an_answer_that_cannot_be_unpacked() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(b"no gzip"), headers={"Content-Encoding": "gzip"})

    client = Client(transport=httpx.MockTransport(answer))
    with pytest.raises(ServiceError, match="one that cannot be read") as told:
        client.info()
    assert told.value.kind == "not_bitreid"
    assert not client.ready()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        *(
            ({"address": address}, "an address such as")
            for address in ("localhost:8080", "", "ftp://x", "http://", "//x", "http://x:y", "http://x/?a=1")
        ),
        *(({"timeout_s": seconds}, "seconds above 0") for seconds in (0, -1, math.nan, math.inf)),
        *(({"key": key}, "a key that") for key in ("", " ", "schl\u00fcssel", "bitreid\u200b_1", "a\nb")),
        ({"tries": 0}, "at least 1 try"),
    ],
)
def test_a_client_of_nothing_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as told:
        Client(**settings)
    assert "schl" not in str(told.value)  # a key is in no message


def test_a_client_that_was_closed_says_so() -> None:
    client = Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"status": "ready"})))
    assert client.ready()
    client.close()
    for ask in (client.info, client.ready):
        with pytest.raises(GalleryClosed, match="got one that was closed"):
            ask()


def test_what_json_cannot_hold_is_refused_and_not_changed(client: Client, pictures: list[Path]) -> None:
    before = client.info().items
    for value in (math.nan, math.inf, {"deep": [-math.inf]}):
        with pytest.raises(BadRequest):
            client.add(pictures[0], [{"metadata": {"a": value}}])
    asks: list[Callable[[], object]] = [
        lambda: client.search_attributes({"hat": math.nan}),
        lambda: client.get("\ud800"),
        lambda: client.delete(["\ud800"]),
        lambda: client.delete([b"x"]),  # type: ignore[list-item]
    ]
    for ask in asks:
        with pytest.raises(BadRequest):
            ask()
    assert client.info().items == before


def test_the_key_is_sent(pictures: list[Path]) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={"deleted": 0})

    Client(key="secret\n", transport=httpx.MockTransport(answer)).delete([1])  # as it is read from a file
    assert seen == ["Bearer secret"]
