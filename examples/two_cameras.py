"""Find who was seen by one camera in the video of another.

    python examples/two_cameras.py
    python examples/two_cameras.py --people 3 --frames 5

Two videos are drawn in which the same people walk by, in another order, and with them boxes as a tracker gives them.
Each tracklet becomes one item of a gallery; then each person of the entrance is searched for in the yard.
`bitreid crops` does the same in a shell, with the boxes of your detector (docs/tutorials/video.md).
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from bitreid import Contract, Encoder, create_gallery
from bitreid.data.boxes import read_boxes
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.crops import Shot
from bitreid.gallery.query import query_of_item
from bitreid.gallery.tracklets import add_video

WIDTH, HEIGHT, BOX = 64, 128, 80
"""Pixels of a person, and how far apart those who walk behind each other are."""


def film(folder: Path, pictures: Manifest, pids: list[int], n_frames: int, seed: int) -> dict[int, int]:
    """Draw the frames of a video and the boxes in them beside it; return whom each tracklet shows."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    background = rng.integers(90, 130, (HEIGHT + 20, BOX * len(pids) + 4 * n_frames, 3), np.uint8)
    lines = []
    for frame in range(n_frames):
        pixels = background.copy()
        for place, pid in enumerate(pids):
            shots = [path for path, own in zip(pictures.paths, pictures.pids, strict=True) if own == pid]
            left, top = BOX * place + 4 * frame, 10
            with Image.open(shots[frame % len(shots)]) as shot:
                pixels[top : top + HEIGHT, left : left + WIDTH] = shot.convert("RGB").resize((WIDTH, HEIGHT))
            lines.append(f"{frame + 1},{place + 1},{left},{top},{WIDTH},{HEIGHT},1,-1,-1,-1")
        Image.fromarray(pixels).save(folder / f"{frame + 1:06}.png")
    folder.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return dict(enumerate(pids, start=1))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", type=Path, default=Path("cameras"), help="a new folder")
parser.add_argument("--people", type=int, default=8)
parser.add_argument("--frames", type=int, default=12)
arguments = parser.parse_args()

people = arguments.out / "people"
settings = DrawnSettings(
    n_train=1, n_test=arguments.people, n_cameras=2, n_pictures=4, n_distractors=0, n_junk=0, seed=16, lookalikes=0
)
draw_people(people, settings)
pictures = parse(people).split("gallery")
pids = sorted(set(pictures.pids.tolist()))
encoder = Encoder.open("drawn")
start = datetime(2026, 11, 30, 8, 15, tzinfo=UTC)

with create_gallery(arguments.out / "people.gallery", Contract.of(encoder.card)) as gallery:
    shown = {}
    for number, (camera, order) in enumerate({"entrance": pids, "yard": pids[::-1]}.items(), start=1):
        seen = pictures.rows(pictures.camids == number)
        video = arguments.out / camera  # a folder of frames; a video file does as well, with bitreid[video]
        shown[camera] = film(video, seen, order, arguments.frames, seed=number)
        boxes = read_boxes(video.with_suffix(".txt"))
        shot = Shot(camera, start + timedelta(minutes=5 * number), fps=10)
        added = add_video(gallery, encoder, video, boxes, shot, name=camera)
        print(f"{camera}: {len(boxes)} boxes, {added.new} tracklets")

    n_right = 0
    for tracklet, pid in shown["entrance"].items():
        query = query_of_item(gallery, f"entrance/{tracklet}")
        (hits,) = gallery.search(query.codes, k=1, where="camera = yard", model=query.model)
        found = shown["yard"][int(str(hits[0].id).removeprefix("yard/"))]
        n_right += found == pid
        sure = "certain" if hits.n_certain else "not certain"
        right = "right" if found == pid else "wrong"
        print(f"entrance/{tracklet} is nearest to {hits[0].id}: {hits[0].distance} bits, {sure}, {right}")
    print(f"{n_right} of {len(pids)} are right")
