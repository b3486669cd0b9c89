"""The libraries that users would pick instead, each as ways of searching; those that are not installed are left out."""

import importlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.search.timing import FLAT, FLOAT, TWO_STAGE, Way
from bitreid.arrays import AnyArray, Bytes
from bitreid.codes import Codes, unpack
from bitreid.errors import SettingsError
from bitreid.hamming import kernel

MODULES = ("faiss", "usearch.index", "hnswlib")
PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
_BLOCK = 10_000  # rows
EFFORTS = (100, 200, 400, 800)  # efSearch, at least k
HNSW_LINKS, HNSW_EFFORT = 16, 40  # as faiss builds by default, but for 32 links, which take twice as long

_HEAP_W = 2000  # above, counting is several times as quick as a heap
_STAGES = {"heap": True, "counted": False}  # how faiss's scans keep the nearest


@dataclass(frozen=True)
class Task:
    """What the ways of one cell search: batches of queries, and the gallery; short codes where there are two stages."""

    queries: Sequence[Codes]
    gallery: Codes
    k: int
    threads: int = 1
    short_queries: Sequence[Codes] = ()
    short_gallery: Codes | None = None
    w: int = 0

    @property
    def short(self) -> Codes:
        assert self.short_gallery is not None, "a task of two stages"
        return self.short_gallery


Family = Callable[[Task], list[Way]]
"""The ways of one index, for any task."""


def module_of(name: str) -> Any:
    """Return a module of the extra `bench`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(f"expected {name}, got none; install it: pip install 'bitreid[bench]'") from error


class Rivals:
    """The rivals' modules, None for those that are not installed, which are `missing`."""

    def __init__(self) -> None:
        modules: dict[str, Any] = {}
        for name in MODULES:
            with suppress(SettingsError):
                modules[name] = module_of(name)
        self.missing = [name for name in MODULES if name not in modules]
        self.faiss, self.usearch, self.hnswlib = (modules.get(name) for name in MODULES)

    def flat(self, gallery: Codes) -> Any:
        """Return faiss's index of all codes, which holds a copy of them; None without faiss."""
        if self.faiss is None:
            return None
        index = self.faiss.IndexBinaryFlat(gallery.n_bits)
        index.add(gallery.packed)
        return index

    def exact(self, index: Any, task: Task, usearch: bool = True) -> list[Way]:
        """Return the whole scans of faiss, from its `index` of the gallery, and of usearch."""
        ways = []
        if index is not None:
            for name, heap in _STAGES.items():
                ways.append(Way(f"{FLAT}, {name}", self._whole(index, heap, task)))
        if usearch and self.usearch is not None:
            ways.append(Way("usearch exact", self._usearch(self.usearch, task)))
        return ways

    def _whole(self, index: Any, heap: bool, task: Task) -> Callable[[int], AnyArray]:
        def call(i: int) -> AnyArray:
            index.use_heap = heap
            return self._searched(index, task, i)

        return call

    @staticmethod
    def _usearch(usearch: Any, task: Task) -> Callable[[int], AnyArray]:
        def call(i: int) -> AnyArray:
            found = usearch.search(
                task.gallery.packed,
                task.queries[i].packed,
                task.k,
                usearch.MetricKind.Hamming,
                exact=True,
                threads=task.threads,
                dtype=usearch.ScalarKind.B1,
            )
            positions: AnyArray = found.keys
            return positions.reshape(len(task.queries[i]), -1).astype(np.int64)

        return call

    def two_stage(self, index: Any, task: Task) -> list[Way]:
        """Return faiss's short lists, from its `index` of short codes, ordered by long codes in two ways.

        These are numpy, and faiss's function that searches arrays, over a copy of the rows. What took longer is not
        here: to sort the rows first, to index by them (`take` copies in half the time), and a search of faiss's index
        of the long codes with a selector of the rows, which looks at every row's number.
        """
        if self.faiss is None:
            return []
        faiss, gallery = self.faiss, task.gallery.packed

        def by_numpy(query: Bytes, rows: AnyArray) -> AnyArray:
            words = np.take(gallery, rows, axis=0).view(np.uint64)
            distances = np.bitwise_count(words ^ query.view(np.uint64)).sum(axis=1)
            return rows[_smallest(distances, task.k)]

        def by_faiss(query: Bytes, rows: AnyArray) -> AnyArray:
            nearest: AnyArray = faiss.knn_hamming(query[None], np.take(gallery, rows, axis=0), task.k)[1][0]
            return rows[nearest]

        def way(scan: Callable[[int], AnyArray], order: Callable[[Bytes, AnyArray], AnyArray], i: int) -> AnyArray:
            return np.stack([order(*each) for each in zip(task.queries[i].packed, scan(i), strict=True)])

        stage_1 = Task(task.short_queries, task.short, task.w, task.threads)
        return [
            Way(f"{TWO_STAGE}, {stage}, {name}", partial(way, self._whole(index, heap, stage_1), order))
            for stage, heap in _STAGES.items()
            if not heap or task.w <= _HEAP_W
            for name, order in {"numpy": by_numpy, "faiss": by_faiss}.items()
        ]

    def inverted(self, gallery: Codes, probes: Sequence[int] = PROBES) -> Family:
        """Return faiss's inverted lists, twice the root of the rows, at several numbers of lists visited."""
        if self.faiss is None:
            return no_ways
        n_lists = 2 * int(len(gallery) ** 0.5)
        index = self.faiss.IndexBinaryIVF(self.faiss.IndexBinaryFlat(gallery.n_bits), gallery.n_bits, n_lists)
        self.faiss.omp_set_num_threads(kernel.usable_cpus())
        started = time.perf_counter()
        index.train(gallery.packed[: 40 * n_lists])
        index.add(gallery.packed)
        seconds = time.perf_counter() - started
        # All rows. By default 0, which means all to the heap, but none to the counting.
        index.max_codes = len(gallery)

        def search(task: Task, n_probed: int, heap: bool, i: int) -> AnyArray:
            index.nprobe, index.use_heap = n_probed, heap
            return self._searched(index, task, i)

        return lambda task: [
            Way("IVF", partial(search, task, n, heap), f"nprobe {n}, {stage}", seconds)
            for n in probes
            for stage, heap in _STAGES.items()
        ]

    def graph(self, gallery: Codes) -> Family:
        """Return faiss's graph of neighbours, at several efforts."""
        if self.faiss is None:
            return no_ways
        index = self.faiss.IndexBinaryHNSW(gallery.n_bits, HNSW_LINKS)
        index.hnsw.efConstruction = HNSW_EFFORT
        self.faiss.omp_set_num_threads(kernel.usable_cpus())
        started = time.perf_counter()
        index.add(gallery.packed)
        seconds = time.perf_counter() - started

        def search(task: Task, effort: int, i: int) -> AnyArray:
            index.hnsw.efSearch = effort
            return self._searched(index, task, i)

        return lambda task: [Way("HNSW", partial(search, task, n), f"efSearch {n}", seconds) for n in EFFORTS]

    def float_graph(self, gallery: Codes) -> Family:
        """Return hnswlib's graph of +-1 in float32: it has no Hamming distance; the squared one is four times that."""
        if self.hnswlib is None:
            return no_ways
        index = self.hnswlib.Index(space="l2", dim=gallery.n_bits)
        index.init_index(len(gallery), M=HNSW_LINKS, ef_construction=HNSW_EFFORT)
        started = time.perf_counter()
        for start in range(0, len(gallery), _BLOCK):
            index.add_items(_signs(gallery[start : start + _BLOCK]), num_threads=kernel.usable_cpus())
        seconds = time.perf_counter() - started

        def search(queries: Sequence[AnyArray], task: Task, effort: int, i: int) -> AnyArray:
            index.set_ef(effort)
            positions: AnyArray = index.knn_query(queries[i], task.k, num_threads=task.threads)[0]
            return positions.astype(np.int64)

        def ways(task: Task) -> list[Way]:
            queries = [_signs(batch) for batch in task.queries]
            return [Way("hnswlib", partial(search, queries, task, n), f"ef {n}", seconds) for n in EFFORTS]

        return ways

    def floats(self, rows: int, dimensions: int, seed: int = 0) -> Family:
        """Return the way without hashing: faiss's scan of features, made up."""
        if self.faiss is None:
            return no_ways
        rng = np.random.default_rng(seed)
        index = self.faiss.IndexFlatIP(dimensions)
        for start in range(0, rows, _BLOCK):
            index.add(rng.standard_normal((min(_BLOCK, rows - start), dimensions), dtype=np.float32))
        features = rng.standard_normal((64, dimensions), dtype=np.float32)

        def search(task: Task, _: int) -> AnyArray:
            self._use_threads(task)
            positions: AnyArray = index.search(features[: len(task.queries[0])], task.k)[1]
            return positions

        return lambda task: [Way(FLOAT, partial(search, task))]

    def _searched(self, index: Any, task: Task, i: int) -> AnyArray:
        self._use_threads(task)
        positions: AnyArray = index.search(task.queries[i].packed, task.k)[1]
        return positions

    def _use_threads(self, task: Task) -> None:
        assert self.faiss is not None, "a way of faiss"
        self.faiss.omp_set_num_threads(task.threads)


def no_ways(_: Task) -> list[Way]:
    """Return no ways: for a rival that is not installed."""
    return []


def _signs(codes: Codes) -> AnyArray:
    return unpack(codes).astype(np.float32) * 2 - 1


def _smallest(distances: AnyArray, k: int) -> AnyArray:
    """Return where the `k` smallest distances are, in order."""
    near = np.argpartition(distances, k - 1)[:k] if k < len(distances) else np.arange(len(distances))
    order: AnyArray = near[np.argsort(distances[near], kind="stable")]
    return order
