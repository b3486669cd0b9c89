"""Clustered search against faiss's inverted lists: as many lists, tuned to the same recall, in the same run.

    pip install 'bitreid[bench]'
    python -m benchmarks.search.clustered [--quick] [--rows N ...] [--real FILE] [--json FILE] [--markdown]

Codes are made up as a model's are (`people`); `--real` takes a model's, a file that `bitreid encode` or
`benchmarks.search.drawn` wrote, and repeats them where there are too few, with bits flipped as often as they differ
between two pictures of one person from one camera. Queries are other pictures of people of the gallery. Recall is the
share of the 100 nearest rows; a row at the distance of the 100th counts whichever it is. For each recall, both sides
visit the fewest lists that reach it on the queries that are timed. faiss keeps the nearest in a heap or counts them,
whichever is quicker; its way of going through a batch list by list (`per_invlist_search`) ended the process in version
1.15.1 and is left out. One thread, on both sides, also for building. Above `--train-rows` rows faiss gets our centres,
since learning its own would take more than an hour; its time to build is then that of adding alone.

Beside that: which share of the other pictures of a query's person is among the 100 found, and the recall that
`search_clustered(recall=...)` reaches by what was measured when the clusters were made.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bars, at_least, write_json
from benchmarks.search.__main__ import machine
from benchmarks.search.data import widened
from benchmarks.search.people import Population, population
from benchmarks.search.rivals import module_of
from benchmarks.search.timing import Cell, Pace, Timing, Way, in_turns
from bitreid.arrays import AnyArray, Ints
from bitreid.codes import Codes
from bitreid.commands.console import as_markdown, show
from bitreid.evaluation.vectors import load_vectors
from bitreid.hamming import Clusters, cluster, distances_at, search_clustered, search_exact

N_BITS = 2048
K = 100
RECALLS = (0.90, 0.95, 0.99)
AT_ONCE = (1, 64)
N_QUERIES = 1024
N_JUDGED = 256  # of them, by whose recall both sides are tuned
SAMPLED = 40  # rows of a list that centres are learned on, as ours are
OURS, IVF = "clustered", "IVF"
TIMES, BUILT, SHORT_OF = 1.5, 3.0, 0.01


@dataclass
class Result:
    """What was measured at one number of rows; `lists` and `matches` are by way and recall."""

    rows: int
    n_lists: int
    build_s: dict[str, float] = field(default_factory=dict)
    own_centres: bool = True
    lists: dict[str, dict[float, int]] = field(default_factory=dict)
    visited: dict[float, float] = field(default_factory=dict)
    matches: dict[float, float] = field(default_factory=dict)
    all_matches: float = 0.0
    promised: dict[float, tuple[int, float]] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)

    def ms(self, way: str, recall: float, queries: int) -> float:
        """Return the least time of the ways whose names begin so."""
        setting = f"{recall:.0%}"
        return min(
            each.ms
            for each in self.timings
            if each.way.startswith(way) and each.setting == setting and each.cell.queries == queries
        )


def main() -> None:
    """Print the tables and whether the bars are met."""
    arguments = parser().parse_args()
    console = Console(file=sys.stderr)
    sizes = arguments.rows or ([50_000] if arguments.quick else [1_000_000, 10_000_000])
    pace = Pace(0.02, 0.3, 3, 5) if arguments.quick else Pace(0.05, 3.0, 5, 41)
    results = []
    for n_rows in sizes:
        console.print(f"{n_rows:,} rows: codes", highlight=False)
        people = people_of(arguments.real, n_rows) if arguments.real else population(n_rows, N_QUERIES, N_BITS)
        results.append(measured(people, n_rows <= arguments.train_rows, pace, console))
    bars = bars_of(results)
    out = Console(width=240 if arguments.markdown else None, highlight=False)  # Markdown must not be broken
    for title, table in tables_of(results, bars).items():
        out.print(f"\n{title}\n")
        show(out, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        record = {
            "machine": machine(("faiss-cpu", "numpy")),
            "bars": bars,
            "results": [asdict(each) for each in results],
        }
        write_json(arguments.json, record)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="50,000 rows, few turns")
    arguments.add_argument("--rows", type=int, nargs="+", metavar="N")
    arguments.add_argument("--real", type=Path, metavar="FILE", help="codes of a model with their people, .npz")
    arguments.add_argument("--train-rows", type=int, default=1_000_000, metavar="N")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return arguments


def people_of(path: Path, n_rows: int) -> Population:
    """Return a model's codes, the queries taken out of them, and the others repeated with noise up to `n_rows`."""
    queries, gallery = widened(load_vectors(path), N_QUERIES, n_rows)
    assert queries.codes is not None, "else they would have been refused"
    assert gallery.codes is not None, "else they would have been refused"
    return Population(gallery.codes, gallery.pids, queries.codes, queries.pids)


def measured(people: Population, train: bool, pace: Pace, console: Console) -> Result:
    """Return what was measured on one gallery."""
    queries, n_bits = people.queries, people.gallery.n_bits
    console.print("clusters", highlight=False)
    started = time.perf_counter()
    clusters, order = cluster(people.gallery)
    gallery = people.gallery[order]
    result = Result(len(gallery), len(clusters), {OURS: time.perf_counter() - started}, train)
    pids, query_pids = people.pids[order], people.query_pids
    judged = queries[:N_JUDGED]
    exact = search_exact(judged, gallery, K)
    result.all_matches = matches_of(exact.positions, pids, query_pids)
    del people
    console.print("inverted lists", highlight=False)
    index, result.build_s[IVF] = inverted(gallery, clusters, train)
    console.print("searches", highlight=False)
    batches = {n: [queries[start : start + n] for start in range(0, len(queries), n)] for n in AT_ONCE}

    def ours(n_lists: int, some: Codes) -> AnyArray:
        return search_clustered(some, gallery, clusters, K, n_lists=n_lists).positions

    def theirs(heap: bool, n_lists: int, some: Codes) -> AnyArray:
        index.nprobe, index.use_heap = n_lists, heap
        positions: AnyArray = index.search(some.packed, K)[1]
        return positions

    def recall_of(search: Callable[[int, Codes], AnyArray], n_lists: int) -> float:
        return reached(judged, gallery, search(n_lists, judged), exact.distances[:, -1])

    for name, search in ((OURS, ours), (IVF, partial(theirs, True))):
        result.lists[name] = {recall: fewest(partial(recall_of, search), recall, len(clusters)) for recall in RECALLS}
    for recall in RECALLS:
        found = search_clustered(judged, gallery, clusters, K, n_lists=result.lists[OURS][recall])
        result.visited[recall] = float(found.n_visited.mean())
        result.matches[recall] = matches_of(found.positions, pids, query_pids)
        n_lists = clusters.lists_for(recall, K)
        result.promised[recall] = (n_lists, recall_of(ours, n_lists))
        ways: dict[str, Callable[[Codes], AnyArray]] = {OURS: partial(ours, result.lists[OURS][recall])}
        for way, heap in {"heap": True, "counted": False}.items():
            ways[f"{IVF}, {way}"] = partial(theirs, heap, result.lists[IVF][recall])
        for n in AT_ONCE:
            cell = Cell("clustered", result.rows, n_bits, n)
            turns = [Way(way, batched(search, batches[n]), f"{recall:.0%}") for way, search in ways.items()]
            result.timings += in_turns(cell, turns, len(batches[n]), pace)
    return result


def batched(search: Callable[[Codes], AnyArray], batches: Sequence[Codes]) -> Callable[[int], AnyArray]:
    return lambda i: search(batches[i])


def inverted(gallery: Codes, clusters: Clusters, train: bool) -> tuple[Any, float]:
    """Return faiss's inverted lists of the gallery and the seconds that they took, in one thread.

    Rows come in the order of our lists, which is at least as quick for it as any.
    """
    faiss = module_of("faiss")
    faiss.omp_set_num_threads(1)
    quantizer = faiss.IndexBinaryFlat(gallery.n_bits)
    index = faiss.IndexBinaryIVF(quantizer, gallery.n_bits, len(clusters))
    sample = np.sort(np.random.default_rng(0).permutation(len(gallery))[: SAMPLED * len(clusters)])
    started = time.perf_counter()
    if train:
        index.train(gallery.packed[sample])
    else:
        quantizer.add(clusters.centres.packed)
        index.is_trained = True
    index.add(gallery.packed)
    seconds = time.perf_counter() - started
    # All rows. By default 0, which means all to the heap, but none to the counting.
    index.max_codes = len(gallery)
    index.quantizer_kept = quantizer  # Python would free it
    return index, seconds


def reached(queries: Codes, gallery: Codes, positions: AnyArray, farthest: AnyArray) -> float:
    """Return the share of `positions (n_queries, K)` no farther than each query's `K`-th nearest; below 0: none."""
    found = distances_at(queries, gallery, np.maximum(positions, 0)) <= farthest[:, None]
    return float((found & (positions >= 0)).mean())


def fewest(recall_of: Callable[[int], float], recall: float, most: int) -> int:
    """Return the fewest lists that reach a recall, which grows with them."""
    low, high = 0, 1
    while high < most and recall_of(high) < recall:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if recall_of(middle) >= recall else (middle, high)
    return high


def matches_of(positions: AnyArray, pids: Ints, query_pids: Ints) -> float:
    """Return the share of the pictures of the queries' people that was found, the mean over those who have any."""
    ordered = np.sort(pids)
    shares = []
    for found, pid in zip(positions, query_pids, strict=False):
        n = int(np.searchsorted(ordered, pid, "right") - np.searchsorted(ordered, pid))
        if n:
            shares.append(int((pids[found] == pid).sum()) / min(n, K))
    return float(np.mean(shares))


def bars_of(results: Sequence[Result]) -> Bars:
    """Return the bars, each with its value and whether it is met."""
    bars: Bars = {}
    for each in results:
        for recall in RECALLS:
            for n in AT_ONCE:
                times = each.ms(IVF, recall, n) / each.ms(OURS, recall, n)
                name = f"{each.rows:,} rows, {n} at once, recall {recall:.2f}: times the best of faiss"
                bars[name] = at_least(times, TIMES)
        faster = each.build_s[IVF] / each.build_s[OURS]
        bars[f"{each.rows:,} rows: built, times as fast as faiss"] = at_least(faster, BUILT)
        for recall, (_, found) in each.promised.items():
            bars[f"{each.rows:,} rows: recall={recall} finds"] = at_least(found, recall - SHORT_OF)
    return bars


def tables_of(results: Sequence[Result], bars: Bars) -> dict[str, Table]:
    """Return the tables by their titles."""
    times = _table(
        "rows", "recall", "at once", "ours, ms", "IVF, heap", "IVF, counted", "times", "lists", "IVF's", "rows visited"
    )
    built = _table("rows", "lists", "ours, s", "IVF, s", "times", "IVF's centres")
    found = _table("rows", "recall", "lists by recall=", "found", "matches found", "of all found by exact search")
    judged = _table("bar", "value", "bar", "met")
    for each in results:
        for recall in RECALLS:
            for n in AT_ONCE:
                ours, heap, counted = (each.ms(way, recall, n) for way in (OURS, f"{IVF}, heap", f"{IVF}, counted"))
                lists = [f"{each.lists[way][recall]:,}" for way in (OURS, IVF)]
                row = [f"{each.rows:,}", f"{recall:.0%}", str(n), f"{ours:.3g}", f"{heap:.3g}", f"{counted:.3g}"]
                times.add_row(*row, f"{min(heap, counted) / ours:.2f}", *lists, f"{each.visited[recall]:,.0f}")
            n_lists, reached_by = each.promised[recall]
            shares = (f"{reached_by:.1%}", f"{each.matches[recall]:.1%}", f"{each.all_matches:.1%}")
            found.add_row(f"{each.rows:,}", f"{recall:.0%}", f"{n_lists:,}", *shares)
        ours, theirs = each.build_s[OURS], each.build_s[IVF]
        centres = "its own" if each.own_centres else "ours"
        built.add_row(
            f"{each.rows:,}", f"{each.n_lists:,}", f"{ours:.3g}", f"{theirs:.3g}", f"{theirs / ours:.1f}", centres
        )
    for name, bar in bars.items():
        judged.add_row(name, f"{bar['value']:.3g}", f"{bar['bar']:.3g}", "yes" if bar["met"] else "no")
    return {"ms a query": times, "building": built, "what is found": found, "bars": judged}


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


if __name__ == "__main__":
    main()
