"""Connections that say nothing, too little or no HTTP, or do not listen, beside others that do."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from bitreid.service import connections
from bitreid.service.connections import CarefulProtocol
from bitreid.service.entrance import Entrance
from bitreid.service.headers import SecurityHeaders
from bitreid.service.limits import Limited, Limits
from bitreid.service.problems import Answered

GET = b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
LARGE = 2**26


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `hello`, or much more than buffers take."""
    await receive()
    body = bytes(LARGE) if scope["path"] == "/large" else b"hello"
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a service that has little patience, and few connections."""
    for name, value in (("HEAD_S", 0.4), ("LISTEN_S", 0.4), ("MOST", 10)):
        monkeypatch.setattr(connections, name, value)
    app = SecurityHeaders(Answered(Entrance(Limited(answer, Limits(body=2**20)), None)))
    config = uvicorn.Config(
        app, http=CarefulProtocol, lifespan="off", log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def connect(port: int, said: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(said)
    return client


def read(client: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    found = b""
    try:
        while more := client.recv(2**16):
            found += more
    except ConnectionError:
        pass
    return found


def is_answered(port: int) -> bool:
    with connect(port, GET) as client:
        return client.recv(2**16).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET[:-2], GET + b"GET"])
def test_a_request_that_does_not_begin_in_time_ends(port: int, said: bytes) -> None:
    with connect(port, said) as client:
        start = time.monotonic()
        found = read(client)
        assert time.monotonic() - start < 10
        assert found.count(b"HTTP/1.1") == (said.startswith(GET))
    assert is_answered(port)


def test_a_head_that_trickles_ends(port: int) -> None:
    with connect(port) as client, pytest.raises(ConnectionError):  # noqa: PT012
        for _ in range(200):
            client.sendall(b"GET / HTTP/1.1\r\nX-A: b" if _ == 0 else b"b")
            time.sleep(0.05)


def test_a_flood_of_silent_connections_keeps_nobody_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 60.0)
    silent = [connect(port, b"GET /") for _ in range(30)]
    assert all(is_answered(port) for _ in range(5))
    n_open = 0
    for client in silent:
        client.settimeout(0.01)
        try:
            client.recv(1)
        except TimeoutError:
            n_open += 1
        except ConnectionError:
            pass
        client.close()
    assert 0 < n_open <= 10


def test_a_client_that_does_not_listen_ends(port: int) -> None:
    with connect(port, GET.replace(b"/v1/info", b"/large")) as client:
        time.sleep(2)
        assert 0 < len(read(client)) < LARGE
    assert is_answered(port)


def test_who_listens_slowly_gets_all(port: int) -> None:
    with connect(
        port, GET.replace(b"/v1/info", b"/large").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    ) as client:
        n = 0
        while more := client.recv(2**22):
            n += len(more)
            time.sleep(0.01)
        assert n > LARGE


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"hello\r\n\r\n", GET.replace(b"Host", b"Ho st")]
)
def test_what_is_no_http_is_told_as_every_error_is(port: int, said: bytes) -> None:
    with connect(port, said) as client:
        head, _, body = read(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"]["kind"] == "bad_request"


def test_who_sends_too_much_is_told_and_not_read(port: int) -> None:
    for head in (b"Content-Length: 2000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        with connect(port, POST + head) as client:
            body = b"x" * 2_000_000
            client.sendall(body if b"Length" in head else b"%x\r\n" % len(body) + body + b"\r\n")
            found = b""
            while b"}}" not in found:
                found += client.recv(2**16)
            assert found.startswith(b"HTTP/1.1 413")
            assert b'"too_large"' in found
            with pytest.raises(ConnectionError):  # noqa: PT012
                for _ in range(2000):  # it goes on and on
                    client.sendall(b"x" * 2**16)
                    time.sleep(0.005)
    assert is_answered(port)
