"""Codes of many drawn people, encoded with the model that comes with bitreid: a gallery that is no copy of a few codes.

    python -m benchmarks.search.drawn OUT.npz [--people 20000] [--distractors 20000] [--quick]

Draws people as `bitreid draw` does, in parts of 1,000, each seen by two to three cameras in two pictures a visit, and
strangers and near copies of them (`--distractors`); encodes each part with `Encoder.open("drawn")` and deletes the
pictures. The file is one as `bitreid encode` writes, with the people numbered through: for `--real` of
`benchmarks.search.clustered`. About 6 ms a picture; 20,000 people with as many distractors are 120,000 pictures and
about 12 minutes. `--quick` draws 100 people. Parts lie in a folder beside OUT until all are done, and a run that was
stopped goes on from there.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from bitreid.commands.console import progress_of
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, encode_readable, joined, load_encoded, save_encoded

_PART = 1000  # people
_CAMERAS, _ABSENT = 6, 0.6


def main() -> None:
    """Write the file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--distractors", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="100 people, 100 distractors")
    arguments = parser.parse_args()
    people, distractors = (100, 100) if arguments.quick else (arguments.people, arguments.distractors)
    console = Console(stderr=True)
    encoder = Encoder.open("drawn")
    folder = arguments.out.with_name(f"{arguments.out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with progress_of(console, "people") as report:
        for first in range(0, people, _PART):
            n = min(_PART, people - first)
            some = distractors * n // people
            file = folder / f"{first:06}-{n}-{some}.npz"
            if not file.exists():
                save_encoded(file, part(encoder, first, n, some))
            files.append(file)
            report(first + n, people)
    found = joined([load_encoded(file) for file in files])
    save_encoded(arguments.out, found)
    shutil.rmtree(folder)
    known = np.unique(found.pids[found.pids > 0])
    console.print(f"{len(found):,} codes of {len(known):,} people: {arguments.out}", highlight=False)


def part(encoder: Encoder, first: int, n: int, n_distractors: int) -> EncodedSet:
    """Return the codes of `n` people, numbered from `first` on, and of distractors, drawn with a seed of their own."""
    # One person to train on is the fewest that can be drawn; the one of each part is left out.
    settings = DrawnSettings(
        n_train=1, n_test=n, n_cameras=_CAMERAS, n_distractors=n_distractors, n_junk=0, absent=_ABSENT, seed=first + 1
    )
    with tempfile.TemporaryDirectory() as folder:
        draw_people(Path(folder) / "people", settings)
        manifest = parse(Path(folder) / "people")
        manifest = manifest.rows(np.array([split != "train" for split in manifest.splits]))
        encoded, _, _ = encode_readable(encoder, manifest, refuse=True, features=False)
    pids = np.where(encoded.pids > 0, encoded.pids + first, encoded.pids)
    return replace(encoded, pids=pids)


if __name__ == "__main__":
    main()
