"""Train a model on drawn people, and score it on others whom it never saw.

    python examples/train.py
    python examples/train.py --people 12 --passes 1

The first takes a few minutes of one core; the second shows in seconds that it works. With pictures of your own cameras,
give `task_from` their folder or table in the place of the drawn people.
"""

import argparse
from pathlib import Path
from typing import Any

from bitreid import Encoder, evaluate_ranking, load_recipe, task_from, train
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import encode_manifest


class Progress:
    """Prints a line after each pass."""

    def on_step(self, *_: object) -> None:
        """Print nothing after a batch."""

    def on_epoch(self, record: dict[str, Any]) -> None:
        """Print the losses of a pass and, after the last one, the scores on held-out people."""
        print(", ".join(f"{name} {value:.3g}" for name, value in record.items()))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", type=Path, default=Path("trained"), help="a new folder")
parser.add_argument("--people", type=int, default=60, help="how many to train on, and half as many to find")
parser.add_argument("--passes", type=int, default=10)
arguments = parser.parse_args()
n: int = arguments.people

people = arguments.out / "people"
draw_people(people, DrawnSettings(n_train=n, n_test=n // 2, n_distractors=0, n_junk=0, height=96, width=32))

# A recipe has every setting, and `bitreid recipes drawn_tiny` lists them; some are changed here.
changes = [f"epochs={arguments.passes}", "warmup_epochs=0", "network.n_bits=256", f"held_out_identities={n // 4}"]
changes += ["int8=false"]  # an engine of 8 bits, too, would be for models that encode much
recipe = load_recipe("drawn_tiny", changes)
task = task_from(recipe, people, people / "attributes_train.csv")
train(recipe, task, arguments.out / "run", Progress())

# The model is a folder, which has been exported: from here on PyTorch is not needed.
encoder = Encoder.open(arguments.out / "run" / "artifact")
pictures = parse(people)
query, gallery = (encode_manifest(encoder, pictures.split(split)) for split in ("query", "gallery"))
scores = evaluate_ranking(query.codes, gallery.codes, query.pids, query.camids, gallery.pids, gallery.camids).expected
print(f"{len(query)} queries, {len(gallery)} pictures in the gallery, codes of {encoder.n_bits} bits")
print(f"rank-1 {scores.rank1:.1%}, mAP {scores.mAP:.1%}")
