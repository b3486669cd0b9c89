"""Galleries as files and from gallery to gallery: nothing is lost, nothing damaged or foreign comes in."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, pack_bits
from bitreid.errors import GalleryDamaged, GalleryNotFound, Unsupported, WrongModel
from bitreid.gallery import (
    Contract,
    Gallery,
    Items,
    copy_gallery,
    create_gallery,
    export_parquet,
    import_parquet,
    transfer,
)
from bitreid.gallery.fields import FIELDS
from bitreid.gallery.items import Id
from bitreid.gallery.memory import MemoryGallery
from bitreid.gallery.people import decisions_of
from bitreid.gallery.requests import Where
from bitreid.open_set import OpenSet, SearchTail

CONTRACT = Contract(64, "f" * 16, "small", attributes=("hat", "bag", "top=red"))
IDS: list[Id] = [7, "7", 0, -(2**63), 2**63 - 1, "näme", "a b", *range(100, 113)]


def some_items(ids: list[Id] = IDS, seed: int = 0) -> Items:
    """Items of which much is unknown and the rest unusual."""
    rng, n = np.random.default_rng(seed), len(ids)
    start = datetime(1969, 12, 31, 23, tzinfo=UTC)

    def column(values: list[Any]) -> list[Any]:
        return [values[i] for i in rng.integers(0, len(values), n)]

    return Items.of(
        ids,
        Codes(rng.integers(0, 256, (n, 8), np.uint8), 64),
        pack_bits(rng.random((n, 3)) < 0.5),
        cameras=column([None, -1, 0, 3]),
        times=column([None, start, start + timedelta(days=20_000, microseconds=1)]),
        tracklets=column([None, "t1", "t2"]),
        persons=column([None, "P 7", "Zoë"]),
        metadata=column([None, {}, {"zone": "north", "n": 1.5, "deep": {"list": [1, None, True]}}]),
        pictures=column([None, "a/b.jpg"]),
        model=CONTRACT.model,
    )


def contents(gallery: Gallery) -> dict[Id, str]:
    """All items by id, each as text that shows every difference."""
    found = [item for batch in gallery.scan() for item in batch]
    return {
        item.id: json.dumps(
            [item.code.tolist(), None if (a := item.attribute_code) is None else a.tolist(), *item[3:]], default=str
        )
        for item in found
    }


class InSmallBatches(MemoryGallery):
    """A gallery that is read a few items at a time."""

    def scan(self, where: Where = None, *, after: int | None = None, batch_size: int = 7) -> Iterator[Items]:
        return super().scan(where, after=after, batch_size=batch_size)


@pytest.fixture
def gallery() -> Gallery:
    made = InSmallBatches(CONTRACT)
    made.add(some_items())
    return made


@pytest.fixture(params=["memory:", "sqlite"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gallery]:
    place = "memory:" if request.param == "memory:" else tmp_path / "other.gallery"
    with create_gallery(place, CONTRACT) as made:
        yield made


# Files


def test_what_is_exported_is_imported(gallery: Gallery, empty: Gallery, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "new" / "items.parquet"
    assert export_parquet(gallery, path, progress=lambda done, total: told.append((done, total))) == 20
    assert told == [(7, 20), (14, 20), (20, 20)]
    told.clear()
    assert import_parquet(empty, path, lambda done, total: told.append((done, total))) == 20
    assert told[-1] == (20, 20)
    assert contents(empty) == contents(gallery)
    assert [each.name for each in path.parent.iterdir()] == ["items.parquet"]


def test_an_import_leaves_what_is_there(gallery: Gallery, empty: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    export_parquet(gallery, path)
    other = some_items([7, "mine"], seed=5)
    empty.add(other)
    before = contents(empty)
    assert import_parquet(empty, path) == 19
    assert import_parquet(empty, path) == 0
    assert contents(empty) == contents(gallery) | before


def test_a_filter_says_what_is_exported(gallery: Gallery, empty: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    n = export_parquet(gallery, path, "camera = 3 and not hat")
    assert 0 < n == gallery.count("camera = 3 and not hat") < 20
    import_parquet(empty, path)
    assert set(contents(empty)) < set(contents(gallery))
    assert empty.count("camera = 3 and not hat") == empty.count() == n
    assert export_parquet(gallery, path, "camera = 99") == 0
    assert import_parquet(MemoryGallery(CONTRACT), path) == 0


def test_a_field_that_is_newer_than_the_file_is_unknown(
    gallery: Gallery, empty: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(transfer, "FIELDS", tuple(each for each in FIELDS if each.name not in ("picture", "camera")))
        export_parquet(gallery, tmp_path / "items.parquet")
    assert import_parquet(empty, tmp_path / "items.parquet") == gallery.count()
    found = [item for batch in empty.scan() for item in batch]
    assert {(item.camera, item.picture) for item in found} == {(None, None)}
    assert {item.person for item in found} == {None, "P 7", "Zoë"}


def test_others_read_the_file(gallery: Gallery, tmp_path: Path) -> None:
    export_parquet(gallery, tmp_path / "items.parquet")
    rows = {
        row["id_text"] or row["id_number"]: row for row in parquet.read_table(tmp_path / "items.parquet").to_pylist()
    }
    assert set(rows) == set(IDS)
    for id, item in zip(IDS, gallery.get(IDS), strict=True):
        assert item is not None
        assert item.attribute_code is not None
        row = rows[id]
        assert (row["code"], row["attribute_code"]) == (item.code.tobytes(), item.attribute_code.tobytes())
        assert json.loads(row["metadata"] or "null") == item.metadata
        for name in ("camera", "time", "tracklet", "person", "picture"):
            assert row[name] == getattr(item, name)


def test_older_bitreids_read_the_file(tmp_path: Path) -> None:
    open_set = OpenSet(0.2, -6.0, -0.3, 4.0, search=SearchTail(0.1, -5.0, 0.5))
    newer = replace(CONTRACT, open_set=open_set, coarse=CoarseCode((), tuple(range(8)), ((0.5, 0.1),)))
    export_parquet(MemoryGallery(newer), tmp_path / "items.parquet")
    contract = parquet.read_metadata(tmp_path / "items.parquet").metadata[b"bitreid.contract"].decode()
    assert contract == newer.plain().to_json()


def test_without_attributes(tmp_path: Path) -> None:
    plain = replace(CONTRACT, attributes=())
    source, target = MemoryGallery(plain), MemoryGallery(plain)
    source.add(Items.of([1], Codes(np.ones((1, 8), np.uint8), 64)))
    export_parquet(source, tmp_path / "items.parquet")
    assert import_parquet(target, tmp_path / "items.parquet") == 1
    assert contents(target) == contents(source)


def test_a_damaged_file_is_refused_before_anything_is_imported(gallery: Gallery, tmp_path: Path) -> None:
    path, target = tmp_path / "items.parquet", MemoryGallery(CONTRACT)
    export_parquet(gallery, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, 3, len(whole) - 1, len(whole) - 8, *rng.integers(0, len(whole), 200).tolist()]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
        with pytest.raises(GalleryDamaged, match=r"Parquet at .*items\.parquet, got: .*; export them again"):
            import_parquet(target, path)
    for n in [0, 5, 12, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(GalleryDamaged, match="no whole Parquet file"):
            import_parquet(target, path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(GalleryDamaged, match="no whole Parquet file"):
        import_parquet(target, path)
    assert target.count() == 0
    path.write_bytes(whole)
    assert import_parquet(target, path) == 20


def test_another_file_is_refused(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items.parquet"
    with pytest.raises(GalleryNotFound, match="No such file"):
        import_parquet(gallery, path)
    export_parquet(gallery, path)
    parquet.write_table(parquet.read_table(path, columns=["camera"]).replace_schema_metadata(None), path)
    with pytest.raises(GalleryDamaged, match="without the checksum"):
        import_parquet(gallery, path)
    with monkeypatch.context() as newer:
        newer.setattr(transfer, "FORMAT_VERSION", 2)
        export_parquet(gallery, path)
    with pytest.raises(Unsupported, match=r"format 1 or older at .*, got format 2; update bitreid"):
        import_parquet(gallery, path)


@pytest.mark.parametrize(
    ("contract", "why"),
    [
        (replace(CONTRACT, model="0" * 16, name="other"), "of the model other .* got items of small"),
        (replace(CONTRACT, n_bits=128), "bits: 128.* bits: 64"),
        (replace(CONTRACT, model="", attributes=("hat", "bag", "scarf")), "scarf.*top=red"),
    ],
)
def test_items_of_another_model_are_refused(gallery: Gallery, contract: Contract, why: str, tmp_path: Path) -> None:
    export_parquet(gallery, tmp_path / "items.parquet")
    other = MemoryGallery(contract)
    with pytest.raises(WrongModel, match=why):
        import_parquet(other, tmp_path / "items.parquet")
    with pytest.raises(WrongModel, match=why):
        copy_gallery(gallery, other)
    assert other.count() == 0


def test_an_export_that_fails_leaves_the_old_file(gallery: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_text("old", encoding="utf-8")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_parquet(gallery, path, progress=stop)
    assert [(each.name, each.read_text(encoding="utf-8")) for each in tmp_path.iterdir()] == [("items.parquet", "old")]


def test_without_pyarrow(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unsupported, match=r"install bitreid\[parquet\]"):
        export_parquet(gallery, tmp_path / "items.parquet")
    with pytest.raises(Unsupported, match=r"install bitreid\[parquet\]"):
        import_parquet(gallery, tmp_path / "items.parquet")


# Copies


def test_a_copy_holds_all(gallery: Gallery, empty: Gallery) -> None:
    assert copy_gallery(gallery, empty) == 20
    assert contents(empty) == contents(gallery)
    assert copy_gallery(gallery, empty) == 0
    assert copy_gallery(empty, gallery) == 0


def test_a_stopped_copy_goes_on_though_the_source_changes(gallery: Gallery, empty: Gallery) -> None:
    def stop(done: int, total: int) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_gallery(gallery, empty, stop)
    copied, all_ids = set(contents(empty)), set(contents(gallery))
    assert len(copied) == 14
    gone, *changed = sorted(copied, key=str)[:3]
    gallery.delete([gone])
    gallery.upsert(some_items(changed, seed=9))
    gallery.add(some_items(["new"]))
    assert copy_gallery(gallery, empty) == len(all_ids - copied) + len(changed) + 1
    forgotten = contents(empty).pop(gone)
    assert contents(empty) == contents(gallery) | {gone: forgotten}, "what was deleted stays, and is documented to"


def test_a_copy_sees_small_differences(gallery: Gallery, empty: Gallery) -> None:
    code = Codes(np.zeros((1, 8), np.uint8), 64)
    short = Codes(np.zeros((1, 1), np.uint8), 8)
    for metadata in ({"n": 1}, {"n": True}, {"n": 1.5}, {}):
        gallery.upsert(Items.of(["one"], code, short, metadata=[metadata]))
        copy_gallery(gallery, empty)
        (item,) = empty.get(["one"])
        assert item is not None
        assert json.dumps(item.metadata) == json.dumps(metadata)
    gallery.upsert(Items.of(["one"], code, Codes(np.full((1, 1), 128, np.uint8), 8), metadata=[{}]))
    assert copy_gallery(gallery, empty) == 1


def test_decisions_go_along_once(gallery: Gallery, empty: Gallery) -> None:
    gallery.reject([100, 101], "P 7")
    gallery.confirm(["7"], "P 9")
    gallery.confirm(["7"], "P 9")
    for _ in range(2):
        copy_gallery(gallery, empty)
        assert [note for _, note in decisions_of(empty)] == [note for _, note in decisions_of(gallery)]
    assert empty.rejected("P 7") == gallery.rejected("P 7") >= {100, 101}
    gallery.reject([102], "P 9")
    copy_gallery(gallery, empty)
    for _ in range(4):
        assert empty.undo() == gallery.undo() is not None
    assert contents(empty) == contents(gallery)
