"""The service as a process, or several."""

import math
import os
import signal
import socket
import tempfile
from contextlib import ExitStack
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from bitreid.service.app import create_app
from bitreid.service.connections import CarefulProtocol
from bitreid.service.metrics import SHARED
from bitreid.service.service import load
from bitreid.service.settings import ServiceSettings

_BACKLOG = 2048
_HEALTHCHECK_S = 60
"""How long a worker may take to start, or to show that it lives, before it is replaced."""
_IDLE_S = 75
"""How long a connection stays open without a request: longer than proxies keep theirs, lest they send into closed ones.
"""


class _Server(uvicorn.Server):
    """Says that it stops as soon as it is told to, while what is under way ends, and then ends as it should."""

    app: FastAPI

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.app.state.service.stopping = True
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(settings: ServiceSettings, listening: socket.socket) -> None:
    """Answer at a socket until SIGTERM or SIGINT; raises what went wrong if loading fails.

    With several workers each is a process, and one that dies is replaced.
    """
    if settings.workers > 1:
        create_app(settings)  # a worker cannot tell whoever starts it what is wrong
        load(settings).gallery.close()
        with ExitStack() as made:
            if SHARED not in os.environ:
                os.environ[SHARED] = made.enter_context(tempfile.TemporaryDirectory(prefix="bitreid-metrics-"))
                made.callback(os.environ.pop, SHARED)
            config = _config(partial(create_app, settings), settings, factory=True)
            Multiprocess(config, sockets=[listening]).run()
        return
    errors: list[Exception] = []

    def failed(error: Exception) -> None:
        errors.append(error)
        server.should_exit = True

    app = create_app(settings, failed=failed)
    server = _Server(_config(app, settings))
    server.app = app
    server.run([listening])
    if errors:
        raise errors[0]


def listen(settings: ServiceSettings) -> socket.socket:
    """Return a socket that listens where the settings say; `OSError` where that cannot be."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP: asyncio then sends small answers at once, and no part of one waits 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(_BACKLOG)
        listening.set_inheritable(True)
    except BaseException:
        listening.close()
        raise
    return listening


def _config(app: object, settings: ServiceSettings, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=factory,
        workers=settings.workers,
        access_log=False,
        # Strangers' broken requests are answered, and fill no log.
        log_level="error",
        ws="none",
        server_header=False,
        http=CarefulProtocol,
        timeout_graceful_shutdown=math.ceil(settings.grace_s),
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_S,
        timeout_worker_healthcheck=_HEALTHCHECK_S,
    )
