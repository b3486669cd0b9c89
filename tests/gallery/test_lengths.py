"""Galleries of the shorter codes of a model: longer ones are cut, and the model stays the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes, Part
from bitreid.errors import BadRequest, WrongModel
from bitreid.gallery import (
    Contract,
    Gallery,
    Items,
    copy_gallery,
    create_gallery,
    export_parquet,
    import_parquet,
    open_gallery,
    restore_gallery,
)
from bitreid.gallery.ingest import add_sources, sources_of
from bitreid.gallery.items import Id
from bitreid.open_set import OpenSet
from tests.commands.words import codes_of
from tests.gallery.cases import ATTRIBUTES, CONTRACT, IDS, Create, people, queries, same
from tests.reference.gallery import PlainGallery

PARTS = (Part("summary", 0, 4), Part("head", 4, 8), Part("legs", 8, 12), Part("head", 12, 16))
OPEN_SET = OpenSet(tail_slope=0.5, tail_offset=-5.0, slope=-0.4, offset=6.0)
SHORT = replace(CONTRACT, n_bits=16, parts=PARTS, open_set=OPEN_SET)
"""Of the same model as `CONTRACT`, whose codes have 32 bits."""


def cut(batch: Items) -> Items:
    return replace(batch, codes=Codes(batch.codes.packed[:, :2], 16))


def contents(gallery: Gallery) -> list[Any]:
    return [item for batch in gallery.scan() for item in batch]


def test_longer_codes_of_the_model_are_cut(create: Create) -> None:
    gallery, plain = create(SHORT), PlainGallery(ATTRIBUTES)
    assert gallery.add(people(IDS)) == plain.add(cut(people(IDS))) == len(IDS)
    assert same(gallery.get(IDS), list(cut(people(IDS))))
    assert gallery.add(cut(people(IDS))) == 0
    assert gallery.upsert(people([3, "new"], seed=1)) == plain.upsert(cut(people([3, "new"], seed=1))) == 1
    codes, short = queries()
    places = {(): None, ("head",): [*range(4, 8), *range(12, 16)], ("summary", "legs"): [*range(4), *range(8, 12)]}
    for parts, bits in places.items():
        for w in (None, 9) if not parts else (9,):
            settings: dict[str, Any] = {"w": w, "parts": parts, "attribute_codes": short, "model": "feed"}
            long, cut_before = (gallery.search(each, 7, **settings) for each in (codes, codes.prefix(16)))
            assert long == cut_before
            for hits, code, attributes in zip(long, codes.packed, short.packed, strict=True):
                expected = plain.search(bytes(code[:2]), 7, None, w, bytes(attributes), bits)
                assert [(hit.id, hit.distance) for hit in hits] == expected
                assert hits.threshold == (None if parts else OPEN_SET.threshold(0.01, len(IDS) + 1))


def test_codes_that_are_not_the_models_or_too_short_are_refused(create: Create) -> None:
    gallery = create(SHORT)
    long = people([1])
    for batch, said in (
        (replace(long, model=""), "16 bits, got 32"),
        (replace(long, model="beef"), "codes of the model tiny"),
        (replace(long, codes=Codes(np.zeros((1, 1), np.uint8), 8)), "16 bits, got 8"),
    ):
        with pytest.raises(WrongModel, match=said):
            gallery.add(batch)
        with pytest.raises(WrongModel, match=said):
            gallery.search(batch.codes, model=batch.model)
    with pytest.raises(BadRequest, match="among summary, head, legs, got feet"):
        gallery.search(long.codes, parts=["feet"], model="feed")
    assert gallery.count() == 0


def test_the_length_stays(create: Create) -> None:
    gallery = create(SHORT)
    gallery.add(people(IDS))
    place = gallery.info().place
    gallery.calibrate(None)
    assert gallery.info().contract == gallery.contract == replace(SHORT, open_set=None)
    if place != "memory:":
        gallery.close()
        with open_gallery(place) as again:
            assert again.contract == replace(SHORT, open_set=None)
            assert again.add(people(["more"])) == 1
            assert again.search(queries(1)[0], 3, model="feed") == again.search(queries(1)[0].prefix(16), 3)


def test_a_gallery_of_whole_codes_is_copied_to_one_of_shorter_codes(create: Create, tmp_path: Path) -> None:
    whole, short = create(CONTRACT), create(SHORT)
    whole.add(people(IDS))
    whole.confirm([5], "Ada")
    assert copy_gallery(whole, short) == len(IDS)
    assert copy_gallery(whole, short) == 0, "what is there is known again"
    wanted = {item.id: item for item in contents(whole)}
    found = contents(short)
    assert len(found) == len(IDS)
    for item in found:
        assert same([item], [wanted[item.id]._replace(code=wanted[item.id].code[:2])])
    assert export_parquet(whole, tmp_path / "whole.parquet") == export_parquet(short, tmp_path / "short.parquet")
    for file in ("whole.parquet", "short.parquet"):
        other = create(replace(SHORT, open_set=None))
        assert import_parquet(other, tmp_path / file) == len(IDS)
        assert same(contents(other), found)
    refused: list[Callable[[], int]] = [
        lambda: copy_gallery(short, create(CONTRACT)),
        lambda: import_parquet(create(CONTRACT), tmp_path / "short.parquet"),
        lambda: copy_gallery(whole, create(replace(SHORT, model=""))),
    ]
    for call in refused:
        with pytest.raises(WrongModel, match=r"bits: \d\d\), got codes of bits: \d\d"):
            call()


def test_a_backup_keeps_the_length(tmp_path: Path) -> None:
    with create_gallery(tmp_path / "a.gallery", SHORT) as gallery:
        gallery.add(people(IDS))
        gallery.backup(tmp_path / "backup.gallery")
    restore_gallery(tmp_path / "backup.gallery", tmp_path / "b.gallery")
    with open_gallery(tmp_path / "b.gallery") as again:
        assert again.contract == SHORT
        assert same(again.get(IDS), list(cut(people(IDS))))


def no_encoder() -> Any:
    raise AssertionError("there are no pictures")


@pytest.mark.parametrize("ids", ["path", "name", "number", "hash"])
def test_files_of_longer_codes_are_known_again(ids: Any, tmp_path: Path) -> None:
    """Whatever items are called by, a repeated command adds nothing, nor does a file of the codes cut before."""
    contract = Contract(32, "abc")
    long = codes_of(tmp_path / "long.npz")
    with np.load(long) as file:
        np.savez(tmp_path / "short.npz", **{**file, "codes": file["codes"][:, :4], "n_bits": np.array(32)})

    def added(gallery: Gallery, file: Path) -> int:
        sources = sources_of([file], no_encoder, ids=ids, time_unit=None, attributes=False, gallery=gallery)
        return add_sources(gallery, sources).new

    def codes(gallery: Gallery) -> dict[Id, bytes]:
        return {item.id: item.code.tobytes() for item in contents(gallery)}

    with create_gallery("memory:", contract) as gallery, create_gallery("memory:", contract) as other:
        assert [added(gallery, file) for file in (long, long, tmp_path / "short.npz")] == [12, 0, 0]
        assert added(other, tmp_path / "short.npz") == 12
        assert codes(gallery) == codes(other)
