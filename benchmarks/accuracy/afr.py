"""Two-stage search by attribute code and by coarse code: what stage 1 keeps, how codes use their bits, what it saves.

    python benchmarks/accuracy/afr.py --data CUHK03_NP [--artifact ARTIFACT] [--quick] [--json FILE] [--markdown]

The coarse code is the card's. `--quick` takes every tenth query and gallery picture of the test people. Each full run
is a look at the test set: add its dated line to docs/results.md.
"""

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

from bitreid.arrays import Bools
from bitreid.artifact import Card
from bitreid.codes import Codes, bit_statistics
from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.parsers import parse
from bitreid.encoding.files import encode_manifest, side_of
from bitreid.errors import DataError
from bitreid.evaluation.afr import AfrMetrics, bytes_read
from bitreid.evaluation.side import Side
from bitreid.evaluation.summary import evaluate_model, rows_of_share
from bitreid.hamming import kernel, search_exact, search_two_stage
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.cuhk03 import parser_of, splits_of
from benchmarks.bars import write_json

Row = dict[str, Any]
Columns = Mapping[str, tuple[str, str]]

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Of the gallery, that stage 1 keeps."""

K = 10
N_TIMED = 256  # queries that are searched at once

# The name of a value, its heading, and how it is shown.
KEPT: Columns = {
    "code": ("short code", "s"),
    "share": ("w, share", ".1%"),
    "w": ("w, rows", ",.4g"),
    "kept": ("matches kept", ".1%"),
    "mAP": ("mAP", ".1%"),
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
    "ms_whole": ("one stage", ".3f"),
    "quicker": ("times less", ".2f"),
}


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    card, manifest = encoder.card, parse(arguments.data)
    with progress_of(console, "encoding") as progress:
        splits = splits_of(manifest, arguments.quick)
        query, gallery = (side_of(encode_manifest(encoder, split, progress)) for split in splits)
    n_attribute_bits = attribute_bits_of(card)
    ws = [rows_of_share(share, len(gallery)) for share in SHARES]
    evaluation = evaluate_model(query, gallery, ws, coarse=card.coarse)
    exact = evaluation.main.expected.mAP
    tables = {
        "test": (
            f"{len(query)} queries of the test people, gallery of {len(gallery)}; mAP in one stage {exact:.1%}",
            KEPT,
            rows_of("attribute", evaluation.afr) + rows_of("coarse", evaluation.coarse_afr),
        ),
        "codes": (f"codes of the {len(gallery)} gallery pictures", CODES, codes_of(gallery, n_attribute_bits)),
        "savings": (
            f"what two stages save: {len(gallery)} rows, {K} found, {N_TIMED} queries a time, {kernel.path()}",
            SAVINGS,
            savings(query, gallery, ws, repeats=3 if arguments.quick else 9),
        ),
    }
    for title, columns, rows in tables.values():
        table = table_of(columns, rows)
        console.print(title, highlight=False)
        show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        record = {name: rows for name, (_, _, rows) in tables.items()} | {"mAP_one_stage": exact, "bars": {}}
        write_json(arguments.json, record)


def attribute_bits_of(card: Card) -> int:
    """Return the number of bits of the attribute code."""
    if card.attributes is None:
        raise DataError(f"expected a model with attributes, got {card.name}; train one with attributes")
    return card.attributes.n_code_bits


def attribute_codes(side: Side) -> Codes:
    assert side.attribute_codes is not None, "the card has attributes"
    return side.attribute_codes


def taken(side: Side, rows: npt.NDArray[np.intp] | Bools) -> Side:
    """Return some rows of a side, without the float features."""
    assert side.codes is not None, "an encoder makes codes"
    attributes = None if side.attribute_codes is None else side.attribute_codes[rows]
    return Side(side.codes[rows], None, attributes, side.pids[rows], side.camids[rows])


def rows_of(code: str, metrics: Sequence[AfrMetrics]) -> list[Row]:
    """Return what stage 1 keeps by a short code, and the mAP, at each of `SHARES`."""
    return [
        {"code": code, "share": each.share, "w": each.w, "kept": each.kept, "mAP": each.expected.mAP}
        for each in metrics
    ]


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


def savings(query: Side, gallery: Side, ws: Sequence[int], repeats: int) -> list[Row]:
    """Return the bytes that a search reads and the time that it takes (median), in two stages and in one."""
    query = taken(query, np.arange(min(N_TIMED, len(query))))
    assert query.codes is not None, "an encoder makes codes"
    assert gallery.codes is not None, "an encoder makes codes"
    short, long = (attribute_codes(query), attribute_codes(gallery)), (query.codes, gallery.codes)
    codes = (short[0], long[0], short[1], long[1])
    rows = []
    for w in ws:
        whole, short_list = medians(
            [
                partial(search_exact, *long, K),
                partial(search_two_stage, *codes, w, K),
            ],
            repeats,
        )
        n_bytes = bytes_read(short[1].n_bits, long[1].n_bits, w, len(gallery))
        ms = [1e3 * seconds / len(query) for seconds in (short_list, whole)]
        values = (w, n_bytes, long[1].packed.nbytes / n_bytes, *ms, whole / short_list)
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
