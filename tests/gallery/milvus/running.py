"""A real Milvus server for tests, from the wheel in `.venv-milvus`, which `make test` builds, and galleries on it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

from bitreid.gallery import Contract
from bitreid.gallery.milvus.filter import keys_in
from bitreid.gallery.milvus.gallery import MilvusGallery, create_milvus, open_milvus
from bitreid.gallery.milvus.notes import Notes
from bitreid.gallery.milvus.server import Server

PYTHON = Path(__file__).parents[3] / ".venv-milvus" / "bin" / "python"

# The wheel finds free ports, but for those of etcd inside it. Tests make many small galleries: so its clock ticks, and
# it looks for what to load, more often than by default. The server ends with this script, and the script when whoever
# started it is no more.
_SCRIPT = """
import sys
from milvus import MilvusServer, MilvusServerConfig
folder = sys.argv[1]
config = MilvusServerConfig(data_dir=folder)
for name in ("proxy.timeTickInterval", "queryCoord.checkInterval", "queryCoord.distPullInterval"):
    config.set(name, 20)
for section, settings in (
    ("etcd", f"  config:\\n    path: {folder}/etcd.yaml\\n"),
    ("queryCoord", "  checkSegmentInterval: 20\\n  checkChannelInterval: 20\\n"),
):
    config.template_text = config.template_text.replace(f"\\n{section}:\\n", f"\\n{section}:\\n{settings}", 1)
server = MilvusServer(config)
server.start()
print(server.listen_port, server.server_proc.pid, flush=True)
sys.stdin.read()
server.server_proc.kill()
"""


class MilvusServer:
    """A server on free ports of this machine, with its data in a folder; a context manager.

    `url` is where it answers, `pid` the process that does. `pause` and `go_on` stop it as a lost network would.
    """

    def __init__(self, folder: Path) -> None:
        if not PYTHON.exists():
            raise RuntimeError(
                f"expected a Milvus server in {PYTHON.parents[1]}, got none; run make test, or make .venv-milvus"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "etcd.yaml").write_text(_etcd())
        with (folder / "log").open("wb") as log:
            self._script = subprocess.Popen(
                [PYTHON, "-c", _SCRIPT, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._script.stdout is not None
        line = self._script.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError(f"expected a Milvus server that starts, got {(folder / 'log').read_text()[-2000:]}")
        port, self.pid = map(int, line.split())
        self.url = f"http://127.0.0.1:{port}"

    def pause(self) -> None:
        """Stop answering, as when the network is gone."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, also what was asked meanwhile."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server and all its processes."""
        if self._script.returncode is None:
            os.killpg(self._script.pid, signal.SIGKILL)
            self._script.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _etcd() -> str:
    """Settings of etcd with ports that are free."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        client, peer = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (one, other))
    settings = {"name": "default", "initial-cluster": f"default={peer}"}
    settings |= dict.fromkeys(("listen-client-urls", "advertise-client-urls"), client)
    settings |= dict.fromkeys(("listen-peer-urls", "initial-advertise-peer-urls"), peer)
    return "".join(f"{name}: {value}\n" for name, value in settings.items())


class Galleries:
    """Galleries on a server, each of which many tests use one after the other: to make one takes seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._free: dict[tuple[int, int], list[str]] = {}  # by the lengths of their codes
        self._numbers = count()

    @contextmanager
    def borrowed(
        self, contract: Contract, *, audited: bool = True, actor: str = "", **settings: Any
    ) -> Iterator[MilvusGallery]:
        """An empty gallery that has just been made, as far as one sees."""
        free = self._free.setdefault((contract.n_bits, contract.attribute_bits), [])
        if free:
            name = free.pop()
            self._make_new(name, contract, audited)
        else:
            name = f"borrowed_{next(self._numbers)}"
            create_milvus(self.url, name, contract, audited=audited).close()
        try:
            with open_milvus(self.url, name, actor=actor, **settings) as gallery:
                yield gallery
        finally:
            free.append(name)

    def _make_new(self, name: str, contract: Contract, audited: bool) -> None:
        server = Server(self.url)
        try:
            notes = f"{name}_notes"
            for collection in (name, notes, *([f"{name}_attributes"] if contract.attributes else [])):
                for rows in server.rows(collection, "", [], server.moment(), size=1000):
                    server.call("delete", collection, filter=keys_in(row["key"] for row in rows))
            Notes(server, notes).keep("gallery", [{"contract": contract.to_json(), "audited": audited}])
        finally:
            server.close()
