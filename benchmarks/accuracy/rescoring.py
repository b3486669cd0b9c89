"""What flip averaging and rescoring give, by length of the code, on the people that a model's training held out.

    python benchmarks/accuracy/rescoring.py --data DATA --artifact ARTIFACT [--quick] [--json FILE] [--markdown]

Each picture of the held-out identities is a query; the gallery is all training pictures, those of the other identities
as distractors. A shorter code is the first bits of a nested code, or else in an order in which each part has its share.
The nearest 100 rows are rescored. `--quick` takes every tenth picture and the longest code. It decides nothing by
itself, so that it has no bars.
"""

import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Floats32, Ints
from bitreid.codes import pack
from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.evaluation.side import Side
from bitreid.evaluation.summary import evaluate_model
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.cuhk03 import parser_of

LENGTHS = (2048, 1024, 512, 256, 128, 64)
RESCORED = 100


def main() -> None:
    arguments = parser_of(__doc__, held_out=True).parse_args()
    console = Console()
    everybody = parse(arguments.data).split("train")
    train = everybody.take(np.arange(0, len(everybody), 10 if arguments.quick else 1))
    table = Table("bits", "encoded", "float", "bits alone", "rescored", title=f"mAP (rank-1), gallery of {len(train)}")
    scores: dict[str, dict[str, dict[str, float]]] = {}
    of_lengths: dict[tuple[int, str], dict[str, tuple[float, float]]] = {}
    for name, flip in (("as they are", False), ("flip averaged", True)):
        encoder = load_encoder(arguments.artifact, flip=flip)
        with progress_of(console, f"encoding pictures {name}") as progress:
            features = encoder.encode_files(train.paths, progress).features[:, list(encoder.card.prefix_order)]
        held_out = np.isin(train.pids, held_out_pictures(everybody, encoder.card.training).pids)
        for n_bits in LENGTHS[:1] if arguments.quick else LENGTHS:
            if n_bits <= encoder.card.n_bits:
                of_lengths[n_bits, name] = scores_of(features[:, :n_bits], train, np.flatnonzero(held_out))
    for (n_bits, name), found in sorted(of_lengths.items(), key=lambda each: -each[0][0]):
        table.add_row(str(n_bits), name, *(f"{100 * mAP:.1f} ({100 * rank1:.1f})" for mAP, rank1 in found.values()))
        record = {way: {"mAP": mAP, "rank1": rank1} for way, (mAP, rank1) in found.items()}
        scores[f"{n_bits} bits, {name}"] = record
    show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"scores": scores, "bars": {}}, indent=2))


def scores_of(features: Floats32, people: Manifest, queries: Ints) -> dict[str, tuple[float, float]]:
    """Return mAP and rank-1 of the float features, of their signs, and of those rescored."""
    features = np.ascontiguousarray(features)
    codes = pack(features)
    gallery = Side(codes, features, None, people.pids, people.camids)
    query = Side(codes[queries], features[queries], None, people.pids[queries], people.camids[queries])
    evaluation = evaluate_model(query, gallery, [], rescore_w=RESCORED)
    (rescored,) = evaluation.rescored.values()
    assert evaluation.floats is not None, "there are features"
    found = {"float": evaluation.floats, "bits": evaluation.main, "rescored": rescored}
    return {name: (metrics.expected.mAP, metrics.expected.rank1) for name, metrics in found.items()}


if __name__ == "__main__":
    main()
