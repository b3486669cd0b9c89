"""Scores of rankings at the size of Market-1501 and MSMT17: ours, the loop that toolkits ship, and torch.

    python benchmarks/evaluation [--quick] [--scale SHARE] [--json FILE] [--markdown]

Codes of 2,048 bits and features of 2,048 floats are made up: people are clusters, seen by several cameras, among
distractors. The loop is our own, written as toolkits write it: argsort, strike out, cumulative sums, query by query.
`--quick` takes Market-1501's size only, one run of each, and times the loop on 200 queries, of which the whole would
take so many times as long (marked ~); so does the full run at larger sizes, where whole matrices, which torch and
"ranking alone" (from distances that are given) need, would take 40 GB. The full run ends with codes of Market-1501's
size among 500,000 more distractors. Memory is what the process grows by at the most while ours
evaluates, and the whole of it then.
"""

import argparse
import ctypes
import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Floats32, Ints
from bitreid.codes import Codes
from bitreid.commands.console import as_markdown, show
from bitreid.evaluation import RankingMetrics, evaluate_distances, evaluate_ranking
from bitreid.hamming import distance_blocks, kernel

T = TypeVar("T")

N_BITS = 2048
MEMORY_MB = 512
LOOP_QUERIES = 200
MOST_PAIRS = 10**8  # of a whole matrix


@dataclass(frozen=True)
class Size:
    """How much of everything a test set has."""

    name: str
    n_queries: int
    n_gallery: int
    n_people: int
    n_cameras: int
    n_distractors: int


MARKET = Size("Market-1501", 3368, 15_913, 751, 6, 2798)
MSMT = Size("MSMT17", 11_659, 82_161, 3060, 15, 0)
DISTRACTED = Size("Market-1501 + 500,000", 3368, 515_913, 751, 6, 502_798)


@dataclass(frozen=True)
class TestSet:
    """Codes and features (None where they would take too much memory) of both sides, and who is on the pictures: query
    pids and camids, gallery pids and camids."""

    size: Size
    codes: tuple[Codes, Codes]
    features: tuple[Floats32, Floats32] | None
    people: tuple[Ints, Ints, Ints, Ints]


@dataclass(frozen=True)
class Timing:
    """Seconds of a way of doing something; `exact` is False where a part was timed and the whole estimated from it."""

    size: str
    task: str
    way: str
    seconds: float
    mAP: float
    exact: bool = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the sizes, to see that it runs; no bars")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    console = Console()
    timings: list[Timing] = []
    peaks: dict[str, tuple[float, float]] = {}
    for size in [MARKET] if arguments.quick else [MARKET, MSMT, DISTRACTED]:
        few = arguments.quick or size is not MARKET
        test_set = make_test_set(scaled(size, arguments.scale), features=size is not DISTRACTED)
        found, of_size = run_one(test_set, 1 if few else 5, few)
        timings += found
        peaks |= of_size
    for table in (timing_table(timings), memory_table(peaks)):
        show(console, as_markdown(table) if arguments.markdown else table)
    console.print(f"ours: search path {kernel.path()}, {kernel.usable_cpus()} threads at the most")
    bars = bars_of(timings, peaks) if arguments.scale == 1 else {}
    for name, bar in bars.items():
        console.print(f"{name}: {bar['value']:.3g}, bar {bar['bar']:g}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        record = {
            "timings": [vars(timing) for timing in timings],
            "peak_mb": {name: {"grown": grown, "process": whole} for name, (grown, whole) in peaks.items()},
            "path": kernel.path(),
            "threads": kernel.usable_cpus(),
            "bars": bars,
        }
        arguments.json.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def scaled(size: Size, share: float) -> Size:
    """Return a size with a share of the pictures and people."""
    counts = (size.n_queries, size.n_gallery, size.n_people, size.n_distractors)
    n_queries, n_gallery, n_people, n_distractors = (int(np.ceil(share * count)) for count in counts)
    return Size(size.name, n_queries, n_gallery, n_people, size.n_cameras, n_distractors)


def make_test_set(size: Size, features: bool, seed: int = 0) -> TestSet:
    """Return people as clusters: a feature is the person's plus the camera's plus noise; a bit is a feature's sign."""
    rng = np.random.default_rng(seed)
    query_pids = rng.integers(1, size.n_people + 1, size.n_queries)
    gallery_pids = rng.integers(1, size.n_people + 1, size.n_gallery)
    gallery_pids[: size.n_distractors] = 0
    camids = [rng.integers(1, size.n_cameras + 1, n) for n in (size.n_queries, size.n_gallery)]
    centres = rng.standard_normal((size.n_people + 1, N_BITS), dtype=np.float32)
    views = rng.standard_normal((size.n_cameras + 1, N_BITS), dtype=np.float32)
    packed, kept = [], []
    for pids, cameras in ((query_pids, camids[0]), (gallery_pids, camids[1])):
        codes = np.empty((len(pids), N_BITS // 8), np.uint8)
        side = np.empty((len(pids) if features else 0, N_BITS), np.float32)
        for start in range(0, len(pids), 4096):
            rows = slice(start, start + 4096)
            block = rng.standard_normal((len(pids[rows]), N_BITS), dtype=np.float32)
            # Noise of a wide range of strengths, so that some pictures are easy and some hopeless.
            strength = rng.uniform(1, 8, (len(block), 1)).astype(np.float32)
            block *= np.where(pids[rows, None] > 0, strength, np.float32(5))
            block += centres[pids[rows]] + views[cameras[rows]] / 2
            codes[rows] = np.packbits(block > 0, axis=1)
            if features:
                side[rows] = block
        packed.append(Codes(codes, N_BITS))
        kept.append(side)
    people = (query_pids, camids[0], gallery_pids, camids[1])
    return TestSet(size, (packed[0], packed[1]), (kept[0], kept[1]) if features else None, people)


def run_one(test_set: TestSet, repeats: int, few: bool) -> tuple[list[Timing], dict[str, tuple[float, float]]]:
    """Return the timings of every way at one size, and the peak of memory, in MiB, of ours and of the process."""
    size, people = test_set.size, test_set.people
    matrix = size.n_queries * size.n_gallery <= MOST_PAIRS and test_set.features is not None
    distances = all_distances(*test_set.codes) if matrix else np.zeros((0, 0), np.uint16)
    ways: dict[str, Callable[[], RankingMetrics]] = {
        "codes": lambda: evaluate_ranking(*test_set.codes, *people, memory_mb=MEMORY_MB),
    }
    if (features := test_set.features) is not None:
        ways["features"] = lambda: evaluate_ranking(*features, *people, memory_mb=MEMORY_MB)
    if matrix:
        ways["ranking alone"] = lambda: evaluate_distances(distances, *people, memory_mb=MEMORY_MB)
        # What the others rank, whatever the distances are made of.
        as_floats = distances.astype(np.float32)
        ways["ranking float32"] = lambda: evaluate_distances(as_floats, *people, memory_mb=MEMORY_MB)
    timings, peaks = [], {}
    for task, way in ways.items():
        with PeakMemory() as memory:
            found = [timed(way) for _ in range(1 if task == "features" else repeats)]
        timings.append(
            Timing(size.name, task, "ours", statistics.median(each for each, _ in found), found[0][1].expected.mAP)
        )
        peaks[f"{size.name}, {task}"] = memory.grown_mb, memory.highest_mb
    timings += loop_timings(test_set, few, matrix)
    return timings + (torch_timings(test_set) if matrix else []), peaks


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that some work takes, and what it returns."""
    started = time.perf_counter()
    value = work()
    return time.perf_counter() - started, value


class PeakMemory:
    """How much memory the process had at the most within a `with`, and how much it grew: VmRSS, every few ms."""

    highest_mb = 0.0

    @property
    def grown_mb(self) -> float:
        return max(self.highest_mb - self._before, 0.0)

    def __enter__(self) -> "PeakMemory":
        # Memory that was freed but not given back would be taken again unseen.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        self._before, self._stop = self._resident_mb(), threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.highest_mb = max(self.highest_mb, self._resident_mb())

    @staticmethod
    def _resident_mb() -> float:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * 4096 / 2**20


def all_distances(queries: Codes, gallery: Codes) -> npt.NDArray[np.uint16]:
    """Return the Hamming distances `(n_queries, n_gallery)`."""
    distances = np.empty((len(queries), len(gallery)), np.uint16)
    for start in range(0, len(queries), 256):
        for columns, block in distance_blocks(queries[start : start + 256], gallery):
            distances[start : start + 256, columns] = block
    return distances


def loop_timings(test_set: TestSet, few: bool, alone: bool) -> list[Timing]:
    """Time the loop of toolkits: from codes, and alone with the distances given."""
    name, (queries, gallery) = test_set.size.name, test_set.codes
    n_queries = len(queries)
    n = min(LOOP_QUERIES, n_queries) if few else n_queries
    people = test_set.people[0][:n], test_set.people[1][:n], *test_set.people[2:]
    seconds, matrix = timed_matrix(queries[:n], gallery)
    ranking, mAP = timed(lambda: naive_mAP(matrix, *people))
    share, exact = n_queries / n, n == n_queries
    found = [Timing(name, "codes", "loop", share * (seconds + ranking), mAP, exact)]
    return [*found, Timing(name, "ranking alone", "loop", share * ranking, mAP, exact)] if alone else found


def timed_matrix(queries: Codes, gallery: Codes) -> tuple[float, Floats32]:
    """Return the seconds that toolkits take for distances, an xor and a look-up in a table, and the distances."""
    ones = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
    matrix = np.empty((len(queries), len(gallery)), np.float32)
    started = time.perf_counter()
    for i, query in enumerate(queries.packed):
        matrix[i] = ones[gallery.packed ^ query].sum(axis=1)
    return time.perf_counter() - started, matrix


def naive_mAP(distances: Floats32, query_pids: Ints, query_camids: Ints, pids: Ints, camids: Ints) -> float:
    """Return mAP as toolkits compute it, with CMC on the way: ties by the accident of the sort."""
    indices = np.argsort(distances, axis=1)
    matches = (pids[indices] == query_pids[:, None]).astype(np.int32)
    all_cmc, all_ap = [], []
    for i in range(len(distances)):
        order = indices[i]
        keep = ~((pids[order] == query_pids[i]) & (camids[order] == query_camids[i]))
        found = matches[i][keep]
        if not found.any():
            continue
        cmc = found.cumsum()
        cmc[cmc > 1] = 1
        all_cmc.append(cmc[:50])
        precisions = found.cumsum()
        precisions = np.asarray([x / (rank + 1.0) for rank, x in enumerate(precisions)]) * found
        all_ap.append(precisions.sum() / found.sum())
    np.asarray(all_cmc).mean(axis=0)
    return float(np.mean(all_ap))


def torch_timings(test_set: TestSet) -> list[Timing]:
    """Time the vectorised way: one matrix of distances, one sort, gathers and cumulative sums over all of it."""
    import torch

    name = test_set.size.name
    query_pids, query_camids, pids, camids = (torch.from_numpy(column) for column in test_set.people)

    def mAP(distances: torch.Tensor) -> float:
        order = distances.argsort(dim=1)
        match = pids[order] == query_pids[:, None]
        keep = ~(match & (camids[order] == query_camids[:, None]))
        right = match & keep
        found = right.cumsum(dim=1)
        _cmc = (found[:, :50] > 0).float().mean(dim=0)
        n_matches = right.sum(dim=1)
        ap = torch.where(right, found / keep.cumsum(dim=1), 0).sum(dim=1) / n_matches
        return float(ap[n_matches > 0].mean())

    def of_codes() -> torch.Tensor:
        queries, gallery = (
            torch.from_numpy(np.unpackbits(side.packed, axis=1)).float() * 2 - 1 for side in test_set.codes
        )
        return (N_BITS - queries @ gallery.T) / 2

    def of_features() -> torch.Tensor:
        assert test_set.features is not None, "a matrix is small, and so are its features"
        queries, gallery = (torch.nn.functional.normalize(torch.from_numpy(side)) for side in test_set.features)
        return 1 - queries @ gallery.T

    timings = []
    for task, way in (("codes", of_codes), ("features", of_features)):
        seconds, distances = timed(way)
        ranking, score = timed(partial(mAP, distances))
        timings.append(Timing(name, task, "torch", seconds + ranking, score))
        if task == "codes":
            timings.append(Timing(name, "ranking alone", "torch", ranking, score))
    return timings


def timing_table(timings: list[Timing]) -> Table:
    """Return a table of seconds, and how many times ours is faster; ~ where a part was timed."""
    table = Table("size", "task", "way", "seconds", "times ours", "mAP", title="evaluation, all metrics")
    ours = {(timing.size, timing.task): timing.seconds for timing in timings if timing.way == "ours"}
    for timing in timings:
        about = "" if timing.exact else "~"
        ratio = timing.seconds / ours[timing.size, timing.task]
        table.add_row(
            timing.size,
            timing.task,
            timing.way,
            f"{about}{timing.seconds:.2f}",
            f"{about}{ratio:.1f}",
            f"{about}{100 * timing.mAP:.2f}",
        )
    return table


def memory_table(peaks: dict[str, tuple[float, float]]) -> Table:
    table = Table("evaluation", "peak, MiB", "setting, MiB", "whole process, MiB", title="memory of ours")
    for name, (grown, whole) in peaks.items():
        table.add_row(name, f"{grown:.0f}", str(MEMORY_MB), f"{whole:.0f}")
    return table


def bars_of(timings: list[Timing], peaks: dict[str, tuple[float, float]]) -> dict[str, dict[str, Any]]:
    """Return the bars of the project, each with its value and whether it is met."""
    seconds = {(timing.task, timing.way): timing.seconds for timing in timings if timing.size == MARKET.name}
    whole = seconds["codes", "ours"]
    faster = seconds["ranking alone", "loop"] / seconds["ranking alone", "ours"]
    memory = max(grown for grown, _ in peaks.values()) / MEMORY_MB
    bars = {
        "Market-1501 size, packed codes, all metrics, seconds": {"value": whole, "bar": 4, "met": whole <= 4},
        "the same by the search kernel on two cores": {"value": whole, "bar": 0.3, "met": whole <= 0.3},
        "ranking alone against the naive loop, times faster": {"value": faster, "bar": 50, "met": faster >= 50},
        "peak memory over the setting": {"value": memory, "bar": 1, "met": memory <= 1},
    }
    for name, (_, process) in peaks.items():
        if name.startswith(DISTRACTED.name):
            bars["500,000 distractors, whole process, MiB"] = {"value": process, "bar": 4096, "met": process <= 4096}
    return bars


if __name__ == "__main__":
    main()
