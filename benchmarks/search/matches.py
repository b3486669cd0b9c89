"""Which share of the nearest rows, and of the true matches, each way to search finds, against what it compares.

    python -m benchmarks.search.drawn drawn.npz
    python -m benchmarks.search.matches drawn.npz [--rows N] [--json FILE] [--markdown] [--plot DIR]
    python -m benchmarks.search.matches --made-up [--quick] [--rows N] [--json FILE] [--markdown]

Codes are those of a file that `bitreid encode` or `benchmarks.search.drawn` wrote, repeated with noise up to `--rows`
(`data.widened`); `--model` names the model that made them, whose card has the coarse code. Queries are taken out.
`--made-up` takes codes of 2,048 bits of `people`, 1,000,000 rows (`--quick`: 50,000), with 64 of the bits as the coarse
code.

`nearest` is the share of the 100 nearest rows that is found, a row at the distance of the 100th counting whichever it
is. `matches` is the share of the pictures of the query's person from other cameras that is among the 100 found, the
mean over the queries that have any: it is what users want, and codes can give no more of it than exact search finds.
`rows` is the share of the rows whose identity codes are compared, `bytes` what is read as a share of what exact search
reads: two stages read all short codes, too, and clustered search all centres. Times are of one query at a time on one
thread, medians over queries of the best of five calls.

There are no bars: those of clustered search are in `benchmarks.search.clustered`.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.search.__main__ import machine
from benchmarks.search.data import SHORT_BITS, widened
from benchmarks.search.people import population
from benchmarks.search.plots import Panel, draw_panels
from benchmarks.search.rivals import module_of
from bitreid.arrays import AnyArray, Ints
from bitreid.artifact import load_card
from bitreid.artifact.shipped import folder_of
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.commands.console import as_markdown
from bitreid.evaluation.vectors import load_vectors
from bitreid.hamming import cluster, distances_at, search_clustered, search_exact, search_two_stage

K = 100
N_QUERIES, N_TIMED, N_ROUNDS = 1000, 100, 5
MADE_UP_BITS = 2048
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of the rows: what short lists hold, and of the lists: what is visited."""
EXACT, CLUSTERED = "exact", "clustered"


@dataclass(frozen=True)
class Crowd:
    """Queries and a gallery, with short codes of both by the name of their kind; people and cameras of the pictures."""

    queries: Codes
    gallery: Codes
    shorts: dict[str, tuple[Codes, Codes]]
    pids: Ints
    camids: Ints
    query_pids: Ints
    query_camids: Ints


class Row(NamedTuple):
    """What a way to search compares, as shares of what exact search does, and finds; `setting` is `w` or the lists."""

    way: str
    setting: int
    rows: float
    bytes: float
    nearest: float
    matches: float
    ms: float


Search = Callable[[slice], tuple[AnyArray, float, float]]


def main() -> None:
    arguments = parser().parse_args()
    if arguments.plot:
        module_of("matplotlib")  # or say so now, not after the run
    if arguments.made_up:
        crowd = made_up(arguments.rows or (50_000 if arguments.quick else 10**6))
    else:
        crowd = crowd_of(arguments.file, arguments.model, arguments.rows or 0)
    found = measured(crowd)
    console = Console(width=200)
    n_rows, n_people = len(crowd.gallery), len(np.unique(crowd.pids[crowd.pids > 0]))
    console.print(f"{n_rows:,} rows of {crowd.gallery.n_bits:,} bits, {n_people:,} people", highlight=False)
    console.print(as_markdown(table_of(found)) if arguments.markdown else table_of(found))
    if arguments.json:
        record = {"machine": machine(), "rows": n_rows, "people": n_people, "found": [row._asdict() for row in found]}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        plot(found, f"{n_rows:,} rows of {n_people:,} drawn people", arguments.plot)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument("file", type=Path, nargs="?", help="codes of a model with their people, .npz")
    source.add_argument("--made-up", action="store_true", help="codes that are made up as a model's are")
    arguments.add_argument("--quick", action="store_true", help="50,000 made-up rows")
    arguments.add_argument("--model", default="drawn", help="the model of the codes (default %(default)s)")
    arguments.add_argument("--rows", type=int, metavar="N")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments.add_argument("--plot", type=Path, metavar="DIR", help="draw the plots there, as SVG")
    return arguments


def crowd_of(path: Path, model: str, n_rows: int) -> Crowd:
    """Return a model's codes, with both kinds of short codes as far as there are any."""
    coarse = load_card(folder_of(model)).coarse
    query, gallery = widened(load_vectors(path), N_QUERIES, n_rows)
    assert query.codes is not None, "else they would have been refused"
    assert gallery.codes is not None, "else they would have been refused"
    shorts = {}
    if query.attribute_codes is not None and gallery.attribute_codes is not None:
        shorts["attribute code"] = query.attribute_codes, gallery.attribute_codes
    if coarse is not None:
        sides = [coarse.of(side.codes, side.attribute_codes) for side in (query, gallery) if side.codes is not None]
        shorts["coarse code"] = sides[0], sides[1]
    return Crowd(query.codes, gallery.codes, shorts, gallery.pids, gallery.camids, query.pids, query.camids)


def made_up(n_rows: int) -> Crowd:
    """Return made-up codes, all queries from a camera of their own."""
    people = population(n_rows, N_QUERIES, MADE_UP_BITS)
    bits = range(0, MADE_UP_BITS, MADE_UP_BITS // SHORT_BITS)
    coarse = CoarseCode((), tuple(bits), ((0.5, 0.01),))
    shorts = {"coarse code": (coarse.of(people.queries, None), coarse.of(people.gallery, None))}
    cameras = np.ones(len(people.pids), np.int64), np.zeros(N_QUERIES, np.int64)
    # Persons are numbered from 1, as in a file.
    return Crowd(people.queries, people.gallery, shorts, 1 + people.pids, cameras[0], 1 + people.query_pids, cameras[1])


def measured(crowd: Crowd) -> list[Row]:
    """Return what each way finds at each setting."""
    n, long = len(crowd.gallery), crowd.gallery.packed.shape[1]
    exact = search_exact(crowd.queries, crowd.gallery, K)
    same = [
        np.count_nonzero((crowd.pids == pid) & (crowd.camids != camera))
        for pid, camera in zip(crowd.query_pids.tolist(), crowd.query_camids.tolist(), strict=True)
    ]
    n_matches = np.array(same)  # of each query

    def row(way: str, setting: int, search: Search) -> Row:
        positions, rows, read = search(slice(None))
        distances = distances_at(crowd.queries, crowd.gallery, np.maximum(positions, 0))
        nearest = ((distances <= exact.distances[:, -1:]) & (positions >= 0)).mean()
        right = (crowd.pids[positions] == crowd.query_pids[:, None]) & (positions >= 0)
        right &= crowd.camids[positions] != crowd.query_camids[:, None]
        asked = n_matches > 0
        matches = (right.sum(axis=1)[asked] / np.minimum(n_matches[asked], K)).mean()
        return Row(way, setting, rows, read, float(nearest), float(matches), milliseconds(search))

    found = [row(EXACT, n, lambda some: (search_exact(crowd.queries[some], crowd.gallery, K).positions, 1.0, 1.0))]
    for name, (queries, gallery) in crowd.shorts.items():
        for w in settings(n, K):

            def in_two_stages(
                some: slice, queries: Codes = queries, gallery: Codes = gallery, w: int = w
            ) -> tuple[AnyArray, float, float]:
                ranking = search_two_stage(queries[some], crowd.queries[some], gallery, crowd.gallery, w, K)
                return ranking.positions, w / n, w / n + gallery.packed.shape[1] / long

            found.append(row(f"two stages, {name}", w, in_two_stages))
    clusters, order = cluster(crowd.gallery)
    codes = crowd.gallery[order]
    for n_lists in settings(len(clusters), -(-2 * K * len(clusters) // n)):  # of 200 rows or more, as a rule

        def by_clusters(some: slice, n_lists: int = n_lists) -> tuple[AnyArray, float, float]:
            ranking = search_clustered(crowd.queries[some], codes, clusters, K, order, n_lists=n_lists)
            visited = float(ranking.n_visited.mean()) / n
            positions = np.where(ranking.positions < 0, -1, order[ranking.positions])
            return positions, visited, visited + len(clusters) / n

        found.append(row(CLUSTERED, n_lists, by_clusters))
    return found


def settings(n: int, least: int) -> Iterator[int]:
    """Yield numbers of rows or lists, ascending."""
    yield from sorted({max(round(share * n), least) for share in SHARES})


def milliseconds(search: Search) -> float:
    """Return the milliseconds of one query: the median over queries of the best of a few calls."""
    taken = np.empty((N_ROUNDS, N_TIMED))
    for each in taken:
        for at in range(N_TIMED):
            started = time.perf_counter()
            search(slice(at, at + 1))
            each[at] = time.perf_counter() - started
    return 1e3 * float(np.median(taken.min(axis=0)))


def table_of(found: list[Row]) -> Table:
    table = Table()
    for heading in ("way", "w or lists", "rows", "bytes", "nearest", "matches", "ms a query"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for each in found:
        shares = f"{each.rows:.2%}", f"{each.bytes:.2%}", f"{each.nearest:.1%}", f"{each.matches:.1%}"
        table.add_row(each.way, f"{each.setting:,}", *shares, f"{each.ms:.3g}")
    return table


def plot(found: list[Row], title: str, folder: Path) -> None:
    """Draw recall against the rows compared and against time: `drawn_nearest.svg` and `drawn_matches.svg`.

    By time, settings that were slower than one that compares more are left out.
    """
    plots = {
        "nearest": "of the 100 nearest rows found, per cent",
        "matches": "of the matches from other cameras found, per cent",
    }
    for what, label in plots.items():
        by_rows, by_time = Panel(title), Panel(title)
        for row in found:
            share = 100 * (row.nearest if what == "nearest" else row.matches)
            by_rows.add(row.way, 100 * row.rows, share)
            if not any(other.way == row.way and other.ms < row.ms and other.rows > row.rows for other in found):
                by_time.add(row.way, row.ms, share)
        x_labels = "rows whose identity codes are compared, per cent", "milliseconds a query, one thread"
        draw_panels(folder / f"drawn_{what}.svg", [by_rows, by_time], x_labels, label, _log_x, y_log=False)


def _log_x(axes: Any, xs: Sequence[float]) -> float:
    """Set the scales with room for labels to the right and above, and return where these start."""
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.3, 1.6 * max(xs) * (max(xs) / min(xs)) ** 0.6)
    steps = (1,) if max(xs) > 30 * min(xs) else (1, 2, 5)
    ticks = [step * 10.0**n for n in range(-4, 6) for step in steps]
    shown = [each for each in ticks if min(xs) / 1.3 <= each <= 1.1 * max(xs)]
    axes.set_xticks(shown, [f"{each:g}" for each in shown])
    axes.minorticks_off()
    axes.set_ylim(0, 118)
    axes.set_yticks(range(0, 101, 20))
    return 1.4 * max(xs)


if __name__ == "__main__":
    main()
