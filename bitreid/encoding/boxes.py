"""Boxes of people in a frame: cut out, encoded, and averaged over the frames of a tracklet."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from bitreid.arrays import AnyArray, Bools, Floats, Ints, Pixels
from bitreid.data.boxes import MOST_IN_FRAME
from bitreid.data.decoding import MAX_PIXELS
from bitreid.errors import DataError
from bitreid.text import shown

if TYPE_CHECKING:
    from bitreid.encoding.encoder import Encoded, Encoder


@runtime_checkable
class Detections(Protocol):
    """What a detector found in a frame, such as supervision's `Detections`.

    xyxy        (n, 4) left, top, right and bottom, in pixels
    tracker_id  (n,) whole numbers, or None where nothing tracks
    """

    @property
    def xyxy(self) -> AnyArray: ...

    @property
    def tracker_id(self) -> AnyArray | None: ...


@dataclass(frozen=True)
class EncodedBoxes:
    """The boxes of one frame, encoded.

    encoded    codes of the m boxes that show a part of the frame, in order
    rows       (m,) int64 their rows in the boxes that were given
    tracklets  (m,) int64 the tracker's numbers; None where nothing tracks
    empty      (n - m,) int64 rows of the boxes that lie outside the frame or enclose no pixel
    """

    encoded: Encoded
    rows: Ints
    tracklets: Ints | None
    empty: Ints

    def __len__(self) -> int:
        return len(self.encoded)


class TrackletMeans:
    """Means over the pictures of each of several tracklets, of features and of probabilities of attributes.

    Codes are made from the mean, before the sign, as `Encoder.merge` makes them. Keeps one row of sums for a tracklet,
    however many pictures it has.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._sums: dict[Hashable, tuple[int, Floats, Floats | None]] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(tuple(self._sums))

    def add(self, tracklets: Sequence[Hashable] | Ints, encoded: Encoded) -> None:
        """Add n pictures, the tracklet of each by any name or number."""
        names = tracklets.tolist() if isinstance(tracklets, np.ndarray) else list(tracklets)
        if len(names) != len(encoded):
            raise DataError(f"expected a tracklet for each of {len(encoded)} pictures, got {len(names)}")
        features = encoded.features.astype(np.float64)
        attributes = None if encoded.attributes is None else encoded.attributes.astype(np.float64)
        for i, name in enumerate(names):
            n, feature, probabilities = self._sums.get(name, (0, np.float64(0), None))
            more = None if attributes is None else attributes[i] + (0 if probabilities is None else probabilities)
            self._sums[name] = (n + 1, feature + features[i], more)

    def take(self, tracklets: Sequence[Hashable]) -> Encoded:
        """Return the codes of these tracklets, in order, and forget them; `DataError` for one without a picture."""
        missing = [name for name in tracklets if name not in self._sums]
        if missing or not tracklets:
            got = shown(missing[0]) if missing else "none"
            raise DataError(f"expected tracklets that pictures were added of, got {got}")
        found = [self._sums.pop(name) for name in tracklets]
        features = np.stack([total / n for n, total, _ in found]).astype(np.float32)
        means = [total / n for n, _, total in found if total is not None]
        return self._encoder.quantised(features, np.stack(means).astype(np.float32) if means else None)


def boxes_of(boxes: AnyArray | Detections) -> tuple[Floats, Ints | None]:
    """Return boxes `(n, 4)` and the tracker's numbers `(n,)`, if there are any; `DataError` for what is neither."""
    tracked = None
    if not isinstance(boxes, np.ndarray) and isinstance(boxes, Detections):
        tracked, boxes = boxes.tracker_id, boxes.xyxy
    xyxy = np.asarray(boxes)
    if xyxy.size == 0 and xyxy.shape in ((0,), (0, 4)):
        xyxy = np.empty((0, 4))
    if xyxy.ndim != 2 or xyxy.shape[1] != 4 or xyxy.dtype.kind not in "iuf":
        raise DataError(
            f"expected boxes of shape (n, 4), left, top, right, bottom, got {xyxy.shape} {xyxy.dtype}; or an object "
            "with xyxy and tracker_id"
        )
    if len(xyxy) > MOST_IN_FRAME:
        raise DataError(f"expected at most {MOST_IN_FRAME} boxes in a frame, got {len(xyxy)}")
    if not np.isfinite(xyxy).all():
        raise DataError(f"expected boxes of finite numbers, got {xyxy[~np.isfinite(xyxy).all(axis=1)][0]}")
    if tracked is None:
        return xyxy.astype(np.float64), None
    numbers = np.asarray(tracked)
    if numbers.shape != (len(xyxy),) or numbers.dtype.kind not in "iu":
        raise DataError(
            f"expected a tracker_id, a whole number, for each of {len(xyxy)} boxes, got {numbers.shape} {numbers.dtype}"
        )
    return xyxy.astype(np.float64), numbers.astype(np.int64)


def check_frame(frame: Pixels) -> None:
    """Check that it is a picture `(H, W, 3) uint8` of at most `MAX_PIXELS`; else `DataError`."""
    shape: tuple[int, ...] = getattr(frame, "shape", ())
    if len(shape) != 3 or shape[2] != 3 or frame.dtype != np.uint8 or not 0 < shape[0] * shape[1] <= MAX_PIXELS:
        raise DataError(
            f"expected a frame of shape (H, W, 3) uint8, red green blue, of at most {MAX_PIXELS:,} pixels, got "
            f"{shape} {getattr(frame, 'dtype', type(frame).__name__)}"
        )


def clipped(xyxy: Floats, height: int, width: int) -> tuple[Ints, Bools]:
    """Return boxes `(n, 4)` in whole pixels within a frame, and which of them enclose any `(n,)`.

    Corners are rounded to the nearest pixel.

    >>> inside, good = clipped(np.array([[-3.0, 2.4, 5.6, 99.0], [50.0, 0.0, 60.0, 9.0]]), height=20, width=10)
    >>> inside.tolist(), good.tolist()
    ([[0, 2, 6, 20], [10, 0, 10, 9]], [True, False])
    """
    most = np.array([width, height, width, height])
    inside = np.clip(np.rint(xyxy), 0, most).astype(np.int64)
    return inside, (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])


def cut_out(frame: Pixels, inside: Ints, height: int, width: int) -> Pixels:
    """Return the pixels of boxes `(m, 4)` within a frame, `(m, height, width, 3)`, resized as pictures in files are."""
    from PIL import Image

    size = width, height
    pictures = np.empty((len(inside), height, width, 3), np.uint8)
    for i, (left, top, right, bottom) in enumerate(inside.tolist()):
        crop = Image.fromarray(np.ascontiguousarray(frame[top:bottom, left:right]))
        pictures[i] = np.asarray(crop.resize(size, Image.Resampling.BILINEAR))
    return pictures
