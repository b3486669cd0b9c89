"""What requests may cost: how many come, how much they bring, how slowly, and how many are worked on at once."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitreid.errors import SettingsError
from bitreid.service.entrance import sender_of
from bitreid.service.headers import of_page
from bitreid.service.problems import Problem

_UNCOUNTED = ("/healthz", "/readyz")
_SMALL = 2**16
"""Bodies of fewer bytes do not count as held, so that a flood of large ones stops no search."""
_PIECE = 2**18
_MOST_SENDERS = 10_000


@dataclass(frozen=True)
class Limits:
    """Limits of one process of the service."""

    body: int = 16 * 2**20
    """Bytes of a request with pictures, at most."""

    json: int = 8 * 2**20
    """Bytes of a request without pictures, at most."""

    rate: float | None = 100.0
    """Requests a second of a key (of an address, where there are no keys), on average; None for any number."""

    at_once: int = 256
    """Requests that are worked on or wait their turn, at most; half of them of one key or address."""

    held: int = 2**28
    """Bytes of all requests that are held in memory, at most; half of them of one key or address."""

    body_s: float = 120.0
    """Seconds that a request may take to arrive, at most."""

    start_s: float = 5.0
    """Seconds in which a request may be slower than `least_rate`."""

    least_rate: float = 2**14
    """Bytes a second that a client sends at least, on average."""

    def __post_init__(self) -> None:
        for name in ("body", "json", "at_once", "held", "body_s", "start_s", "least_rate", "rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"expected a limit above 0 for {name}, got {value}")


class Rates:
    """Token buckets: so many requests a second of each sender on average, and of two seconds at once."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._now = rate, max(2 * rate, 1.0), now
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when there were so many

    def take(self, sender: str) -> float:
        """Count a request; return 0, or the seconds until the next one of the sender may come."""
        now = self._now()
        left, since = self._buckets.pop(sender, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        if left < 1:
            self._buckets[sender] = (left, now)
            return (1 - left) / self._rate
        self._buckets[sender] = (left - 1, now)
        if len(self._buckets) > _MOST_SENDERS:  # who asked longest ago has a full bucket, or nearly
            del self._buckets[next(iter(self._buckets))]
        return 0.0


class Shares:
    """An amount that senders share: each may take half of it."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, Counter[str]()

    def take(self, sender: str, n: int) -> bool:
        """Take so much, if it is there."""
        if self.taken.total() + n > self.most or self.taken[sender] + n > max(self.most // 2, 1):
            return False
        self.taken[sender] += n
        return True

    def give_back(self, sender: str, n: int) -> None:
        """Give back what was taken."""
        self.taken[sender] -= n
        if not self.taken[sender]:
            del self.taken[sender]


class Limited:
    """Passes on requests; raises a `Problem` for what is too much (413), too slow (408) or too many (429).

    Bodies are received before a request counts as worked on, so that slow clients keep nobody waiting, and are passed
    on in pieces. What a refused client goes on sending is dropped, see `CarefulProtocol`. Needs `Entrance` before it.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._rates = None if limits.rate is None else Rates(limits.rate)
        self._work, self._held = Shares(limits.at_once), Shares(limits.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        sender = sender_of(scope)
        # The page is a dozen files, each asked for at once: a low rate would leave it broken.
        wait = 0.0 if self._rates is None or of_page(scope["path"]) else self._rates.take(sender)
        if wait:
            raise _too_many("fewer requests a second", wait)
        with self._holding(sender) as hold:
            body = await self._received(scope, receive, hold)
            if body is None:
                return  # the client went away
            if not self._work.take(sender, 1):
                raise _too_many("fewer requests at once", 1.0)
            try:
                await self._app(scope, _replayed(body, receive), send)
            finally:
                self._work.give_back(sender, 1)

    @contextmanager
    def _holding(self, sender: str) -> Iterator[Callable[[int], None]]:
        """Give a function that counts bytes that are held from now on; they are no more when the block ends."""
        held = 0

        def hold(n: int) -> None:
            nonlocal held
            if not self._held.take(sender, n):
                raise _too_many("fewer large requests at once", 1.0)
            held += n

        try:
            yield hold
        finally:
            self._held.give_back(sender, held)

    async def _received(self, scope: Scope, receive: Receive, hold: Callable[[int], None]) -> bytearray | None:
        """Return the body of a request; None if the client goes away before its end."""
        limits, headers, start = self._limits, Headers(scope=scope), time.monotonic()
        parts = headers.get("content-type", "").lower().startswith("multipart/")
        most = limits.body if parts else min(limits.json, limits.body)
        announced = headers.get("content-length", "0")
        if not announced.isdecimal():
            raise Problem(400, "bad_request", "expected a Content-Length that is a number, got another")
        if int(announced[:20]) > most:
            raise _too_large(most)
        body, held = bytearray(), 0
        while True:
            left = start + min(limits.body_s, limits.start_s + len(body) / limits.least_rate) - time.monotonic()
            try:
                async with asyncio.timeout(max(left, 0)):
                    message = await receive()
            except TimeoutError:
                text = f"expected {limits.least_rate / 1024:g} KiB a second, the whole within {limits.body_s:g} s"
                raise Problem(408, "too_slow", f"{text}, got less; send less, or faster") from None
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > most:
                raise _too_large(most)
            if len(body) > _SMALL:
                hold(len(body) - held)
                held = len(body)
            if not message.get("more_body", False):
                return body


def _replayed(body: bytearray, receive: Receive) -> Receive:
    """Return what gives a body in pieces, so that other requests go on while one is read, and then what comes."""
    at = 0
    done = False

    async def replayed() -> Message:
        nonlocal at, done
        if done:
            return await receive()
        if at:
            await asyncio.sleep(0)
        piece, at = bytes(body[at : at + _PIECE]), at + _PIECE
        done = at >= len(body)
        if done:
            body.clear()
        return {"type": "http.request", "body": piece, "more_body": not done}

    return replayed


def _too_large(most: int) -> Problem:
    message = f"expected at most {most / 2**20:g} MiB, got more; make pictures smaller, or send fewer at a time"
    return Problem(413, "too_large", message)


def _too_many(what: str, wait_s: float) -> Problem:
    again = max(math.ceil(wait_s), 1)
    message = f"expected {what}, got too many; try again in {again} s"
    return Problem(429, "too_many_requests", message, headers={"Retry-After": str(again)})
