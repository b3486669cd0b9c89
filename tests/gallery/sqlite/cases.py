"""What the tests of SQLite galleries share: items whose right answers are known, other processes, disks that are full
or can only be read."""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.codes import Codes
from bitreid.gallery import Contract, Gallery, GalleryItem, Items
from bitreid.gallery.items import Id
from bitreid.gallery.sqlite.segments import plan
from tests.reference.gallery import PlainGallery

CONTRACT = Contract(64, attributes=("backpack", "hat"))
QUERY = Codes(np.arange(8, dtype=np.uint8)[None], 64)


SMALL = {"FEWEST": 1, "TAIL": 40, "FANOUT": 3, "ROUND": 1, "CLUSTERED": 50}
"""Limits of `segments.plan` with which galleries of a few items have segments, several of them, and most by cluster."""


def write_small_segments(tail: int = SMALL["TAIL"]) -> None:
    """Have this process write segments of few items, of so many meanwhile."""
    for name, value in {**SMALL, "TAIL": tail}.items():
        setattr(plan, name, value)


def batch_of(ids: Sequence[Id], version: int = 0) -> Items:
    """Items with something in every column, other ones for each version."""
    rng = np.random.default_rng([len(ids), version])
    n = len(ids)
    return Items.of(
        ids,
        Codes(rng.integers(0, 256, (n, 8), np.uint8), 64),
        Codes(np.packbits(rng.integers(0, 2, (n, 2), np.uint8), axis=1), 8),
        cameras=np.repeat(rng.integers(0, 4, n), 3)[:n],
        times=rng.integers(0, 10**15, n),
        tracklets=[f"tracklet {i // 3}" for i in range(n)],
        persons=[f"person {i % 7}" for i in range(n)],
        metadata=[{"version": version, "row": i} for i in range(n)],
        pictures=[f"picture {i}.jpg" for i in range(n)],
    )


def plain_of(*batches: Items) -> PlainGallery:
    plain = PlainGallery(CONTRACT.attributes)
    for batch in batches:
        plain.upsert(batch)
    return plain


def same(item: GalleryItem, other: GalleryItem) -> bool:
    """Whether all of two items is the same."""
    short, others = item.attribute_code, other.attribute_code
    assert short is not None
    assert others is not None
    rest = item._replace(code=QUERY.packed[0], attribute_code=None)
    return (
        bytes(item.code) == bytes(other.code)
        and bytes(short) == bytes(others)
        and rest == other._replace(code=rest.code, attribute_code=None)
    )


def check_whole(gallery: Gallery, plain: PlainGallery) -> None:
    """The gallery holds what the plain one does, and a search finds it."""
    found = {item.id: item for batch in gallery.scan() for item in batch}
    assert found.keys() == plain.items.keys()
    assert all(same(item, plain.items[id]) for id, item in found.items())
    n = max(len(found), 1)
    wanted = plain.search(QUERY.packed[0].tobytes(), n)
    for found_by in (gallery.search(QUERY, n), gallery.search(QUERY, n, method="clustered", recall=1)):
        assert [(hit.id, hit.distance) for hit in found_by[0]] == wanted
    assert gallery.info().n_items == gallery.count() == len(plain.items)


def overwritten(sound: bytes, chance: random.Random) -> bytes:
    """The same with random bytes at random places."""
    damaged = bytearray(sound)
    for _ in range(chance.choice([1, 1, 2, 20])):
        n = chance.choice([1, 4, 64, 4096])
        start = chance.randrange(len(damaged))
        damaged[start : start + n] = chance.randbytes(min(n, len(damaged) - start))
    return bytes(damaged)


SERVER = """
import json, sys
from pathlib import Path
from bitreid.gallery import *
from tests.gallery.sqlite.cases import *
path = Path(sys.argv[1])
if sys.argv[3] == "True":
    write_small_segments()
gallery = open_gallery(path, read_only=sys.argv[2] == "True")
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
gallery.close()
"""


class Other:
    """Another process that has a gallery open, and evaluates what it is asked."""

    def __init__(self, path: Path, read_only: bool = False, small_segments: bool = False) -> None:
        command = [sys.executable, "-c", SERVER, str(path), str(read_only), str(small_segments)]
        root = Path(__file__).parents[3]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self._line() == "ready\n"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def start(self, expression: str) -> None:
        """Ask without waiting; `answer` waits."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expression}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        return json.loads(self._line())

    def ask(self, expression: str) -> Any:
        self.start(expression)
        return self.answer()

    def __enter__(self) -> "Other":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@contextmanager
def read_only_folder() -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder, and what makes it and its files readable only; then even root, who may write anywhere, is nobody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)

        def close() -> None:
            for file in folder.rglob("*"):
                file.chmod(0o555 if file.is_dir() else 0o444)
            folder.chmod(0o555)
            if os.geteuid() == 0:
                os.seteuid(65534)

        try:
            yield folder, close
        finally:
            os.seteuid(os.getuid())
            folder.chmod(0o755)


@contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[Callable[[], None]]:
    """`folder` on a disk of its own that is soon full, or where nobody may mount one, under `small_files`; what makes
    room comes out."""
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", f"size={2 * n_bytes}", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        with small_files(folder, n_bytes) as make_room:
            yield make_room
        return
    try:
        (folder / "ballast").write_bytes(bytes(n_bytes))
        yield (folder / "ballast").unlink
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_files(_: Path, n_bytes: int) -> Iterator[Callable[[], None]]:
    """No file of this process may grow past `n_bytes`; what lifts that comes out."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
