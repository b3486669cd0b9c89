"""Galleries that live: what additions, searches and opening take, beside what users would build instead.

    pip install 'bitreid[bench]'
    taskset -c 0 python benchmarks/gallery [--quick] [--folder DIR] [--milvus URL] [--json FILE] [--markdown]

Items are made up: identity codes of 2,048 bits and attribute codes of 64, in clusters, with camera, time, tracklet,
person and metadata; 100,000 and 1,000,000 of them (`--quick`: 20,000). Ours is a gallery in SQLite as it comes, audited
and calibrated; the kernel is the bare search of arrays of the same codes. All ways run in this process, one thread
each, and take turns; each call is timed, of one of 256 queries. What it takes to make a batch of arrays is part of an
addition.

Rivals, each left out if it is not installed: faiss's binary indexes with SQLite for all else; DuckDB; LanceDB, which
does not sync. `--milvus` adds a gallery of ours on a Milvus server, at 100,000 items: `milvus://HOST:PORT/NAME`, which
is not there yet, and stays. `--folder` says where galleries are made, and removed: on the disk that is asked about.

The JSON has `machine`, `path` (of the kernel), `latencies` (of single calls, in milliseconds; `recall` against the
kernel's hits), `facts` (additions a second, bytes an item) and `bars`, of 1,000,000 items. The full run takes about a
quarter of an hour, 4 GB of memory and 3 GB of disk.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from bitreid.commands.console import as_markdown, show
from bitreid.errors import SettingsError
from bitreid.hamming import kernel

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.bars import write_json
from benchmarks.gallery.data import crowd_of
from benchmarks.gallery.engines import Ours
from benchmarks.gallery.parts import Make, Measured, Plan, measure
from benchmarks.gallery.rivals import MODULES, RIVALS
from benchmarks.gallery.tables import tables_of
from benchmarks.gallery.timing import bars_of
from benchmarks.search.__main__ import machine
from benchmarks.search.rivals import module_of
from benchmarks.search.timing import Pace

FULL_PACE, QUICK_PACE = Pace(budget_s=6, fewest=20, most=300), Pace(budget_s=0.3, fewest=3, most=50)
PACKAGES = ("faiss-cpu", "duckdb", "lancedb", "pymilvus", "numpy")


def main() -> None:
    arguments = parser().parse_args()
    # A line of a table must not be broken where it is Markdown.
    console, progress = Console(width=240 if arguments.markdown else None), Console(stderr=True)
    say = partial(progress.print, highlight=False, markup=False)
    rivals = installed(say)
    plan = plan_of(arguments.quick, [Ours, *(RIVALS[name] for name in rivals)], arguments.milvus)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measured = measure(plan, crowd_of(plan.rows[-1]), Path(folder), say)
    console.print(f"path in use: {kernel.path()}", highlight=False)
    unsynced = [name for name, rival in RIVALS.items() if not rival.synced]
    for title, table in tables_of(measured, unsynced).items():
        console.print(title, highlight=False)
        show(console, as_markdown(table) if arguments.markdown else table)
    record = record_of(measured)
    for name, bar in record["bars"].items():
        console.print(f"{name}: {bar['value']:.3g}, bar {bar['bar']:.3g}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        write_json(arguments.json, record)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--folder", type=Path, metavar="DIR", help="where galleries are made, and removed")
    arguments.add_argument("--milvus", metavar="URL", help="a new gallery on a Milvus server, as well")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return arguments


def installed(say: Any) -> list[str]:
    """Return the rivals that are installed, and print which are not."""
    found = []
    for name, modules in MODULES.items():
        try:
            for module in modules:
                module_of(module)
        except SettingsError as error:
            say(f"{name} is left out: {error}")
        else:
            found.append(name)
    return found


def plan_of(quick: bool, engines: list[Make], milvus: str | None) -> Plan:
    on_milvus = None if milvus is None else partial(Ours, place=milvus, name="ours, Milvus")
    if quick:
        return Plan((20_000,), engines, QUICK_PACE, single_s=0.3, milvus=on_milvus)
    return Plan((100_000, 1_000_000), engines, FULL_PACE, milvus=on_milvus)


def record_of(measured: Measured) -> dict[str, Any]:
    """Return what the JSON holds."""
    return {
        "path": kernel.path(),
        "machine": machine(PACKAGES),
        "latencies": [asdict(each) for each in measured.latencies],
        "facts": [asdict(each) for each in measured.facts],
        "bars": bars_of(measured.latencies),
    }


if __name__ == "__main__":
    main()
