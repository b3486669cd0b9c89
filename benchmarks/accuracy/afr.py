"""Two-stage search with attribute codes: what stage 1 keeps, plain and weighted, how its bits behave, what it saves.

    python benchmarks/accuracy/afr.py --data CUHK03_NP [--artifact ARTIFACT] [--quick] [--json FILE] [--markdown]

Weights are those of the card, or else are fitted on the training identities that the model's run held out. On these the
first table is made, by cross-validation: weights of four fifths of the people, scores of the others. They are few (12
in a gallery of 90 pictures, where CUHK03-NP has 700 in 5,332), so that small shares of the gallery are a row or two.
`--quick` takes every tenth query and gallery picture of the test people. Each full run is a look at the test set: add
its dated line to docs/results.md.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bitreid.artifact import Card
from bitreid.codes import Codes, bit_statistics, unpack
from bitreid.commands.console import as_markdown, progress_of
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures, split_validation
from bitreid.encoding.files import encode_manifest, side_of
from bitreid.errors import DataError
from bitreid.evaluation.afr import bytes_read
from bitreid.evaluation.calibration.attribute_weights import difference_rates, fit_attribute_weights
from bitreid.evaluation.side import Side
from bitreid.evaluation.summary import Evaluation, evaluate_model, rows_of_share
from bitreid.hamming import kernel, search_exact, search_two_stage
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.cuhk03 import parser_of, splits_of

Row = dict[str, Any]
Columns = Mapping[str, tuple[str, str]]

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Of the gallery, that stage 1 keeps."""

FOLDS = 5
K = 10
N_TIMED = 256  # queries that are searched at once

# The name of a value, its heading, and how it is shown.
KEPT: Columns = {
    "share": ("w, share", ".1%"),
    "w": ("w, rows", ",.4g"),
    "kept": ("matches kept", ".1%"),
    "kept_weighted": ("weighted", ".1%"),
    "mAP": ("mAP", ".1%"),
    "mAP_weighted": ("weighted", ".1%"),
}
BITS: Columns = {
    "name": ("bit", "s"),
    "ones": ("ones", ".1%"),
    "genuine": ("differs within a person", ".1%"),
    "impostor": ("between two", ".1%"),
    "weight": ("weight", "d"),
}
CODES: Columns = {
    "name": ("code", "s"),
    "n_bits": ("bits", "d"),
    "entropy": ("entropy, bits", ".2f"),
    "collisions": ("pairs with one code", ".3%"),
    "mean_correlation": ("mean correlation", ".3f"),
}
SAVINGS: Columns = {
    "w": ("w, rows", ",d"),
    "bytes": ("bytes read", ",d"),
    "times_fewer": ("times fewer", ".1f"),
    "ms": ("ms a query", ".3f"),
    "ms_weighted": ("weighted", ".3f"),
    "ms_whole": ("one stage", ".3f"),
    "quicker": ("times less", ".2f"),
}


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    card, manifest = encoder.card, parse(arguments.data)
    held_out = held_out_pictures(manifest, card.training)
    splits = (held_out, *splits_of(manifest, arguments.quick))
    with progress_of(console, "encoding") as progress:
        known, query, gallery = (side_of(encode_manifest(encoder, split, progress)) for split in splits)
    names = names_of(card)
    weights = (card.calibration.attribute_weights if card.calibration else ()) or fitted(known, len(names))
    ws = [rows_of_share(share, len(gallery)) for share in SHARES]
    evaluation = evaluate_model(query, gallery, ws, attribute_weights=weights)
    exact = evaluation.main.expected.mAP
    n_people = len(held_out.identities())
    tables = {
        "held_out": (
            f"{FOLDS}-fold cross-validation over {n_people} held-out identities, {len(held_out)} pictures",
            KEPT,
            cross_validated(held_out, known, len(names), repeats=2 if arguments.quick else 20),
        ),
        "test": (
            f"{len(query)} queries of the test people, gallery of {len(gallery)}; mAP in one stage {exact:.1%}",
            KEPT,
            rows_of(evaluation),
        ),
        "bits": ("attribute bits of the held-out identities", BITS, bits_of(known, names, weights)),
        "codes": (f"codes of the {len(gallery)} gallery pictures", CODES, codes_of(gallery, len(names))),
        "savings": (
            f"what two stages save: {len(gallery)} rows, {K} found, {N_TIMED} queries a time, {kernel.path()}",
            SAVINGS,
            savings(query, gallery, ws, weights, repeats=3 if arguments.quick else 9),
        ),
    }
    for title, columns, rows in tables.values():
        table = table_of(columns, rows)
        console.print(title, highlight=False)
        console.print(as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        record = {name: rows for name, (_, _, rows) in tables.items()} | {"mAP_one_stage": exact, "bars": {}}
        arguments.json.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def names_of(card: Card) -> list[str]:
    """Return the names of the bits of the attribute code."""
    if card.attributes is None:
        raise DataError(f"expected a model with attributes, got {card.name}; train one with attributes")
    return [name for name, used in zip(card.attributes.names, card.attributes.in_code, strict=True) if used]


def attribute_codes(side: Side) -> Codes:
    assert side.attribute_codes is not None, "the card has attributes"
    return side.attribute_codes


def taken(side: Side, rows: npt.NDArray[np.intp]) -> Side:
    """Return some rows of a side, without the float features."""
    assert side.codes is not None, "an encoder makes codes"
    codes = side.codes[rows], attribute_codes(side)[rows]
    return Side(codes[0], None, codes[1], side.pids[rows], side.camids[rows])


def fitted(side: Side, n_bits: int) -> tuple[int, ...]:
    return fit_attribute_weights(attribute_codes(side), n_bits, side.pids, side.camids)


def rows_of(evaluation: Evaluation) -> list[Row]:
    """Return what stage 1 keeps and the mAP at each of `SHARES`, plain and weighted."""
    return [
        {
            "share": share,
            "w": plain.w,
            "kept": plain.kept,
            "kept_weighted": weighted.kept,
            "mAP": plain.expected.mAP,
            "mAP_weighted": weighted.expected.mAP,
        }
        for share, plain, weighted in zip(SHARES, evaluation.afr, evaluation.weighted_afr, strict=True)
    ]


def cross_validated(manifest: Manifest, side: Side, n_bits: int, repeats: int) -> list[Row]:
    """Return `rows_of` people whom the weights were not fitted on: the mean over the folds of `repeats` partitions."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(repeats):
        for people in np.array_split(rng.permutation(manifest.identities()), FOLDS):
            rest = np.flatnonzero(~np.isin(side.pids, people))
            split = split_validation(manifest, people)
            query, gallery = taken(side, split.query), taken(side, split.gallery)
            ws = [rows_of_share(share, len(gallery)) for share in SHARES]
            weights = fitted(taken(side, rest), n_bits)
            found.append(rows_of(evaluate_model(query, gallery, ws, attribute_weights=weights)))
    return [{name: float(np.mean([row[name] for row in rows])) for name in KEPT} for rows in zip(*found, strict=True)]


def bits_of(side: Side, names: Sequence[str], weights: Sequence[int]) -> list[Row]:
    """Return how each bit of the attribute code behaves: its ones, how often it differs, what it weighs."""
    codes = attribute_codes(side)
    ones = unpack(codes).mean(axis=0)[: len(names)].tolist()
    genuine, impostor = difference_rates(codes, len(names), side.pids, side.camids)
    columns = (names, ones, genuine.tolist(), impostor.tolist(), weights)
    return [dict(zip(BITS, row, strict=True)) for row in zip(*columns, strict=True)]


def codes_of(side: Side, n_attribute_bits: int) -> list[Row]:
    """Return how the codes of a side's pictures use their bits."""
    assert side.codes is not None, "an encoder makes codes"
    kinds = (("attribute", attribute_codes(side), n_attribute_bits), ("identity", side.codes, side.codes.n_bits))
    rows = []
    for name, codes, n_bits in kinds:
        statistics_of = bit_statistics(codes)
        values = (name, n_bits, statistics_of.entropy, statistics_of.collisions, statistics_of.mean_correlation)
        rows.append(dict(zip(CODES, values, strict=True)))
    return rows


def savings(query: Side, gallery: Side, ws: Sequence[int], weights: Sequence[int], repeats: int) -> list[Row]:
    """Return the bytes that a search reads and the time that it takes (median), in two stages and in one."""
    query = taken(query, np.arange(min(N_TIMED, len(query))))
    assert query.codes is not None, "an encoder makes codes"
    assert gallery.codes is not None, "an encoder makes codes"
    short, long = (attribute_codes(query), attribute_codes(gallery)), (query.codes, gallery.codes)
    codes = (short[0], long[0], short[1], long[1])
    rows = []
    for w in ws:
        whole, plain, weighted = medians(
            [
                partial(search_exact, *long, K),
                partial(search_two_stage, *codes, w, K),
                partial(search_two_stage, *codes, w, K, short_weights=weights),
            ],
            repeats,
        )
        n_bytes = bytes_read(short[1].n_bits, long[1].n_bits, w, len(gallery))
        ms = [1e3 * seconds / len(query) for seconds in (plain, weighted, whole)]
        values = (w, n_bytes, long[1].packed.nbytes / n_bytes, *ms, whole / plain)
        rows.append(dict(zip(SAVINGS, values, strict=True)))
    return rows


def medians(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median seconds of each function over `repeats` calls, in turns, so that all meet the same load."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, found in zip(works, seconds, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    return [statistics.median(found) for found in seconds]


def table_of(columns: Columns, rows: Sequence[Row]) -> Table:
    table = Table()
    for name, (heading, shown) in columns.items():
        table.add_column(heading, justify="left" if shown == "s" else "right", no_wrap=name == "name")
    for row in rows:
        table.add_row(*(format(row[name], shown) for name, (_, shown) in columns.items()))
    return table


if __name__ == "__main__":
    main()
