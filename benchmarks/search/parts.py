"""The parts of the benchmark of searching: which ways take turns at which sizes."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.search.data import SHORT_BITS, SearchSet
from benchmarks.search.rivals import Rivals, Task
from benchmarks.search.timing import READ, Cell, Pace, Timing, Way, in_turns, recall
from bitreid.arrays import AnyArray
from bitreid.codes import Codes
from bitreid.hamming import kernel, search_exact, search_two_stage

K = 100
LENGTH = 2048  # where one length stands for all
SHARES, SHARE = (0.001, 0.01, 0.05, 0.1), 0.01  # w of the rows; where one w stands for all
AT_ONCE = (1, 64)

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """What is timed: numbers of rows and lengths of long codes; rows of short codes alone and of floats; the most rows
    that graphs are built of; the pace."""

    rows: tuple[int, ...]
    lengths: tuple[int, ...]
    short_rows: int
    float_rows: int
    graph_rows: int
    pace: Pace
    rivals: Rivals


def batches(codes: Codes, size: int) -> list[Codes]:
    return [codes[start : start + size] for start in range(0, len(codes), size)]


def read_ways(gallery: Codes, threads: int) -> list[Way]:
    """Read all codes once, by numpy's reductions that read memory fastest: a scan for one query has to read as much."""
    parts = np.array_split(gallery.packed.reshape(-1), threads)
    pool = ThreadPoolExecutor(threads)

    def way(name: str, reduce: Callable[[AnyArray], object], dtype: type[np.unsignedinteger]) -> Way:
        words = [part.view(dtype) for part in parts]

        def call(_: int) -> AnyArray:
            if threads == 1:
                reduce(words[0])
            else:
                list(pool.map(reduce, words))
            return np.empty((0, 0), np.int64)

        return Way(f"{READ}, {name}", call)

    return [
        way("maximum of 32 bits", np.max, np.uint32),
        way("or of 64 bits", np.bitwise_or.reduce, np.uint64),
        way("or of 8 bits", np.bitwise_or.reduce, np.uint8),
    ]


def on_path(path: str, search: Callable[[int], AnyArray]) -> Callable[[int], AnyArray]:
    """Return the same search by another path of the kernel."""

    def call(i: int) -> AnyArray:
        before = kernel.path()
        kernel.use_path(path)
        try:
            return search(i)
        finally:
            kernel.use_path(before)

    return call


def our_exact(task: Task) -> Way:
    def call(i: int) -> AnyArray:
        return search_exact(task.queries[i], task.gallery, task.k, n_threads=task.threads).positions

    return Way("exact", call)


def our_two_stage(task: Task) -> Way:
    def call(i: int) -> AnyArray:
        short, long = task.short_queries[i], task.queries[i]
        galleries = task.short, task.gallery
        return search_two_stage(short, long, *galleries, task.w, task.k, n_threads=task.threads).positions

    return Way("two-stage", call)


def task_of(cell: Cell, long: SearchSet, short: SearchSet | None = None) -> Task:
    return Task(
        batches(long.queries, cell.queries),
        long.gallery,
        min(K, cell.w or K),
        cell.threads,
        batches(short.queries, cell.queries) if short else (),
        short.gallery if short else None,
        cell.w,
    )


def sizes(plan: Plan, report: Report) -> Iterator[tuple[int, int]]:
    """Yield numbers of rows and lengths of long codes."""
    every = list(itertools.product(plan.rows, plan.lengths))
    for done, size in enumerate(every):
        report(done, len(every))
        yield size


def threads_of(plan: Plan, rows: int) -> tuple[int, ...]:
    return (1, 2) if rows == plan.rows[-1] and kernel.usable_cpus() > 1 else (1,)


def exact_part(plan: Plan, data: dict[int, SearchSet], report: Report) -> list[Timing]:
    """Time whole scans of every size and length; two threads at the largest size."""
    timings: list[Timing] = []
    for rows, n_bits in sizes(plan, report):
        long = data[n_bits].rows(rows)
        index = plan.rivals.flat(long.gallery)
        for threads, queries in itertools.product(threads_of(plan, rows), AT_ONCE):
            cell = Cell("exact", rows, n_bits, queries, threads)
            task = task_of(cell, long)
            ways = [our_exact(task), *read_ways(task.gallery, threads), *plan.rivals.exact(index, task)]
            if threads == 1:
                ways.append(Way("numpy", on_path(kernel.NUMPY, our_exact(task).call)))
            timings += in_turns(cell, ways, len(task.queries), plan.pace)
    return timings


def two_stage_part(plan: Plan, data: dict[int, SearchSet], report: Report) -> list[Timing]:
    """Time two stages at every size, length and w, beside one stage; two threads at the largest size of 2,048 bits."""
    timings: list[Timing] = []
    for rows, n_bits in sizes(plan, report):
        long, short = data[n_bits].rows(rows), data[SHORT_BITS].rows(rows)
        long_index, short_index = plan.rivals.flat(long.gallery), plan.rivals.flat(short.gallery)
        threads_here = threads_of(plan, rows) if n_bits == LENGTH else (1,)
        for threads, queries, share in itertools.product(threads_here, AT_ONCE, SHARES):
            cell = Cell("two-stage", rows, n_bits, queries, threads, round(share * rows))
            task = task_of(cell, long, short)
            ways = [our_two_stage(task), our_exact(task), *plan.rivals.two_stage(short_index, task)]
            if n_bits == LENGTH and share == SHARE:
                ways += plan.rivals.exact(long_index, task, usearch=False)
            timings += in_turns(cell, ways, len(task.queries), plan.pace)
    return timings


def short_part(plan: Plan, short: SearchSet, report: Report) -> list[Timing]:
    """Time stage 1 alone over many short codes, w of them found: ours and faiss's."""
    rows = len(short.gallery)
    index, timings = plan.rivals.flat(short.gallery), []
    cells = [Cell("stage 1", rows, SHORT_BITS, queries, w=round(SHARES[0] * rows)) for queries in AT_ONCE]
    for done, cell in enumerate(cells):
        report(done, len(cells))
        task = Task(batches(short.queries, cell.queries), short.gallery, cell.w)
        ways = [our_exact(task), *read_ways(short.gallery, 1)]
        timings += in_turns(cell, [*ways, *plan.rivals.exact(index, task, usearch=False)], len(task.queries), plan.pace)
    return timings


def path_part(plan: Plan, data: dict[int, SearchSet], report: Report) -> list[Timing]:
    """Time each path that can run here, at one size, and w = 1 %."""
    rows, timings = plan.rows[-1], []
    for done, queries in enumerate(AT_ONCE):
        report(done, len(AT_ONCE))
        cell = Cell("paths", rows, LENGTH, queries, w=round(SHARE * rows))
        task = task_of(cell, data[LENGTH].rows(rows), data[SHORT_BITS].rows(rows))
        ways = [
            Way(way.name, on_path(path, way.call), path)
            for path in kernel.available_paths()
            for way in (our_exact(task), our_two_stage(task))
        ]
        timings += in_turns(cell, ways, len(task.queries), plan.pace)
    return timings


def float_part(plan: Plan, data: dict[int, SearchSet], report: Report) -> list[Timing]:
    """Time the way without hashing, at one size, and w = 1 %."""
    rows, timings = plan.float_rows, []
    floats = plan.rivals.floats(rows, LENGTH)
    for done, queries in enumerate(AT_ONCE):
        report(done, len(AT_ONCE))
        cell = Cell("float", rows, LENGTH, queries, w=round(SHARE * rows))
        task = task_of(cell, data[LENGTH].rows(rows), data[SHORT_BITS].rows(rows))
        ways = [our_two_stage(task), our_exact(task), *floats(task)]
        timings += in_turns(cell, ways, len(task.queries), plan.pace)
    return timings


def real_part(plan: Plan, data: dict[str, SearchSet], report: Report) -> list[Timing]:
    """Time two stages with a model's codes at every size, and rivals that look at a part of the rows, with recalls."""
    timings: list[Timing] = []
    for done, rows in enumerate(plan.rows):
        report(done, len(plan.rows))
        pairs = {name: pair.rows(rows) for name, pair in data.items()}
        long = pairs.pop("long")
        families = [lambda task: [our_exact(task)], plan.rivals.inverted(long.gallery)]
        if rows <= plan.graph_rows:
            families += [plan.rivals.graph(long.gallery), plan.rivals.float_graph(long.gallery)]
        recalls: list[float | None] = []
        for queries in reversed(AT_ONCE):
            cell = Cell("real", rows, long.gallery.n_bits, queries)
            task = task_of(cell, long)
            ways = [*lists_of(cell, long, pairs), *(way for family in families for way in family(task))]
            # What is found does not depend on how many are searched at once.
            recalls = recalls or recalls_of(ways, task, long)
            timings += in_turns(cell, ways, len(task.queries), plan.pace, recalls)
    return timings


def lists_of(cell: Cell, long: SearchSet, pairs: dict[str, SearchSet]) -> Iterator[Way]:
    """Yield our two stages with each of the short codes, at every w."""
    for (name, short), share in itertools.product(pairs.items(), SHARES):
        task = task_of(replace(cell, w=round(share * cell.rows)), long, short)
        yield Way(f"two-stage, {name}", our_two_stage(task).call, f"w {share:.1%}")


def recalls_of(ways: Sequence[Way], task: Task, long: SearchSet) -> list[float | None]:
    """Return what share of the `K` nearest rows each way finds."""
    nearest = search_exact(long.queries, long.gallery, K).distances
    found = (np.concatenate([way.call(i)[:, :K] for i in range(len(task.queries))]) for way in ways)
    return [recall(long.queries, long.gallery, positions, nearest) for positions in found]
