"""Connections of clients: those that say nothing, or do not listen, are closed before they are too many."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bitreid.service.problems import Problem

HEAD_S = 10.0
"""Seconds that the head of a request may take to arrive."""
LISTEN_S = 30.0
"""Seconds in which a client takes `LEAST` bytes of an answer that waits for it, at least."""
LEAST = 2**16
MOST = 800
"""Connections of one process, at most: below the number of files that systems let a process open (1,024)."""
_INVALID = "expected a request of HTTP/1.1, got something else; send it with a library"


class CarefulProtocol(H11Protocol):
    """Closes connections whose requests do not begin in time, and those of clients that do not listen.

    Where there are too many, a new one takes the place of the one that has waited longest without a request.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._late: asyncio.TimerHandle | None = None
        self._deaf: asyncio.TimerHandle | None = None
        self._since = self.loop.time()

    @property
    def _waits(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > MOST:
            others = [each for each in self.connections if isinstance(each, CarefulProtocol)]
            left = [each for each in others if not each.transport.is_closing()]
            waiting = (each for each in left if each._waits)
            if len(left) > MOST:
                min(waiting, key=lambda each: each._since, default=self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._late, self._deaf):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._deaf is None:
            self._deaf = self.loop.call_later(LISTEN_S, self._listen, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, as every error is said."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        body = Problem(400, "bad_request", _INVALID).response().body
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"connection", b"close")]
        headers += [(b"content-length", str(len(body)).encode()), (b"x-content-type-options", b"nosniff")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=bytes(body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _listen(self, before: int) -> None:
        """End the connection if too little of what waited before was taken."""
        now = self.transport.get_write_buffer_size()
        if before - now < LEAST:
            self.transport.abort()
        else:
            self._deaf = self.loop.call_later(LISTEN_S, self._listen, now)

    def _watch(self) -> None:
        """Give the head of a request its time, from its first byte or the connection's beginning on."""
        if not self._waits:
            if self._late is not None:
                self._late.cancel()
                self._late = None
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self._end)

    def _end(self) -> None:
        self._late = None
        if self._waits:
            self.transport.abort()
