"""Clustered search of galleries: time, items visited, and the recall of the nearest and of true matches.

    taskset -c 0 python -m benchmarks.gallery.clustered [--quick] [--rows N] [--folder DIR] [--json FILE] [--markdown]
    python -m benchmarks.gallery.clustered --milvus milvus://HOST:PORT/NAME [--quick] [--rows N] [--json FILE]

Fills a gallery in a SQLite file with 1,000,000 items (`--quick`: 40,000) of identity codes of 2,048 bits, made up as
a model's are (`benchmarks.search.people`), compacts it, and searches it exactly, in two stages by a coarse code of 64
of the bits, and by clusters, one query and 64 at a time, one thread. `nearest` is the share of the exact 100 nearest
items that is found, a row at the distance of the 100th counting whichever it is; `matches` the share of the other
pictures of the query's person that is among the 100 found. Beside that: items added a second, and how long it took
until the last segment was written, with clusters and, for a gallery of the same items, without. `--folder` says where
galleries are made, and removed: about 600 bytes an item, twice. With `--milvus`, the place of a new gallery on a
server, it is searched exactly, then given lists, and searched exactly again, by all lists, and by the nearest.

There are no bars: those of clustered search are in `benchmarks.search.clustered`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.search.__main__ import machine
from benchmarks.search.people import Population, population
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.commands.console import as_markdown, show
from bitreid.gallery import Contract, Gallery, Hits, Items, create_gallery, open_gallery
from bitreid.gallery.milvus import lists
from bitreid.gallery.milvus.gallery import create_milvus
from bitreid.gallery.sqlite.segments import plan

N_BITS, K = 2048, 100
COARSE = CoarseCode((), tuple(range(0, N_BITS, N_BITS // 64)), ((0.5, 0.01),))
CONTRACT = Contract(N_BITS, coarse=COARSE)
ROWS, QUICK_ROWS = 10**6, 40_000
BATCH = 10_000
N_QUERIES, QUICK_QUERIES = 256, 64
AT_ONCE = (1, 64)
WAYS: dict[str, dict[str, Any]] = {
    "exact": {},
    "two stages, w = 1 %": {"w": 0.01},
    "two stages, w = 5 %": {"w": 0.05},
    **{f"clustered, recall {recall:.0%}": {"method": "clustered", "recall": recall} for recall in (0.9, 0.95, 0.99)},
}


class Row(NamedTuple):
    """What was measured of a way to search."""

    way: str
    visited: float
    nearest: float
    matches: float
    ms: dict[int, float]


def main() -> None:
    arguments = parser().parse_args()
    rows = arguments.rows or (QUICK_ROWS if arguments.quick else ROWS)
    people = population(rows, QUICK_QUERIES if arguments.quick else N_QUERIES, N_BITS)
    plan.CLUSTERED = min(plan.CLUSTERED, rows // 2)
    if arguments.milvus:
        built, found = on_milvus(arguments.milvus, people)
        shown(arguments, rows, built, found)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        built = {
            "with clusters": filled(Path(folder) / "clustered.gallery", people, plan.CLUSTERED),
            "without": filled(Path(folder) / "plain.gallery", people, rows + 1),
        }
        with open_gallery(Path(folder) / "clustered.gallery") as gallery:
            found = [measured(gallery, people, way) for way in WAYS]
    shown(arguments, rows, built, found)


def shown(arguments: argparse.Namespace, rows: int, built: dict[str, dict[str, float]], found: Sequence[Row]) -> None:
    """Print the tables, and write them as JSON."""
    console = Console(width=200)
    for table in (built_table(built), table_of(found)):
        show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        record = {"machine": machine(), "rows": rows, "built": built, "found": [each._asdict() for each in found]}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--rows", type=int)
    arguments.add_argument("--folder", type=Path, metavar="DIR", help="where galleries are made, and removed")
    arguments.add_argument("--milvus", metavar="PLACE", help="a new gallery on a server, milvus://HOST:PORT/NAME")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return arguments


def filled(path: Path, people: Population, clustered: int) -> dict[str, float]:
    """Fill a gallery whose segments are by cluster from so many items on; return what that took."""
    before, plan.CLUSTERED = plan.CLUSTERED, clustered
    try:
        started = time.perf_counter()
        with create_gallery(path, CONTRACT) as gallery:
            add(gallery, people)
            added_s = time.perf_counter() - started
            gallery.compact()
        built_s = time.perf_counter() - started
    finally:
        plan.CLUSTERED = before
    folder = path.with_name(f"{path.name}.d")
    in_all = path.stat().st_size + sum(file.stat().st_size for file in folder.iterdir())
    n = len(people.pids)
    return {"added a second": n / added_s, "until all is written, s": built_s, "bytes an item": in_all / n}


def on_milvus(place: str, people: Population) -> tuple[dict[str, dict[str, float]], list[Row]]:
    """Return what it took to fill a gallery on a server and to make its lists, and what searches find and take."""
    lists.FEWEST = min(lists.FEWEST, len(people.pids))
    started = time.perf_counter()
    server, name = place.replace("milvus", "http", 1).rsplit("/", 1)
    with create_milvus(server, name, Contract(N_BITS), audited=False, timeout_s=120) as gallery:
        add(gallery, people)
        added_s = time.perf_counter() - started
        gallery.compact()
        found = [measured(gallery, people, "exact")._replace(way="exact, before there are lists")]
        started = time.perf_counter()
        n_lists = gallery.cluster()
        built_s = time.perf_counter() - started
        found += [measured(gallery, people, way) for way in WAYS if "two stages" not in way]
    built = {"added a second": len(people.pids) / added_s, "lists, s": built_s, "lists": float(n_lists)}
    return {"on Milvus": built}, found


def add(gallery: Gallery, people: Population) -> None:
    """Add all items."""
    for start in range(0, len(people.pids), BATCH):
        ids = range(start, min(start + BATCH, len(people.pids)))
        persons = [f"person {pid}" for pid in people.pids[ids.start : ids.stop].tolist()]
        gallery.add(Items.of(list(ids), people.gallery[ids.start : ids.stop], persons=persons))


def measured(gallery: Gallery, people: Population, way: str) -> Row:
    """Return what a way to search finds, and what it takes."""
    how = dict(WAYS[way])
    if "w" in how:
        how["w"] = max(round(how["w"] * gallery.count()), 1)

    def search(queries: Codes) -> list[Hits]:
        return gallery.search(queries, K, n_threads=1, **how)

    exact = gallery.search(people.queries, K, n_threads=1)
    found = search(people.queries)
    last = [hits[len(hits) - 1].distance for hits in exact]
    nearest = np.mean(
        [np.mean([hit.distance <= limit for hit in hits]) for hits, limit in zip(found, last, strict=True)]
    )
    n_matches = np.bincount(people.pids, minlength=int(people.query_pids.max()) + 1)[people.query_pids]
    matches = [
        sum(hit.person == f"person {pid}" for hit in hits) / n
        for hits, pid, n in zip(found, people.query_pids.tolist(), n_matches.tolist(), strict=True)
        if n
    ]
    visited = float(np.mean([hits.n_visited / hits.n_gallery for hits in found]))
    ms = {n: timed(search, people.queries, n) for n in AT_ONCE}
    return Row(way, visited, float(nearest), float(np.mean(matches)), ms)


def timed(search: Callable[[Codes], object], queries: Codes, at_once: int) -> float:
    """Return the median of the milliseconds a query."""
    taken = []
    for start in range(0, min(len(queries), 32 * at_once), at_once):
        some = queries[start : start + at_once]
        started = time.perf_counter()
        search(some)
        taken.append((time.perf_counter() - started) / len(some))
    return 1e3 * float(np.median(taken))


def table_of(found: Sequence[Row]) -> Table:
    table = Table("way", "visited", "nearest", "matches", *(f"{n} at once, ms a query" for n in AT_ONCE))
    for each in found:
        shares = f"{each.visited:.2%}", f"{each.nearest:.1%}", f"{each.matches:.1%}"
        table.add_row(each.way, *shares, *(f"{each.ms[n]:.3g}" for n in AT_ONCE))
    return table


def built_table(built: dict[str, dict[str, float]]) -> Table:
    table = Table("gallery", *next(iter(built.values())))
    for name, values in built.items():
        table.add_row(name, *(f"{value:,.4g}" for value in values.values()))
    return table


if __name__ == "__main__":
    main()
