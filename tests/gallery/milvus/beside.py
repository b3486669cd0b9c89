"""Looks at a gallery on a Milvus server while other processes replace some of its items, and what the looks missed.

A look that misses an item that nobody touches is a fault; items that are being replaced may be seen old or new.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bitreid.gallery import Gallery, open_gallery
from tests.gallery.cases import people, queries

N = 1000
REPLACED = range(300, 500)
"""The ids that the others replace; in the order of keys they lie among those that nobody touches."""
MARKED = range(2000, 2040)


@contextmanager
def replacing(place: str, n_processes: int = 2) -> Iterator[None]:
    """Other processes replace items of the gallery meanwhile, again and again."""
    with ExitStack() as ended:
        others = []
        for _ in range(n_processes):
            command = [sys.executable, "-m", "tests.gallery.milvus.beside", place]
            other = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            others.append(ended.enter_context(other))
            ended.callback(other.kill)
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        yield
        assert all(other.poll() is None for other in others), "expected writers that go on, got one that has ended"


def looks(gallery: Gallery) -> Iterator[tuple[str, bool]]:
    """Yield the name of each way to look, and whether it saw all that nobody touches."""
    untouched = {*range(N)} - {*REPLACED}
    yield "get", all(item is not None for item in gallery.get([*range(N)]))
    found = [id for batch in gallery.scan(batch=300) for id in batch.ids]
    yield "scan", untouched <= {*found} and len(found) == len({*found})
    found = [id for batch in gallery.scan("camera in (0, 1, 2)") for id in batch.ids]
    batch = people(range(N))
    known = {id for id, camera in zip(batch.ids, batch.cameras, strict=True) if camera in (0, 1, 2)}
    yield "filter", untouched & known <= {*found}
    others = [id for id in range(N) if id in untouched]
    yield "add", gallery.add(people(others, seed=7)) == 0
    hits = gallery.search(queries(1)[0], N + len(MARKED), max_distance=None)[0]
    yield "search", untouched <= {*hits.ids}
    marked = people(MARKED, cameras=[77] * len(MARKED))
    yield "add new", gallery.add(marked) == len(MARKED)
    yield "delete", gallery.delete_where("camera = 77") == len(MARKED)
    yield "deleted", gallery.get([*MARKED]) == [None] * len(MARKED)
    yield "count", gallery.count("camera = 77") == 0


def faults(gallery: Gallery, seconds: float, least: int = 1) -> tuple[Counter[str], int]:
    """Return how often each way to look missed something, and how often all of them were tried, `least` times or more.

    The gallery is empty before.
    """
    gallery.add(people(range(N)))
    found, tries, end = Counter[str](), 0, time.monotonic() + seconds
    with replacing(gallery.info().place):
        while time.monotonic() < end or tries < least:
            found.update(name for name, good in looks(gallery) if not good)
            tries += 1
    return found, tries


if __name__ == "__main__":
    with open_gallery(sys.argv[1]) as gallery:
        batches = [people(REPLACED, seed) for seed in range(5)]
        print("ready", flush=True)
        while True:
            for batch in batches:
                gallery.upsert(batch)
