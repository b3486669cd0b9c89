"""Boxes in frames: cut out, encoded in their order, averaged over a tracklet."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitreid.arrays import Pixels
from bitreid.data import boxes as limits
from bitreid.encoding import boxes as module
from bitreid.encoding import encoder as encoder_module
from bitreid.encoding.boxes import TrackletMeans, boxes_of, clipped
from bitreid.errors import DataError
from tests.encoding.cases import HEIGHT, N_BITS, WIDTH, encoder_of


@dataclass
class Detected:
    """What a detector gives, as supervision's `Detections` has it among other things."""

    xyxy: Any
    tracker_id: Any = None


@pytest.fixture(scope="module")
def frame() -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)


def crop(frame: Pixels, left: int, top: int, right: int, bottom: int) -> Pixels:
    """A box as somebody would cut it out by hand, and a picture in a file be resized."""
    with Image.fromarray(frame) as whole:
        cut = whole.crop((left, top, right, bottom)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    return np.asarray(cut)[None]


def test_boxes_are_encoded_as_crops_are(frame: Pixels) -> None:
    encoder = encoder_of()
    boxes = np.array([[10, 5, 30, 55], [-20, -9.6, 12.4, 30], [70, 50, 200, 200.0]], np.float32)
    found = encoder.encode_boxes(frame, boxes)
    by_hand = [crop(frame, 10, 5, 30, 55), crop(frame, 0, 0, 12, 30), crop(frame, 70, 50, 80, 60)]
    expected = encoder.encode(np.concatenate(by_hand))
    assert np.array_equal(found.encoded.features, expected.features)
    assert np.array_equal(found.encoded.codes.packed, expected.codes.packed)
    assert (found.rows.tolist(), found.empty.tolist(), found.tracklets, len(found)) == ([0, 1, 2], [], None, 3)


def test_rows_and_tracklets_stay_with_their_boxes(frame: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that enclose nothing are named, and shift no other; boxes are encoded a chunk at a time."""
    monkeypatch.setattr(encoder_module, "CHUNK", 2)
    encoder = encoder_of()
    some: dict[int, tuple[int, int, int, int]] = {1: (10, 5, 30, 55), 3: (0, 0, 9, 9), 5: (40, 0, 80, 60)}
    boxes = [(90, 5, 99, 20), some[1], (20, 20, 20.4, 50), some[3], (30, 9, 10, 20), some[5]]
    found = encoder.encode_boxes(frame, Detected(np.array(boxes), np.array([4, 9, 5, 7, 8, 2])))
    assert found.rows.tolist() == [1, 3, 5]
    assert found.empty.tolist() == [0, 2, 4]
    assert found.tracklets is not None
    assert found.tracklets.tolist() == [9, 7, 2]
    expected = encoder.encode(np.concatenate([crop(frame, *box) for box in some.values()]))
    assert np.array_equal(found.encoded.codes.packed, expected.codes.packed)
    nothing = encoder.encode_boxes(frame, np.empty((0, 4)))
    assert (len(nothing), nothing.encoded.codes.n_bits) == (0, N_BITS)
    assert encoder.encode_boxes(frame, Detected(np.empty((0, 4), np.float32), np.array([], int))).rows.tolist() == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((2, 5)), r"shape \(n, 4\), left, top, right, bottom, got \(2, 5\)"),
        (np.zeros(4), r"got \(4,\)"),
        (np.array([["a"] * 4]), r"shape \(n, 4\)"),
        (np.array([[0, 0, np.nan, 1]]), "finite numbers, got"),
        (np.array([[0, 0, np.inf, 1]]), "finite numbers, got"),
        (Detected(np.zeros((2, 4)), np.array([1])), "a tracker_id, a whole number, for each of 2 boxes"),
        (Detected(np.zeros((1, 4)), np.array([1.5])), "a tracker_id"),
        (Detected(np.zeros((1, 4)), np.array([None])), "a tracker_id"),
        (None, r"shape \(n, 4\)"),
    ],
)
def test_boxes_that_are_none(boxes: Any, message: str, frame: Pixels) -> None:
    with pytest.raises(DataError, match=message):
        encoder_of().encode_boxes(frame, boxes)


def test_too_many_boxes_and_frames_that_are_none(frame: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (frame[:, :, 0], frame[:, :, :2], frame.astype(np.float32), frame[:0], "frame.png", None):
        with pytest.raises(DataError, match=r"a frame of shape \(H, W, 3\) uint8"):
            encoder_of().encode_boxes(wrong, np.zeros((0, 4)))  # type: ignore[arg-type]
    with monkeypatch.context() as limited:
        limited.setattr(module, "MAX_PIXELS", 60 * 80 - 1)
        with pytest.raises(DataError, match="at most 4,799 pixels"):
            encoder_of().encode_boxes(frame, np.zeros((0, 4)))
    with pytest.raises(DataError, match=f"at most {limits.MOST_IN_FRAME} boxes in a frame"):
        boxes_of(np.zeros((limits.MOST_IN_FRAME + 1, 4)))


def test_boxes_are_clipped_to_whole_pixels() -> None:
    """Against a loop over pixels: a box encloses those whose middles lie in it."""
    rng = np.random.default_rng(2)
    corners = rng.uniform(-8, 24, (200, 4)).round(2)
    inside, good = clipped(corners, 12, 16)
    for box, found, any_pixel in zip(corners.tolist(), inside.tolist(), good.tolist(), strict=True):
        columns = [x for x in range(16) if box[0] < x + 0.5 < box[2]]
        rows = [y for y in range(12) if box[1] < y + 0.5 < box[3]]
        assert any_pixel == bool(columns and rows)
        if any_pixel:
            assert found == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("attributes", [("hat", "bag"), ()])
def test_a_tracklet_is_the_mean_of_its_pictures_before_the_sign(attributes: tuple[str, ...], frame: Pixels) -> None:
    """As merging the same pictures at once makes it, whatever came together and in between."""
    encoder = encoder_of(attributes=attributes)
    rng = np.random.default_rng(4)
    pictures = rng.integers(0, 256, (12, HEIGHT, WIDTH, 3), np.uint8)
    tracklets = np.array([7, 7, 5, 7, 5, 9, 7, 5, 7, 7, 5, 7])
    means = TrackletMeans(encoder)
    for start in range(0, 12, 5):
        means.add(tracklets[start : start + 5], encoder.encode(pictures[start : start + 5]))
    assert set(means) == {5, 7, 9}
    found = means.take([7, 5])
    assert list(means) == [9]
    for i, tracklet in enumerate((7, 5)):
        merged = encoder.merge(encoder.encode(pictures[tracklets == tracklet]))
        assert found.features[i] == pytest.approx(merged.features[0], abs=1e-4)
        sure = np.abs(merged.features[0]) > 1e-3
        bits, expected = (np.unpackbits(codes.packed[row]) for codes, row in ((found.codes, i), (merged.codes, 0)))
        assert np.array_equal(bits[sure], expected[sure])
        assert (found.attributes is None) == (merged.attributes is None) == (not attributes)
        if found.attributes is not None and merged.attributes is not None:
            assert found.attributes[i] == pytest.approx(merged.attributes[0], abs=1e-5)
    votes = np.unpackbits(encoder.encode(pictures[tracklets == 7]).codes.packed, axis=1).mean(axis=0) > 0.5
    assert not np.array_equal(np.unpackbits(found.codes.packed[0]), votes), "else a vote of bits would do as well"


def test_tracklets_that_are_not_there() -> None:
    encoder = encoder_of()
    means = TrackletMeans(encoder)
    with pytest.raises(DataError, match="got 'x'"):
        means.take(["x"])
    with pytest.raises(DataError, match="got none"):
        means.take([])
    with pytest.raises(DataError, match="a tracklet for each of 1 pictures, got 2"):
        means.add([1, 2], encoder.encode(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)))
