"""Opening a gallery in a SQLite file: how soon it answers, what a second process takes, and bytes on the disk.

    taskset -c 0 python -m benchmarks.gallery.opening [--quick] [--rows N] [--unsorted]
        [--folder DIR] [--json FILE] [--markdown]

Fills a gallery of 1,000,000 items (`--rows 10000000` for ten million; `--quick`: 40,000) of identity codes of 2,048
bits and attribute codes of 64, drawn at random, with camera, time, tracklet, person and metadata, and closes it. Then
processes open it one after the other, search it once exactly and once in two stages, and say how long that took,
imports not counted; the files are in the system's memory. The last two have it open at a time: of the memory that only
the second holds (USS), and of its share of all (PSS), what it held before it opened the gallery is taken off. Linux
only.

`--unsorted` writes segments that are not sorted by cluster: that takes most of the time of filling a large gallery, and
what is measured here does not look at clusters. `--folder` says where the gallery is made, and removed: it takes about
750 bytes an item, and twice as many while segments are merged.

Bars are for a million items or more: a small gallery has no segments yet.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bars import at_most, lines_of, write_json
from bitreid.codes import Codes
from bitreid.commands.console import as_markdown, show
from bitreid.gallery import Contract, Items, create_gallery, open_gallery
from bitreid.gallery.sqlite.segments import plan

N_BITS, SHORT_BITS, K = 2048, 64, 100
CONTRACT = Contract(N_BITS, attributes=tuple(f"attribute {i}" for i in range(SHORT_BITS)))
ROWS, QUICK_ROWS = 10**6, 40_000
BATCH = 10_000
TIMES = 5  # processes
BARS = {"open and first search, s": 0.3, "memory of a second process, MB": 150.0, "times the record's bytes": 1.2}


def main() -> None:
    arguments = parser().parse_args()
    if arguments.process:
        process(arguments.process)
        return
    rows = arguments.rows or (QUICK_ROWS if arguments.quick else ROWS)
    if arguments.unsorted:
        plan.CLUSTERED = rows + 1
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "people.gallery"
        started = time.perf_counter()
        with create_gallery(path, CONTRACT) as gallery:
            for batch in batches(rows):
                gallery.add(batch)
        filled_s = time.perf_counter() - started
        found = measured(path, rows) | {"added a second": rows / filled_s}
    bars = {name: at_most(found[name], bar) for name, bar in BARS.items()} if rows >= ROWS else {}
    table = Table("what", "value")
    for name, value in found.items():
        table.add_row(name, f"{value:,.4g}")
    console = Console(width=200)
    show(console, as_markdown(table) if arguments.markdown else table)
    for line in lines_of(bars):
        console.print(line, highlight=False)
    if arguments.json:
        write_json(arguments.json, {"rows": rows, "found": found, "bars": bars})


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--rows", type=int)
    arguments.add_argument("--unsorted", action="store_true", help="segments without clusters")
    arguments.add_argument("--folder", type=Path, metavar="DIR", help="where the gallery is made, and removed")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments.add_argument("--process", help=argparse.SUPPRESS)
    return arguments


def batches(rows: int) -> Iterator[Items]:
    """Yield made up items."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, BATCH):
        numbers = range(start, min(start + BATCH, rows))
        n = len(numbers)
        yield Items.of(
            list(numbers),
            Codes(rng.integers(0, 256, (n, N_BITS // 8), np.uint8), N_BITS),
            Codes(rng.integers(0, 256, (n, SHORT_BITS // 8), np.uint8), SHORT_BITS),
            cameras=rng.integers(1, 9, n),
            times=rng.integers(0, 10**15, n),
            tracklets=[f"tracklet {row // 5}" for row in numbers],
            persons=[f"person {row // 20}" for row in numbers],
            metadata=[{"site": f"site {row % 4}"} for row in numbers],
        )


def measured(path: Path, rows: int) -> dict[str, float]:
    """Return what was found of a closed gallery."""
    runs = []
    for _ in range(TIMES):
        with Process(path) as one:
            runs.append(one.said)
    with Process(path), Process(path) as second:
        memory = second.said
    folder = path.with_name(f"{path.name}.d")
    in_segments = sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0
    in_all = in_segments + path.stat().st_size
    return {
        "open, s": median(each["open"] for each in runs),
        "open and first search, s": median(each["exact"] for each in runs),
        "first search in two stages after it, s": median(each["two stages"] for each in runs),
        "memory of a second process, MB": memory["uss"] / 1e6,
        "its share of all memory, MB": memory["pss"] / 1e6,
        "bytes an item": in_all / rows,
        "of these in segments": in_segments / rows,
        "times the record's bytes": in_all / path.stat().st_size,
    }


class Process:
    """Another process that has a gallery open until the block ends; `said` is what it measured."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.gallery.opening", "--process", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Process":
        assert self._process.stdout is not None, "it is a pipe"
        self.said: dict[str, float] = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def process(path: str) -> None:
    """Open a gallery, search it, say what was measured, and wait for the end of the input."""
    rng = np.random.default_rng(1)
    query = Codes(rng.integers(0, 256, (1, N_BITS // 8), np.uint8), N_BITS)
    short = Codes(rng.integers(0, 256, (1, SHORT_BITS // 8), np.uint8), SHORT_BITS)
    before = memory_of_this_process()
    started = time.perf_counter()
    with open_gallery(path) as gallery:
        opened = time.perf_counter()
        gallery.search(query, K, n_threads=1)
        searched = time.perf_counter()
        after = memory_of_this_process()
        gallery.search(query, K, max(gallery.count() // 100, 1), attribute_codes=short, n_threads=1)
        found: dict[str, Any] = {
            "open": opened - started,
            "exact": searched - started,
            "two stages": time.perf_counter() - searched,
            **{name: after[name] - before[name] for name in after},
        }
        print(json.dumps(found), flush=True)
        sys.stdin.read()


def memory_of_this_process() -> dict[str, float]:
    """Return the bytes that only this process holds, and its share of those that several do."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {
        "uss": 1024 * (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]),
        "pss": 1024 * kilobytes["Pss"],
    }


if __name__ == "__main__":
    main()
