"""Galleries for another model: codes are made anew, all else comes along, and what has no picture is told."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.encoding.encoder import Encoder
from bitreid.errors import BadRequest, WrongModel
from bitreid.gallery import Contract, Gallery, Items, create_gallery, open_gallery, reencode
from bitreid.gallery.filters.types import OlderThan
from bitreid.gallery.items import Id
from bitreid.gallery.people import decisions_of
from bitreid.gallery.reencode import Reencoded, reencode_gallery
from tests.encoding.cases import encoder_of
from tests.gallery.cases import START, Create

N = 10
IDS: list[Id] = [7, "7", *(f"cam/{i}" for i in range(N - 2))]
OLD, NEW = encoder_of(0), encoder_of(1, ("cap",))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(N):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def filled(gallery: Gallery, pictures: Path) -> Gallery:
    """Items of the old model, of which the last one's picture has an absolute path; and decisions about some."""
    paths = [pictures / f"{i}.png" for i in range(N)]
    encoded = OLD.encode_files(paths)
    batch = Items.of(
        IDS,
        encoded.codes,
        encoded.attribute_codes,
        cameras=[None, *range(1, N)],
        times=[None if i % 2 else START + timedelta(hours=i) for i in range(N)],
        tracklets=[None if i % 3 else f"t{i // 6}" for i in range(N)],
        persons=[None if i % 4 else f"P{i}" for i in range(N)],
        metadata=[{"floor": i} if i % 2 else None for i in range(N)],
        pictures=[*(path.name for path in paths[:-1]), str(paths[-1])],
        model=gallery.contract.model,
    )
    # So long ago that a new time of addition would be seen.
    gallery._put(batch, replace=False, added=np.arange(N) * 1_000_000)
    gallery.name_cameras({1: "entrance"})
    gallery.confirm(["cam/1"], "Ada")
    gallery.reject(["cam/2"], "P4")
    gallery.merge("Ada", "P8")
    return gallery


def known(gallery: Gallery) -> dict[Id, tuple[object, ...]]:
    """All that is known of each item besides its codes, and when it was added."""
    items = [item for batch in gallery.scan() for item in batch]
    added = gallery._added([item.id for item in items])
    return {item.id: (*item[3:], added[item.id]) for item in items}


def check_codes(gallery: Gallery, encoder: Encoder, pictures: Path, rows: list[int]) -> None:
    expected = encoder.encode_files([pictures / f"{i}.png" for i in rows])
    for row, item in enumerate(gallery.get([IDS[i] for i in rows])):
        assert item is not None
        assert item.code.tolist() == expected.codes.packed[row].tolist()
        if expected.attribute_codes is not None and item.attribute_code is not None:
            assert item.attribute_code.tolist() == expected.attribute_codes.packed[row].tolist()


def test_all_but_the_codes_comes_along(create: Create, pictures: Path) -> None:
    old, new = filled(create(Contract.of(OLD.card)), pictures), create(Contract.of(NEW.card))
    told: list[tuple[int, int]] = []
    done = reencode_gallery(old, new, NEW, pictures, lambda n, total: told.append((n, total)))
    assert (done.new, done.there, done.left_out, told[-1]) == (N, 0, [], (N, N))
    assert known(new) == known(old)
    assert {each[-1] for each in known(new).values()} == {i * 1_000_000 for i in range(N)}
    check_codes(new, NEW, pictures, list(range(N)))
    assert new.camera_names == {1: "entrance"}
    assert [note for _, note in decisions_of(new)] == [note for _, note in decisions_of(old)]
    assert new.rejected("P4") == old.rejected("P4") == {"cam/2"}
    assert new.undo() == "merge Ada"
    # An item of unknown time is as old as its addition.
    assert new.count(OlderThan(int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000)) == N // 2


def test_it_goes_on_where_it_was_stopped(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reencode, "PICTURES_BATCH", 3)
    old = filled(create_gallery(tmp_path / "old.gallery", Contract.of(OLD.card)), pictures)
    new = create_gallery(tmp_path / "new.gallery", Contract.of(NEW.card))

    def stop(n: int, _: int) -> None:
        if n >= 6:
            raise KeyboardInterrupt

    done = Reencoded()
    with pytest.raises(KeyboardInterrupt):
        reencode_gallery(old, new, NEW, pictures, stop, done)
    assert done.new == new.count() == 6
    first = next(iter(new.scan()))[0]
    old.confirm([first.id], "Bo")  # meanwhile
    for path in (pictures / f"{IDS.index(item.id)}.png" for batch in new.scan() for item in batch):
        path.unlink()  # what is encoded needs no picture any more
    done = reencode_gallery(old, new, NEW, pictures)
    assert (done.new, done.there, done.left_out) == (4, 6, [])
    assert known(new) == known(old)
    again = reencode_gallery(old, new, NEW, pictures)
    assert (again.new, again.there) == (0, N)
    assert len(decisions_of(new)) == len(decisions_of(old)) == 4
    old.close()
    new.close()
    with open_gallery(tmp_path / "new.gallery") as opened:
        assert opened.count("person = Bo") >= 1


def test_what_has_no_picture_is_told(pictures: Path) -> None:
    old = filled(create_gallery("memory:", Contract.of(OLD.card)), pictures)
    new = create_gallery("memory:", Contract.of(NEW.card))
    (pictures / "1.png").unlink()
    (pictures / "2.png").write_bytes(b"something else")
    (pictures / "3.png").unlink()
    os.mkfifo(pictures / "3.png")  # who opens it waits for ever
    five = OLD.encode_files([pictures / "5.png"])
    old.upsert(Items.of([IDS[5]], five.codes, five.attribute_codes, model=old.contract.model))
    done = reencode_gallery(old, new, NEW, pictures)
    assert done.new == new.count() == N - 4
    found = {id: (error.path, error.reason) for id, error in zip(done.left_out, done.findings.bad, strict=True)}
    assert found == {
        IDS[1]: (pictures / "1.png", "no file"),
        IDS[2]: (pictures / "2.png", found[IDS[2]][1]),
        IDS[3]: (pictures / "3.png", "no file"),
        IDS[5]: (Path(str(IDS[5])), "an item that names no picture"),
    }
    assert "none of JPEG" in found[IDS[2]][1]
    check_codes(new, NEW, pictures, [0, 4, *range(6, N)])


def test_galleries_that_do_not_fit(pictures: Path, tmp_path: Path) -> None:
    place = tmp_path / "old.gallery"
    with create_gallery(place, Contract.of(OLD.card)) as old, open_gallery(place) as same:
        for twice in (old, same):
            with pytest.raises(BadRequest, match="another gallery to write to"):
                reencode_gallery(old, twice, OLD, pictures)
        with create_gallery("memory:", Contract.of(OLD.card)) as other, pytest.raises(WrongModel):
            reencode_gallery(old, other, NEW, pictures)
        longer = replace(Contract.of(NEW.card), n_bits=128, parts=())
        with create_gallery("memory:", longer) as other, pytest.raises(BadRequest, match="an encoder of 128 bits"):
            reencode_gallery(old, other, NEW, pictures)
