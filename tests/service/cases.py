"""What the tests of the service share: a service in this process, asked without a network, one that listens, and one
that is a process of its own."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from bitreid import Client
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, Gallery, create_gallery
from bitreid.service.app import create_app
from bitreid.service.running import listen
from bitreid.service.service import Loaded, Service
from bitreid.service.settings import ServiceSettings

PATIENCE_S = 120.0


def app_of(gallery: Gallery, encoder: Encoder, /, **settings: Any) -> FastAPI:
    """A service over a gallery, which it closes when it ends."""
    return create_app(ServiceSettings(**{"threads": 1, "decoders": 1} | settings), lambda _: Loaded(gallery, encoder))


def empty(encoder: Encoder) -> Gallery:
    """An empty gallery in memory for codes of an encoder."""
    return create_gallery("memory:", Contract.of(encoder.card))


def service_in(app: FastAPI) -> Service:
    service = app.state.service
    assert isinstance(service, Service)
    return service


@asynccontextmanager
async def asked(app: FastAPI, ready: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a service in this process, from its start to its end."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        while ready and not service_in(app).ready:
            await asyncio.sleep(0.005)
        yield client


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of a service that listens, in a thread of this process."""
    settings = ServiceSettings(port=0)
    with listen(settings) as listening:
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            until = time.monotonic() + PATIENCE_S
            while not (server.started and service_in(app).ready) and time.monotonic() < until and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def started(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service with these arguments, and its address; it is ready."""
    command = [sys.executable, "-m", "bitreid", "serve", "--port", "0", "--decoders", "1", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "BITREID_THREADS": "1", "COLUMNS": "300"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as run:
        try:
            assert run.stdout is not None
            line = run.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line
            until = time.monotonic() + PATIENCE_S
            with Client(found[0]) as client:
                while not client.ready():
                    assert run.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.05)
            yield run, found[0]
        finally:
            if run.poll() is None:
                run.kill()


def error_in(answer: httpx.Response) -> tuple[int, str]:
    """The status and the kind of an error, which has the one shape that all have."""
    (error,) = answer.json().values()
    assert set(error) == {"kind", "message", "where"}
    assert "\n" not in error["message"]
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, error["kind"]
