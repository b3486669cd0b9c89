"""Crops of people in a video: cut out by boxes into a folder of pictures with a table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bitreid.arrays import Bools, Ints, Pixels
from bitreid.data.boxes import Boxes
from bitreid.data.decoding import LONGEST, SMALL_SIDE
from bitreid.data.files import new_folder
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.listing import save_manifest
from bitreid.data.pictures import Findings, OddPicture, Progress
from bitreid.data.times import NO_TIME
from bitreid.data.video import frames_in
from bitreid.encoding.boxes import clipped
from bitreid.errors import PictureError, SettingsError, VideoEnded

TABLE = "crops.csv"
"""The table in a folder of crops."""
QUALITY = 95
"""Of JPEG files; PNG has none."""


@dataclass(frozen=True)
class Shot:
    """Where and when a video was taken.

    camera  its number, or `UNKNOWN`, or its name
    start   when its first frame was taken, with the offset from UTC; None: times of crops are numbers of frames
    fps     frames a second, where the video does not say when its frames are shown, as a folder does not
    """

    camera: int | str = UNKNOWN
    start: datetime | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.start.tzinfo is None:
            raise SettingsError(f"expected a start that says its offset from UTC, got {self.start}; add +00:00 or Z")
        if self.fps is not None and not 0.001 <= self.fps <= 100_000:
            raise SettingsError(f"expected frames a second from 0.001 to 100,000, got {self.fps}")
        if isinstance(self.camera, int) and self.camera < UNKNOWN:
            raise SettingsError(f"expected the number of a camera from {UNKNOWN + 1} on, got {self.camera}")

    @property
    def camera_names(self) -> dict[int, str]:
        """The name of camera 1, where the camera has a name instead of a number."""
        return {1: self.camera} if isinstance(self.camera, str) else {}

    @property
    def camera_number(self) -> int:
        """The camera's number; 1 where it has a name."""
        return 1 if isinstance(self.camera, str) else self.camera

    def time_of(self, number: int, seconds: float | None) -> int:
        """Return when a frame was taken, in microseconds from 1970 on; `NO_TIME` where nobody knows."""
        if self.fps is not None:
            seconds = number / self.fps
        if self.start is None:
            return NO_TIME
        if seconds is None:
            raise SettingsError("expected frames a second to know when a frame was taken, got none; say --fps")
        try:
            return _microseconds(self.start + timedelta(seconds=seconds))
        except OverflowError:
            raise SettingsError(f"expected a video of the years 1 to 9999, got one that starts {self.start}") from None


class Cut(NamedTuple):
    """The boxes of one frame that enclose a part of it.

    number  of the frame
    time    microseconds from 1970 on, or `NO_TIME`
    pixels  the frame, (H, W, 3) uint8
    rows    (m,) rows of the boxes
    inside  (m, 4) int64 left, top, right, bottom in pixels, within the frame
    """

    number: int
    time: int
    pixels: Pixels
    rows: Ints
    inside: Ints


@dataclass(frozen=True)
class Crops:
    """Crops that were written: a table of the m of them, and what was found."""

    manifest: Manifest
    findings: Findings = field(default_factory=Findings)


def cuts_of(video: Path, boxes: Boxes, shot: Shot, findings: Findings) -> Iterator[Cut]:
    """Yield the frames of a video that have boxes, with those that enclose a part of the frame.

    `findings` gets the other boxes, those in frames that the video does not have, and those that hardly show a person;
    what it calls a path is the line in the file of boxes.
    """
    if not len(boxes):
        return
    done = 0
    starts = np.flatnonzero(np.diff(boxes.frames, prepend=-1))
    rows_in = dict(zip(boxes.frames[starts].tolist(), np.split(np.arange(len(boxes)), starts[1:]), strict=True))
    try:
        for number, seconds, pixels in frames_in(video, boxes.frames):
            rows = rows_in[number]
            height, width = pixels.shape[:2]
            inside, good = clipped(boxes.xyxy[rows], height, width)
            for row in rows[~good].tolist():
                reason = f"a box that encloses no pixel of a frame of {width} x {height}"
                findings.bad.append(PictureError(Path(boxes.place(row)), reason))
            sizes = inside[:, 2:] - inside[:, :2]
            for i in np.flatnonzero(good & ((sizes.min(axis=1) < SMALL_SIDE) | _long(sizes))).tolist():
                what = f"{sizes[i, 0]} x {sizes[i, 1]} pixels"
                findings.odd.append(OddPicture(Path(boxes.place(int(rows[i]))), what))
            done = int(rows[-1]) + 1
            if good.any():
                yield Cut(number, shot.time_of(number, seconds), pixels, rows[good], inside[good])
    except VideoEnded as error:
        if not done and not error.n_frames:
            raise
        why = f"damaged there ({error.reason})" if error.reason else f"over after {error.n_frames} frames"
        for row in range(done, len(boxes)):
            reason = f"a box in frame {boxes.frames[row]} of a video that is {why}"
            findings.bad.append(PictureError(Path(boxes.place(row)), reason))


def save_crops(
    video: Path,
    boxes: Boxes,
    out: Path,
    shot: Shot,
    *,
    suffix: Literal["jpg", "png"] = "jpg",
    progress: Progress | None = None,
) -> Crops:
    """Write a crop of each box to the new folder `out`, and a table of them, `crops.csv`, that other commands read.

    The table has the crops' paths, camera, tracklet and time: the date, or the number of the frame where the start is
    not known. Who they show is unknown. The folder appears when it is complete. `DataError` if no box shows anything.
    """
    from PIL import Image

    findings = Findings()
    names: list[str] = []
    rows: list[int] = []
    times: list[int] = []
    with new_folder(out) as unfinished:
        for cut in cuts_of(video, boxes, shot, findings):
            for row, (left, top, right, bottom) in zip(cut.rows.tolist(), cut.inside.tolist(), strict=True):
                name = f"{crop_name(boxes, row)}.{suffix}"
                crop = Image.fromarray(np.ascontiguousarray(cut.pixels[top:bottom, left:right]))
                crop.save(unfinished / name, quality=QUALITY)
                names.append(name)
            rows += cut.rows.tolist()
            times += [cut.number if cut.time == NO_TIME else cut.time] * len(cut.rows)
            if progress is not None:
                progress(rows[-1] + 1, len(boxes))
        if not rows:
            findings.refuse_bad(len(boxes))
        manifest = _manifest(unfinished, names, np.array(rows), np.array(times), boxes, shot)
        save_manifest(manifest, unfinished / TABLE)
    return Crops(_manifest(out, names, np.array(rows), np.array(times), boxes, shot), findings)


def _manifest(folder: Path, names: list[str], rows: Ints, times: Ints, boxes: Boxes, shot: Shot) -> Manifest:
    n, tracklets = len(names), boxes.tracklets[rows]
    return Manifest(
        tuple(folder / name for name in names),
        np.full(n, UNKNOWN, np.int64),
        np.full(n, shot.camera_number, np.int64),
        ("gallery",) * n,
        times,
        tracklets if (tracklets != UNKNOWN).any() else None,
        shot.start is not None,
        camera_names=shot.camera_names,
    )


def crop_name(boxes: Boxes, row: int) -> str:
    """Return what a crop's file is called, without ending: by its tracklet and frame, or by its frame and line."""
    frame, tracklet = boxes.frames[row], boxes.tracklets[row]
    return f"f{frame:06}_b{boxes.places[row]:06}" if tracklet == UNKNOWN else f"t{tracklet:06}_f{frame:06}"


def _long(sizes: Ints) -> Bools:
    return np.asarray(sizes.max(axis=1) > LONGEST * sizes.min(axis=1))


def _microseconds(time: datetime) -> int:
    since = time - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return since // timedelta(microseconds=1)
