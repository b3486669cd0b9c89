"""How good the planner's choices are, and the costs that it reckons with.

    python benchmarks/search/planner.py [--quick] [--path PATH] [--json FILE] [--markdown]

Times our exact and two-stage search over galleries of 20,000 to 1,000,000 rows (100,000 at most on the slow paths and
with `--quick`), long codes of 512 to 4,096 bits, short codes of 64, 1 to 64 queries and w from 0.1 to 10 %, on one
thread. Prints how much slower the planner's choice is than the better of the two, and the costs that fit these times
best: non-negative least squares on relative errors. Costs belong into bitreid/hamming/planner.py.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bitreid.codes import Codes
from bitreid.commands.console import as_markdown, progress_of
from bitreid.hamming import kernel, search_exact, search_two_stage
from bitreid.hamming.planner import METHODS, Amounts, Method, Work, amounts, plan

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.search.data import clustered

ROWS = (20_000, 100_000, 1_000_000)
SLOW_ROWS = (20_000, 100_000)
LENGTHS = (512, 2048, 4096)
SHARES = (0.001, 0.01, 0.02, 0.05, 0.1)
BATCHES = (1, 8, 64)
SHORT_BITS = 64
K = 100
BAR = 1.2


@dataclass(frozen=True)
class Measured:
    """The median milliseconds a query that both methods took of one search."""

    work: Work
    ms: dict[Method, float]

    @property
    def ratio(self) -> float:
        """How much slower the planner's choice was than the better method."""
        return self.ms[plan(self.work).method] / min(self.ms.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--path", choices=kernel.available_paths(), help="the search path to measure")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    kernel.use_path(arguments.path or kernel.path())
    few = arguments.quick or kernel.path() in ("scalar", kernel.NUMPY)
    console = Console(width=200)
    measured = measure(SLOW_ROWS if few else ROWS, 3 if few else 5)
    table = table_of(measured)
    console.print(as_markdown(table) if arguments.markdown else table)
    console.print("costs that fit best, in nanoseconds:", fitted(measured), highlight=False)
    worst = max(each.ratio for each in measured)
    met = worst <= BAR
    console.print(f"planner, {kernel.path()}: at most {worst:.3g} times the better, bar {BAR}: {met=}", highlight=False)
    if arguments.json:
        record = {
            "path": kernel.path(),
            "measured": [asdict(each) | {"ratio": each.ratio} for each in measured],
            "bars": {f"planner, {kernel.path()}": {"value": worst, "bar": BAR, "met": met}},
        }
        arguments.json.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def measure(rows: tuple[int, ...], n_turns: int) -> list[Measured]:
    data = clustered(rows[-1], (SHORT_BITS, *LENGTHS))
    found = []
    with progress_of(Console(stderr=True), "searches") as report:
        works = [(n, n_bits, batch) for n in rows for n_bits in LENGTHS for batch in BATCHES]
        for i, (n, n_bits, batch) in enumerate(works):
            report(i, len(works))
            short, long = (of_rows(data[length], n, batch) for length in (SHORT_BITS, n_bits))
            for share in SHARES:
                found.append(one(short, long, max(int(share * n), 1), n_turns))
    return found


def of_rows(data: Any, n: int, batch: int) -> tuple[Codes, Codes]:
    return data.queries[:batch], data.gallery[:n]


def one(short: tuple[Codes, Codes], long: tuple[Codes, Codes], w: int, n_turns: int) -> Measured:
    """Both methods in turn, each with what it has read before still in the cache, if it fits."""
    ways: dict[Method, Callable[[], object]] = {
        "exact": lambda: search_exact(*long, min(K, w)),
        "two_stage": lambda: search_two_stage(short[0], long[0], short[1], long[1], w, K),
    }
    times: dict[Method, list[float]] = {method: [] for method in METHODS}
    for _ in range(n_turns):
        for method in METHODS:
            ways[method]()
            start = time.perf_counter()
            ways[method]()
            times[method].append(time.perf_counter() - start)
    n_queries = len(long[0])
    work = Work(n_queries, len(long[1]), short[0].n_bits // 8, long[0].n_bits // 8, w)
    return Measured(work, {method: 1e3 * statistics.median(each) / n_queries for method, each in times.items()})


def fitted(measured: list[Measured]) -> Amounts:
    """The costs, in nanoseconds, that explain the times best, above all where the two methods are close."""
    from scipy.optimize import nnls

    rows: list[npt.NDArray[np.float64]] = []
    weights = []
    for each in measured:
        for method in METHODS:
            nanoseconds = each.ms[method] * 1e6 * each.work.n_queries
            rows.append(np.array(amounts(each.work, method)) / nanoseconds)
            weights.append(min(each.ms.values()) / max(each.ms.values()))
    features = np.stack(rows) * np.array(weights)[:, None]
    scale = features.max(axis=0)
    scale[scale == 0] = 1
    costs, _ = nnls(features / scale, np.array(weights))
    return Amounts(*(float(f"{cost:.3g}") for cost in costs / scale))


def table_of(measured: list[Measured]) -> Table:
    table = Table(*("rows", "bits", "queries", "w", "exact, ms", "two stages, ms", "chosen", "expected", "ratio"))
    for each in measured:
        work, chosen = each.work, plan(each.work)
        expected = "/".join(f"{chosen.expected_ms[method]:.3g}" for method in METHODS)
        times = (f"{each.ms[method]:.3g}" for method in METHODS)
        sizes = (f"{work.n_gallery:,}", f"{8 * work.long_bytes:,}", str(work.n_queries), f"{work.w:,}")
        table.add_row(*sizes, *times, chosen.method, expected, f"{each.ratio:.2f}")
    return table


if __name__ == "__main__":
    main()
