"""A real Milvus server for tests, from the wheel in `.venv-milvus`, which `make test` builds, and galleries on it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

from bitreid.gallery import Contract
from bitreid.gallery.milvus.filter import keys_in
from bitreid.gallery.milvus.gallery import MilvusGallery, create_milvus, open_milvus
from bitreid.gallery.milvus.items import short_collection
from bitreid.gallery.milvus.notes import Notes, format_of
from bitreid.gallery.milvus.server import Server

PYTHON = Path(__file__).parents[3] / ".venv-milvus" / "bin" / "python"

# Milvus listens on all interfaces, whatever its settings say. So it gets a network of its own, where its ports are
# seen by nobody and taken by nobody, and this script, which listens on a port of this machine's loopback since before
# it went there, passes on what comes. Where the system does not allow that, Milvus gets ports that are free.
#
# Tests make many small galleries: so its clock ticks, and it looks for what to load, more often than by default. The
# server ends with this script, and the script when whoever started it is no more.
_SCRIPT = r"""
import ctypes, fcntl, socket, struct, sys, threading
from milvus import MilvusServer, MilvusServerConfig

def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("0.0.0.0", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

def own_network():
    NEW_USER, NEW_NET, SET_FLAGS, UP_AND_RUNNING = 0x10000000, 0x40000000, 0x8914, 0x41
    unshare = ctypes.CDLL(None).unshare
    if unshare(NEW_NET) and unshare(NEW_USER | NEW_NET):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
    return True

def pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, sink):
            each.close()

def serve(listener, port):
    while True:
        inside, outside = listener.accept()[0], socket.create_connection(("127.0.0.1", port))
        for each in (inside, outside):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for ends in ((inside, outside), (outside, inside)):
            threading.Thread(target=pump, args=ends, daemon=True).start()

folder = sys.argv[1]
listener = socket.create_server(("127.0.0.1", 0))
alone = own_network()
config = MilvusServerConfig(data_dir=folder)
names = [name for name in config.configurable_items if name.endswith("_port")]
client, peer, metrics, *ports = free_ports(3 + len(names))
config.update(**dict(zip(names, ports)))
config.set("proxy.timeTickInterval", int(sys.argv[2]))
for name in ("queryCoord.checkInterval", "queryCoord.distPullInterval"):
    config.set(name, 20)
client, peer = (f"http://127.0.0.1:{port}" for port in (client, peer))
with open(f"{folder}/etcd.yaml", "w") as file:
    file.write(f"name: default\ninitial-cluster: default={peer}\n")
    file.write(f"listen-client-urls: {client}\nadvertise-client-urls: {client}\n")
    file.write(f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n")
for section, settings in (
    ("etcd", f"  config:\n    path: {folder}/etcd.yaml\n"),
    ("queryCoord", "  checkSegmentInterval: 20\n  checkChannelInterval: 20\n  checkIndexInterval: 20\n"),
):
    config.template_text = config.template_text.replace(f"\n{section}:\n", f"\n{section}:\n{settings}", 1)
server = MilvusServer(config)
server.webservice_port = metrics
server.start()
if server.server_proc.poll() is not None:
    sys.exit("Milvus has ended; another program may have taken one of its ports")
threading.Thread(target=serve, args=(listener, server.listen_port), daemon=True).start()
print(listener.getsockname()[1], server.server_proc.pid, int(alone), flush=True)
sys.stdin.read()
server.server_proc.kill()
"""


class MilvusServer:
    """A server on a free port of this machine, with its data in a folder; a context manager.

    `url` is where it answers, `pid` the process that does, `alone` whether it has a network of its own.
    `pause` and `go_on` stop it as a lost network would.
    """

    def __init__(self, folder: Path, tick_ms: int = 20) -> None:
        if not PYTHON.exists():
            raise RuntimeError(
                f"expected a Milvus server in {PYTHON.parents[1]}, got none; run make test, or make .venv-milvus"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("wb") as log:
            self._script = subprocess.Popen(
                [PYTHON, "-c", _SCRIPT, folder, str(tick_ms)],
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
        port, self.pid, self.alone = map(int, line.split())
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


def _collections_of(contract: Contract) -> tuple[int, int, str]:
    """What is the same for galleries of the same collections."""
    return contract.n_bits, contract.short_bits, short_collection("", contract)


class Galleries:
    """Galleries on a server, each of which many tests use one after the other: to make one takes seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._free: dict[tuple[int, int, str], list[str]] = {}  # by their collections
        self._numbers = count()

    @contextmanager
    def borrowed(
        self, contract: Contract, *, audited: bool = True, actor: str = "", **settings: Any
    ) -> Iterator[MilvusGallery]:
        """An empty gallery that has just been made, as far as one sees."""
        free = self._free.get(_collections_of(contract))
        if free:
            name = free.pop()
            self._make_new(name, contract, audited)
        else:
            name = f"borrowed_{next(self._numbers)}"
            create_milvus(self.url, name, contract, audited=audited).close()
        try:
            with open_milvus(self.url, name, actor=actor, **settings) as gallery:
                contract = gallery.contract
                yield gallery
                contract = gallery.contract  # it may have got a coarse code
        finally:
            self._free.setdefault(_collections_of(contract), []).append(name)

    def _make_new(self, name: str, contract: Contract, audited: bool) -> None:
        server = Server(self.url)
        try:
            notes = f"{name}_notes"
            short = [short_collection(name, contract)] if contract.short_bits else []
            for collection in (name, notes, *short):
                for rows in server.rows(collection, "", [], size=1000):
                    server.call("delete", collection, filter=keys_in(row["key"] for row in rows))
            about = {"format": format_of(contract), "contract": contract.to_json(), "audited": audited}
            Notes(server, notes).keep("gallery", [about])
        finally:
            server.close()
