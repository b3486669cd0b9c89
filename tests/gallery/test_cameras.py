"""Names of cameras: kept by every gallery, and the same number for the same name."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.data.manifest import Manifest
from bitreid.errors import BadRequest, FilterError, GalleryDamaged, GalleryReadOnly
from bitreid.gallery import (
    Contract,
    Gallery,
    Items,
    copy_gallery,
    create_gallery,
    export_parquet,
    import_parquet,
    open_gallery,
)
from bitreid.gallery.about import with_names
from bitreid.gallery.cameras import with_cameras_of
from bitreid.gallery.milvus.gallery import MilvusGallery
from tests.gallery.cases import Create, codes

NAMES = {3: "entrance", 7: "back door"}


def some(gallery: Gallery) -> Gallery:
    gallery.add(Items.of([1, 2, 3], codes(3), cameras=[3, 7, None]))
    return gallery


def manifest(cameras: list[int], names: Mapping[int, str]) -> Manifest:
    n = len(cameras)
    unknown = np.full(n, -2)
    paths = tuple(Path(f"{i}.jpg") for i in range(n))
    return Manifest(paths, unknown, np.array(cameras), ("gallery",) * n, camera_names=names)


def test_every_gallery_keeps_names(create: Create) -> None:
    gallery = some(create(Contract(64)))
    assert gallery.camera_names == {}
    gallery.name_cameras({3: "entrance"})
    gallery.name_cameras({7: "back door", 3: "entrance"})
    gallery.name_cameras({})
    assert gallery.camera_names == NAMES
    for where, n in {
        "camera = entrance": 1,
        'camera in (entrance, "back door")': 2,
        "camera in (entrance, 7)": 2,
        "camera != 'back door'": 2,
    }.items():
        assert gallery.count(where) == n
    for where in ("camera = gate", 'camera = "3"'):
        with pytest.raises(FilterError, match=r"a whole number of 64 bits or a camera's name \(entrance, back door\)"):
            gallery.count(where)
    (hits,) = gallery.search(codes(1), 3)
    assert {hit.id: hits.camera_name(hit) for hit in hits} == {1: "entrance", 2: "back door", 3: None}
    for wrong in ({3: "gate"}, {4: "entrance"}, {3: "back door"}):
        with pytest.raises(BadRequest, match="expected one name for each camera"):
            gallery.name_cameras(wrong)
    assert gallery.camera_names == NAMES
    gallery.calibrate(None)
    if isinstance(gallery, MilvusGallery):
        with MilvusGallery(gallery._server, gallery.name) as again:
            assert again.camera_names == NAMES


def test_a_file_keeps_names(tmp_path: Path) -> None:
    place = tmp_path / "a.gallery"
    with some(create_gallery(place, Contract(64))) as one, open_gallery(place) as other:
        one.name_cameras({3: "entrance"})
        # The other does not know yet, and takes nothing away.
        with pytest.raises(BadRequest, match="'gate' for camera 3, where camera 3 has that name"):
            other.name_cameras({3: "gate"})
        other.name_cameras({7: "back door"})
        other.calibrate(None)
        assert other.camera_names == NAMES
        one.backup(tmp_path / "b.gallery")
        assert [entry["action"] for entry in one.audit()].count("name cameras") == 2
    for path in (place, tmp_path / "b.gallery"):
        with open_gallery(path, read_only=True) as gallery:
            assert gallery.camera_names == NAMES
            with pytest.raises(GalleryReadOnly):
                gallery.name_cameras({9: "gate"})
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("UPDATE meta SET value = replace(value, 'entrance', 'entrancf') WHERE name = 'cameras'")
    with pytest.raises(GalleryDamaged, match="names of cameras that are not as they were written"):
        open_gallery(place)


@pytest.mark.parametrize("way", ["copy", "parquet"])
def test_names_go_along(way: str, tmp_path: Path) -> None:
    def bring(source: Gallery, target: Gallery) -> int:
        if way == "copy":
            return copy_gallery(source, target)
        export_parquet(source, tmp_path / "a.parquet")
        return import_parquet(target, tmp_path / "a.parquet")

    source, target, other = (create_gallery("memory:", Contract(64)) for _ in range(3))
    some(source).name_cameras(NAMES)
    target.name_cameras({1: "gate"})
    assert bring(source, target) == 3
    assert target.camera_names == {1: "gate", **NAMES}
    other.name_cameras({3: "gate"})
    with pytest.raises(BadRequest, match="expected one name for each camera"):
        bring(source, other)
    assert other.count() == 0


def test_a_name_keeps_its_number_and_a_new_one_gets_the_next() -> None:
    gallery = create_gallery("memory:", Contract(64))
    names = {1: "entrance", 2: "gate"}
    first = with_cameras_of(gallery, manifest([2, 1, -2, 2], names))
    assert (first.camids.tolist(), first.camera_names) == ([2, 1, -2, 2], names)
    some(gallery).name_cameras(NAMES)
    found = with_cameras_of(gallery, manifest([2, 1, -2, 2], names))
    assert (found.camids.tolist(), found.camera_names) == ([8, 3, -2, 8], {3: "entrance", 8: "gate"})
    mixed = with_cameras_of(gallery, manifest([20, 1, 1001], {1001: "gate"}))
    assert (mixed.camids.tolist(), mixed.camera_names) == ([20, 1, 21], {21: "gate"})
    gallery.add(Items.of([9], codes(1, seed=1), cameras=[40]))
    assert with_cameras_of(gallery, manifest([1], {1: "gate"})).camids.tolist() == [41]
    numbers = manifest([1, 2], {})
    assert with_cameras_of(gallery, numbers) is numbers


@pytest.mark.parametrize("wrong", [{-2: "a"}, {True: "a"}, {"1": "a"}, {1: ""}, {1: None}, {1: "a", 2: "a"}])
def test_what_is_no_name_is_refused(wrong: Any) -> None:
    with pytest.raises(BadRequest, match="expected"):
        with_names({}, wrong)
