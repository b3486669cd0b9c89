"""Crops a second from a video with boxes into a gallery, decoding included.

    python -m benchmarks.encode.video [MODEL] [--quick] [--threads 1]

Draws people who walk through a video of 1920 x 1080 (H.264), and adds their tracklets to a gallery in memory. `decode`
is the decoding of all frames alone, `cut out` that and the crops, `tracklets` all of it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

HEIGHT, WIDTH, FPS = 1080, 1920, 25
BAR = 30
"""Crops a second, on one core and with the model that comes with bitreid."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("drawn"))
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few frames, to see that it runs")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    n_frames = 12 if arguments.quick else arguments.frames
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.model, Path(folder), n_frames, arguments.people)


def measure(model: Path, folder: Path, n_frames: int, n_people: int) -> None:
    """Draw the video, and print how fast its steps are."""
    from bitreid.data.boxes import read_boxes
    from bitreid.data.pictures import Findings
    from bitreid.data.video import frames_in
    from bitreid.encoding.boxes import cut_out
    from bitreid.encoding.crops import Shot, cuts_of
    from bitreid.encoding.encoder import Encoder
    from bitreid.gallery import Contract, create_gallery
    from bitreid.gallery.tracklets import add_video

    video = draw(folder, n_frames, n_people)
    boxes, shot, encoder = read_boxes(folder / "boxes.txt"), Shot(1), Encoder.open(model)
    size = encoder.card.input.height, encoder.card.input.width
    encoder.encode(np.zeros((1, *size, 3), np.uint8))

    def tracklets() -> None:
        with create_gallery("memory:", Contract.of(encoder.card)) as gallery:
            add_video(gallery, encoder, video, boxes, shot, name="video")

    def cut() -> None:
        for each in cuts_of(video, boxes, shot, Findings()):
            cut_out(each.pixels, each.inside, *size)

    def decode() -> None:
        for _ in frames_in(video, np.arange(n_frames)):
            pass

    print(f"{n_frames} frames of {WIDTH} x {HEIGHT}, {len(boxes)} boxes, {model.name}\n")
    print("| step | seconds | frames a second | crops a second |")
    print("| --- | --- | --- | --- |")
    for name, step in (("decode", decode), ("cut out", cut), ("tracklets", tracklets)):
        seconds = seconds_of(step)
        rate = len(boxes) / seconds
        print(f"| {name} | {seconds:.2f} | {n_frames / seconds:.1f} | {rate:.1f} |")
    print(f"\ncrops a second into a gallery: {rate:.1f}, bar {BAR}: {'met' if rate >= BAR else 'NOT met'}")


def seconds_of(step: Callable[[], None]) -> float:
    """Return how long a step takes."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def draw(folder: Path, n_frames: int, n_people: int) -> Path:
    """Write `video.mp4` and `boxes.txt`; return the video."""
    import av
    from PIL import Image

    from bitreid.drawn.data_set import DrawnSettings, draw_people

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
