"""The tables of docs/results.md for a model on CUHK03-NP: float, code, two-stage search, attributes, cost.

    python benchmarks/accuracy/cuhk03.py --data CUHK03_NP [--artifact ARTIFACT] [--quick] [--json FILE] [--markdown]

`--quick` takes every tenth query and gallery picture, and judges no bar. Each full run is a look at the test set: add
its dated line to docs/results.md.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.artifact import Card
from bitreid.commands.console import DISTILLED, as_markdown, evaluation_table, progress_of, show
from bitreid.data.labels import read_attributes_as
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.pictures import load_pictures
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import encode_manifest, side_of
from bitreid.evaluation.summary import Evaluation, evaluate_model, rows_of_share
from bitreid.training.load import load_encoder

PUBLIC_RANK1, PUBLIC_MAP = 0.383, 0.373
"""OpenVINO's person-reidentification-retail-0265, the best public float model measured on these files."""


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    manifest = parse(arguments.data)
    query, gallery = splits_of(manifest, arguments.quick)
    with progress_of(console, "encoding") as progress:
        sides = [side_of(encode_manifest(encoder, split, progress)) for split in (query, gallery)]
    ws = [rows_of_share(share, len(gallery)) for share in (0.01, 0.02, 0.05, 0.1, 0.2)]
    evaluation = evaluate_model(sides[0], sides[1], ws, rescore_w=100, coarse=encoder.card.coarse)
    attributes = attribute_scores(encoder, manifest, arguments.data / "attributes_train.csv")
    tables = [evaluation_table(encoder.card.name, evaluation), *([attribute_table(attributes)] if attributes else [])]
    for table in tables:
        show(console, as_markdown(table) if arguments.markdown else table)
    cost = encoding_cost(encoder, gallery)
    console.print(", ".join(f"{name} {value:.4g}" for name, value in cost.items()))
    bars = {} if arguments.quick else bars_of(evaluation, encoder.card)
    for name, bar in bars.items():
        console.print(f"{name}: {bar['value']:.3f}, bar {bar['bar']:.3f}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        record = {"evaluation": evaluation.to_json(), "attributes": attributes, "cost": cost, "bars": bars}
        arguments.json.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def parser_of(description: str | None, held_out: bool = False) -> argparse.ArgumentParser:
    """Return the arguments of a benchmark of a model on a data set.

    With `held_out` it judges on people whom the model's training held out. The repository's own model held nobody out,
    so that one has to be given.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    default = None if held_out else Path("models/cuhk03-lite2")
    parser.add_argument("--artifact", type=Path, required=held_out, default=default)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser


def splits_of(manifest: Manifest, quick: bool) -> tuple[Manifest, Manifest]:
    """Return the queries and the gallery, every tenth picture of them if it has to be quick."""
    query, gallery = manifest.split("query"), manifest.split("gallery")
    if quick:
        query, gallery = query.take(np.arange(0, len(query), 10)), gallery.take(np.arange(0, len(gallery), 10))
    return query, gallery


def attribute_scores(encoder: Encoder, manifest: Manifest, labels: Path) -> dict[str, dict[str, float | None]]:
    """Return accuracy, balanced accuracy and share of positives of each bit of the attribute code.

    Over pictures of the training identities that the model's run held out; empty if it held out nobody. The balanced
    accuracy is None for a bit with one value only.
    """
    card = encoder.card
    if card.attributes is None or card.training.get("held_out_identities") == 0:
        return {}
    rows = held_out_pictures(manifest, card.training)
    truth = read_attributes_as(labels, card.attributes, manifest.identities()).labels_of(rows.pids)
    encoded = encoder.encode_files(rows.paths)
    assert encoded.attributes is not None, "the card has attributes"
    bits = encoded.attributes > np.array(card.attribute_limits, np.float32)
    scores = {}
    for i, name in enumerate(card.attributes.names):
        if card.attributes.in_code[i]:
            known = truth[:, i] >= 0
            right, ones = bits[known, i] == (truth[known, i] == 1), truth[known, i] == 1
            both = ones.any() and (~ones).any()
            balanced = float((right[ones].mean() + right[~ones].mean()) / 2) if both else None
            scores[name] = {
                "accuracy": float(right.mean()),
                "balanced": balanced,
                "positives": float(ones.mean()),
            }
    return scores


def attribute_table(scores: dict[str, dict[str, float | None]]) -> Table:
    """Return a table of attribute scores in per cent, the mean of all bits last."""
    table = Table("attribute", "accuracy", "balanced", "positives", title="attributes of held-out training identities")
    for name, each in scores.items():
        table.add_row(name, *("-" if value is None else f"{100 * value:.1f}" for value in each.values()))
    columns = ("accuracy", "balanced", "positives")
    known = [[value for each in scores.values() if (value := each[name]) is not None] for name in columns]
    table.add_row("mean", *(f"{100 * np.mean(values):.1f}" for values in known))
    return table


def encoding_cost(encoder: Encoder, gallery: Manifest, n: int = 256, repeats: int = 5) -> dict[str, float]:
    """Return the pictures a second (median of `repeats`), decoded and not, and bytes a person in memory."""
    paths = gallery.paths[:n]
    picture = encoder.card.input
    pictures = load_pictures(paths, picture.height, picture.width)
    whole, network = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        encoder.encode_files(paths)
        whole.append(time.perf_counter() - started)
        started = time.perf_counter()
        encoded = encoder.encode(pictures)
        network.append(time.perf_counter() - started)
    attributes = encoded.attribute_codes
    return {
        "pictures_per_s": len(paths) / float(np.median(whole)),
        "pictures_per_s_decoded": len(paths) / float(np.median(network)),
        "bytes_identity_code": encoded.codes.n_bits / 8,
        "bytes_attribute_code": attributes.n_bits / 8 if attributes is not None else 0,
        "bytes_float": 4.0 * encoded.features.shape[1],
    }


def bars_of(evaluation: Evaluation, card: Card) -> dict[str, dict[str, Any]]:
    """Return the bars of the project for this model, each with its value and whether it is met."""
    code = evaluation.main.expected
    assert evaluation.floats is not None, "an encoder always gives features"
    lost = evaluation.floats.expected.mAP - code.mAP
    agreement = card.metrics.get("val_agreement", float("nan"))
    return {
        "code rank-1 ahead of the best public float model": _bar(code.rank1, PUBLIC_RANK1, code.rank1 > PUBLIC_RANK1),
        "code mAP ahead of the best public float model": _bar(code.mAP, PUBLIC_MAP, code.mAP > PUBLIC_MAP),
        "mAP lost from float to code, at most": _bar(lost, 0.01, lost <= 0.01),
        "bit agreement on held-out identities, at least": _bar(agreement, DISTILLED, agreement >= DISTILLED),
    }


def _bar(value: float, bar: float, met: bool) -> dict[str, Any]:
    return {"value": value, "bar": bar, "met": met}


if __name__ == "__main__":
    main()
