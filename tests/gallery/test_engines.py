"""Which engines made a gallery's codes: any of its model within their limits may, and it remembers which."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.artifact import Proof, add_engine, fingerprint, read_engine
from bitreid.artifact.shipped import folder_of
from bitreid.data.parsers.inputs import manifest_of
from bitreid.data.shards import Shards
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, encode_manifest, save_encoded
from bitreid.errors import BadRequest, GalleryDamaged, WrongModel
from bitreid.gallery import (
    Contract,
    Gallery,
    copy_gallery,
    create_gallery,
    export_parquet,
    import_parquet,
    open_gallery,
)
from bitreid.gallery.about import About
from bitreid.gallery.ingest import add_sources, sources_of
from bitreid.gallery.milvus.gallery import MilvusGallery
from tests.gallery.cases import Create, codes, people


def test_every_gallery_remembers_the_engines_of_its_codes(create: Create) -> None:
    gallery = create()
    assert gallery.about == About()
    gallery.add(people([1, 2]))
    assert gallery.about.engines == frozenset()  # nobody said
    gallery.add(replace(people([3, 4]), engine="onnx"))
    gallery.upsert(replace(people([4, 5]), engine="onnx-int8").rows([0]))
    gallery.add(replace(people([3, 4]), engine="onnx"))
    gallery.name_cameras({3: "entrance"})
    assert gallery.about == About({3: "entrance"}, frozenset({"onnx", "onnx-int8"}))
    with pytest.raises(WrongModel):
        gallery.add(replace(people([6]), model="feed+onnx-int8", engine="another"))
    with pytest.raises(BadRequest, match="the name of an engine"):
        gallery.add(replace(people([6]), engine="\0"))
    assert gallery.about.engines == {"onnx", "onnx-int8"}
    if isinstance(gallery, MilvusGallery):
        with MilvusGallery(gallery._server, gallery.name) as again:
            assert again.about == gallery.about


def test_a_file_keeps_engines(tmp_path: Path) -> None:
    place = tmp_path / "a.gallery"
    with create_gallery(place, Contract(32, "feed", attributes=tuple("abcde"))) as one, open_gallery(place) as other:
        one.add(replace(people([1]), engine="onnx"))
        other.add(replace(people([2]), engine="torch"))  # which has not seen the first, and takes nothing away
        one.backup(tmp_path / "b.gallery")
    for path in (place, tmp_path / "b.gallery"):
        with open_gallery(path, read_only=True) as gallery:
            assert gallery.about.engines == {"onnx", "torch"}
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("UPDATE meta SET value = replace(value, 'torch', 'porch') WHERE name = 'engines'")
    with pytest.raises(GalleryDamaged, match="names of engines that are not as they were written"):
        open_gallery(place)


@pytest.mark.parametrize("way", ["copy", "parquet"])
def test_engines_go_along(way: str, tmp_path: Path) -> None:
    contract = Contract(32, "feed", attributes=tuple("abcde"))
    source, target = (create_gallery("memory:", contract) for _ in range(2))
    source.add(replace(people([1, 2]), engine="onnx"))
    target.add(replace(people([3]), engine="torch"))
    if way == "copy":
        assert copy_gallery(source, target) == 2
    else:
        export_parquet(source, tmp_path / "a.parquet")
        assert import_parquet(target, tmp_path / "a.parquet") == 2
    assert target.about.engines == {"onnx", "torch"}


def test_engines_within_their_limits_share_a_gallery_and_others_are_refused(tmp_path: Path) -> None:
    pictures = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(pictures):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 20, 3), np.uint8)).save(path)
    folder = Path(shutil.copytree(folder_of("drawn"), tmp_path / "model"))
    encoder = Encoder.open(folder, threads=1)
    exported = read_engine(folder, encoder.card, "onnx")

    def added(gallery: Gallery, path: Path) -> int:
        def load() -> Encoder:
            return Encoder.open(folder, "onnx-int8", threads=1)

        settings = {"ids": "path", "time_unit": None, "attributes": bool(gallery.contract.attributes)}
        return add_sources(gallery, sources_of([path], load, gallery=gallery, **settings)).new  # type: ignore[arg-type]

    with create_gallery("memory:", Contract.of(encoder.card)) as gallery:
        # The same file in the place of 8 bits: what counts is what the proof says of it.
        add_engine(folder, "onnx-int8", exported, Proof(4, 0, "a test", difference=0.1, flipped=0.04))
        assert added(gallery, pictures[0]) == 1
        assert gallery.contract.model == fingerprint(encoder.card)
        save_encoded(tmp_path / "codes.npz", encode_manifest(encoder, manifest_of([pictures[1]])))
        assert added(gallery, tmp_path / "codes.npz") == 1
        assert gallery.about.engines == {"onnx", "onnx-int8"}
        add_engine(folder, "onnx-int8", exported, Proof(4, 0, "a test", difference=9.0, flipped=0.06))
        with pytest.raises(WrongModel, match=r"got codes of .*\+onnx-int8"):
            added(gallery, pictures[2])
        assert gallery.count() == 2


def test_every_gallery_loads_a_folder_of_shards_in_bulk(create: Create, tmp_path: Path) -> None:
    gallery, n = create(Contract(64, "feed")), 40
    encoded = EncodedSet(
        tuple(Path(f"{i}.jpg") for i in range(n)), codes(n), None, None, 1 + np.arange(n) // 4, np.arange(n) % 3,
        "feed", engine="torch",
    )  # fmt: skip
    shards = Shards.begin(tmp_path / "codes", {"features": False}, n, 16)
    for i in range(len(shards)):
        save_encoded(shards.file(i), encoded.take(np.asarray(shards.rows(i))))
        shards.commit(i, {})

    def load() -> Encoder:
        raise AssertionError("there are no pictures to encode")

    for new in (n, 0):
        sources = sources_of(
            [tmp_path / "codes"], load, ids="path", time_unit=None, attributes=False, gallery=gallery, same_people=True
        )
        assert add_sources(gallery, sources).new == new
    assert (gallery.count(), gallery.about.engines) == (n, frozenset({"torch"}))
    (item,) = gallery.get(["7.jpg"])
    assert item is not None
    assert (item.code.tobytes(), item.person, item.camera) == (encoded.codes.packed[7].tobytes(), "2", 1)
