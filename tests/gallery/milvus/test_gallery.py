"""What is special to galleries on a Milvus server: limits, ties, two collections, requests that fail."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, pack_bits
from bitreid.errors import BadRequest, GalleryExists, GalleryNotFound, GalleryUnreachable, Unsupported
from bitreid.gallery import CameraIn, Contract, Filter, IdIn, Items, export_parquet
from bitreid.gallery.items import key_of
from bitreid.gallery.milvus import gallery as module
from bitreid.gallery.milvus import log
from bitreid.gallery.milvus.gallery import MilvusGallery, create_milvus, open_milvus
from bitreid.gallery.milvus.items import short_collection
from bitreid.gallery.milvus.notes import format_of
from bitreid.gallery.milvus.server import Server
from bitreid.open_set import OpenSet, SearchTail
from tests.gallery.cases import COARSE, CONTRACT, IDS, agree, people, queries
from tests.gallery.filters.cases import CONTRACT as WITH_FILTERS
from tests.gallery.filters.cases import FILTERS, START
from tests.gallery.milvus.running import Galleries, MilvusServer
from tests.reference.gallery import PlainGallery

Create = Callable[..., MilvusGallery]


@pytest.fixture
def create(create_milvus_gallery: Create) -> Create:
    """Makes galleries, and closes them."""
    return create_milvus_gallery


@pytest.fixture(scope="module")
def filled(milvus_galleries: Galleries) -> Iterator[MilvusGallery]:
    """A gallery of twenty items, not to be changed."""
    with milvus_galleries.borrowed(CONTRACT) as gallery:
        gallery.add(people(range(20)))
        yield gallery


@pytest.fixture(scope="module")
def filtered(milvus_galleries: Galleries) -> Iterator[tuple[MilvusGallery, PlainGallery]]:
    """A gallery with much that filters ask of, and the same as a dict."""
    with milvus_galleries.borrowed(WITH_FILTERS) as gallery:
        plain = PlainGallery(WITH_FILTERS.attributes)
        batch = odd_items()
        assert gallery.add(batch) == plain.add(batch) == len(batch)
        yield gallery, plain


def odd_items() -> Items:
    texts = ["a", "P 7", "7", "in", 'say "hi"', "it's", "back\\slash", "two\nlines", "Zoë", "true"]
    ids = [*range(6, 40), -(2**63), *texts]
    rng, n = np.random.default_rng(0), len(ids)

    def some(values: list[Any]) -> list[Any]:
        return [None if rng.random() < 0.2 else values[int(rng.integers(len(values)))] for _ in range(n)]

    keys, values = ["zone", "a b", "", "in"], [1, 1.0, True, "1", 0, False, None, "null", -2.5, 1e22, [1], {"a": 1}]
    metadata = [dict(zip(some(keys), some(values), strict=True)) for _ in range(n)]
    return Items.of(
        ids,
        Codes(np.zeros((n, 8), np.uint8), 64),
        pack_bits(np.pad(rng.random((n, 9)) < 0.5, ((0, 0), (0, 7)))),
        cameras=some([-1, 0, 1, 2, 3]),
        times=some([START.replace(microsecond=step) for step in range(4)]),
        tracklets=some(texts),
        persons=some(texts),
        metadata=[{str(key): value for key, value in each.items() if key is not None} for each in metadata],
    )


@given(where=FILTERS)
def test_the_server_filters_as_the_twin_does(filtered: tuple[MilvusGallery, PlainGallery], where: Filter) -> None:
    gallery, plain = filtered
    found = [id for batch in gallery.scan(where) for id in batch.ids]
    assert found == [item.id for item in plain.passing(where)]
    assert gallery.count(where) == len(found)


def test_thousands_of_ids_are_one_filter(filled: MilvusGallery) -> None:
    many = IdIn(frozenset([*range(10, 12_000), *(f"x{i}" for i in range(8000))]))
    assert filled.count(many) == 10
    assert len(filled.search(queries(1)[0], 100, where=~many)[0]) == 10


def test_what_the_server_cannot_do_is_said(filled: MilvusGallery, create: Create) -> None:
    codes, short = queries(1)
    with pytest.raises(Unsupported, match="k of at most 16384, which is the limit of the Milvus server, got 16385"):
        filled.search(codes, 16_385)
    with pytest.raises(Unsupported, match="w of at most 16384"):
        filled.search(codes, 1, 20_000, attribute_codes=short)
    with pytest.raises(Unsupported, match="k of at most 16384"):
        filled.search_attributes({"hat": 1}, 20_000)
    with pytest.raises(Unsupported, match="expected w in a search by parts"):
        filled.search(codes, parts=["head"])
    with pytest.raises(Unsupported, match="below 9223372036854775807"):
        filled.add(people([2**63 - 1]))
    gallery = create(Contract(32, attributes=tuple(f"a{i}" for i in range(13))))
    with pytest.raises(Unsupported, match="at most 12 attributes in a description on Milvus, got 13"):
        gallery.search_attributes({f"a{i}": 1 for i in range(13)})


def test_a_gallery_of_a_newer_format_is_refused(create: Create, milvus: MilvusServer) -> None:
    gallery = create()
    (note,) = gallery._notebook.of("gallery")
    gallery._notebook.rewrite("gallery", note, {**note.content, "format": 4})
    with pytest.raises(Unsupported, match=f"format 3 or older, got {gallery.name} of format 4; update bitreid"):
        open_milvus(milvus.url, gallery.name)


def test_coarse_codes_are_format_2_and_have_a_collection_of_their_own(create: Create, milvus: MilvusServer) -> None:
    gallery, plain = create(), PlainGallery(CONTRACT.attributes)
    gallery.add(people(IDS))
    plain.add(people(IDS))
    names = [f"{gallery.name}_attributes", short_collection(gallery.name, replace(CONTRACT, coarse=COARSE))]

    def formats() -> tuple[int, list[bool]]:
        (note,) = gallery._notebook.of("gallery")
        return note.content["format"], [gallery._server.has(name) for name in names]

    assert formats() == (1, [True, False])
    gallery.calibrate(None, COARSE)
    assert formats() == (2, [False, True])
    with open_milvus(milvus.url, gallery.name) as again:
        assert again.contract.coarse == COARSE
        agree(again, plain, "camera = 1")
    longer = replace(COARSE, recall=((0.5, 0.3),))
    made = gallery._items.short
    gallery.calibrate(None, longer)
    assert gallery._items.short == made, "the codes are the same"
    agree(gallery, plain, None)


def test_a_coarse_code_that_could_not_be_set_leaves_the_one_before(
    create: Create, milvus: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, plain = create(replace(CONTRACT, coarse=COARSE)), PlainGallery(CONTRACT.attributes)
    gallery.add(people(IDS))
    plain.add(people(IDS))
    other = CoarseCode((), (31, 30, 0, 1, 2, 3, 4, 5), COARSE.recall)
    with monkeypatch.context() as broken:
        broken.setattr(gallery._notebook, "rewrite", _unreachable)
        with pytest.raises(GalleryUnreachable):
            gallery.calibrate(None, other)
    with open_milvus(milvus.url, gallery.name) as again:
        assert again.contract.coarse == COARSE
        agree(again, plain, None)
    gallery.calibrate(None, other)
    agree(gallery, plain, None)


def _unreachable(*_: object) -> None:
    raise GalleryUnreachable("expected a server, got none")


def test_what_older_bitreids_cannot_read_is_format_2() -> None:
    open_set = OpenSet(0.2, -6.0, -0.3, 4.0)
    assert format_of(replace(CONTRACT, open_set=open_set)) == 1
    assert format_of(replace(CONTRACT, coarse=COARSE)) == 2
    assert format_of(replace(CONTRACT, open_set=replace(open_set, search=SearchTail(0.1, -5.0, 0.5)))) == 2


def test_ties_larger_than_an_answer_are_ordered_by_key(create: Create) -> None:
    """Of a server that answers with four rows at most, dozens of which are equally near."""
    gallery, plain = create(most_rows=4), PlainGallery(CONTRACT.attributes)
    batch = people([*range(40), *(f"x{i}" for i in range(40)), -(2**63), 2**63 - 2])
    gallery.add(batch)
    plain.add(batch)
    codes, short = queries(2)
    for k, w in ((1, None), (3, None), (4, None), (2, 3), (4, 4)):
        found = gallery.search(codes, k, w, max_distance=None, attribute_codes=short)
        for hits, code, attributes in zip(found, codes.packed, short.packed, strict=True):
            expected = plain.search(bytes(code), k, None, w, bytes(attributes), None)
            assert [(hit.id, hit.distance) for hit in hits] == expected
    assert [id for each in gallery.scan() for id in each.ids] == [item.id for item in plain.passing(None)]
    where = CameraIn(frozenset({1}))
    assert gallery.delete_where(where) == plain.delete_where(where) > 0
    assert gallery.count() == len(plain.items)


def test_what_was_written_out_is_found_as_before(create: Create, tmp_path: Path) -> None:
    gallery = create()
    gallery.add(people(range(30)))
    gallery.delete([3, 4])
    codes, short = queries(2)
    before = gallery.search(codes, 20, 25, attribute_codes=short), gallery.search(codes, 28)
    gallery.compact()
    gallery.upsert(people(range(30, 35)))
    gallery.delete(list(range(30, 35)))
    assert (gallery.search(codes, 20, 25, attribute_codes=short), gallery.search(codes, 28)) == before
    gallery.backup(tmp_path / "backup.parquet")
    export_parquet(gallery, tmp_path / "export.parquet")
    assert (tmp_path / "backup.parquet").read_bytes() == (tmp_path / "export.parquet").read_bytes()


class Stopped(Exception):
    """The writer is no more."""


@contextmanager
def stopping(n: int) -> Iterator[None]:
    """From the n-th request that writes on nothing reaches the server; the writer is expected to notice."""
    original, numbers = Server.call, count()

    def call(self: Server, method: str, *arguments: Any, **settings: Any) -> Any:
        if method in ("upsert", "delete") and next(numbers) >= n:
            raise Stopped
        return original(self, method, *arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Server, "call", call)
        try:
            yield
        except Stopped:
            return
    pytest.fail("expected the writer to be stopped, got one that was done before")


def test_a_writer_may_stop_anywhere(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = create(audited=False)
    address, name = gallery._server.address, gallery.name
    gallery.add(people(range(10)))
    first, second = people([3, 77], seed=1), people([3, 77], seed=2)
    ways: list[Callable[[], int]] = [
        lambda: gallery.add(people([50, 51])),
        lambda: gallery.upsert(first),
        lambda: gallery.upsert(second),
        lambda: gallery.delete([3, 5]),
    ]
    for way in ways:
        for n in range(4):
            gallery.add(people(range(10)))
            gallery.delete([50, 51])
            with stopping(n):
                way()
            with monkeypatch.context() as patch:
                patch.setattr(module, "SETTLED_S", 0.0)
                again = open_milvus(address, name)
            with again:
                assert again.repair() == 0
                there = [item for batch in again.scan() for item in batch]
                plain = PlainGallery(CONTRACT.attributes)
                plain.items = {item.id: item for item in there}
                assert {*range(10)} - {3, 5} <= plain.items.keys() <= {*range(10), 50, 51, 77}
                codes, short = queries(1)
                hits = again.search(codes, 5, 6, max_distance=None, attribute_codes=short)[0]
                expected = plain.search(bytes(codes.packed[0]), 5, None, 6, bytes(short.packed[0]), None)
                assert [(hit.id, hit.distance) for hit in hits] == expected
        way()
    assert gallery.get([3, 5]) == [None, None]
    assert not list(gallery._notebook.of("write"))


def test_items_in_one_collection_only_are_mended(create: Create) -> None:
    gallery = create()
    gallery.add(people(range(10)))
    gallery._server.call("delete", gallery.name, filter="key in [1, 2]")
    gallery._server.call("delete", gallery._items.short, filter="key in [7]")
    assert gallery.repair() == 3
    assert gallery.repair() == 0
    codes, short = queries(1)
    found = gallery.search(codes, 10, 10, max_distance=None, attribute_codes=short)[0].ids
    assert sorted(found, key=str) == [0, 3, 4, 5, 6, 7, 8, 9]
    with create(Contract(32)) as plain:
        assert plain.repair() == 0


def test_a_write_that_another_process_is_at_is_left_alone(create: Create) -> None:
    gallery = create()
    with stopping(2):
        gallery.add(people([1]))
    with open_milvus(gallery._server.address, gallery.name) as again:
        assert len(list(again._notebook.of("write"))) == 1
        assert again.repair() == 1
        assert not list(again._notebook.of("write"))


def test_a_server_that_is_away_is_named_and_nothing_is_lost(milvus: MilvusServer, filled: MilvusGallery) -> None:
    with open_milvus(milvus.url, filled.name, timeout_s=0.5) as gallery:
        ids = gallery.search(queries(1)[0], 5)[0].ids
        milvus.pause()
        try:
            start = time.monotonic()
            with pytest.raises(GalleryUnreachable, match=f"{milvus.url}: expected a Milvus server that .* is lost"):
                gallery.count()
            with pytest.raises(GalleryUnreachable, match=f"{milvus.url}: expected a Milvus server that .* is lost"):
                gallery.add(people(["lost?"]))
            with pytest.raises(GalleryUnreachable, match=f"{milvus.url}: expected a Milvus server"):
                open_milvus(milvus.url, filled.name, timeout_s=0.5)
            assert time.monotonic() - start < 15
        finally:
            milvus.go_on()
        assert gallery.search(queries(1)[0], 5)[0].ids == ids
        assert gallery.count() == 20
    with pytest.raises(GalleryUnreachable, match=r"127\.0\.0\.1:1: expected a Milvus server"):
        open_milvus("http://127.0.0.1:1", "people", timeout_s=0.2)


@pytest.mark.parametrize("done", [True, False], ids=["answer lost", "request lost"])
def test_requests_are_asked_again(create: Create, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    from pymilvus.exceptions import MilvusException

    gallery, slept = create(), list[float]()
    fail = iter([True, True, False, True])
    client = gallery._server._client
    upsert = client.upsert

    def fails(*arguments: Any, **settings: Any) -> Any:
        result = upsert(*arguments, **settings) if done else None
        if next(fail, False):
            raise MilvusException(2, "service unavailable")
        return result or upsert(*arguments, **settings)

    monkeypatch.setattr(client, "upsert", fails)
    monkeypatch.setattr("bitreid.gallery.milvus.server.time.sleep", slept.append)
    assert gallery.add(people([1, 2])) == 2
    assert slept[:2] == [0.2, 0.4]
    monkeypatch.undo()
    assert gallery.count() == 2
    assert len(list(gallery.audit())) == 1
    with pytest.raises(BadRequest, match=r"expected Milvus to answer, it said: .*not found"):
        gallery._server.call("query", "no_such", filter="", limit=1)


def test_making_and_opening(milvus: MilvusServer, create: Create) -> None:
    milvus_url, name = milvus.url, create().name
    with pytest.raises(GalleryExists, match=f"expected no gallery named {name}, but it is there"):
        create_milvus(milvus_url, name, CONTRACT)
    with pytest.raises(BadRequest, match="letters, digits and _"):
        create_milvus(milvus_url, "my people", CONTRACT)
    with pytest.raises(GalleryNotFound, match="expected a gallery named nobody, got none"):
        open_milvus(milvus_url, "nobody")


def test_a_making_that_stopped_is_done_again(milvus: MilvusServer) -> None:
    milvus_url, name = milvus.url, "half_made"
    with stopping(0):
        create_milvus(milvus_url, name, CONTRACT)
    with pytest.raises(GalleryNotFound, match="got none"):
        open_milvus(milvus_url, name)
    with create_milvus(milvus_url, name, CONTRACT) as gallery:
        assert gallery.add(people([1])) == 1


def test_long_decisions_and_what_is_forgotten_of_them(create: Create) -> None:
    gallery = create()
    ids = [f"{i:03}" + "x" * 1000 for i in range(150)]
    gallery.add(people(ids, cameras=[1] * 150, tracklets=["one"] * 150))
    assert gallery.confirm(ids[:1], "Ada") == 150
    rows = list(gallery._server.rows(f"{gallery.name}_notes", 'kind == "decision"', []))
    assert sum(map(len, rows)) > 1
    assert gallery.delete(ids[1:]) == 149
    ((_, note),) = gallery._notes()
    assert [id for id, _ in note["before"]] == ids[:1]
    kept = [
        row["text"]
        for rows in gallery._server.rows(gallery._notebook._collection, "", ["text", "kind"])
        for row in rows
        if row["kind"] == "decision"
    ]
    assert len(kept) == 1
    assert ids[1] not in kept[0]
    assert gallery.undo() == "confirm Ada"
    assert gallery._notes() == []


def test_entries_of_searches_wait_a_moment(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LATER_S", 0.05)
    gallery = create()
    gallery.search(queries(1)[0])
    until = time.monotonic() + 10
    while gallery._entries._waiting and time.monotonic() < until:
        time.sleep(0.02)
    assert [note.content["action"] for note in gallery._notebook.of("audit")] == ["search"]


def test_texts_that_share_a_key_are_refused(create: Create) -> None:
    gallery = create()
    with pytest.raises(BadRequest, match="share"):
        gallery.add(people(["a", key_of("a")]))
    assert gallery.info().n_items == 0
    assert gallery.expire(datetime.now(UTC)) == 0
