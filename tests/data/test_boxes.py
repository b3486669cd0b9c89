"""Boxes as detectors and trackers write them; what is none is refused before any work."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.data import boxes as module
from bitreid.data.boxes import Boxes, read_boxes
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError

COCO: dict[str, Any] = {
    "images": [{"id": 10, "file_name": "a/000001.jpg"}, {"id": 11, "file_name": "a/000002.jpg"}],
    "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
    "annotations": [
        {"image_id": 11, "category_id": 1, "bbox": [1, 2, 3, 4], "track_id": 5},
        {"image_id": 10, "category_id": 1, "bbox": [1.5, 2, 3, 4], "attributes": {"track_id": 6}},
        {"image_id": 10, "category_id": 3, "bbox": [9, 9, 9, 9], "track_id": 7},
        {"image_id": 10, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 1},
        {"image_id": 10, "category_id": 1, "bbox": [7, 7, 1, 1], "score": 0.25},
    ],
}


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def rows(boxes: Boxes) -> list[tuple[int, list[float], int, int]]:
    columns = (boxes.frames, boxes.xyxy, boxes.tracklets, boxes.places)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_what_trackers_write(tmp_path: Path) -> None:
    """Frames from 1 on, left, top, width, height; in any order, with spaces or an empty line."""
    text = "2,7,10,20,5.5,30,0.9,-1,-1,-1\n\n1, 7, 9, 20, 5, 30, 0.8, -1, -1, -1\n1,-1,0,0,2,2,0.1,-1,-1,-1\n"
    path = written(tmp_path / "track.txt", text)
    assert rows(read_boxes(path)) == [
        (0, [9, 20, 14, 50], 7, 3),
        (0, [0, 0, 2, 2], UNKNOWN, 4),
        (1, [10, 20, 15.5, 50], 7, 1),
    ]
    assert [row[3] for row in rows(read_boxes(path, min_confidence=0.5))] == [3, 1]
    assert read_boxes(path, first_frame=0).frames.tolist() == [1, 1, 2]
    assert read_boxes(path).place(0) == f"{path}:3"


def test_ground_truth_of_mot_challenge(tmp_path: Path) -> None:
    """Of nine columns the seventh says whether a row counts, the eighth what it is: 1 is a pedestrian."""
    text = "1,1,10,20,5,30,1,1,0.5\n1,2,10,20,5,30,0,1,1\n1,3,10,20,5,30,1,3,1\n"
    assert read_boxes(written(tmp_path / "gt.txt", text)).tracklets.tolist() == [1]


def test_coco(tmp_path: Path) -> None:
    path = written(tmp_path / "boxes.json", COCO)
    assert rows(read_boxes(path)) == [
        (0, [1.5, 2, 4.5, 6], 6, 2),
        (0, [7, 7, 8, 8], UNKNOWN, 5),
        (1, [1, 2, 4, 6], 5, 1),
    ]
    assert len(read_boxes(path, min_confidence=0.5)) == 2
    by_id = {**COCO, "images": [{"id": 10, "frame_id": 4}, {"id": 11, "frame_id": 0}], "categories": None}
    assert read_boxes(written(path, by_id)).frames.tolist() == [0, 4, 4, 4]
    results = [{"image_id": 31, "bbox": [0, 0, 5, 5], "score": 0.5}, {"image_id": 30, "bbox": [0, 0, 5, 5]}]
    assert read_boxes(written(path, results), first_frame=30).frames.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"frame 0 or 1 .* got 30 first; say --first-frame"):
        read_boxes(path)


def test_every_nth_box_of_a_tracklet_is_taken() -> None:
    """From its first on, so that no tracklet is lost; of boxes in none those in every n-th frame."""
    frames = np.array([1, 1, 2, 2, 3, 4, 4])
    tracklets = np.array([5, UNKNOWN, 5, UNKNOWN, 5, 6, UNKNOWN])
    boxes = Boxes(frames, np.zeros((7, 4)), tracklets, np.arange(7), Path("a.txt"))
    assert boxes.every(1).places.tolist() == list(range(7))
    assert boxes.every(2).places.tolist() == [0, 3, 4, 5, 6]
    with pytest.raises(DataError, match="every n-th one, got 0"):
        boxes.every(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got none that count"),
        ("1,1,2,3,4", "line 1, got '1,1,2,3,4'"),
        ("1,1,2,3,4,5\n1,x,2,3,4,5", "line 2"),
        ("1,1,nan,3,4,5", "line 1"),
        ("1,1,2,3,4,inf", "line 1"),
        ("inf,1,2,3,4,5", "line 1"),
        ("1,1,2,3,1e300,5", "within 1000000 pixels"),
        ("1,1.5,2,3,4,5", "line 1"),
        ("1.5,1,2,3,4,5", "line 1"),
        ("1e300,1,2,3,4,5", "number of a frame"),
        ("1,1e300,2,3,4,5", "whole number as track"),
        ("0,1,2,3,4,5", "got -1 to -1; say --first-frame"),
        ("1,1,2,3,4,5\n1,1,9,9,4,5", r"each tracklet once in a frame, got 1 twice in that of .*boxes.txt:2"),
        ("\ud800", "UTF-8|utf-8|surrogates"),
    ],
)
def test_text_that_makes_no_sense(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=message if "utf" not in message.lower() else "expected a readable file"):
        read_boxes(path)


def without(name: str, **changes: Any) -> dict[str, Any]:
    annotation = {"image_id": 10, "category_id": 1, "bbox": [1, 2, 3, 4], "track_id": 5} | changes
    return {**COCO, "annotations": [{key: value for key, value in annotation.items() if key != name}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "COCO's JSON"),
        ("[" * 100_000, "COCO's JSON"),
        ("3", "a list of annotations"),
        ({"annotations": []}, "a list of images"),
        ({**COCO, "annotations": []}, "got none that count"),
        (without("bbox"), "a bbox .*annotation 1, got None"),
        (without("", bbox=[1, 2, 3]), "a bbox"),
        (without("", bbox=[1, 2, 3, "4"]), "a bbox"),
        (without("", bbox=[1, 2, 3, float("nan")]), "a bbox"),
        (without("", bbox=[1, 2, 3, 10**30]), "a bbox"),
        (without("", bbox=[1, 2, 3, True]), "a bbox"),
        (without("", score="high"), "a score"),
        (without("", track_id="seven"), "a whole number as track"),
        (without("", track_id=[1]), "a whole number as track"),
        (without("image_id"), "the number of a frame"),
        (without("", image_id=99), "the number of a frame"),
        (without("", category_id=[1]), "got none that count"),
        ({**COCO, "images": [{"id": 10}, {"id": 11}]}, "an image for each frame"),
        ({**COCO, "images": [{"id": 1, "frame_id": 0}, {"id": 2, "frame_id": 0}]}, "two images of one frame"),
        ({**COCO, "images": [{"id": 1, "video_id": 0}, {"id": 2, "video_id": 1}]}, "one video .* got several"),
        ({**COCO, "images": ["a"]}, "a list of images"),
    ],
)
def test_json_that_makes_no_sense(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_boxes(written(tmp_path / "boxes.json", content))


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "boxes.txt", "1,1,2,3,4,5\n1,2,2,3,4,5\n2,2,2,3,4,5\n")
    for name, limit, message in (
        ("MOST_BOXES", 2, "at most 2 boxes"),
        ("MOST_IN_FRAME", 1, "at most 1 boxes in a frame of .* got 2"),
        ("MOST_BYTES", 10, "at most 10 bytes, got 36"),
    ):
        with monkeypatch.context() as limited:
            limited.setattr(module, name, limit)
            with pytest.raises(DataError, match=message):
                read_boxes(path)
    with pytest.raises(DataError, match="a readable file of boxes"):
        read_boxes(tmp_path / "none.txt")
    with pytest.raises(DataError, match="a number, got nan"):
        read_boxes(path, min_confidence=float("nan"))


def test_columns_that_do_not_fit() -> None:
    one, path = np.array([0]), Path("a.txt")
    with pytest.raises(DataError, match=r"shape \(1, 4\) float64"):
        Boxes(one, np.zeros((2, 4)), one, one, path)
    with pytest.raises(DataError, match=r"tracklets of shape \(1,\) int64"):
        Boxes(one, np.zeros((1, 4)), np.zeros(2, np.int64), one, path)
    with pytest.raises(DataError, match="by ascending frame"):
        Boxes(np.array([1, 0]), np.zeros((2, 4)), np.arange(2), np.arange(2), path)
