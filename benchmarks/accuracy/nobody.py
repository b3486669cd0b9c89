"""How calibrations keep their promises for people who were not fitted, on those whom a model's training held out.

    python benchmarks/accuracy/nobody.py --data DATA --artifact ARTIFACT [--quick] [--plot FILE.svg] [--json FILE]
        [--markdown]

Over and over, a random half of the held-out people is calibrated on and the other half looked at: the first against
half of the training people's pictures ("held-out people only": among themselves), the second against the other half.
Prints observed over promised false alarms (FPIR) and the share found (DIR), means over the halves, and how well
probabilities are kept. No test picture is looked at. `--quick` takes four halves instead of 60. It chose `MARGIN` of
`search_tail` and the form of `row_odds`, and decides nothing else, so that it has no bars.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Ints
from bitreid.codes import Codes
from bitreid.commands.console import as_markdown, progress_of
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.files import encode_manifest
from bitreid.errors import DataError
from bitreid.evaluation.calibration.fit import calibrate_open_set, levels_of_queries
from bitreid.evaluation.calibration.promises import PromiseKept, Reliability, promises_kept, reliability
from bitreid.evaluation.calibration.row_odds import rows_beside
from bitreid.evaluation.calibration.search_tail import MARGIN, fit_search_tail
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.report import ReliabilityCurve
from bitreid.evaluation.report.pair_sections import reliability_chart
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.cuhk03 import parser_of
from benchmarks.accuracy.open_set import reliability_table, svg_of

ONLY_HELD_OUT = "held-out people only"
SIZES = (100, 1000)
SEARCHED = (100, 270, 1000, 5000)


def main() -> None:
    parser = parser_of(__doc__, held_out=True)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    arguments = parser.parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    data = parse(arguments.data)
    held_out = held_out_pictures(data, encoder.card.training)
    train = data.split("train")
    train = train.rows((train.pids > 0) & ~np.isin(train.pids, held_out.pids))
    with progress_of(console, "encoding") as progress:
        people, others = (encode_manifest(encoder, each, progress) for each in (held_out, train))
    codes = people.codes, others.codes
    console.print(among_themselves(codes, people.pids, people.camids))
    lines = list(halves(codes, people.pids, people.camids, others.pids, 4 if arguments.quick else 60))
    console.print(_shown(promises_table([promises for promises, _ in lines]), arguments.markdown))
    curves = []
    for n in SEARCHED:
        bins = pooled([bins[n] for _, bins in lines])
        curves.append(ReliabilityCurve(n, tuple(bins)))
        console.print(_shown(reliability_table(bins, n), arguments.markdown))
    if arguments.plot:
        arguments.plot.write_text(svg_of(reliability_chart(curves)), encoding="utf-8")
    if arguments.json:
        record = {"promises": means([promises for promises, _ in lines]), "bars": {}}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def among_themselves(codes: tuple[Codes, Codes], pids: Ints, camids: Ints) -> str:
    """Return whether held-out people are as far from training people, whom the network has pushed apart, as from each
    other: the share of pairs within the distances of 1 in 1,000 and 1 in 10,000 of those with training people."""
    _, others = levels_of_queries(*codes, _strangers(pids, len(codes[1])))
    _, own = levels_of_queries(codes[0], codes[0], Protocol(pids, camids, pids, camids))
    cumulative = np.cumsum(others.sum(axis=0)) / others.sum()
    found = []
    for rate in (1e-3, 1e-4):
        within = int(np.searchsorted(cumulative, rate)) + 1
        each = np.array([own[pids == pid, :within].sum() / own[pids == pid].sum() for pid in np.unique(pids)])
        error = np.sqrt(2) * each.std() / np.sqrt(len(each))  # each pair is under both its people
        found.append(f"{cumulative[within - 1]:.1e} with training people, {each.mean():.1e} ({error:.1e})")
    return f"pairs of two people within a distance (error): {'; '.join(found)} among held-out people"


Promises = dict[str, list[PromiseKept]]


def halves(
    codes: tuple[Codes, Codes], pids: Ints, camids: Ints, other_pids: Ints, n_halves: int
) -> Iterator[tuple[Promises, dict[int, list[Reliability]]]]:
    """Yield for each random half the promises kept by each way to calibrate, and the reliability of the usual one.

    `codes` are of the held-out people, whose `pids` and `camids` are given, and of the training people.
    """
    rng = np.random.default_rng(0)
    for _ in range(n_halves):
        mine, yours = (np.isin(pids, part) for part in np.array_split(rng.permutation(np.unique(pids)), 2))
        fitted, judged = (
            np.isin(other_pids, part) for part in np.array_split(rng.permutation(np.unique(other_pids)), 2)
        )
        usual = calibrate_open_set(codes[0][mine], pids[mine], camids[mine], codes[1][fitted])
        _, impostor = levels_of_queries(codes[0][mine], codes[1][fitted], _strangers(pids[mine], int(fitted.sum())))
        ways = {}
        with suppress(DataError):  # too few people, who differ too much: the half has no such line
            ways[ONLY_HELD_OUT] = calibrate_open_set(codes[0][mine], pids[mine], camids[mine])
        for margin in sorted({0.0, 0.5, MARGIN, 1.0}):
            search = fit_search_tail(impostor, pids[mine], margin)
            ways[f"searches, margin {margin:g}"] = replace(usual, search=search)
        among = Protocol(pids[yours], camids[yours], pids[yours], camids[yours])
        genuine, _ = levels_of_queries(codes[0][yours], codes[0][yours], among)
        _, wrong = levels_of_queries(codes[0][yours], codes[1][judged], _strangers(pids[yours], int(judged.sum())))
        sizes = [*SIZES, int(judged.sum())]
        pairs, rows = (genuine.sum(axis=0), wrong.sum(axis=0)), rows_beside(pids[yours], camids[yours])
        yield (
            {name: promises_kept(genuine, wrong, open_set, sizes) for name, open_set in ways.items()},
            {n: reliability(*pairs, usual, n, rows=rows) for n in SEARCHED},
        )


def _strangers(pids: Ints, n: int) -> Protocol:
    nobody = np.zeros(n, np.int64)
    return Protocol(pids, np.zeros_like(pids), nobody, nobody)


def means(promises: list[Promises]) -> dict[str, list[dict[str, float]]]:
    """Return by way the means over the halves: the size of the gallery, the promise, what it came to, and the DIR."""
    found = {}
    for name in dict.fromkeys(name for half in promises for name in half):
        fitted = [half[name] for half in promises if name in half]
        each = [list(columns) for columns in zip(*fitted, strict=True)]
        found[name] = [
            {
                "n_gallery": float(np.mean([kept.n_gallery for kept in column])),
                "promised": column[0].promised,
                "observed / promised": float(np.mean([kept.fpir for kept in column])) / column[0].promised,
                "median": float(np.median([kept.fpir for kept in column])) / column[0].promised,
                "dir": float(np.mean([kept.dir for kept in column])),
            }
            for column in each
        ]
    return found


def promises_table(promises: list[Promises]) -> Table:
    """Return a table of the means over the halves."""
    columns = ("calibrated on", "gallery", "FPIR promised, %", "observed / promised", "median", "DIR, %")
    table = Table(*columns, title=f"{len(promises)} halves of the held-out people")
    for name, lines in means(promises).items():
        for line in lines:
            ratios = (f"{line['observed / promised']:.2f}", f"{line['median']:.2f}", f"{100 * line['dir']:.1f}")
            table.add_row(name, f"{line['n_gallery']:.0f}", f"{100 * line['promised']:g}", *ratios)
    return table


def pooled(halves: list[list[Reliability]]) -> list[Reliability]:
    """Return the bins of all halves, each as one: means weighted by how many rows are in it."""
    found = []
    for low in sorted({each.low for bins in halves for each in bins}):
        bins = [each for half in halves for each in half if each.low == low]
        shares = [each.share for each in bins]
        predicted, observed = (
            float(np.average([getattr(each, name) for each in bins], weights=shares))
            for name in ("predicted", "observed")
        )
        found.append(Reliability(low, bins[0].high, sum(shares) / len(halves), predicted, observed))
    return found


def _shown(table: Table, markdown: bool) -> Table | str:
    return as_markdown(table) if markdown else table


if __name__ == "__main__":
    main()
