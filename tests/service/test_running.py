"""`bitreid serve` as a process: it starts, answers, ends what is under way when it is told to stop, and says what is
wrong when it cannot start."""

import asyncio
import http.client
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from fastapi import FastAPI

from bitreid import Client
from bitreid.commands.main import main
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, create_gallery, open_gallery
from bitreid.service.running import _config, listen
from bitreid.service.settings import ServiceSettings
from tests.service.cases import PATIENCE_S, started


def test_it_starts_alone_and_ends_what_is_under_way(pictures: list[Path]) -> None:
    with started() as (run, address), Client(address, tries=1) as client:
        assert client.info().items == 0
        assert client.add(pictures[:2]).new == 2
        found: list[int] = []
        many = pictures * 10
        adding = threading.Thread(target=lambda: found.append(client.add(many).new))
        adding.start()
        time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        adding.join()
        assert found == [len(many)]
        assert run.wait(PATIENCE_S) == 0
        assert run.stdout is not None
        assert run.stdout.read() == ""
        assert not client.ready()


def test_a_connection_may_rest_longer_than_a_pause_of_a_proxy() -> None:
    with started() as (_, address):
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE_S)
        for pause_s in (6, 0):  # uvicorn itself ends connections after five seconds
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
            assert connection.sock is not None
            time.sleep(pause_s)
        connection.close()


def test_several_workers_share_a_gallery(encoder: Encoder, pictures: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "people.gallery"
    create_gallery(place, Contract.of(encoder.card)).close()
    with started("--gallery", str(place), "--workers", "2") as (run, address):
        added = 0
        for picture in pictures:
            with Client(address) as client:  # a connection of its own each, so that both workers are asked
                added += client.add(picture).new
                assert client.search(picture).hits[0].distance == 0
        with Client(address) as client:
            assert client.info().items == added == len(pictures)
            metrics = client._client.get("/metrics").text
        count = re.search(r'bitreid_step_seconds_count\{step="gallery_write"\} (\S+)', metrics)
        assert count
        assert float(count[1]) == len(pictures)
        run.send_signal(signal.SIGTERM)
        assert run.wait(PATIENCE_S) == 0
    with open_gallery(place) as gallery:
        assert gallery.count() == len(pictures)


def test_what_keeps_it_from_starting_is_said(
    capsys: pytest.CaptureFixture[str], encoder: Encoder, tmp_path: Path
) -> None:
    def refusal(*words: object) -> str:
        assert main(["serve", "--port", "0", *map(str, words)]) == 1
        return capsys.readouterr().err

    assert "expected a gallery at" in refusal("--gallery", tmp_path / "none.gallery")
    assert "expected --keys with the address 0.0.0.0" in refusal("--host", "0.0.0.0")
    assert "which share it" in refusal("--workers", 2)
    for seconds in ("-1", "nan", "inf"):
        assert "expected a number of seconds to stop in" in refusal("--grace", seconds)
    assert "look at path and owner" in refusal("--keys", tmp_path)
    assert "expected a model's folder" in refusal("--model", "another")
    create_gallery(tmp_path / "other.gallery", Contract(encoder.n_bits, "another")).close()
    assert "expected codes of the model" in refusal("--gallery", tmp_path / "other.gallery")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use" in refusal("--port", taken.getsockname()[1])


@pytest.mark.parametrize(("grace_s", "whole"), [(0.0, 0), (0.5, 1), (20.0, 20)])
def test_stopping_takes_as_long_as_was_said(grace_s: float, whole: int) -> None:
    settings = ServiceSettings(grace_s=grace_s)
    assert _config(FastAPI(), settings).timeout_graceful_shutdown == whole  # None would be for ever


def test_what_strangers_send_is_in_no_log() -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    with started() as (run, address):
        port = int(address.rsplit(":", 1)[1])
        for said in (b"HELP\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(said)
                assert connection.recv(100).startswith(b"HTTP/1.1 ")
        run.send_signal(signal.SIGTERM)
        assert run.stdout is not None
        assert run.stdout.read() == ""
        assert run.wait(PATIENCE_S) == 0


def test_small_answers_are_sent_at_once() -> None:
    """Not when the client has acknowledged their first part, 40 ms later."""

    async def without_delay(listening: socket.socket) -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(answer, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.close()
            return await found

    with listen(ServiceSettings(port=0)) as listening:
        assert asyncio.run(without_delay(listening)) != 0
