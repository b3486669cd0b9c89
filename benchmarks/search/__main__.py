"""Search by Hamming distance: ours, whole and in two stages, against the libraries that users would pick instead.

    pip install 'bitreid[bench]'
    python benchmarks/search [--quick] [--real QUERY GALLERY] [--json FILE] [--markdown] [--plots DIR]

Codes are made up: people are clusters, and queries other pictures of theirs. `--real` takes a model's, two files that
`bitreid encode` wrote, and repeats the gallery's, with bits flipped as often as they differ between two pictures of one
person from one camera (or at a stated `--noise`). All ways run in this process and take turns; times are medians, and a
time of several queries at once is divided among them. Threads are one, or as many as a row says. The read rate is that
of the quickest of three reductions by numpy over an array as large as the gallery.

Rivals: faiss's whole scans (the nearest kept in a heap, or counted), its inverted lists and graph, its short lists
ordered by numpy or by faiss, of each the quickest; usearch's exact search; hnswlib, in floats, since it has no Hamming
distance; numpy; and inner products of as many float features. Graphs are built of 100,000 rows at the most, which
takes long enough. The full run takes about 25 minutes on two cores and 8 GB; `--quick`, of 100,000 rows, one.
"""

import argparse
import contextlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.errors import SettingsError
from bitreid.evaluation.side import Side
from bitreid.evaluation.vectors import load_vectors
from bitreid.hamming import kernel

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.bars import lines_of, write_json
from benchmarks.search.data import SHORT_BITS, clustered, repeated
from benchmarks.search.parts import (
    LENGTH,
    Plan,
    exact_part,
    float_part,
    path_part,
    real_part,
    short_part,
    two_stage_part,
)
from benchmarks.search.plots import draw
from benchmarks.search.rivals import Rivals, module_of
from benchmarks.search.tables import tables_of
from benchmarks.search.timing import Pace, Timing, bars_of

FULL_PACE, QUICK_PACE = Pace(), Pace(turn_s=0.01, budget_s=0.05, fewest=1, most=5)


def main() -> None:
    arguments = parser().parse_args()
    # A line of a table must not be broken where it is Markdown.
    console, progress = Console(width=200 if arguments.markdown else None), Console(stderr=True)
    if arguments.plots:
        module_of("matplotlib")  # or say so now, not after the run
    rivals = Rivals()
    if rivals.missing:
        progress.print(
            f"expected all rivals, got none of {', '.join(rivals.missing)}, which are left out: "
            "install them with pip install 'bitreid[bench]'",
            highlight=False,
            markup=False,
        )
    timings = timed(plan_of(arguments.quick, rivals), arguments, progress)
    here = machine()
    console.print(f"{here['processor']}, {here['cores']} cores, path in use: {kernel.path()}", highlight=False)
    for title, table in tables_of(timings).items():
        console.print(title, highlight=False)
        show(console, as_markdown(table) if arguments.markdown else table)
    bars = bars_of(timings)
    for line in lines_of(bars):
        console.print(line)
    if arguments.json:
        timed_ways = [asdict(timing) for timing in timings]
        record = {"path": kernel.path(), "machine": here, "timings": timed_ways, "bars": bars}
        write_json(arguments.json, record)
    if arguments.plots:
        draw(timings, arguments.plots)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--real", type=Path, nargs=2, metavar=("QUERY", "GALLERY"), help="codes of a model, .npz")
    arguments.add_argument("--noise", type=float, metavar="RATE", help="of bits flipped in the repeated real codes")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments.add_argument("--plots", type=Path, metavar="DIR", help="draw the plots there, as SVG")
    return arguments


_GENERATIONS = {"23": "Zen or Zen 2", "25": "Zen 3 or Zen 4", "26": "Zen 5"}
"""Names of AMD's families of processors, which a virtual machine's model name does not tell."""


def machine(packages: Sequence[str] = ("faiss-cpu", "usearch", "hnswlib", "numpy")) -> dict[str, str]:
    """Return the processor, as far as the system says, and the versions of the rivals."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    processor = about.get("model name") or platform.processor()
    if family := about.get("cpu family"):
        generation = _GENERATIONS.get(family, "") if about.get("vendor_id") == "AuthenticAMD" else ""
        processor += f" ({generation}{', ' * bool(generation)}family {family}, model {about.get('model')})"
    versions = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {"processor": processor, "cores": str(kernel.usable_cpus())} | versions


def plan_of(quick: bool, rivals: Rivals) -> Plan:
    if quick:
        return Plan((100_000,), (512, LENGTH), 100_000, 100_000, 0, QUICK_PACE, rivals)
    return Plan((20_000, 100_000, 1_000_000), (512, LENGTH, 4096), 10_000_000, 100_000, 100_000, FULL_PACE, rivals)


def timed(plan: Plan, arguments: argparse.Namespace, console: Console) -> list[Timing]:
    """Return the timings of all parts. Progress goes to `console`: a line a part, and a bar where it is a terminal."""
    real = sides_of(arguments.real) if arguments.real else None
    data = clustered(plan.rows[-1], (SHORT_BITS, *plan.lengths))
    timings: list[Timing] = []
    for part in (exact_part, two_stage_part, path_part, float_part):
        console.print(part.__name__.replace("_", " "), highlight=False)
        with progress_of(console, "sizes") as report:
            timings += part(plan, data, report)
    del data
    console.print("short part", highlight=False)
    with progress_of(console, "sizes") as report:
        timings += short_part(plan, clustered(plan.short_rows, (SHORT_BITS,))[SHORT_BITS], report)
    if real is not None:
        console.print("real part", highlight=False)
        with progress_of(console, "sizes") as report:
            timings += real_part(plan, repeated(*real, plan.rows[-1], arguments.noise), report)
    return timings


def sides_of(paths: list[Path]) -> tuple[Side, Side]:
    query, gallery = (load_vectors(path) for path in paths)
    for path, side in zip(paths, (query, gallery), strict=True):
        if side.codes is None or not len(side):
            raise SettingsError(f"expected codes in {path}, got none; write them with bitreid encode")
    return query, gallery


if __name__ == "__main__":
    main()
