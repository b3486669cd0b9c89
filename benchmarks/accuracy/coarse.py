"""Short codes for the first stage of a search, compared on the people whom a model's training held out.

    python benchmarks/accuracy/coarse.py --data CUHK03_NP --artifact ARTIFACT [--quick] [--json FILE] [--markdown]

Cross-validation over identities: the coarse code of each fold is chosen on the people of the others. The pictures of
the people of a fold are searched among all training pictures. `--quick` takes one partition of the people instead of
three. No test picture is looked at.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.arrays import Bools
from bitreid.codes import Codes, pack_bits, unpack
from bitreid.commands.console import as_markdown, progress_of, recall_text, show
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.files import encode_manifest, side_of
from bitreid.evaluation.afr import evaluate_afr
from bitreid.evaluation.calibration.coarse import FIRST_BITS, FOLDS, N_BITS, fit_coarse
from bitreid.evaluation.side import Side
from bitreid.evaluation.summary import rows_of_share
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.afr import taken
from benchmarks.accuracy.cuhk03 import parser_of
from benchmarks.bars import write_json

SHARES = (0.02, 0.05, 0.1, 0.2)
"""Of the gallery, that stage 1 keeps."""
PARTITIONS = 3


def main() -> None:
    arguments = parser_of(__doc__, held_out=True).parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    card, manifest = encoder.card, parse(arguments.data).split("train")
    manifest = manifest.rows(manifest.pids > 0)
    with progress_of(console, "encoding") as progress:
        side = side_of(encode_manifest(encoder, manifest, progress))
    people = held_out_pictures(manifest, card.training).identities()
    n_attribute_bits = card.attributes.n_code_bits if card.attributes else 0
    order = card.prefix_order
    found: dict[str, list[list[float]]] = {}
    rng = np.random.default_rng(0)
    for _ in range(1 if arguments.quick else PARTITIONS):
        for judged in np.array_split(rng.permutation(people), FOLDS):
            for name, short in ways(side, people, judged, n_attribute_bits, order):
                found.setdefault(name, []).append(kept(side, short, np.isin(side.pids, judged)))
    table = Table(title=f"matches kept, %: {len(people)} held-out identities, {len(found['coarse code'])} folds")
    for heading in ("short code", *(f"w = {share:.0%}" for share in SHARES)):
        table.add_column(heading)
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in found.items()}
    for name, row in means.items():
        table.add_row(name, *(f"{100 * each:.1f}" for each in row))
    show(console, as_markdown(table) if arguments.markdown else table)
    whole = fit_coarse(
        taken(side, np.isin(side.pids, people)),
        taken(side, ~np.isin(side.pids, people)),
        n_attribute_bits,
        order[:FIRST_BITS],
    )
    console.print(f"chosen on all of them: keeps {recall_text(whole)} of a gallery", highlight=False)
    if arguments.json:
        record = {"kept": means, "recall": whole.recall, "bars": {}}
        write_json(arguments.json, record)


def ways(
    side: Side, people: np.ndarray, judged: np.ndarray, n_attribute_bits: int, order: Sequence[int]
) -> Iterator[tuple[str, Codes]]:
    """Yield short codes of all pictures, by name; those that have to be chosen were chosen on the people not judged."""
    assert side.codes is not None, "an encoder makes codes"
    identity = unpack(side.codes)[:, list(order[:FIRST_BITS])]
    if side.attribute_codes is not None:
        attributes = unpack(side.attribute_codes)[:, :n_attribute_bits]
        yield "attribute code", side.attribute_codes
        both = np.concatenate([attributes, identity], axis=1)[:, :N_BITS]
        yield f"attribute code and identity code, {N_BITS} bits", pack_bits(both)
    yield f"identity code, first {N_BITS} bits", pack_bits(identity[:, :N_BITS])
    rest = np.setdiff1d(people, judged)
    others = taken(side, ~np.isin(side.pids, people))
    coarse = fit_coarse(taken(side, np.isin(side.pids, rest)), others, n_attribute_bits, order[:FIRST_BITS])
    yield "coarse code", coarse.of(side.codes, side.attribute_codes)


def kept(side: Side, short: Codes, rows: Bools) -> list[float]:
    """Return the share of the matches that stage 1 keeps at each of `SHARES`, of the pictures in some rows."""
    ws = [rows_of_share(share, len(side)) for share in SHARES]
    people = side.pids[rows], side.camids[rows], side.pids, side.camids
    return [each.kept for each in evaluate_afr(short[rows], short[rows], short, short, *people, ws, 1)]


if __name__ == "__main__":
    main()
