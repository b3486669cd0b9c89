"""Crops a second from a video with boxes into a gallery, decoding included, beside the usual way in the same run.

    python -m benchmarks.encode.video [MODEL] [--frames 150] [--people 8] [--threads 1] [--repeats 3] [--quick]
        [--json FILE]

Draws people who walk through a video of 1920 x 1080 (H.264), and adds their tracklets to a gallery in memory. The usual
way is what users write: OpenCV decodes and resizes, PyTorch runs the network on the people of one frame after the
other, and the features of each tracklet are averaged. Ways and steps take turns, and medians of the repeats count. CPU
seconds are those of all threads; on a machine with other work they say more than seconds. With one thread, all run on
one core. The JSON has the `medians` of each way and step, and `bars`. `--quick` takes 12 frames.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from benchmarks.bars import Bars, at_least, lines_of, write_json
from bitreid.artifact import load_artifact
from bitreid.artifact.shipped import folder_of
from bitreid.data.boxes import Boxes, read_boxes
from bitreid.data.pictures import Findings
from bitreid.data.video import frames_in
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.boxes import cut_out
from bitreid.encoding.crops import Shot, cuts_of
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, create_gallery
from bitreid.gallery.tracklets import add_video
from bitreid.training.export import network_of

HEIGHT, WIDTH, FPS = 1080, 1920, 25
BAR = 30
"""Crops a second, on one core and with the model that comes with bitreid."""

USUAL, OURS = "OpenCV and PyTorch, frame by frame", "bitreid"


def main() -> None:
    """Print what each way takes, and where ours takes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("drawn"))
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--people", type=int, default=8, help="in each frame")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="12 frames, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames = 12
    if arguments.threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        video = draw(Path(folder), arguments.frames, arguments.people)
        boxes = read_boxes(Path(folder) / "boxes.txt")
        ways = {**steps(arguments.model, video, boxes, arguments.threads), USUAL: usual(arguments.model, video, boxes)}
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(arguments.repeats):
            for name, way in ways.items():
                runs[name].append(seconds_of(way))
    taken = {name: (median(wall for wall, _ in each), median(cpu for _, cpu in each)) for name, each in runs.items()}
    bars: Bars = {"crops a second into a gallery": at_least(len(boxes) / taken[OURS][0], BAR)}
    show(arguments, len(boxes), taken)
    print("", *lines_of(bars), sep="\n")
    if arguments.json:
        medians = {name: {"s": wall, "cpu_s": cpu} for name, (wall, cpu) in taken.items()}
        what = {name: getattr(arguments, name) for name in ("frames", "people", "threads", "repeats")}
        write_json(
            arguments.json,
            {**what, "model": arguments.model.name, "crops": len(boxes), "medians": medians, "bars": bars},
        )


def show(arguments: argparse.Namespace, n: int, taken: dict[str, tuple[float, float]]) -> None:
    """Print the wall and CPU seconds that ways and steps took for n crops."""
    threads = "1 thread" if arguments.threads == 1 else f"{arguments.threads} threads"
    print(f"{arguments.frames} frames of {WIDTH} x {HEIGHT}, {n} boxes, {arguments.model.name}, {threads}\n")
    print("| way | seconds | CPU seconds | crops a second | crops a CPU second |")
    print("| --- | --- | --- | --- | --- |")
    for name in (USUAL, OURS):
        wall, cpu = taken[name]
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {n / wall:.1f} | {n / cpu:.1f} |")
    wall, cpu = (usual / ours for usual, ours in zip(taken[USUAL], taken[OURS], strict=True))
    print(f"| times as fast | {wall:.2f} | {cpu:.2f} | | |\n")
    print("| step of ours | CPU ms a crop | share |")
    print("| --- | --- | --- |")
    before, whole = 0.0, taken[OURS][1]
    for name, (_, cpu) in taken.items():
        if name != USUAL:
            step = "network and gallery" if name == OURS else name
            print(f"| {step} | {1000 * (cpu - before) / n:.2f} | {100 * (cpu - before) / whole:.0f} % |")
            before = cpu


def steps(model: Path, video: Path, boxes: Boxes, threads: int) -> dict[str, Callable[[], object]]:
    """Return ours, after what does only its first steps: each does what the one before does, and more."""
    shot, encoder = Shot(1), Encoder.open(model, threads=threads)
    size = encoder.card.input.height, encoder.card.input.width

    def tracklets() -> None:
        with create_gallery("memory:", Contract.of(encoder.card)) as gallery:
            add_video(gallery, encoder, video, boxes, shot, name="video")

    return {
        "decoding": lambda: list(frames_in(video, boxes.frames[-1:])),
        "colours": lambda: [None for _ in frames_in(video, boxes.frames)],
        "cutting out and resizing": lambda: [
            len(cut_out(each.pixels, each.inside, *size)) for each in cuts_of(video, boxes, shot, Findings())
        ],
        OURS: tracklets,
    }


def usual(model: Path, video: Path, boxes: Boxes) -> Callable[[], object]:
    """Return the way that users write."""
    artifact = load_artifact(folder_of(model))
    network, spec = network_of(artifact), artifact.card.input
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (spec.mean, spec.std))

    def run() -> dict[int, list[torch.Tensor]]:
        features: dict[int, list[torch.Tensor]] = {}
        capture = cv2.VideoCapture(str(video))
        for number in range(int(boxes.frames[-1]) + 1):
            _, frame = capture.read()
            rgb, rows = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.flatnonzero(boxes.frames == number)
            crops = np.stack(
                [
                    cv2.resize(rgb[top:bottom, left:right], (spec.width, spec.height))
                    for left, top, right, bottom in boxes.xyxy[rows].astype(int).tolist()
                ]
            )
            with torch.no_grad():
                found = network((torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - mean) / std).student
            for tracklet, feature in zip(boxes.tracklets[rows].tolist(), found, strict=True):
                features.setdefault(tracklet, []).append(feature)
        return {tracklet: [torch.stack(each).mean(0)] for tracklet, each in features.items()}

    return run


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return how many seconds it takes, and how many of the processor's."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def draw(folder: Path, n_frames: int, n_people: int) -> Path:
    """Write `video.mp4` and `boxes.txt`; return the video."""
    import av
    from PIL import Image

    settings = DrawnSettings(n_train=1, n_test=n_people, n_cameras=2, n_distractors=0, n_junk=0, height=288, width=108)
    draw_people(folder / "people", settings)
    files = {path.name[:4]: path for path in sorted((folder / "people" / "query").glob("*.jpg"))}
    bodies = []
    for path in list(files.values())[:n_people]:
        with Image.open(path) as picture:
            bodies.append(np.asarray(picture.convert("RGB")))
    ground = np.random.default_rng(0).integers(80, 110, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    ground = np.kron(ground, np.ones((8, 8, 1), np.uint8))
    lines = []
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(n_frames):
            pixels = ground.copy()
            for who, body in enumerate(bodies):
                height, width = body.shape[:2]
                left, top = 20 + (who * 230 + 3 * number) % (WIDTH - width - 40), 100 + 60 * (who % 8)
                pixels[top : top + height, left : left + width] = body
                lines.append(f"{number + 1},{who + 1},{left},{top},{width},{height},1,-1,-1,-1")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode())
    (folder / "boxes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "video.mp4"


if __name__ == "__main__":
    main()
