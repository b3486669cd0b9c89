"""How many items of a tracklet should vote, on the people that a model's training held out.

    python benchmarks/accuracy/voting.py --data DATA --artifact ARTIFACT [--quick] [--json FILE] [--markdown]

Each picture is a query. The gallery is all pictures of the other cameras; a person's pictures by one camera are a
tracklet. A tracklet is as near as the mean distance of so many of its nearest pictures (`bitreid.gallery.people`).
Prints the share of queries whose nearest tracklet is the right one, and the mean of 1 / place of the right one.
`--quick` takes every tenth query. It decides nothing by itself, so that it has no bars.
"""

import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.files import EncodedSet, encode_manifest
from bitreid.gallery import Contract, Items, create_gallery
from bitreid.gallery.people import voted
from bitreid.training.load import load_encoder

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.cuhk03 import parser_of

VOTES = (1, 2, 3, 5, 100)


def main() -> None:
    arguments = parser_of(__doc__, held_out=True).parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    held_out = held_out_pictures(parse(arguments.data), encoder.card.training)
    with progress_of(console, "encoding") as progress:
        encoded = encode_manifest(encoder, held_out, progress)
    scores = scores_of(encoded, step=10 if arguments.quick else 1)
    table = Table("votes", "nearest is right", "mean of 1 / place", title=f"{len(held_out)} pictures held out")
    for votes, (first, reciprocal) in scores.items():
        table.add_row("all" if votes == VOTES[-1] else str(votes), f"{first:.1%}", f"{reciprocal:.3f}")
    show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.json:
        results = {str(votes): {"first": score[0], "reciprocal": score[1]} for votes, score in scores.items()}
        arguments.json.write_text(json.dumps({"votes": results, "bars": {}}, indent=2))


def scores_of(encoded: EncodedSet, step: int = 1) -> dict[int, tuple[float, float]]:
    """Return, by number of votes, the share of queries whose nearest tracklet is right, and the mean 1 / its rank."""
    places: dict[int, list[int]] = {votes: [] for votes in VOTES}
    pids, camids = encoded.pids, encoded.camids
    for camera in np.unique(camids):
        others = np.flatnonzero(camids != camera)
        with create_gallery("memory:", Contract(encoded.codes.n_bits), audited=False) as gallery:
            tracklets = [f"{pids[i]} by {camids[i]}" for i in others]
            persons = [str(pids[i]) for i in others]
            gallery.add(Items.of(others.tolist(), encoded.codes[others], tracklets=tracklets, persons=persons))
            for query in np.flatnonzero((camids == camera) & np.isin(pids, pids[others]))[::step]:
                hits = gallery.search(encoded.codes[query : query + 1], len(others), max_distance=None)[0].hits
                for votes in VOTES:
                    order = [hit.person for hit in voted(hits, "tracklet", votes)]
                    places[votes].append(order.index(str(pids[query])) + 1)
    return {
        votes: (float(np.mean(np.array(at) == 1)), float(np.mean(1 / np.array(at)))) for votes, at in places.items()
    }


if __name__ == "__main__":
    main()
