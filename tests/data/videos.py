"""A video of drawn people who walk across a picture, with their boxes: what the tests of videos share."""

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from bitreid.arrays import Floats, Ints, Pixels

HEIGHT, WIDTH = 144, 256


class Walk(NamedTuple):
    """Frames `(n, HEIGHT, WIDTH, 3)`, and boxes in them: frames, tracklets and left, top, width, height."""

    frames: Pixels
    numbers: Ints
    tracklets: Ints
    boxes: Floats


def walk(people: Path, n_frames: int = 12, tracks: tuple[int, ...] = (3, 7, 8)) -> Walk:
    """People of `query`, a picture of each, who go different ways; the last one leaves the picture."""
    files = {path.name[:4]: path for path in sorted((people / "query").glob("*.jpg"))}
    rng = np.random.default_rng(5)
    frames = np.repeat(rng.integers(60, 120, (1, HEIGHT, WIDTH, 3), np.uint8), n_frames, axis=0)
    rows = []
    for who, track in enumerate(tracks):
        with Image.open(list(files.values())[who]) as picture:
            body = np.asarray(picture.convert("RGB").resize((32, 96)))
        for frame in range(who, n_frames - who):
            left, top = 20 + 75 * who + 6 * frame, 20 + 8 * who
            seen = frames[frame, top : top + 96, left : left + 32]
            seen[:] = body[: seen.shape[0], : seen.shape[1]]
            rows.append((frame, track, left, top, 32, 96))
    table = np.array(rows, np.float64)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return Walk(frames, table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:])


def write_video(
    path: Path, frames: Pixels, codec: str = "ffv1", pix_fmt: str = "bgr0", rate: int = 10, turned: int = 0
) -> Path:
    """A video of the frames; without further words its pixels are exactly these (in `.mkv`)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        if turned:
            stream.set_display_rotation(turned)
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_mot(path: Path, walked: Walk, tracked: bool = True) -> Path:
    """The boxes as MOT-challenge has them: frames from 1 on, and -1 for a track that nobody knows."""
    tracks = walked.tracklets if tracked else np.full(len(walked.tracklets), -1)
    rows = zip(walked.numbers, tracks, walked.boxes.tolist(), strict=True)
    lines = [f"{frame + 1},{track},{','.join(map(str, box))},1,-1,-1,-1" for frame, track, box in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
