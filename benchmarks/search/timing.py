"""How ways of searching are timed and judged: turns, recall, speed at equal recall, bars."""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.bars import Bars, at_least
from bitreid.arrays import AnyArray
from bitreid.codes import Codes
from bitreid.hamming import distances_at


@dataclass(frozen=True)
class Cell:
    """What the ways do that take turns: `queries` at once among `rows` codes of `n_bits`; `w` is 0 for one stage."""

    part: str
    rows: int
    n_bits: int
    queries: int
    threads: int = 1
    w: int = 0


@dataclass(frozen=True)
class Way:
    """One way of searching: `call` takes the number of a batch of queries and returns the positions found, if any.

    `setting` tells apart the settings of one way; `build_s` is what its index took to build.
    """

    name: str
    call: Callable[[int], AnyArray]
    setting: str = ""
    build_s: float = 0.0


@dataclass(frozen=True)
class Timing:
    """The median milliseconds a query of one way in one cell; `recall` where it was measured."""

    cell: Cell
    way: str
    setting: str
    ms: float
    build_s: float = 0.0
    recall: float | None = None

    @property
    def gb_per_s(self) -> float:
        """Bytes of codes compared, in 10^9 a second; those read from memory if one query is searched at a time."""
        return self.cell.rows * self.cell.n_bits / 8 / (1e6 * self.ms)

    @property
    def queries_per_s(self) -> float:
        return 1e3 / self.ms


@dataclass(frozen=True)
class Pace:
    """How long ways are timed: turns of at least `turn_s` (one call, if that takes longer), at least `fewest`, then
    until the way has had `budget_s` or `most` turns."""

    turn_s: float = 0.02
    budget_s: float = 1.0
    fewest: int = 3
    most: int = 21


def in_turns(
    cell: Cell, ways: Sequence[Way], n_batches: int, pace: Pace, recalls: Sequence[float | None] | None = None
) -> list[Timing]:
    """Return the timings of ways that take turns, so that all meet the same machine; each is called once before.

    Calls go through the batches of queries, so that no way finds the candidates of the last call in the cache.
    """
    turns: list[list[float]] = [[] for _ in ways]
    batches = [itertools.cycle(range(n_batches)) for _ in ways]
    for way in ways:
        way.call(n_batches - 1)
    for turn in range(pace.most):
        for way, taken, batch in zip(ways, turns, batches, strict=True):
            if turn < pace.fewest or sum(taken) < pace.budget_s:
                taken.append(_turn(way, batch, pace.turn_s))
    medians = [1e3 * statistics.median(seconds for seconds in taken) / cell.queries for taken in turns]
    return [
        Timing(cell, way.name, way.setting, ms, way.build_s, recall)
        for way, ms, recall in zip(ways, medians, recalls or [None] * len(ways), strict=True)
    ]


def _turn(way: Way, batch: Iterable[int], turn_s: float) -> float:
    """Return the seconds of a call, the mean of a turn."""
    started = time.perf_counter()
    for calls, number in enumerate(batch, 1):
        way.call(number)
        if (taken := time.perf_counter() - started) >= turn_s:
            return taken / calls
    raise AssertionError("batches come round for ever")


def recall(queries: Codes, gallery: Codes, positions: AnyArray, exact: AnyArray) -> float:
    """Return the share of the `k` nearest that was found, of rows `positions (n_queries, any)`, those below 0 none.

    `exact` is `(n_queries, k)`, the distances of the nearest. A row found counts if it is no farther than the k-th of
    these: which of the rows at one distance a way returns is no matter. A row counts once.
    """
    found = 0
    for i, (rows, nearest) in enumerate(zip(positions, exact, strict=True)):
        unique = np.unique(rows[rows >= 0]).astype(np.int64)
        distances = distances_at(queries[i : i + 1], gallery, unique[None])
        found += min(int((distances <= nearest[-1]).sum()), len(nearest))
    return found / exact.size


def ms_at_recall(points: Iterable[tuple[float, float]], target: float) -> float | None:
    """Return the milliseconds at which a way reaches the `target` recall, from points (recall, ms); None: it does not.

    Between the two best settings around it, the logarithm of the time is taken to grow evenly with recall, in favour of
    the way: none of its settings may be that quick. Below its least recall a way is as quick as there.
    """
    best: list[tuple[float, float]] = []
    for reached, ms in sorted(points, key=lambda point: (point[1], -point[0])):
        if not best or reached > best[-1][0]:
            best.append((reached, ms))
    above = next((i for i, (reached, _) in enumerate(best) if reached >= target), None)
    if above is None or above == 0:
        return None if above is None else best[0][1]
    (low, quicker), (high, slower) = best[above - 1], best[above]
    share = (target - low) / (high - low)
    return math.exp((1 - share) * math.log(quicker) + share * math.log(slower))


def ratio(timings: Iterable[Timing], cell: Cell, way: str, rivals: str) -> float | None:
    """Return the time of the quickest way whose name starts with `rivals` over that of `way`; None: not run."""
    ms = {timing.way: timing.ms for timing in timings if timing.cell == cell}
    others = [taken for name, taken in ms.items() if name.startswith(rivals)]
    return min(others) / ms[way] if way in ms and others else None


FLAT, TWO_STAGE, FLOAT, READ = "faiss flat", "faiss two-stage", "float, faiss", "read"


def bars_of(timings: Sequence[Timing]) -> Bars:
    """Return the bars of the project at the most rows that were searched, each with its value and whether it is met.

    Bars are left out where the ways of one side were not run.
    """
    rows = max((timing.cell.rows for timing in timings if timing.cell.part == "exact"), default=0)
    whole = {(n_bits, queries): Cell("exact", rows, n_bits, queries) for n_bits in (512, 2048) for queries in (1, 64)}
    staged = {queries: Cell("two-stage", rows, 2048, queries, w=rows // 100) for queries in (1, 64)}
    floats = Cell("float", 100_000, 2048, 1, w=1000)
    ratios = {
        "one query, 2,048 bits: share of the read rate": (whole[2048, 1], "exact", READ, 0.85),
        "one query, 2,048 bits: times faiss": (whole[2048, 1], "exact", FLAT, 1.1),
        "64 queries, 512 bits: times faiss": (whole[512, 64], "exact", FLAT, 3.0),
        "64 queries, 2,048 bits: times faiss": (whole[2048, 64], "exact", FLAT, 5.0),
        "two-stage, one query: times the best of faiss": (staged[1], "two-stage", TWO_STAGE, 3.5),
        "two-stage, 64 queries: times the best of faiss": (staged[64], "two-stage", TWO_STAGE, 5.0),
        "two-stage, one query: times the full scan of faiss": (staged[1], "two-stage", FLAT, 15.0),
        "two-stage, 64 queries: times the full scan of faiss": (staged[64], "two-stage", FLAT, 20.0),
        "two-stage, one query: times floats": (floats, "two-stage", FLOAT, 200.0),
    }
    bars: Bars = {}
    for name, (cell, way, rivals, bar) in ratios.items():
        value = ratio(timings, cell, way, rivals)
        if value is not None:
            bars[f"{cell.rows:,} rows, {name}"] = at_least(value, bar)
    return bars
