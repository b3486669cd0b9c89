"""What the map to nested codes is worth on people that neither the network nor the map has seen.

    python benchmarks/accuracy/nested.py --data CUHK03_NP --artifact runs/lite2-large/artifact --markdown

An artifact's held-out people are looked for among a part of its training people, and the map is fitted to the others:
among pictures that a map was fitted to it would look better than it is. Beside today's map stand the signs of the
student's own values, the signs of rotated principal directions (ITQ in blocks), and today's map without knowing who is
who, which takes principal directions instead of those in which people differ. Rank-1 and mAP, the mean over the parts.

`--quick` takes one part instead of four.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Features, Floats32
from bitreid.artifact import load_artifact
from bitreid.codes import pack
from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.rotation import rotated_directions
from bitreid.models.nested import NestedMap
from bitreid.models.parts import code_layout
from bitreid.training.nested import fit_nested

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.held_out import HeldOut
from benchmarks.accuracy.rivals import features_of, nested_values
from benchmarks.bars import write_json

PARTS = 5
"""A part of the training people is searched among, the others are fitted to."""
LENGTHS = (2048, 1024, 512, 256, 128, 64, 32)
FLOAT = 0

Marks = dict[int, dict[str, float]]
"""`rank1` and `mAP` by the number of bits; those of the floats under `FLOAT`."""


class Groups(NamedTuple):
    """Features of three groups of people."""

    fitted: Floats32
    """(v, n, d), plain and mirrored."""
    own: Floats32
    others: Floats32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/rivals"), help="folder of features (default %(default)s)"
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    console = Console()
    found: dict[str, list[Marks]] = {}
    for each in marks_of(arguments, console):
        for name, marks in each.items():
            found.setdefault(name, []).append(marks)
    table = Table("code", "float", *(f"{n} bits" for n in LENGTHS))
    for name, folds in found.items():
        table.add_row(name, *(_cell([fold[n] for fold in folds if n in fold]) for n in (FLOAT, *LENGTHS)))
    show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        write_json(arguments.json, {"folds": found, "bars": {}})


def marks_of(arguments: argparse.Namespace, console: Console) -> Iterator[dict[str, Marks]]:
    """Yield the marks of each code, a part of the people after the other."""
    data, card = parse(arguments.data), load_artifact(arguments.artifact).card
    held_out = held_out_pictures(data, card.training)
    train = data.split("train")
    train = train.rows((train.pids > 0) & ~np.isin(train.pids, held_out.identities()))
    with progress_of(console, "encoding") as progress:
        plain, mirrored, own = (
            features_of(arguments.artifact, pictures, flip, arguments.out, progress)
            for pictures, flip in ((train, False), (train, True), (held_out, False))
        )
    people = np.random.default_rng(1).permutation(train.identities())
    for part in range(1 if arguments.quick else PARTS - 1):
        others = np.isin(train.pids, people[part::PARTS])
        views = np.stack([plain[~others], mirrored[~others]])
        judge = HeldOut(held_out, train.rows(others))
        yield codes_of(Groups(views, own, plain[others]), train.rows(~others), judge)


def codes_of(features: Groups, fitted_on: Manifest, judge: HeldOut) -> dict[str, Marks]:
    """Return the marks of each code, fitted to features of `fitted_on`."""
    n_bits = features.own.shape[1]
    mean = features.fitted[0].mean(0)
    itq = rotated_directions(
        (features.fitted[0] - mean).astype(np.float64),
        [n for n in reversed(LENGTHS) if n <= 512],
        np.random.default_rng(0),
    ).astype(np.float32)
    classes = np.searchsorted(fitted_on.identities(), fitted_on.pids)
    maps = {}
    for name, views, people in (
        ("levels of principal directions", features.fitted[:1], np.arange(len(classes))),
        ("levels of the directions in which people differ", features.fitted, classes),
    ):
        maps[name] = NestedMap(code_layout(n_bits, 6), 6)
        fit_nested(maps[name], views, people)
    found = {
        "the student's own": _marks(features.own, features.others, judge, [n_bits]),
        "ITQ in blocks": _marks((features.own - mean) @ itq, (features.others - mean) @ itq, judge, LENGTHS),
    }
    for name, nested in maps.items():
        with torch.inference_mode():
            own, others = (nested_values(nested, each) for each in (features.own, features.others))
        found[name] = _marks(own, others, judge, LENGTHS)
    return found


def _marks(own: Features, others: Features, judge: HeldOut, lengths: list[int] | tuple[int, ...]) -> Marks:
    d = own.shape[1]
    codes = judge.of_codes(pack(own), pack(others), [n for n in lengths if n <= d])
    floats = judge.of_features(own, others)
    return {FLOAT: floats["among"]} | {int(n): each["among"] for n, each in codes.items()}


def _cell(folds: list[dict[str, float]]) -> str:
    if not folds:
        return "-"
    return " / ".join(f"{100 * statistics.mean(fold[name] for fold in folds):.1f}" for name in ("rank1", "mAP"))


if __name__ == "__main__":
    main()
