"""The parts of the benchmark of galleries: what is done, in which order, and what is measured of it."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.gallery.adding import Added, by_process, by_thread, calls_of
from benchmarks.gallery.data import FILTERS, Crowd, passing
from benchmarks.gallery.engines import FILL, Ask, Engine, K, Ours, kernel_way
from benchmarks.gallery.timing import ADDING, SINGLE, Fact, Latency, calls_for, calls_in_turns, latency, seconds_of
from benchmarks.search.data import N_QUERIES
from benchmarks.search.timing import Pace, Way, recall
from bitreid.hamming import search_exact, search_two_stage

AT_ONCE = 64
_CHECKED = 16  # queries that recall is measured of

Make = Callable[[Path, Crowd], Engine]


@dataclass(frozen=True)
class Plan:
    """What is measured: numbers of rows and the engines; how long searches are timed, and calls of one kind that are
    made one at a time, and how many of these. Milvus is one engine more, up to so many rows."""

    rows: tuple[int, ...]
    engines: Sequence[Make]
    pace: Pace
    single_s: float = 3.0
    calls: int = 50
    milvus: Make | None = None
    milvus_rows: int = 100_000

    def makes(self, n: int) -> list[Make]:
        """Return the engines of a gallery of `n` items."""
        return [*self.engines, *([self.milvus] if self.milvus and n <= self.milvus_rows else [])]


@dataclass
class Measured:
    """All figures of a run."""

    latencies: list[Latency] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


def asks_of(n: int) -> list[Ask]:
    """Return all searches of a gallery of `n` items: in one and two stages (w = 1 %), by each filter; many at once."""
    stages = (0, max(n // 100, 1))
    single = [Ask(w, filter) for filter in FILTERS for w in stages]
    return single + [Ask(w, at_once=AT_ONCE) for w in stages]


def measure(plan: Plan, crowd: Crowd, folder: Path, say: Callable[[str], None]) -> Measured:
    """Return the figures of all sizes, in galleries that are made in `folder` and removed."""
    measured = Measured()
    for n in plan.rows:
        with filled(plan.makes(n), crowd, n, folder, measured, say) as engines:
            for engine in engines:
                say(f"{n:,} rows: opening, {engine.name}")
                measured.latencies += opened(engine, n)
            for ask in asks_of(n):
                say(f"{n:,} rows: {ask.task}")
                measured.latencies += searched(engines, crowd, n, ask, plan.pace)
            for engine in engines:
                say(f"{n:,} rows: searching while another adds, {engine.name}")
                while_adding(engine, n, plan.pace, measured)
            for engine in engines:
                say(f"{n:,} rows: adding, fetching, deleting, {engine.name}")
                changed(engine, n, plan, measured)
    return measured


@contextmanager
def filled(
    makes: Sequence[Make], crowd: Crowd, n: int, folder: Path, measured: Measured, say: Callable[[str], None]
) -> Iterator[list[Engine]]:
    """Give engines with `n` items each, and what it took to add them; close and remove them afterwards."""
    engines: list[Engine] = []
    try:
        for number, make in enumerate(makes):
            place = folder / f"{n}-{number}"
            place.mkdir()
            engine = make(place, crowd)
            say(f"{n:,} rows: filling, {engine.name}")
            started = time.perf_counter()
            engine.fill(n)
            seconds = time.perf_counter() - started
            engines.append(engine)
            measured.facts.append(Fact(f"added a second, batches of {FILL:,}", n, engine.name, n / seconds))
            measured.facts.append(Fact("disk, bytes an item", n, engine.name, engine.n_bytes() / n))
            if (held := engine.memory()) is not None:
                measured.facts.append(Fact("memory, bytes an item", n, engine.name, held / n))
        yield engines
    finally:
        for engine in engines:
            engine.close()
            shutil.rmtree(engine.folder)


def opened(engine: Engine, n: int, times: int = 3) -> list[Latency]:
    """Measure opening a gallery, alone and with a first search; its file is in memory already.

    The first search by metadata is timed by itself, where there is one: it may have to read them all.
    """
    taken: dict[str, list[float]] = {"open": [], "open and search": []}
    for number in range(times):
        engine.close()
        started = time.perf_counter()
        engine.open()
        taken["open"].append(time.perf_counter() - started)
        engine.ways(Ask(max(n // 100, 1)))[-1].call(number)
        taken["open and search"].append(time.perf_counter() - started)
    for way in engine.ways(Ask(filter="metadata")):
        taken["first search by metadata"] = [seconds_of(way.call, 0)]
    return [latency(SINGLE, task, n, engine.name, seconds) for task, seconds in taken.items()]


def searched(engines: Sequence[Engine], crowd: Crowd, n: int, ask: Ask, pace: Pace) -> list[Latency]:
    """Measure a call of the kernel and of all engines that can do it, which take turns."""
    ways = [kernel_way(crowd, n, ask), *(way for engine in engines for way in engine.ways(ask))]
    recalls = [recall_of(way, crowd, n, ask) for way in ways]
    taken = calls_in_turns(ways, N_QUERIES // ask.at_once, pace)
    return [
        latency("search", ask.task, n, way.name, seconds, way.setting, found)
        for way, seconds, found in zip(ways, taken, recalls, strict=True)
    ]


def recall_of(way: Way, crowd: Crowd, n: int, ask: Ask) -> float:
    """Return the share of the right hits of some queries that a way finds; hits that the filter excludes are wrong."""
    calls = range(max(_CHECKED // ask.at_once, 1))
    n_queries = len(calls) * ask.at_once
    long, short = crowd.long.rows(n), crowd.short.rows(n)
    queries, rows = long.queries[:n_queries], passing(crowd, n, ask.filter)
    if ask.w:
        sides = short.queries[:n_queries], queries, short.gallery, long.gallery
        right = search_two_stage(*sides, ask.w, K, rows=rows)
    else:
        right = search_exact(queries, long.gallery, K, rows=rows)
    hits = [each for i in calls for each in way.call(i)]
    found = np.full((n_queries, max(map(len, hits))), -1)  # a way that keeps ties finds more, or fewer
    for each, wanted in zip(found, hits, strict=True):
        each[: len(wanted)] = wanted if rows is None else np.where(rows[wanted], wanted, -1)
    return recall(queries, long.gallery, found, right.distances)


def while_adding(engine: Engine, n: int, pace: Pace, measured: Measured) -> None:
    """Measure searches while a thread adds, and for ours also while a process does."""
    adders: dict[str, Callable[[], AbstractContextManager[Added]]] = {"a thread": partial(by_thread, engine)}
    if isinstance(engine, Ours):
        adders["a process"] = partial(by_process, engine)
    for who, adder in adders.items():
        for ask in asks_of(n)[:2]:
            task = f"{ask.task}, {who}"
            for way in engine.ways(ask):
                with adder() as added:
                    taken = calls_of(way, N_QUERIES, pace)
                measured.latencies.append(latency(ADDING, task, n, way.name, taken, way.setting))
                measured.facts.append(
                    Fact(f"added a second meanwhile, {task}", n, way.name, added.a_second, way.setting)
                )


def _add_next(engine: Engine, size: int, _: int) -> None:
    engine.add_next(size)


def changed(engine: Engine, n: int, plan: Plan, measured: Measured) -> None:
    """Measure fetching, adding and deleting: last of all, because this scatters some files."""
    ids = np.random.default_rng(0).choice(n, plan.calls, replace=False).tolist()

    def timed(task: str, call: Callable[[int], None], most: int) -> float:
        """Return the mean seconds of the calls."""
        taken = calls_for(call, plan.single_s, most)
        measured.latencies.append(latency(SINGLE, task, n, engine.name, taken))
        return sum(taken) / len(taken)

    engine.get(0)
    timed("fetch", lambda i: engine.get(ids[i]), plan.calls)
    for size, most in ((1, 10 * plan.calls), (1000, plan.calls // 2)):
        mean = timed(f"add {size:,}", partial(_add_next, engine, size), most)
        measured.facts.append(Fact(f"added a second, batches of {size:,}", n, engine.name, size / mean))
    timed("delete", lambda i: engine.delete(ids[i]), plan.calls)
