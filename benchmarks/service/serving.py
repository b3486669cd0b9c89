"""Services that run on loopback while a benchmark asks them: as processes, of which one sees the memory."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bitreid.errors import ServiceError

PATIENCE_S = 300.0
"""Seconds that a service may take to load."""
ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """A service that runs, and can be killed and started again at the same address. Use as a context manager.

    `command` comes after the interpreter, and takes `--port`. `cores` are those that it runs on; None for all.
    """

    command: Sequence[str]
    cores: Set[int] | None = None
    address: str = ""
    starts_s: list[float] = field(default_factory=list)
    """Seconds that each start took, until the service was ready."""

    def start(self) -> None:
        """Start it, at the address that it had before or a free one, and wait until it is ready."""
        began = time.monotonic()
        port = self.address.rpartition(":")[2] or "0"
        command = [sys.executable, *self.command, "--port", port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        if self.cores is not None:
            os.sched_setaffinity(self._process.pid, self.cores)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            raise ServiceError(f"expected a service that says its address, got {line!r}", "unreachable")
        self.address = found[0]
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > began + PATIENCE_S:
                raise ServiceError(f"expected a service that is ready at {self.address}, got none", "unreachable")
            time.sleep(0.02)
        self.starts_s.append(time.monotonic() - began)

    def kill(self) -> None:
        """End it at once, as a lack of memory or of power would."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> int:
        """Tell it to stop; return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()
        return self._process.returncode

    def rss(self) -> int:
        """Return the bytes of memory of the service and of the processes that it started; 0 while it does not run."""
        parents = dict(_parents())
        pids = {self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in pids} - pids:
            pids |= more
        return sum(map(_rss_of, pids))

    def __enter__(self) -> "Running":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def bitreid(*words: str) -> list[str]:
    """Return the command that serves with bitreid."""
    return ["-m", "bitreid", "serve", *words]


@contextmanager
def every(seconds: float, work: Callable[[], object]) -> Iterator[None]:
    """Call `work` in a thread, at the beginning and every so many seconds, until the block ends."""
    end = threading.Event()

    def repeat() -> None:
        due = time.monotonic()
        while not end.wait(max(due - time.monotonic(), 0)):
            work()
            due += seconds

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process and its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended
        yield int(path.parent.name), int(text.rpartition(")")[2].split()[1])


def _rss_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
