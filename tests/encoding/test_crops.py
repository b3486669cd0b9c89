"""Crops of a video in a folder: each is what its box encloses; what encloses nothing is told."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.data.boxes import Boxes, read_boxes
from bitreid.data.manifest import UNKNOWN
from bitreid.data.parsers.listing import parse_table
from bitreid.encoding.crops import TABLE, Shot, save_crops
from bitreid.errors import DataError, DataWarning, SettingsError
from tests.data.videos import HEIGHT, WIDTH, Walk, walk, write_mot, write_video

START = datetime(2026, 11, 30, 8, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def walked(people: Path) -> Walk:
    return walk(people)


@pytest.fixture(scope="module")
def video(walked: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "entrance.mkv", walked.frames)


@pytest.fixture
def boxes(walked: Walk, tmp_path: Path) -> Boxes:
    return read_boxes(write_mot(tmp_path / "boxes.txt", walked))


def test_crops_are_what_the_boxes_enclose(walked: Walk, video: Path, boxes: Boxes, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    out = tmp_path / "crops"
    crops = save_crops(
        video, boxes, out, Shot(3, START), suffix="png", progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (30, 30)
    manifest = parse_table(out / TABLE)
    assert len(manifest) == len(crops.manifest) == 30
    assert manifest.paths == crops.manifest.paths
    assert set(manifest.camids.tolist()) == {3}
    assert set(manifest.pids.tolist()) == {UNKNOWN}
    assert manifest.tracklets is not None
    assert manifest.tracklets.tolist() == walked.tracklets.tolist()
    assert manifest.dated
    assert manifest.times is not None
    seconds = (manifest.times - int(START.timestamp()) * 1_000_000) / 1e6
    assert seconds.tolist() == pytest.approx((walked.numbers / 10).tolist(), abs=0.002)
    for path, number, (left, top, width, height) in zip(
        manifest.paths, walked.numbers, walked.boxes.astype(int).tolist(), strict=True
    ):
        with Image.open(path) as picture:
            expected = walked.frames[number][top : top + height, left : min(left + width, WIDTH)]
            assert np.array_equal(np.asarray(picture), expected)
    assert (crops.findings.bad, crops.findings.odd) == ([], [])
    assert sorted(path.name for path in out.iterdir())[:2] == [TABLE, "t000003_f000000.png"]


def test_times_are_frames_where_nobody_knows_the_start(video: Path, boxes: Boxes, walked: Walk, tmp_path: Path) -> None:
    save_crops(video, boxes.every(4), tmp_path / "crops", Shot("entrance"))
    with pytest.warns(DataWarning, match="1 entrance"):
        manifest = parse_table(tmp_path / "crops" / TABLE)
    assert manifest.times is not None
    assert manifest.times.tolist() == boxes.every(4).frames.tolist()
    assert not manifest.dated
    assert manifest.camera_names == {1: "entrance"}
    with Image.open(manifest.paths[0]) as picture:
        assert picture.format == "JPEG"


def test_a_folder_of_frames_and_boxes_in_no_track(walked: Walk, tmp_path: Path) -> None:
    """As MOT-challenge has its sequences; frames a second are to be told then."""
    folder = tmp_path / "img1"
    folder.mkdir()
    for number, pixels in enumerate(walked.frames, start=1):
        Image.fromarray(pixels).save(folder / f"{number:06}.png")
    boxes = read_boxes(write_mot(tmp_path / "det.txt", walked, tracked=False))
    crops = save_crops(folder, boxes, tmp_path / "crops", Shot(1, START, fps=25))
    assert crops.manifest.tracklets is None
    assert crops.manifest.paths[0].name == "f000000_b000001.jpg"
    assert crops.manifest.times is not None
    assert crops.manifest.times[-1] - crops.manifest.times[0] == walked.numbers[-1] * 40_000
    with pytest.raises(SettingsError, match="say --fps"):
        save_crops(folder, boxes, tmp_path / "more", Shot(1, START))
    assert not (tmp_path / "more").exists()


def test_boxes_outside_and_hardly_visible(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    lines = [
        "1,1,10,10,20,40",
        f"1,2,{WIDTH},10,20,40",
        "1,3,50,50,0,40",
        "1,4,50,50,-9,40",
        f"2,5,20,{HEIGHT - 2},30,40",
        "2,6,10,10,2,60",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    crops = save_crops(video, read_boxes(path), tmp_path / "crops", Shot())
    assert [(str(error.path), error.reason) for error in crops.findings.bad] == [
        (f"{path}:{line}", f"a box that encloses no pixel of a frame of {WIDTH} x {HEIGHT}") for line in (2, 3, 4)
    ]
    assert crops.findings.odd == [(Path(f"{path}:5"), "30 x 2 pixels"), (Path(f"{path}:6"), "2 x 60 pixels")]
    assert [path.name for path in crops.manifest.paths] == [
        f"t00000{i}_f00000{f}.jpg" for i, f in ((1, 0), (5, 1), (6, 1))
    ]
    assert set(crops.manifest.camids.tolist()) == {UNKNOWN}
    path.write_text("\n".join(lines[1:3]), encoding="utf-8")
    with pytest.raises(DataError, match="got 2 bad ones"):
        save_crops(video, read_boxes(path), tmp_path / "none", Shot())
    assert not (tmp_path / "none").exists(), "nothing half-written"


def test_a_video_that_is_cut_off(video: Path, boxes: Boxes, walked: Walk, tmp_path: Path) -> None:
    """What there is of it is cut out; boxes beyond are told, since those of later frames would be wrong ones."""
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    crops = save_crops(cut, boxes, tmp_path / "crops", Shot())
    n = len(crops.manifest)
    assert 0 < n < 30
    assert n + len(crops.findings.bad) == 30
    assert crops.findings.bad[0].reason.startswith(f"a box in frame {walked.numbers[n]} of a video that is ")
    later = Boxes(boxes.frames + 50, boxes.xyxy, boxes.tracklets, boxes.places, boxes.source)
    with pytest.raises(DataError, match="got 30 bad ones") as none:
        save_crops(video, later, tmp_path / "none", Shot())
    assert "a box in frame 50 of a video that is over after 12 frames" in str(none.value)


def test_shots_that_cannot_be() -> None:
    with pytest.raises(SettingsError, match="says its offset from UTC"):
        Shot(1, datetime(2026, 1, 1))
    for fps in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="frames a second"):
            Shot(1, fps=fps)
    with pytest.raises(SettingsError, match="from -1 on, got -3"):
        Shot(-3)
    with pytest.raises(SettingsError, match="of the years 1 to 9999"):
        Shot(1, datetime(9999, 12, 31, 23, 59, tzinfo=UTC), 1.0).time_of(3600, None)
