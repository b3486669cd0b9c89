"""Boxes of people in the frames of a video, as detectors and trackers write them: MOT-challenge text and COCO JSON."""

import io
import json
import math
import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from bitreid.arrays import Bools, Floats, Ints
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.text import brief, shown

MOST_BYTES = 2**28
"""Bytes of the largest file of boxes that is read."""
MOST_BOXES = 5_000_000
"""Boxes of the longest file that is read."""
MOST_IN_FRAME = 4096
"""Boxes of one frame, at most."""
MOST_FRAMES = 100_000_000
"""No video has so many frames."""
FARTHEST = 1e6
"""No corner of a box is so many pixels from the corner of its frame."""

_PEDESTRIAN = 1
_TRACKS = ("track_id", "tracking_id", "instance_id")
_NUMBER_AT_END = re.compile(r"([0-9]{1,9})$")


@dataclass(frozen=True)
class Boxes:
    """Boxes in the frames of one video, a row each, by ascending frame; all columns have length n.

    frames     (n,) int64 number of the frame, from 0 on
    xyxy       (n, 4) float64 left, top, right and bottom in pixels; may lie beyond the frame, or be empty
    tracklets  (n,) int64 the tracker's number, or `UNKNOWN`
    places     (n,) int64 line of the file, or place in its list of annotations from 1 on
    source     the file
    """

    frames: Ints
    xyxy: Floats
    tracklets: Ints
    places: Ints
    source: Path

    def __post_init__(self) -> None:
        n = len(self.frames)
        if self.xyxy.shape != (n, 4) or self.xyxy.dtype != np.float64:
            raise DataError(f"expected boxes of shape ({n}, 4) float64, got {self.xyxy.shape} {self.xyxy.dtype}")
        for name in ("frames", "tracklets", "places"):
            column = getattr(self, name)
            if column.shape != (n,) or column.dtype != np.int64:
                raise DataError(f"expected {name} of shape ({n},) int64, got {column.shape} {column.dtype}")
        if n and not (np.diff(self.frames) >= 0).all():
            raise DataError("expected boxes by ascending frame, got them in another order")
        if n and not 0 <= self.frames.min() <= self.frames.max() < MOST_FRAMES:
            raise DataError(
                f"expected frames from 0 to {MOST_FRAMES - 1} in {self.source}, got {self.frames.min()} to "
                f"{self.frames.max()}; say --first-frame, the number of the video's first frame in the file"
            )
        # NaN and infinity are not within any bounds.
        wrong = np.flatnonzero(~(np.abs(self.xyxy) < FARTHEST).all(axis=1))
        if len(wrong):
            raise DataError(
                f"expected boxes within {FARTHEST:.0f} pixels of their frame, got "
                f"{shown(str(self.xyxy[wrong[0]].tolist()))} at {self.place(int(wrong[0]))}"
            )
        _, counts = np.unique(self.frames, return_counts=True)
        if n and counts.max() > MOST_IN_FRAME:
            raise DataError(
                f"expected at most {MOST_IN_FRAME} boxes in a frame of {self.source}, got {counts.max()}; give a "
                "smallest confidence"
            )

    def __len__(self) -> int:
        return len(self.frames)

    def place(self, row: int) -> str:
        """Return where a row was read, for a message."""
        return f"{self.source}:{self.places[row]}"

    def take(self, where: Ints | Bools) -> Self:
        """Return the rows of the given numbers, which ascend, or where a mask is true."""
        return replace(
            self,
            frames=self.frames[where],
            xyxy=self.xyxy[where],
            tracklets=self.tracklets[where],
            places=self.places[where],
        )

    def every(self, n: int) -> Self:
        """Return each `n`th box of a tracklet, from its first on; of boxes in none, those in each `n`th frame."""
        if n < 1:
            raise DataError(f"expected to keep every box or every n-th one, got {n}")
        order = np.argsort(self.tracklets, kind="stable")
        _, starts, counts = np.unique(self.tracklets[order], return_index=True, return_counts=True)
        within = np.empty(len(self), np.int64)
        within[order] = np.arange(len(self)) - np.repeat(starts, counts)
        return self.take(np.where(self.tracklets == UNKNOWN, self.frames, within) % n == 0)


class _Rows:
    """Boxes as a file has them, their frames as they are numbered there."""

    def __init__(self) -> None:
        self.places, self.frames, self.tracklets, self.corners = array("q"), array("q"), array("q"), array("d")

    def add(self, place: int, frame: int, box: Sequence[float], tracklet: int) -> None:
        """Add a box of left, top, width and height."""
        left, top, width, height = box
        self.places.append(place)
        self.frames.append(frame)
        self.tracklets.append(tracklet)
        self.corners.extend((left, top, left + width, top + height))


def read_boxes(path: Path, first_frame: int | None = None, min_confidence: float | None = None) -> Boxes:
    """Return the boxes of people in a file of MOT-challenge (`.txt`, `.csv`) or COCO (`.json`).

    MOT-challenge: lines of `frame, track, left, top, width, height, confidence, ...`, frames counted from 1, a track
    below 0 is none. Ground truth of 9 columns has a class, of which pedestrians (1) are taken; rows of confidence 0
    are left out, as the challenge says.

    COCO: an object with `images` and `annotations`, or the list of results. A box is `[left, top, width, height]`, its
    tracklet `track_id`, `tracking_id` or `instance_id`. Where a category is named person (or pedestrian), only its
    boxes are taken; crowds are not. An image's frame is its `frame_id`, else the number at the end of its `file_name`;
    of a list of results it is `image_id`.

    `first_frame` is the number of the video's first frame in the file: by default 1 in MOT-challenge, and 0 or 1 in
    COCO, whichever the file has. Boxes of a smaller confidence (`score`) than `min_confidence` are left out.
    `DataError` says which line or annotation makes no sense.
    """
    if min_confidence is not None and not math.isfinite(min_confidence):
        raise DataError(f"expected a smallest confidence that is a number, got {min_confidence}")
    text = _text(path)
    is_json = path.suffix.lower() == ".json"
    rows, first = (_coco if is_json else _mot)(path, text, min_confidence)
    if not rows.frames:
        raise DataError(f"expected boxes of people in {path}, got none that count")
    frames, places = np.array(rows.frames, np.int64), np.array(rows.places, np.int64)
    order = np.lexsort((places, frames))
    begin = first if first_frame is None else first_frame
    if begin is None:
        begin = int(frames.min())
        if begin not in (0, 1):
            raise DataError(
                f"expected frame 0 or 1 in {path}, to see where it begins to count, got {begin} first; say "
                "--first-frame, the number of the video's first frame in the file"
            )
    boxes = Boxes(
        frames[order] - begin,
        np.array(rows.corners, np.float64).reshape(-1, 4)[order],
        np.array(rows.tracklets, np.int64)[order],
        places[order],
        path,
    )
    _check_tracklets(boxes)
    return boxes


def _check_tracklets(boxes: Boxes) -> None:
    """Check that a tracklet is in one place of a frame."""
    tracked = boxes.take(boxes.tracklets != UNKNOWN)
    order = np.lexsort((tracked.tracklets, tracked.frames))
    same = (np.diff(tracked.tracklets[order]) == 0) & (np.diff(tracked.frames[order]) == 0)
    if same.any():
        row = int(order[np.flatnonzero(same)[0] + 1])
        raise DataError(
            f"expected each tracklet once in a frame, got {tracked.tracklets[row]} twice in that of "
            f"{tracked.place(row)}; a file holds the boxes of one video"
        )


def _text(path: Path) -> str:
    if not path.exists():
        raise DataError(f"expected a readable file of boxes at {path}, got nothing")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DataError(f"expected a file of boxes of at most {MOST_BYTES} bytes, got {size} at {path}")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DataError(f"expected a readable file of boxes at {path}, got: {brief(error)}") from error


# MOT-challenge


def _mot(path: Path, text: str, min_confidence: float | None) -> tuple[_Rows, int | None]:
    rows = _Rows()
    for number, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        cells = line.split(",") if "," in line else line.split()
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            values = []
        whole = values[:2] and all(value == int(value) for value in values[:2] if math.isfinite(value))
        if not 6 <= len(values) <= 20 or not whole or not all(map(math.isfinite, values)):
            raise DataError(
                f"expected frame, track, left, top, width, height, confidence in {path}, line {number}, got "
                f"{shown(line.strip())}"
            )
        frame, track = values[:2]
        confidence = values[6] if len(values) > 6 else 1.0
        another_class = len(values) == 9 and values[7] != _PEDESTRIAN and values[7] > 0
        if another_class or (len(values) == 9 and confidence == 0):
            continue
        if min_confidence is not None and confidence < min_confidence:
            continue
        rows.add(number, _checked(path, number, frame), values[2:6], _track(path, number, track))
        _check_number(path, len(rows.frames))
    return rows, 1


# COCO


def _coco(path: Path, text: str, min_confidence: float | None) -> tuple[_Rows, int | None]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected COCO's JSON at {path}, got: {brief(error)}") from error
    wanted: set[str] | None = None
    if isinstance(document, dict):
        annotations = document.get("annotations")
        frame_of = _frames(path, document.get("images"))
        wanted = _people(document.get("categories"))
    else:
        annotations, frame_of = document, lambda image: image
    if not isinstance(annotations, list):
        raise DataError(f"expected a list of annotations in {path}, got {shown(str(type(annotations).__name__))}")
    _check_number(path, len(annotations))
    rows = _Rows()
    for number, each in enumerate(annotations, start=1):
        box = each.get("bbox") if isinstance(each, dict) else None
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            raise DataError(
                f"expected a bbox [left, top, width, height] in {path}, annotation {number}, got {box!r:.80}"
            )
        if each.get("iscrowd") or (wanted is not None and str(each.get("category_id")) not in wanted):
            continue
        score = each.get("score", 1.0)
        if not _is_number(score):
            raise DataError(f"expected a score that is a number in {path}, annotation {number}, got {shown(score)}")
        if min_confidence is not None and score < min_confidence:
            continue
        nested = each.get("attributes")
        found = [place.get(name) for place in (each, nested) if isinstance(place, dict) for name in _TRACKS]
        track = next((value for value in found if value is not None), UNKNOWN)
        frame = _checked(path, number, frame_of(each.get("image_id")))
        rows.add(number, frame, [float(each) for each in box], _track(path, number, track))
    return rows, None


def _frames(path: Path, images: object) -> Callable[[Any], Any]:
    """Return what says the number of an image's frame."""
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DataError(f"expected a list of images in {path}, got {type(images).__name__}")
    if len({str(image.get("video_id")) for image in images}) > 1:
        raise DataError(f"expected the images of one video in {path}, got several; make a file of each")
    by_id = all("frame_id" in image for image in images)
    frames: dict[str, Any] = {}
    for image in images:
        match = _NUMBER_AT_END.search(Path(str(image.get("file_name"))).stem)
        frames[str(image.get("id"))] = image["frame_id"] if by_id else match and int(match[1])
    if len(set(map(str, frames.values()))) < len(images):
        raise DataError(
            f"expected an image for each frame in {path}, with a frame_id, or a file_name that ends in its number, got "
            "two images of one frame, or without"
        )
    return lambda image: frames.get(str(image))


def _people(categories: object) -> set[str] | None:
    """Return the ids, as text, of the categories of people; None where no name says which those are."""
    if not isinstance(categories, list):
        return None
    named = [(str(each.get("id")), str(each.get("name")).lower()) for each in categories if isinstance(each, dict)]
    return {id for id, name in named if name in ("person", "pedestrian", "people")} or None


# Both


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**62


def _checked(path: Path, number: int, frame: object) -> int:
    if not isinstance(frame, int | float) or isinstance(frame, bool) or frame != frame or abs(frame) > MOST_FRAMES:
        raise DataError(f"expected the number of a frame in {path}:{number}, got {shown(frame)}")
    if frame != int(frame):
        raise DataError(f"expected whole numbers of frames in {path}:{number}, got {shown(frame)}")
    return int(frame)


def _track(path: Path, number: int, track: object) -> int:
    """Return the number of a tracklet; below 0 there is none."""
    if not isinstance(track, int | float) or isinstance(track, bool) or not abs(track) < 2**53 or track != int(track):
        raise DataError(f"expected a whole number as track in {path}:{number}, got {shown(track)}")
    return int(track) if track >= 0 else UNKNOWN


def _check_number(path: Path, n: int) -> None:
    if n > MOST_BOXES:
        raise DataError(f"expected at most {MOST_BOXES} boxes in {path}, got more; cut the file")
