"""Load by wrk, of Debian's package `wrk`: so many clients that ask again as soon as they are answered, or later."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitreid.errors import ServiceError, SettingsError

# wrk calls `init` in each of its threads, and `done` in its own at the end.
_SCRIPT = """
local bodies, at = {}, 0
function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method, wrk.headers["Content-Type"] = "POST", file:read("*l")
  for length in function() return file:read("*l") end do bodies[#bodies + 1] = file:read(tonumber(length)) end
end
function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
function done(summary, latency)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{"answered": %d, "lost": %d, "us": %d, "p50_us": %d, "p99_us": %d}\\n',
    summary.requests, lost, summary.duration - %settled, latency:percentile(50), latency:percentile(99)))
end
"""
# Clients that ask at random moments, independently of each other; none before all are connected.
_PAUSE = """
local asked = 0
function delay()
  asked = asked + 1
  return (asked <= %d and %d or 0) + math.floor(0.5 - %f * math.log(1 - math.random()))
end
"""
_SETTLED_MS = 1000
"""How long clients that pause are connected before the first of them asks."""


@dataclass(frozen=True)
class Task:
    """Requests to one path, in turns: their content type and bodies."""

    path: str
    content_type: str
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers a second, percentiles of milliseconds, and how many requests were answered or lost.

    Lost are those that got no answer, or one that says no.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    answered: int
    lost: int


def check_there() -> None:
    """Check that wrk is installed; `SettingsError`."""
    if shutil.which("wrk") is None:
        raise SettingsError("expected wrk, which makes the load, got none; sudo apt-get install wrk")


def load(
    address: str, task: Task, clients: int, seconds: int, folder: Path, cores: Set[int], pause_ms: float | None = None
) -> Load:
    """Return what so many clients see in so many seconds, each with one request at a time.

    After an answer a client asks again at once, or after `pause_ms` on average; clients that pause begin when all of
    them are connected. `folder` takes files, and wrk runs on `cores`. `ServiceError` where nobody was answered.
    """
    threads = min(clients, len(cores))
    script, bodies = folder / "load.lua", folder / "bodies"
    settled_ms = 0 if pause_ms is None else _SETTLED_MS
    pause = "" if pause_ms is None else _PAUSE % (clients // threads, settled_ms, pause_ms)
    script.write_text(_SCRIPT.replace("%settled", str(1000 * settled_ms)) + pause, encoding="utf-8")
    content = b"".join(b"%d\n%b" % (len(body), body) for body in task.bodies)
    bodies.write_bytes(task.content_type.encode() + b"\n" + content)
    command = ["wrk", f"-t{threads}", f"-c{clients}", f"-d{seconds + settled_ms // 1000}s", "--timeout", "60s"]
    command += ["-s", str(script), address + task.path, str(bodies)]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # which children inherit
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if run.returncode or not run.stdout.strip().endswith("}"):
        raise ServiceError(f"expected wrk to tell what it saw, got: {run.stderr or run.stdout}", "unreachable")
    said: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    if not said["answered"]:
        raise ServiceError(f"expected answers of {address} in {seconds} s, got none; give it more time", "unreachable")
    rate = 1e6 * said["answered"] / said["us"]
    return Load(rate, said["p50_us"] / 1e3, said["p99_us"] / 1e3, said["answered"], said["lost"])
