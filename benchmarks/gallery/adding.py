"""Searches while somebody else adds: another thread, or another process."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event as ProcessEvent

from benchmarks.gallery.data import Rows
from benchmarks.gallery.engines import Engine, Ours
from benchmarks.gallery.timing import seconds_of
from benchmarks.search.timing import Pace, Way
from bitreid.gallery import open_gallery

BATCH, EVERY_S = 10, 0.1
"""What is added meanwhile: so many items at a time, so often; slower where an engine cannot keep up."""

Event = threading.Event | ProcessEvent


@dataclass
class Added:
    """How many items somebody added, and the seconds that it took."""

    items: int = 0
    seconds: float = 0.0

    @property
    def a_second(self) -> float:
        """Items a second."""
        if not self.seconds:
            raise RuntimeError("expected somebody who adds, got one that failed; its error is above")
        return self.items / self.seconds


def paced(add: Callable[[int], object], ready: Event, stop: Event) -> Added:
    """Call `add` with 0, 1, ... every `EVERY_S` until `stop` is set, and return what was added.

    Sets `ready` after the first call.
    """
    started, number = time.perf_counter(), 0
    while not number or not stop.is_set():
        add(number)
        number += 1
        ready.set()
        stop.wait(max(0.0, started + number * EVERY_S - time.perf_counter()))
    return Added(number * BATCH, time.perf_counter() - started)


@contextmanager
def by_thread(engine: Engine) -> Iterator[Added]:
    """Add in a thread while the block runs; the value given says afterwards what was added."""
    added, ready, stop = Added(), threading.Event(), threading.Event()

    def run() -> None:
        try:
            found = paced(lambda _: engine.add_next(BATCH), ready, stop)
            added.items, added.seconds = found.items, found.seconds
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait()
        yield added
    finally:
        stop.set()
        thread.join()


@contextmanager
def by_process(engine: Ours) -> Iterator[Added]:
    """Add as `by_thread` does, in a process that opens the gallery and adds one batch again and again under new ids."""
    added, context = Added(), multiprocessing.get_context("spawn")
    ready, stop, results = context.Event(), context.Event(), context.SimpleQueue()
    batch = engine.crowd.rows(engine.n, engine.n + BATCH)
    process = context.Process(target=_adding, args=(engine.place, batch, ready, stop, results))
    process.start()
    try:
        while not ready.wait(0.1) and process.is_alive():
            pass
        yield added
    finally:
        stop.set()
        process.join()
    if not results.empty():
        added.items, added.seconds = results.get()
        engine.n += added.items


def _adding(
    place: str, batch: Rows, ready: ProcessEvent, stop: ProcessEvent, results: "SimpleQueue[tuple[int, float]]"
) -> None:
    with open_gallery(place) as gallery:
        found = paced(lambda number: gallery.add(batch._replace(ids=batch.ids + number * BATCH).items()), ready, stop)
    results.put((found.items, found.seconds))


def calls_of(way: Way, n_batches: int, pace: Pace) -> list[float]:
    """Return the seconds of single calls of one way, until the pace's budget is spent; it is called once before."""
    way.call(0)
    taken: list[float] = []
    number = 0
    while number < pace.fewest or sum(taken) < pace.budget_s:
        number += 1
        taken.append(seconds_of(way.call, number % n_batches))
    return taken
