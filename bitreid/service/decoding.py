"""Pictures that clients send, decoded by other processes, which may run out of time or memory, or die."""

import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import Pixels
from bitreid.errors import PictureError, Unsupported
from bitreid.service.problems import Problem
from bitreid.service.worker import receive, send
from bitreid.text import brief

MAX_PIXELS = 2**25
"""Most pixels of a picture that a client sends, where nothing else is said: 33 million."""
_START_S = 60.0
"""Seconds that a process has to start, on a busy machine."""
_BYTES_A_PIXEL = 14
"""Memory that decoding takes at most, see `data.decoding.MAX_PIXELS`, and resizing."""
_SPARE_BYTES = 2**27
_MOST_THUMBNAIL = 2**20


class Decoded(NamedTuple):
    """A picture as the encoder takes it.

    pixels     (H, W, 3) uint8, RGB
    size       width and height of the whole picture, as it is shown
    odd        what is odd about it, or None
    thumbnail  a small JPEG without metadata, of what is in the box; None where it was not asked for
    """

    pixels: Pixels
    size: tuple[int, int]
    odd: str | None
    thumbnail: bytes | None


class Decoders:
    """Processes that decode a picture each at a time; any number of threads may ask, and wait their turn.

    A picture that takes more than `cpu_s` of work, `wall_s` of waiting or the memory of `max_pixels`, or that ends the
    process, is a `PictureError`; a new process takes the place of the old one.
    """

    def __init__(self, n: int = 2, *, max_pixels: int = MAX_PIXELS, cpu_s: int = 5, wall_s: float = 20.0) -> None:
        self.n, self.max_pixels, self.cpu_s, self.wall_s = n, max_pixels, cpu_s, wall_s
        self._idle: queue.SimpleQueue[_Process | None] = queue.SimpleQueue()
        for _ in range(n):
            self._idle.put(None)

    def start(self) -> None:
        """Start the processes, before the first picture comes; `Unsupported` if they cannot start."""
        processes = [self._idle.get() or self._new() for _ in range(self.n)]
        try:
            for process in processes:
                if process is None:
                    raise OSError("no process")
                process.wait()
        except (OSError, EOFError) as error:
            raise Unsupported(
                f"expected a process that decodes pictures to start, got {type(error).__name__}; see what it says on "
                "stderr, and whether memory or processes are limited here"
            ) from error
        finally:
            for process in processes:
                self._idle.put(process)

    def decode(
        self,
        content: bytes,
        height: int,
        width: int,
        box: Sequence[float] | None = None,
        *,
        thumbnail: bool = False,
        name: str = "a picture",
    ) -> Decoded:
        """Return a picture, or what is in a box of it (left, top, width and height in pixels), resized.

        `PictureError`, which calls it by `name`, for what cannot be read; a `Problem` for a box outside the picture.
        """
        process = self._idle.get()
        try:
            if process is not None and process.ended:  # by somebody else, such as a system without memory
                process.end(False)
                process = None
            if process is None:
                process = _Process(self._limits())
            asked = {"box": box and [float(each) for each in box], "height": height, "width": width}
            fields, answered = process.ask(asked | {"thumbnail": thumbnail}, content, 3 * height * width, self.wall_s)
        except (OSError, EOFError, ValueError) as error:
            reason = "too much work; save it anew as JPEG or PNG, and smaller"
            if process is not None and not process.end(isinstance(error, TimeoutError)):
                reason = "a picture that ends the process that reads it; save it anew as JPEG or PNG"
            process = self._new()
            raise PictureError(Path(name), reason) from error
        finally:
            self._idle.put(process)
        size = tuple(fields.get("size", (0, 0)))
        if fields["kind"] == "bad":
            raise PictureError(Path(name), brief(fields["reason"]))
        if fields["kind"] == "outside":
            message = f"expected a box within the picture of {size[0]} x {size[1]} pixels, got {list(box or ())}"
            raise Problem(400, "bad_request", message, "box")
        n = 3 * height * width
        pixels = np.frombuffer(answered, np.uint8, n).reshape(height, width, 3)
        return Decoded(pixels, (size[0], size[1]), fields["odd"], answered[n:] if thumbnail else None)

    def close(self) -> None:
        """End the processes, once they have answered; who asks afterwards starts new ones."""
        for process in [self._idle.get() for _ in range(self.n)]:
            if process is not None:
                process.end(True)
            self._idle.put(None)

    def _limits(self) -> tuple[int, int, int]:
        return self.max_pixels * _BYTES_A_PIXEL + _SPARE_BYTES, self.cpu_s, self.max_pixels

    def _new(self) -> "_Process | None":
        with suppress(OSError):
            return _Process(self._limits())
        return None  # the next picture tries again


class _Process:
    """A process, and the socket on which it answers."""

    def __init__(self, limits: tuple[int, int, int]) -> None:
        self._channel, theirs = socket.socketpair()
        # Secrets in the environment are not for a process that strangers' pictures may take over.
        kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            words = [sys.executable, "-P", "-m", "bitreid.service.worker", theirs.fileno(), *limits]
            self._process = subprocess.Popen(
                list(map(str, words)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self._ready = False

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> None:
        if not self._ready:
            self._channel.settimeout(_START_S)
            receive(self._channel, 0)
            self._ready = True

    def ask(self, asked: dict[str, Any], content: bytes, n_bytes: int, wall_s: float) -> tuple[dict[str, Any], bytes]:
        self.wait()
        # Each piece that is sent or received has what is left of the time; they are few.
        until = time.monotonic() + wall_s
        self._channel.settimeout(wall_s)
        send(self._channel, asked, content)
        self._channel.settimeout(max(until - time.monotonic(), 0.01))
        fields, answered = receive(self._channel, n_bytes + _MOST_THUMBNAIL)
        kind = fields.get("kind")
        if kind not in ("done", "bad", "outside") or (kind == "done" and len(answered) < n_bytes):
            raise ValueError("expected an answer, got another")
        return fields, answered

    def end(self, late: bool) -> bool:
        """End the process; return whether it took too long, as far as that is known: `late`, or stopped by a limit."""
        self._channel.close()
        if not late:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
        self._process.kill()
        return self._process.wait() == -signal.SIGXCPU or late
