"""Codes of another network's features, by sign, ITQ and a head of SSR, beside its floats: on held-out training people.

    python benchmarks/accuracy/imported.py FEATURES [--names LIST] [--quick] [--json FILE] [--markdown]
    python benchmarks/accuracy/imported.py --model drawn --data CUHK03_NP [--markdown]

FEATURES are of *training* pictures, in any file that `bitreid import` takes. Without them, a model of ours stands for
another network: one that was not trained on the data, else its features know the people that the maps are fitted to.
Maps are fitted to the features of all people but those held out, as `bitreid import --fit` fits them. Every picture of
a held-out person is a query, once among the pictures of held-out people alone and once with all training pictures as
distractors; Market-1501's camera rule.

`--quick` takes 60 people and one length.

There are no bars.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Floats32
from bitreid.codes import nested_lengths
from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.samplers import hold_out_identities
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import encode_manifest, save_encoded
from bitreid.encoding.imported.feature_map import Affine, unit
from bitreid.encoding.imported.features import FeatureSet, read_features
from bitreid.encoding.imported.fitting import fit_itq
from bitreid.errors import SettingsError
from bitreid.training.heads import train_feature_head
from bitreid.training.load import load_torch
from bitreid.training.tensors import load_tensors

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.held_out import CROWDS, HeldOut
from benchmarks.bars import write_json

BITS = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="?")
    parser.add_argument("--names", type=Path, metavar="LIST", help="the pictures in the order of the features")
    parser.add_argument("--pattern", metavar="REGEX", help="what their paths say")
    parser.add_argument("--from-zero", action="store_true", help="people are counted from 0")
    parser.add_argument("--model", type=Path, help="without FEATURES: a model of ours, by name or folder")
    parser.add_argument("--data", type=Path, help="with --model: the data set, of which the training pictures count")
    parser.add_argument("--held-out", type=int, default=100, metavar="N", help="people (default %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="who is held out (default 0)")
    parser.add_argument("--bits", type=int, default=BITS, help="length of the whole codes (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/imported"), help="folder of features (%(default)s)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    console = Console()
    found = features_of(arguments, console)
    if arguments.quick:
        few = np.isin(found.manifest.pids, found.manifest.identities()[:60])
        found = found.take(np.flatnonzero(few))
        arguments.held_out, arguments.bits = 12, min(64, arguments.bits)
    rows = [row for seed in arguments.seeds for row in rows_of(found, arguments, seed, console)]
    for crowd in CROWDS:
        table = table_of(rows, crowd)
        show(console, f"\n{table.title}\n" if arguments.markdown else "")
        show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        write_json(arguments.json, {"rows": rows})


def features_of(arguments: argparse.Namespace, console: Console) -> FeatureSet:
    """Return the features that are named, or those of a model, out of the folder if there."""
    if arguments.features is not None:
        options = {"pattern": arguments.pattern, "from_zero": arguments.from_zero, "load_tensors": load_tensors}
        return read_features(arguments.features, arguments.names, **options)
    if arguments.model is None or arguments.data is None:
        raise SettingsError("expected FEATURES, or --model and --data, got neither")
    encoder = Encoder.open(arguments.model, load_torch=load_torch)
    pictures = training_pictures(arguments.data)
    what = (encoder.model, [path.name for path in pictures.paths])
    file = arguments.out / f"features-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}.npz"
    if not file.is_file():
        with progress_of(console, "encoding") as progress:
            save_encoded(file, encode_manifest(encoder, pictures, progress), features=True)
    return read_features(file)


def training_pictures(data: Path) -> Manifest:
    """Return the pictures of a data set's training people; nothing of its test set is read."""
    train = parse(data).split("train")
    return train.rows(train.pids > 0)


def rows_of(found: FeatureSet, arguments: argparse.Namespace, seed: int, console: Console) -> list[dict[str, Any]]:
    """Return the marks of the floats and of each way's codes, a row each: `marks` by length in bits, 0 for floats."""
    pids = found.manifest.pids
    own = np.isin(pids, hold_out_identities(pids, arguments.held_out, seed))
    sides = [found.take(np.flatnonzero(rows)) for rows in (own, ~own & (pids > 0))]
    judge = HeldOut(sides[0].manifest, sides[1].manifest)
    x = unit(sides[1].features)
    classes = np.searchsorted(sides[1].manifest.identities(), sides[1].manifest.pids)
    n_bits = min(arguments.bits, found.n_features // 32 * 32)
    floats = judge.of_features(sides[0].features, sides[1].features)
    rows: list[dict[str, Any]] = [{"way": "float", "seed": seed, "marks": {"0": floats}, "fit_s": 0.0}]
    zeros: Floats32 = np.zeros(found.n_features, np.float32)
    ways: dict[str, Callable[[], Affine]] = {
        "sign": lambda: Affine(None, zeros),
        "itq": lambda: fit_itq(x, n_bits, seed),
        "ssr": lambda: train_feature_head(x, classes, n_bits, seed),
    }
    if found.n_features % 8 or (found.features >= 0).all():
        del ways["sign"]  # of features after a ReLU, say
    for way, fit in ways.items():
        console.print(f"{way}, seed {seed}", highlight=False)
        start = time.process_time()
        affine = fit()
        seconds = time.process_time() - start
        codes = [affine.encoded(side.features).codes for side in sides]
        whole = codes[0].n_bits
        lengths = (whole,) if way == "sign" else nested_lengths(whole)
        rows.append({"way": way, "seed": seed, "marks": judge.of_codes(codes[0], codes[1], lengths), "fit_s": seconds})
    return rows


def table_of(rows: list[dict[str, Any]], crowd: str) -> Table:
    """Return a table of rank-1 / mAP in per cent, means over seeds: a line a way, a column a length."""
    lengths = sorted({int(n) for row in rows for n in row["marks"]} - {0}, reverse=True)
    others = " with all training pictures as distractors" if crowd == "among" else ""
    title = f"rank-1 / mAP of held-out people{others}, per cent"
    table = Table("codes", "float", *(f"{n} bits" for n in lengths), "fit, s of one core", title=title)
    for way in dict.fromkeys(row["way"] for row in rows):
        of_way = [row for row in rows if row["way"] == way]
        cells = [_cell([row["marks"].get(str(n), {}).get(crowd) for row in of_way]) for n in (0, *lengths)]
        table.add_row(way, *cells, f"{np.mean([row['fit_s'] for row in of_way]):.0f}")
    return table


def _cell(marks: list[dict[str, float] | None]) -> str:
    known = [each for each in marks if each is not None]
    if not known:
        return "-"
    return " / ".join(f"{100 * float(np.mean([each[name] for each in known])):.1f}" for name in ("rank1", "mAP"))


if __name__ == "__main__":
    main()
