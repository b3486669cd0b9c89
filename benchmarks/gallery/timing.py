"""How the ways of keeping a gallery are timed and judged: single calls in turns, percentiles, bars."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.search.timing import Pace, Way

KERNEL, OURS, FAISS, DUCKDB, LANCEDB = "kernel", "ours", "faiss + SQLite", "DuckDB", "LanceDB"
ROWS = 10**6  # of the bars

EXACT, TWO_STAGE = "exact", "two-stage"
ADDING, SINGLE = "while another adds", "one at a time"


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single calls of a way: `p50_ms` and `p99_ms` of so many `calls`.

    `part` and `task` say what was done in a gallery of `rows`; `setting` tells apart several ways of one name. `recall`
    is the share of the kernel's hits that was found, where the calls search; see `search_timing.recall`.
    """

    part: str
    task: str
    rows: int
    way: str
    setting: str
    p50_ms: float
    p99_ms: float
    calls: int
    recall: float | None = None


@dataclass(frozen=True)
class Fact:
    """Something else that was measured of a way; `name` says the unit."""

    name: str
    rows: int
    way: str
    value: float
    setting: str = ""


def latency(
    part: str, task: str, rows: int, way: str, seconds: Sequence[float], setting: str = "", recall: float | None = None
) -> Latency:
    """Return the percentiles of some calls: the least time that such a share of the calls did not exceed."""
    p50, p99 = np.percentile(seconds, (50, 99), method="inverted_cdf").tolist()
    return Latency(part, task, rows, way, setting, 1e3 * p50, 1e3 * p99, len(seconds), recall)


def calls_in_turns(ways: Sequence[Way], n_batches: int, pace: Pace) -> list[list[float]]:
    """Return the seconds of single calls of each way, in turns of at least `pace.turn_s`.

    Ways take turns so that all meet the same load; each is called once before. A turn's first call finds the last way's
    data in the processor's cache. It counts only if it fills the turn.
    """
    found: list[list[float]] = [[] for _ in ways]
    batches = [itertools.cycle(range(n_batches)) for _ in ways]
    for way in ways:
        way.call(n_batches - 1)
    for turn in range(pace.most):
        for way, calls, batch in zip(ways, found, batches, strict=True):
            if turn < pace.fewest or sum(calls) < pace.budget_s:
                first = seconds_of(way.call, next(batch))
                calls += [first] if first >= pace.turn_s else _turn(way, batch, pace.turn_s)
    return found


def _turn(way: Way, batch: Iterator[int], turn_s: float) -> list[float]:
    taken = [seconds_of(way.call, next(batch))]
    while sum(taken) < turn_s:
        taken.append(seconds_of(way.call, next(batch)))
    return taken


def seconds_of(call: Callable[[int], Any], number: int) -> float:
    """Return the seconds that one call takes."""
    started = time.perf_counter()
    call(number)
    return time.perf_counter() - started


def calls_for(call: Callable[[int], Any], budget_s: float, most: int) -> list[float]:
    """Return the seconds of single calls until the budget is spent: at least one, at most `most`."""
    taken: list[float] = []
    while len(taken) < most and (not taken or sum(taken) < budget_s):
        taken.append(seconds_of(call, len(taken)))
    return taken


def p50_of(latencies: Sequence[Latency], part: str, task: str, way: str, rows: int) -> float | None:
    """Return the median milliseconds of a way, the quickest of its settings; None: not run."""
    wanted = part, task, way, rows
    found = (each.p50_ms for each in latencies if (each.part, each.task, each.way, each.rows) == wanted)
    return min(found, default=None)


def bars_of(latencies: Sequence[Latency], rows: int = ROWS) -> dict[str, dict[str, Any]]:
    """Return the bars of the project, each with its value and whether it is met, where what they need was run."""

    def p50(task: str, way: str, part: str = "search") -> float | None:
        return p50_of(latencies, part, task, way, rows)

    exact, two_stage, opened = p50(EXACT, OURS), p50(TWO_STAGE, OURS), p50("open", OURS, SINGLE)
    bars: dict[str, tuple[float, float, bool]] = {}
    if exact is not None and (bare := p50(EXACT, KERNEL)) is not None:
        bars["exact search: times the kernel"] = exact / bare, 1.1, exact <= 1.1 * bare
    if two_stage is not None and (bare := p50(TWO_STAGE, KERNEL)) is not None:
        limit = 1.3 * bare + 0.3
        bars["two-stage search: ms, against 1.3 times the kernel's + 0.3"] = two_stage, limit, two_stage <= limit
    for rival in (LANCEDB, DUCKDB):
        if two_stage is not None and (ms := p50(TWO_STAGE, rival)) is not None:
            bars[f"two-stage search: times faster than {rival}"] = ms / two_stage, 10, ms >= 10 * two_stage
    if opened is not None:
        bars["open, seconds"] = opened / 1e3, 3, opened < 3e3
    return {name: {"value": value, "bar": bar, "met": met} for name, (value, bar, met) in bars.items()}
