"""How well attributes are told, and found without a picture, on the people that a model's training held out.

    python benchmarks/accuracy/attributes.py --data DATA --artifact ARTIFACT [--quick] [--json FILE] [--markdown]

Before and after: with one threshold of 1/2 for all attributes, and with a threshold for each, fitted on other held-out
people than those whom it is judged on (ten folds). Balanced accuracy is a mean over the bits of the attribute code that
have both labels. A description is one, two or three attributes that a held-out person has; it is searched for among all
held-out pictures (`Gallery.search_attributes`), and precision at 10 is the share of the first ten, or of as many as
there are, whose labels are all of them. `--quick` draws a tenth of the descriptions, and judges no bar.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Floats, Floats32, Ints, Labels
from bitreid.codes import Codes, pack_bits
from bitreid.commands.console import as_markdown, progress_of
from bitreid.data.labels import read_attributes_as
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.evaluation.calibration.attribute_thresholds import balanced_accuracies, cross_validated_thresholds
from bitreid.gallery import Contract, Items, create_gallery
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.cuhk03 import parser_of

WANTED = 0.84
K = 10


def main() -> None:
    parser = parser_of(__doc__, held_out=True)
    arguments = parser.parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    schema = encoder.card.attributes
    if schema is None:
        parser.error(f"expected a model with attributes, {encoder.card.name} has none")
    data = parse(arguments.data)
    held_out = held_out_pictures(data, encoder.card.training)
    train = data.split("train")
    train_pids = train.pids[(train.pids > 0) & ~np.isin(train.pids, held_out.pids)]
    table = read_attributes_as(arguments.data / "attributes_train.csv", schema, data.identities())
    labels, train_labels = table.labels_of(held_out.pids), table.labels_of(train_pids)
    with progress_of(console, "encoding") as progress:
        encoded = encoder.encode_files(held_out.paths, progress)
    assert encoded.attributes is not None, "the card has attributes"
    coded = np.flatnonzero(schema.in_code)
    names = tuple(schema.names[bit] for bit in coded)
    crossed = cross_validated_thresholds(encoded.attributes, labels, train_labels, held_out.pids)
    ways = {"1/2 for all": np.full_like(crossed, 0.5), "one each, cross-validated": crossed}
    shown = Table("threshold", "balanced accuracy, %", *(f"precision at {K}, {n} told, %" for n in (1, 2, 3)))
    results: dict[str, dict[str, float | list[float]]] = {}
    balanced = 0.0
    for name, thresholds in ways.items():
        scores = balanced_accuracies(encoded.attributes, labels, thresholds)[coded]
        told = encoded.attributes[:, coded] > thresholds[:, coded]
        n = 40 if arguments.quick else 400
        found = [precision(pack_bits(told), names, labels[:, coded], held_out.pids, size, n) for size in (1, 2, 3)]
        balanced = float(np.nanmean(scores))
        results[name] = {"balanced": balanced, "precision": found}
        shown.add_row(name, f"{100 * balanced:.1f}", *(f"{100 * each:.1f}" for each in found))
    console.print(as_markdown(shown) if arguments.markdown else shown)
    limits = [each[:, coded] for each in ways.values()]
    each_table = attribute_table(names, encoded.attributes[:, coded], labels[:, coded], limits)
    console.print(as_markdown(each_table) if arguments.markdown else each_table)
    bar = {"value": balanced, "bar": WANTED, "met": balanced >= WANTED}
    bars = {} if arguments.quick else {"balanced accuracy": bar}
    for name, bar in bars.items():
        console.print(f"{name}: {bar['value']:.3f}, bar {bar['bar']:.3f}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"attributes": results, "bars": bars}, indent=1) + "\n", encoding="utf-8")


def precision(codes: Codes, names: tuple[str, ...], labels: Labels, pids: Ints, size: int, n: int) -> float:
    """Return the mean precision at `K` of `n` descriptions of `size` attributes that a random person has."""
    rng = np.random.default_rng(size)
    people = np.unique(pids)
    with create_gallery("memory:", Contract(codes.n_bits, attributes=names), audited=False) as gallery:
        gallery.add(Items.of(np.arange(len(codes)).tolist(), codes, attribute_codes=codes))
        found: list[float] = []
        while len(found) < n:
            row = int(np.flatnonzero(pids == rng.choice(people))[0])
            has = np.flatnonzero(labels[row] == 1)
            if len(has) >= size:
                asked = rng.choice(has, size, replace=False)
                right = (labels[:, asked] == 1).all(axis=1)
                hits = gallery.search_attributes({names[bit]: True for bit in asked}, K)
                found.append(float(right[[int(id) for id in hits.ids]].sum() / min(K, int(right.sum()))))
    return float(np.mean(found))


def attribute_table(names: tuple[str, ...], values: Floats32, labels: Labels, ways: Sequence[Floats]) -> Table:
    """Return a table of the balanced accuracy of each attribute."""
    table = Table("attribute", "1/2, %", "own, %", "people's pictures with it")
    scores = [balanced_accuracies(values, labels, thresholds) for thresholds in ways]
    for name, *each, column in zip(names, *scores, labels.T, strict=True):
        table.add_row(name, *(f"{100 * score:.1f}" for score in each), str(int((column == 1).sum())))
    return table


if __name__ == "__main__":
    main()
