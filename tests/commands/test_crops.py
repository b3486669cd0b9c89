"""`bitreid crops`: a video's people to crops, or into a gallery; the same codes as from Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.commands.main import main
from bitreid.encoding.boxes import TrackletMeans
from bitreid.encoding.files import load_encoded
from bitreid.gallery import open_gallery
from bitreid.training.load import load_encoder
from tests.commands.words import Capture, answer, done, read_json, refusal
from tests.data.videos import Walk, walk, write_mot, write_video


@pytest.fixture(scope="module")
def walked(people: Path) -> Walk:
    return walk(people)


@pytest.fixture(scope="module")
def video(walked: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    write_mot(folder / "boxes.txt", walked)
    return write_video(folder / "entrance.mkv", walked.frames)


@pytest.fixture
def place(artifact: Path, tmp_path: Path, capsys: Capture) -> Path:
    made = tmp_path / "people.gallery"
    done("gallery", "create", made, "--model", artifact)
    capsys.readouterr()
    return made


def test_crops_and_what_reads_them(
    artifact: Path, video: Path, place: Path, walked: Walk, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "crops"
    words = ("--boxes", video.parent / "boxes.txt", "--out", out, "--camera", 2, "--start", "2026-11-30T08:15:00Z")
    done("crops", video, *words, "--suffix", "png")
    assert capsys.readouterr().out == f"30 crops: {out}\n"
    done("encode", artifact, out / "crops.csv", "--out", tmp_path / "crops.npz")
    encoded = load_encoded(tmp_path / "crops.npz")
    assert encoded.tracklets is not None
    assert encoded.times is not None
    assert (encoded.tracklets.tolist(), set(encoded.camids.tolist())) == (walked.tracklets.tolist(), {2})
    done("gallery", "add", place, tmp_path / "crops.npz")
    with open_gallery(place) as gallery:
        assert gallery.count("camera = 2 and tracklet = 7 and time >= 2026-11-30T08:15:00") == 10
    assert f"expected {out} to be a new or empty folder" in refusal(capsys, "crops", video, *words)


def test_every_door_makes_the_same_tracklets(
    artifact: Path, video: Path, place: Path, walked: Walk, tmp_path: Path, capsys: Capture
) -> None:
    """The command; `encode_boxes` of each frame, in Python; and the crops that the command writes, merged."""
    boxes = video.parent / "boxes.txt"
    done("crops", video, "--boxes", boxes, "--gallery", place, "--model", artifact, "--camera", "entrance")
    assert capsys.readouterr().out == "3 items added, 0 were there already\n"
    encoder = load_encoder(artifact)
    means = TrackletMeans(encoder)
    corners = walked.boxes + np.array([[0, 0, 1, 1]]) * np.tile(walked.boxes[:, :2], 2)
    for number, pixels in enumerate(walked.frames):
        rows = walked.numbers == number
        found = encoder.encode_boxes(pixels, corners[rows])
        means.add(walked.tracklets[rows][found.rows], found.encoded)
    codes = means.take([3, 7, 8]).codes.packed
    with open_gallery(place) as gallery:
        items = [item for item in gallery.get(["entrance/3", "entrance/7", "entrance/8"]) if item is not None]
        assert gallery.camera_names == {1: "entrance"}
    done("crops", video, "--boxes", boxes, "--out", tmp_path / "crops", "--suffix", "png")
    paths = sorted((tmp_path / "crops").glob("t*.png"))
    merged = [
        encoder.merge(encoder.encode_files([path for path in paths if path.name.startswith(f"t{tracklet:06}")]))
        for tracklet in (3, 7, 8)
    ]
    for item, code, one in zip(items, codes, merged, strict=True):
        sure = np.abs(one.features[0]) > 1e-4  # networks round differently with other pictures beside
        of_item, of_code, of_one = (np.unpackbits(each) for each in (item.code, code, one.codes.packed[0]))
        assert np.array_equal(of_item[sure], of_one[sure])
        assert np.array_equal(of_code[sure], of_one[sure])
        assert sure.mean() > 0.9
    (hits,) = answer(capsys, "search", place, "--like", "entrance/7", "-k", 2)
    assert {hit["tracklet"] for hit in hits["hits"]} == {"entrance/3", "entrance/8"}


def test_crops_are_the_pictures_of_tracklets(artifact: Path, video: Path, place: Path, tmp_path: Path) -> None:
    """Both at once; the gallery refers to a crop of each, which a sheet shows, and the command can be repeated."""
    out = tmp_path / "crops"
    words = ("crops", video, "--boxes", video.parent / "boxes.txt", "--out", out, "--gallery", place)
    done(*words, "--model", artifact, "--every", 3, "--name", "a")
    done(*words, "--model", artifact, "--every", 3, "--name", "a")
    with open_gallery(place) as gallery:
        items = [item for batch in gallery.scan() for item in batch]
    assert sorted(str(item.id) for item in items) == ["a/3", "a/7", "a/8"]
    for item in items:
        assert item.picture is not None
        with Image.open(tmp_path / item.picture) as picture:
            assert picture.size == (32, 96)


def test_what_is_left_out_is_told(video: Path, tmp_path: Path, capsys: Capture) -> None:
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("1,1,10,10,30,90\n1,2,900,10,30,90\n99,3,10,10,30,90\n", encoding="utf-8")
    report = tmp_path / "report.json"
    assert (
        main(["crops", str(video), "--boxes", str(boxes), "--out", str(tmp_path / "c"), "--report", str(report)]) == 3
    )
    error = capsys.readouterr().err
    assert error.startswith("bitreid: 2 boxes were left out:\n")
    assert f"  {boxes}:2: a box that encloses no pixel of a frame of 256 x 144\n" in error
    found: object = read_json(report)
    assert isinstance(found, list)
    assert [each["path"] for each in found] == [f"{boxes}:2", f"{boxes}:3"]


def test_what_cannot_be_done_is_said_at_once(artifact: Path, video: Path, tmp_path: Path, capsys: Capture) -> None:
    boxes = video.parent / "boxes.txt"
    for words, message in (
        (("--boxes", boxes), "expected --out FOLDER to write crops to, or --gallery PLACE"),
        (("--boxes", boxes, "--gallery", tmp_path / "g"), "expected --model MODEL"),
        (("--boxes", tmp_path / "none.txt", "--out", tmp_path / "o"), "a readable file of boxes"),
        (("--boxes", boxes, "--out", tmp_path / "o", "--start", "yesterday"), "got 'yesterday'"),
        (("--boxes", boxes, "--out", tmp_path / "o", "--fps", "nan"), "frames a second"),
        (("--boxes", boxes, "--out", tmp_path / "o", "--every", 0), "every n-th one, got 0"),
        (("--boxes", boxes, "--out", tmp_path / "o", "--report", boxes), "neither read nor written"),
        (("--boxes", boxes, "--gallery", tmp_path / "g", "--model", artifact), "expected a gallery"),
    ):
        assert message in refusal(capsys, "crops", video, *words)
    assert "a video that can be read" in refusal(capsys, "crops", boxes, "--boxes", boxes, "--out", tmp_path / "o")
    assert list(tmp_path.iterdir()) == []
