"""Queries from files, pictures, items and descriptions; requests; hits as JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.arrays import Ints
from bitreid.artifact import fingerprint
from bitreid.codes import Codes, pack
from bitreid.data.manifest import UNKNOWN
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, save_encoded
from bitreid.errors import BadRequest, CodesError, GalleryError, SettingsError
from bitreid.gallery import Contract, Gallery, Hit, Hits, Items, create_gallery
from bitreid.gallery.description import Description
from bitreid.gallery.items import Id
from bitreid.gallery.query import (
    Queries,
    SearchRequest,
    description_of,
    hits_json,
    ids_of,
    queries_of_files,
    query_of_item,
    query_of_pictures,
    search_description,
    search_queries,
)
from bitreid.training.load import load_encoder

N = 40


def no_encoder() -> Encoder:
    raise AssertionError("there are no pictures to encode")


def codes(n: int, n_bytes: int, seed: int) -> Codes:
    return Codes(np.random.default_rng(seed).integers(0, 256, (n, n_bytes), np.uint8), 8 * n_bytes)


LONG, SHORT = codes(N, 4, 0), codes(N, 1, 1)


@pytest.fixture
def gallery() -> Gallery:
    """Items 0 to 39, of cameras 0 to 3."""
    made = create_gallery("memory:", Contract(32, "abc", attributes=tuple("abcdefgh")))
    made.add(Items.of(range(N), LONG, SHORT, cameras=[i % 4 for i in range(N)], model="abc"))
    return made


def one(row: int) -> Queries:
    """A query near a row: some of its bits differ."""
    return Queries(["q"], Codes(LONG.packed[row : row + 1] ^ np.uint8(5), 32), SHORT[row : row + 1], "abc")


def ids_found(gallery: Gallery, queries: Queries, **request: Any) -> list[Id]:
    (hits,) = search_queries(gallery, queries, SearchRequest(**request))
    return list(hits.ids)


def n_different(a: Codes, b: Codes) -> Ints:
    return np.asarray(np.unpackbits(a.packed ^ b.packed, axis=1).sum(axis=1), np.int64)


def in_order(queries: Queries, w: int | None = None, among: range = range(N)) -> list[int]:
    """The rows by their distance, of those nearest by attribute code."""
    long = n_different(queries.codes, LONG)
    assert queries.attribute_codes is not None
    short = n_different(queries.attribute_codes, SHORT)
    kept = sorted(among, key=lambda row: (short[row], row))[:w]
    return sorted(kept, key=lambda row: (long[row], row))


def test_the_nearest_come_first(gallery: Gallery) -> None:
    query = one(5)
    assert ids_found(gallery, query) == in_order(query)[:10]
    assert ids_found(gallery, query, k=100) == in_order(query)


@pytest.mark.parametrize(("w", "kept"), [("9", 9), ("25%", 10), ("1%", 1), ("100%", 40), ("500", 40)])
def test_two_stages_rank_the_short_list(gallery: Gallery, w: str, kept: int) -> None:
    query = one(7)
    assert ids_found(gallery, query, k=100, w=w) == in_order(query, kept)


def test_a_share_is_of_what_passes_the_filter(gallery: Gallery) -> None:
    query = one(7)
    found = ids_found(gallery, query, k=100, w="50%", where="camera = 3")
    assert found == in_order(query, 5, range(3, N, 4))


def test_an_item_as_query_is_no_hit_itself(gallery: Gallery) -> None:
    query = query_of_item(gallery, 6)
    assert (query.names, query.model, query.item) == (["6"], "abc", 6)
    assert query.attribute_codes is not None
    assert [query.codes.packed.tolist(), query.attribute_codes.packed.tolist()] == [
        LONG.packed[6:7].tolist(),
        SHORT.packed[6:7].tolist(),
    ]
    assert ids_found(gallery, query, k=100) == [row for row in in_order(query) if row != 6]
    of_camera = [row for row in in_order(query, among=range(2, N, 4)) if row != 6]
    assert ids_found(gallery, query, k=100, where="camera = 2") == of_camera
    with pytest.raises(GalleryError, match="expected the id of an item in the gallery, got 99"):
        query_of_item(gallery, 99)


def test_a_model_without_attribute_codes_has_no_first_stage(gallery: Gallery) -> None:
    query = one(3)._replace(attribute_codes=None)
    assert ids_found(gallery, query) == in_order(one(3))[:10]
    with pytest.raises(GalleryError, match="attribute codes for a search in two stages, got none"):
        ids_found(gallery, query, w="9")


def test_codes_of_another_model_are_refused(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match="got codes of def"):
        ids_found(gallery, one(3)._replace(model="def"))


@pytest.mark.parametrize("w", ["0", "none", "200%", ""])
def test_an_impossible_short_list_is_refused_before_any_work(w: str) -> None:
    with pytest.raises(SettingsError, match="expected a number of rows such as 100"):
        SearchRequest(w=w)


@pytest.mark.parametrize("n_threads", [None, 1, 2, 3, 8])
def test_threads_change_no_hit(n_threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 5000
    long, short = codes(n, 2, 3), codes(n, 1, 4)  # so short that many distances are equal
    big = create_gallery("memory:", Contract(16, attributes=tuple("abcdefgh")))
    big.add(Items.of(range(n), long, short))
    queries = Queries(["a", "b", "c"], long[:3], short[:3], "")
    if n_threads is None:
        monkeypatch.setenv("BITREID_THREADS", "4")
    for w in (None, "20%"):
        found = search_queries(big, queries, SearchRequest(k=700, w=w, n_threads=n_threads))
        for query, hits in enumerate(found):
            near = n_different(short[query : query + 1], short)
            kept = np.arange(n) if w is None else np.lexsort((np.arange(n), near))[: n // 5]
            far = n_different(long[query : query + 1], long)[kept]
            order = np.lexsort((kept, far))[:700]
            assert [(hit.id, hit.distance) for hit in hits] == list(
                zip(kept[order].tolist(), far[order].tolist(), strict=True)
            )


@pytest.mark.parametrize("n_threads", [0, -1])
def test_no_threads_are_refused(gallery: Gallery, n_threads: int) -> None:
    with pytest.raises(SettingsError, match=f"expected n_threads to be .* at least 1, got {n_threads}"):
        ids_found(gallery, one(1), n_threads=n_threads)


def test_the_rows_of_a_file_are_queries(tmp_path: Path) -> None:
    file = tmp_path / "codes.npz"
    paths = (Path("a.jpg"), Path("b.jpg"))
    unknown = np.full(2, UNKNOWN)
    save_encoded(file, EncodedSet(paths, LONG[:2], SHORT[:2], None, unknown, unknown, "abc"))
    found = queries_of_files([file], no_encoder)
    assert (found.names, found.model, found.item) == (["a.jpg", "b.jpg"], "abc", None)
    assert np.array_equal(found.codes.packed, LONG.packed[:2])
    with pytest.raises(SettingsError, match="expected one file of codes, or pictures, as query, got 2 files"):
        queries_of_files([file, Path("a.jpg")], no_encoder)


def test_pictures_of_one_person_are_one_query(trained: Path, people: Path) -> None:
    encoder = load_encoder(trained / "artifact")
    pictures = sorted((people / "query").glob("0025_*.jpg"))
    by_files, by_pictures = queries_of_files(pictures, lambda: encoder), query_of_pictures(encoder, pictures)
    merged = encoder.merge(encoder.encode_files(pictures))
    for found in (by_files, by_pictures):
        assert (found.names, found.model) == ([str(pictures[0])], fingerprint(encoder.card))
        assert np.array_equal(found.codes.packed, merged.codes.packed)
    with pytest.raises(CodesError, match="at least one picture"):
        query_of_pictures(encoder, [])


def test_each_known_person_is_a_query(trained: Path, people: Path, tmp_path: Path) -> None:
    encoder = load_encoder(trained / "artifact")
    paths = {pid: sorted((people / "query").glob(f"{pid:04d}_*.jpg")) for pid in (25, 26)}
    pairs = list(zip(paths[25], paths[26], strict=False))
    rows = [f"{a},25\n{b},26" for a, b in pairs]
    table = tmp_path / "people.csv"
    table.write_text("\n".join(["path,pid", *rows]), encoding="utf-8")
    found = queries_of_files([table], lambda: encoder)
    each = [query_of_pictures(encoder, own) for own in zip(*pairs, strict=True)]
    assert found.names == [query.names[0] for query in each]
    assert np.array_equal(found.codes.packed, np.concatenate([query.codes.packed for query in each]))
    assert found.codes.parts == each[0].codes.parts
    assert found.features is not None
    assert np.array_equal(pack(found.features).packed, found.codes.packed)
    merged = queries_of_files([table], lambda: encoder, one_person=True)
    pictures = [path for pair in pairs for path in pair]
    assert np.array_equal(merged.codes.packed, query_of_pictures(encoder, pictures).codes.packed)


def test_words_are_numbers_where_such_an_item_is(gallery: Gallery) -> None:
    gallery.add(Items.of(["07", "x"], LONG[:2], SHORT[:2]))
    assert ids_of(gallery, ["7", "07", "x", "99", "-1", str(2**63)]) == [7, "07", "x", "99", "-1", str(2**63)]


def test_descriptions() -> None:
    assert description_of("hat, not long hair ,, top=red") == {"hat": 1, "long hair": 0, "top=red": 1}


def test_a_description_is_searched_by_attributes(gallery: Gallery) -> None:
    request = SearchRequest(k=3, where="camera = 1")
    found = search_description(gallery, description_of("a, not b"), request)
    assert found == gallery.search_attributes({"a": True, "b": False}, 3, "camera = 1")
    for name, value in {
        "w": "5",
        "parts": ("head",),
        "max_distance": 3,
        "by": "person",
        "person": "x",
        "rescore": True,
    }.items():
        changes: dict[str, Any] = {name: value}
        with pytest.raises(SettingsError, match=f"with a description, got {name}; leave it out"):
            search_description(gallery, {"a": True}, SearchRequest(**changes))


def test_hits_as_json() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    hits = Hits((Hit("a", 3, 0.5, 1, time, "t", "p"), Hit(7, 4.5, None, None, None, None, None, 2)), 10, 4)
    found = json.loads(json.dumps(hits_json("q", hits)))
    assert {name: value for name, value in found.items() if name != "hits"} == {
        "query": "q",
        "n_gallery": 10,
        "n_visited": 10,
        "threshold": 4,
        "nobody": False,
    }
    assert found["hits"][0] == {
        "id": "a",
        "distance": 3,
        "probability": 0.5,
        "camera": 1,
        "time": "2026-01-02T00:00:00+00:00",
        "tracklet": "t",
        "person": "p",
        "votes": 1,
        "certain": True,
    }
    named = hits_json("q", Hits(hits.hits, 10, 4, {1: "entrance", 2: "gate"}))["hits"]
    assert named == [{**found["hits"][0], "camera_name": "entrance"}, found["hits"][1]]
    assert [found["hits"][1][name] for name in ("id", "distance", "time", "votes", "certain")] == [
        7,
        4.5,
        None,
        2,
        False,
    ]


def test_a_misspelt_attribute_is_told_with_the_nearest() -> None:
    contract = Contract(16, attributes=("hat", "backpack", "jacket"))
    with pytest.raises(BadRequest, match=r"hat, backpack, jacket, got backpak, zzz \(did you mean backpack\?\)$"):
        Description.of({"backpak": 1, "hat": 1, "zzz": 0}, contract)
