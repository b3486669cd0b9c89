"""Looks at a gallery on a Milvus server while other processes replace some of its items, and what the looks missed.

A look that misses an item that nobody touches is a fault; items that are being replaced may be seen old or new.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from bitreid.gallery import Gallery, IdIn, open_gallery
from tests.gallery.cases import people, queries

N = 500
REPLACED = range(200, 300)
"""The ids that the others replace; in the order of keys they lie among those that nobody touches."""
THEM = IdIn(frozenset(range(N)))


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
    """Yield the name of each way to look, and whether it saw all items."""
    yield "get", all(item is not None for item in gallery.get([*range(N)]))
    found = [id for batch in gallery.scan(THEM, batch_size=150) for id in batch.ids]
    yield "scan", sorted(found, key=str) == sorted(range(N), key=str)
    yield "count", gallery.count(THEM) == N


def changes(gallery: Gallery) -> Iterator[tuple[str, bool]]:
    """Yield the name of each way to change a gallery, and whether it saw all that nobody else touches."""
    untouched, ids = {*range(N)} - {*REPLACED}, range(1000, 1020)
    yield "add", gallery.add(people(sorted(untouched), seed=7)) == 0
    yield "add new", gallery.add(people(ids, cameras=[77] * len(ids))) == len(ids)
    hits = gallery.search(queries(1)[0], N, where=THEM, max_distance=None)[0]
    yield "search", untouched <= {*hits.ids}
    yield "delete_where", gallery.delete_where("camera = 77") == len(ids)
    yield "deleted", gallery.get(ids) == [None] * len(ids)


def faults(place: str, seconds: float, n_looking: int = 4) -> tuple[Counter[str], Counter[int]]:
    """Return how often each way to look or to change missed something, and how often each thread tried its own.

    The gallery at the place is empty before. One thread changes it and several look: then requests overtake each other.
    """
    found, tries = Counter[str](), Counter[int]()

    def look(number: int) -> None:
        with open_gallery(place) as gallery:
            while not tries[number] or time.monotonic() < end:
                found.update(name for name, good in (looks if number else changes)(gallery) if not good)
                tries[number] += 1

    with open_gallery(place) as gallery:
        gallery.add(people(range(N)))
    end = time.monotonic() + seconds
    with replacing(place), ThreadPoolExecutor(n_looking) as threads:
        list(threads.map(look, range(n_looking)))
    return found, tries


if __name__ == "__main__":
    with open_gallery(sys.argv[1]) as gallery:
        batches = [people(REPLACED, seed) for seed in range(5)]
        print("ready", flush=True)
        while True:
            for batch in batches:
                gallery.upsert(batch)
