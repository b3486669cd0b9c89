"""Frames of a video, as pixels: the only place where a video of somebody else is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from bitreid.arrays import Ints, Pixels
from bitreid.data.decoding import MAX_PIXELS, open_picture
from bitreid.data.files import pictures_in
from bitreid.errors import DataError, PictureError, VideoEnded
from bitreid.text import brief, printable

if TYPE_CHECKING:
    import av

CONTAINERS = ("avi", "flv", "h264", "hevc", "ivf", "matroska", "webm", "mov", "mp4", "mjpeg", "mpeg", "mpegts", "ogg")
"""The kinds of video files that are read, by FFmpeg's names.

Each holds its pictures itself. Not among them: playlists and lists of files (HLS, DASH, concat), which make FFmpeg open
whatever they name, and devices.
"""


class Frame(NamedTuple):
    """A frame of a video.

    number   from 0 on, in the order in which they are shown
    seconds  since the first frame, or None where the video does not say
    pixels   (H, W, 3) uint8, red green blue, turned as a viewer shows it
    """

    number: int
    seconds: float | None
    pixels: Pixels


def frames_in(video: Path, wanted: Ints) -> Iterator[Frame]:
    """Yield the `wanted` frames, ascending numbers, of a video file, or of a folder of pictures: a frame each, by name.

    A frame's number is its place among those that are decoded; no frame is skipped by seeking, which is not exact in
    all files. `VideoEnded` where the video ends, or is damaged, before the last wanted frame. `DataError` for what is
    no video of `CONTAINERS`, frames of more than `MAX_PIXELS`, and without PyAV (bitreid[video]).
    """
    numbers = np.unique(wanted)
    if not len(numbers):
        return iter(())
    if video.is_dir():
        return _pictures(video, numbers)
    if not video.is_file():
        raise DataError(f"expected a video, or a folder of its frames, at {printable(str(video))}, got nothing")
    return _decoded(video, numbers)


def _pictures(folder: Path, numbers: Ints) -> Iterator[Frame]:
    paths = pictures_in(folder, recursive=False)
    if not paths:
        raise DataError(f"expected pictures, a frame each, in {printable(str(folder))}, got none")
    for number in numbers.tolist():
        if number >= len(paths):
            raise VideoEnded(folder, len(paths), None)
        try:
            yield Frame(number, None, np.asarray(open_picture(paths[number]).rgb))
        except PictureError as error:
            raise VideoEnded(folder, number, str(error)) from error


def _decoded(video: Path, numbers: Ints) -> Iterator[Frame]:
    try:
        import av
    except ImportError as error:
        raise DataError("expected PyAV to read videos, got none; install bitreid[video]") from error
    wanted = set(numbers.tolist())
    last, number = max(wanted), 0
    first: float | None = None
    with video.open("rb") as file, _opened(video, file) as container:
        stream = container.streams.video[0]
        try:
            for frame in container.decode(stream):
                first = frame.time if number == 0 else first
                if number in wanted:
                    seconds = None if frame.time is None or first is None else frame.time - first
                    yield Frame(number, seconds, _pixels(frame))
                number += 1
                if number > last:
                    return
        except (av.FFmpegError, OSError) as error:
            raise VideoEnded(video, number, brief(error)) from error
    raise VideoEnded(video, number, None)


def _opened(video: Path, file: BinaryIO) -> av.container.InputContainer:
    """Open a video in a file that is open already, so that its name means nothing to FFmpeg."""
    import av

    limits = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}
    try:
        container = av.open(file, "r", options=limits)
    except (av.FFmpegError, OSError, ValueError) as error:  # whose reading may fail, too
        raise DataError(
            f"expected a video that can be read at {printable(str(video))}, got: {brief(error)}; convert it to MP4"
        ) from error
    if not container.streams.video:
        container.close()
        raise DataError(f"expected a video at {printable(str(video))}, got a file without pictures")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_PIXELS:
        container.close()
        raise DataError(
            f"expected frames of at most {MAX_PIXELS:,} pixels in {printable(str(video))}, got {stream.width:,} x "
            f"{stream.height:,}; make it smaller"
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # a later frame may say that it is larger
    stream.thread_type = "AUTO"
    return container


def _pixels(frame: av.VideoFrame) -> Pixels:
    pixels: Pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90 % 4)) if frame.rotation % 360 else pixels
