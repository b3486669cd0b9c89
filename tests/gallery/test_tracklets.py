"""Tracklets of a video in a gallery: a code of all pictures of each, with camera and time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.data.boxes import Boxes, read_boxes
from bitreid.encoding.crops import Shot, save_crops
from bitreid.encoding.encoder import Encoder
from bitreid.errors import BadRequest, WrongModel
from bitreid.gallery import Contract, Gallery, create_gallery, tracklets
from bitreid.gallery.ingest import Added
from bitreid.gallery.tracklets import add_video
from tests.data.videos import Walk, walk, write_mot, write_video
from tests.encoding.cases import HEIGHT, WIDTH, encoder_of
from tests.gallery.cases import Create

START = datetime(2026, 11, 30, 8, 15, tzinfo=UTC)
SHOT = Shot("entrance", START)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoder_of()


@pytest.fixture(scope="module")
def walked(people: Path) -> Walk:
    return walk(people)


@pytest.fixture(scope="module")
def video(walked: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "a.mkv", walked.frames)


@pytest.fixture
def boxes(walked: Walk, tmp_path: Path) -> Boxes:
    return read_boxes(write_mot(tmp_path / "boxes.txt", walked))


def in_memory(encoder: Encoder) -> Gallery:
    return create_gallery("memory:", Contract.of(encoder.card))


def by_hand(encoder: Encoder, walked: Walk, tracklet: int) -> list[int]:
    """The code of a tracklet, its pictures cut out and merged one by one."""
    pictures = []
    for frame, (left, top, width, height) in zip(walked.numbers, walked.boxes.astype(int).tolist(), strict=True):
        rows = walked.tracklets[(walked.numbers == frame) & (walked.boxes[:, 0] == left)]
        if rows.tolist() == [tracklet]:
            crop = Image.fromarray(walked.frames[frame]).crop((left, top, min(left + width, 256), top + height))
            pictures.append(np.asarray(crop.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)))
    features = np.mean([encoder.encode(each[None]).features[0].astype(float) for each in pictures], axis=0)
    return [int(value > 0) for value in features]


def test_every_gallery_keeps_tracklets(
    create: Create, encoder: Encoder, walked: Walk, video: Path, boxes: Boxes
) -> None:
    gallery = create(Contract.of(encoder.card))
    told: list[tuple[int, int]] = []
    added = add_video(
        gallery, encoder, video, boxes, SHOT, name="a", progress=lambda done, total: told.append((done, total))
    )
    assert (added.new, added.there, added.findings.bad) == (3, 0, [])
    assert told[-1] == (30, 30)
    for item, tracklet, first in zip(gallery.get(["a/3", "a/7", "a/8"]), (3, 7, 8), (0, 1, 2), strict=True):
        assert item is not None
        assert np.unpackbits(item.code).tolist() == by_hand(encoder, walked, tracklet)
        assert (item.camera, item.tracklet, item.person) == (1, f"a/{tracklet}", None)
        assert item.time is not None
        assert abs(item.time - START - timedelta(seconds=first / 10)) < timedelta(milliseconds=2)
        n = int((walked.tracklets == tracklet).sum())
        assert item.metadata == {"video": "a", "first_frame": first, "last_frame": first + n - 1, "pictures": n}
        assert item.picture == str(video)
    assert gallery.camera_names == {1: "entrance"}
    again = add_video(gallery, encoder, video, boxes, SHOT, name="a")
    assert (again.new, again.there) == (0, 3)


def test_stopped_adding_goes_on_without_encoding_again(
    encoder: Encoder, video: Path, boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracklets, "TOGETHER", 4)
    monkeypatch.setattr(tracklets, "ADDED_TOGETHER", 1)
    gallery, whole, added = in_memory(encoder), in_memory(encoder), Added()

    def stop(done: int, total: int) -> None:
        if done >= 29:  # tracklet 8 ended in frame 9, tracklet 7 in frame 10
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_video(gallery, encoder, video, boxes, SHOT, name="a", progress=stop, added=added)
    assert added.new == gallery.count() == 2
    encoded: list[int] = []
    counting = Encoder(encoder.card, lambda pictures: encoded.append(len(pictures)) or encoder.engine(pictures))  # type: ignore[func-returns-value]
    rest = add_video(gallery, counting, video, boxes, SHOT, name="a")
    assert (rest.new, rest.there) == (1, 2)
    assert sum(encoded) == 12
    add_video(whole, encoder, video, boxes, SHOT, name="a")
    ids = ["a/3", "a/7", "a/8"]
    assert [str(item) for item in gallery.get(ids)] == [str(item) for item in whole.get(ids)]


def test_boxes_in_no_track_are_items_each(encoder: Encoder, walked: Walk, video: Path, tmp_path: Path) -> None:
    boxes = read_boxes(write_mot(tmp_path / "det.txt", walked, tracked=False)).every(5)
    gallery = in_memory(encoder)
    assert add_video(gallery, encoder, video, boxes, Shot(4), name="a").new == len(boxes)
    (item,) = gallery.get([f"a/f0/b{boxes.places[0]}"])
    assert item is not None
    assert (item.camera, item.tracklet, item.time) == (4, None, None)


def test_the_picture_is_the_middle_crop_that_there_is(
    encoder: Encoder, video: Path, boxes: Boxes, tmp_path: Path
) -> None:
    gallery = in_memory(encoder)
    out = tmp_path / "crops"
    crops = save_crops(video, boxes, out, SHOT)
    paths = {row: path for row, path in enumerate(crops.manifest.paths) if "t000008" not in path.name}
    add_video(gallery, encoder, video, boxes, SHOT, name="a", crops=paths, root=tmp_path)
    pictures = [item.picture for item in gallery.get(["a/3", "a/7", "a/8"]) if item is not None]
    assert pictures == ["crops/t000003_f000006.jpg", "crops/t000007_f000006.jpg", str(video)]


def test_another_video_of_the_same_name(encoder: Encoder, video: Path, boxes: Boxes, tmp_path: Path) -> None:
    gallery = in_memory(encoder)
    add_video(gallery, encoder, video, boxes, SHOT, name="a")
    other = tmp_path / "a.mkv"
    other.write_bytes(video.read_bytes())
    with pytest.raises(BadRequest, match=r"got 'a/3', which it has of .*; say another --name"):
        add_video(gallery, encoder, other, boxes, SHOT, name="a")
    assert add_video(gallery, encoder, other, boxes, SHOT, name="b").new == 3
    with pytest.raises(WrongModel):
        add_video(gallery, encoder_of(1), video, boxes, SHOT, name="c")
    with pytest.raises(BadRequest, match="the name of a video of 1 to"):
        add_video(gallery, encoder, video, boxes, SHOT, name="")


def test_what_shows_nothing_or_comes_after_the_end(
    encoder: Encoder, video: Path, boxes: Boxes, walked: Walk, tmp_path: Path
) -> None:
    """A tracklet is of the pictures that there are; one of none is left out."""
    path = tmp_path / "boxes.txt"
    lines = write_mot(path, walked).read_text(encoding="utf-8").splitlines()
    lines += ["1,20,900,10,20,40", "2,3,900,10,20,40", "40,8,10,10,20,40", "41,30,10,10,20,40"]
    lines = [line for line in lines if not line.startswith("2,3,26")]
    path.write_text("\n".join(lines), encoding="utf-8")
    gallery = in_memory(encoder)
    added = add_video(gallery, encoder, video, read_boxes(path), SHOT, name="a")
    assert added.new == gallery.count() == 3
    assert len(added.findings.bad) == 4
    (item,) = gallery.get(["a/3"])
    assert item is not None
    assert item.metadata is not None
    assert item.metadata["pictures"] == 11
