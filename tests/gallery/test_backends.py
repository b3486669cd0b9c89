"""What every gallery does, in memory, in a file and on a server: the same items, the same hits."""

import asyncio
import math
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import BadRequest, DataWarning, GalleryClosed, GalleryExists, Unsupported, WrongModel
from bitreid.gallery import Contract, Items, create_gallery, open_gallery, parse_filter
from bitreid.gallery.audit import acting_as
from bitreid.gallery.items import Id, key_of
from bitreid.gallery.milvus.gallery import MilvusGallery
from bitreid.gallery.table import table as tables
from tests.gallery.cases import (
    ATTRIBUTES,
    COARSE,
    CONTRACT,
    IDS,
    START,
    Create,
    agree,
    codes,
    people,
    queries,
    same,
    three,
)
from tests.reference.gallery import PlainGallery, key

WHERES = (
    None,
    "camera = 1",
    "camera in (0, 2) and not backpack",
    "time >= 2026-01-02",
    "not time >= 2026-01-02",
    "upper_colour in (red, blue) and time < 2026-01-03T12:00:00",
    'metadata.zone = "north" or metadata.floor = 1',
    "not metadata.floor = 1",
    "person in (P1, P2)",
    "not person = P1 and tracklet != t3",
    "id = 5 or id = x7",
    "camera = 77",
)


def test_a_search_finds_what_the_twin_finds(create: Create) -> None:
    gallery, plain = create(), PlainGallery(ATTRIBUTES)
    assert gallery.add(people(IDS)) == plain.add(people(IDS)) == len(IDS)
    for where in WHERES:
        agree(gallery, plain, where)
    changed = people([3, "x3", "new"], seed=1)
    assert gallery.upsert(changed) == plain.upsert(changed) == 1
    assert gallery.delete([7, "x8", "absent"]) == plain.delete([7, "x8", "absent"]) == 2
    for where in WHERES:
        agree(gallery, plain, where, seed=10)


def test_adding_twice_changes_nothing_and_upserting_replaces(create: Create) -> None:
    gallery = create()
    first, second = people([1, "a"], seed=0), people([1, "a", 2], seed=1)
    assert (gallery.add(first), gallery.add(first), gallery.add(second)) == (2, 0, 1)
    assert same(gallery.get([1, "a", 2, 3]), [first[0], first[1], second[2], None])
    assert gallery.upsert(second) == 0
    assert same(gallery.get([2, "a", 1]), [second[2], second[1], second[0]])
    assert gallery.count() == gallery.info().n_items == 3
    assert gallery.add(people([])) == 0


def test_a_number_and_its_text_are_two_ids(create: Create) -> None:
    gallery = create()
    assert gallery.add(people([7, "7"])) == 2
    assert gallery.delete(["7"]) == 1
    assert [item is not None for item in gallery.get([7, "7"])] == [True, False]


def test_texts_and_numbers_that_share_a_key_are_refused(create: Create) -> None:
    gallery = create()
    gallery.add(people(["a"]))
    with pytest.raises(BadRequest, match="share"):
        gallery.add(people([key_of("a")]))
    assert gallery.delete([key_of("a")]) == 0
    assert gallery.count() == 1


def test_scan_goes_by_key_and_can_go_on(create: Create) -> None:
    gallery = create()
    gallery.add(people(IDS))
    keys = sorted(key(id) for id in IDS)
    found = [key for batch in gallery.scan(batch=7) for key in batch.keys().tolist()]
    assert found == keys
    later = [key for batch in gallery.scan(after=keys[20], batch=7) for key in batch.keys().tolist()]
    assert later == keys[21:]
    north = [id for batch in gallery.scan('metadata.zone = "north"', batch=2) for id in batch.ids]
    wanted = [item.id for item in people(IDS) if (item.metadata or {}).get("zone") == "north"]
    assert north == sorted(wanted, key=key)
    again = people(IDS)
    assert same(list(next(gallery.scan(batch=1000))), sorted(again, key=lambda item: key(item.id)))


def test_what_is_deleted_is_told(create: Create) -> None:
    gallery = create()
    told: list[Sequence[Id]] = []
    gallery.on_delete = told.append
    gallery.add(people([1, "b", 3]))
    gallery.upsert(people([1]))
    assert gallery.delete([1, "absent"]) == 1
    assert gallery.delete(["absent"]) == 0
    assert gallery.expire(datetime.now(UTC) + timedelta(days=1)) == 2
    assert list(map(set, told)) == [{1}, {"b", 3}]


def test_delete_where_and_expire(create: Create) -> None:
    gallery, plain = create(), PlainGallery(ATTRIBUTES)
    gallery.add(people(IDS))
    plain.add(people(IDS))
    where = parse_filter("backpack and camera = 1", CONTRACT)
    assert gallery.delete_where(where) == plain.delete_where(where) > 0
    old = parse_filter("time < 2026-01-02", CONTRACT)
    assert gallery.expire(START + timedelta(days=1)) == plain.delete_where(old) > 0
    agree(gallery, plain, None)
    assert gallery.expire(datetime.now(UTC) + timedelta(days=1)) == len(plain.items)
    assert gallery.count() == 0
    assert gallery.search(*queries()[:1], 3)[0].nobody


def test_codes_that_do_not_belong_are_refused(create: Create) -> None:
    gallery = create()
    gallery.add(people([1]))
    codes, short = queries()
    other = Codes(np.zeros((3, 8), np.uint8), 64)
    with pytest.raises(WrongModel, match=r"codes of the model tiny \(feed\)"):
        gallery.search(codes, model="beef")
    with pytest.raises(WrongModel, match="32 bits, got 64"):
        gallery.search(other)
    with pytest.raises(WrongModel, match="attribute codes of 8 bits"):
        gallery.search(codes, 3, 5, attribute_codes=other)
    with pytest.raises(BadRequest, match="leave out w and recall"):
        gallery.search(codes, 3, 5)
    with pytest.raises(BadRequest, match="attribute code for each of 3"):
        gallery.search(codes, 3, 5, attribute_codes=short[:2])
    with pytest.raises(BadRequest, match="at least 1, got 0"):
        gallery.search(codes, 0)
    with pytest.raises(WrongModel, match="expected attribute codes in this gallery"):
        gallery.add(Items.of([2], codes[:1]))
    assert gallery.count() == 1


def test_a_coarse_code_chooses_the_short_list(create: Create) -> None:
    gallery, plain = create(replace(CONTRACT, coarse=COARSE)), PlainGallery(ATTRIBUTES)
    items = people(IDS)
    gallery.add(items.rows(range(40)))
    plain.upsert(items.rows(range(40)))
    agree(gallery, plain, None)
    agree(gallery, plain, "camera = 1")
    # The short codes follow what is replaced, removed and decided.
    again = people(IDS[10:], seed=5)
    gallery.upsert(again)
    plain.upsert(again)
    gallery.delete([0, 1, "x3"])
    plain.delete([0, 1, "x3"])
    gallery.confirm([5], "P9")
    plain.decide("confirm", "P9", [5])
    agree(gallery, plain, None)
    agree(gallery, plain, "person = 'P1'")


def test_a_gallery_may_get_a_coarse_code_later_and_another(create: Create) -> None:
    gallery, plain = create(), PlainGallery(ATTRIBUTES)
    gallery.add(people(IDS))
    plain.add(people(IDS))
    agree(gallery, plain, None)
    gallery.calibrate(None, COARSE)
    assert gallery.contract == replace(CONTRACT, coarse=COARSE)
    agree(gallery, plain, "camera = 1")
    more = people(["later", "more"], seed=3)
    gallery.add(more)
    plain.add(more)
    agree(gallery, plain, None)
    other = CoarseCode((), (31, 30, 0, 1, 2, 3, 4, 5), COARSE.recall)
    gallery.calibrate(None, other)
    agree(gallery, plain, None)
    gallery.calibrate(None)
    assert gallery.contract.coarse == other


def test_recall_says_how_long_the_short_list_is(create: Create) -> None:
    gallery = create(replace(CONTRACT, coarse=COARSE))
    gallery.add(people(IDS))
    codes, short = queries(3)
    for recall, where, w in ((0.4, None, 4), (0.7, None, 11), (0.9, "camera = 1", None), (1, None, len(IDS))):
        kept = math.ceil(0.25 * gallery.count(where)) if w is None else w
        found = gallery.search(codes, 9, where=where, attribute_codes=short, recall=recall)
        assert found == gallery.search(codes, 9, kept, where, attribute_codes=short)
    with pytest.raises(BadRequest, match="w or recall for a search in two stages, got both"):
        gallery.search(codes, 1, 3, attribute_codes=short, recall=0.5)
    wrong: list[Any] = [0, 1.5, True, "0.9", float("nan")]
    for recall in wrong:
        with pytest.raises(BadRequest, match="recall to be a share of the matches above 0 and up to 1"):
            gallery.search(codes, 1, attribute_codes=short, recall=recall)
    with pytest.raises(BadRequest, match="attribute codes for a search in two stages, got none"):
        gallery.search(codes, 1, recall=0.5)


def test_a_search_names_its_method(create: Create) -> None:
    gallery = create(replace(CONTRACT, coarse=CoarseCode(COARSE.attribute_bits, COARSE.identity_bits, ((0.95, 0.25),))))
    gallery.add(people(IDS))
    codes, short = queries(3)
    exact = gallery.search(codes, 9, where="camera = 1")
    assert gallery.search(codes, 9, where="camera = 1", method="exact") == exact
    assert {hits.n_visited for hits in exact} == {gallery.count("camera = 1")}
    kept = gallery.search(codes, 9, math.ceil(0.25 * len(IDS)), attribute_codes=short)
    assert gallery.search(codes, 9, attribute_codes=short, method="two_stage") == kept
    assert gallery.search(codes, 9, attribute_codes=short, method="two_stage", recall=0.95) == kept
    assert gallery.search(codes, 9, 5, attribute_codes=short, method="two_stage") == gallery.search(
        codes, 9, 5, attribute_codes=short
    )
    clustered: dict[str, Any] = {"where": "camera = 1", "method": "clustered"}
    if isinstance(gallery, MilvusGallery):
        with pytest.raises(Unsupported, match="exact search or one in two stages on Milvus"):
            gallery.search(codes, 9, **clustered)
    else:  # too small for clusters
        assert gallery.search(codes, 9, **clustered) == gallery.search(codes, 9, **clustered, recall=0.5) == exact
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("method exact, two_stage or clustered, got 'best'", {"method": "best"}),
        ("w for a search in two stages only, got it for method exact", {"method": "exact", "w": 3}),
        ("w for a search in two stages only, got it for method clustered", {"method": "clustered", "w": 3}),
        ("no recall for an exact search", {"method": "exact", "recall": 0.9}),
        ("w or recall", {"method": "two_stage", "recall": 0.9, "w": 3}),
        ("recall to be a share", {"method": "clustered", "recall": 0}),
        ("recall to be a share", {"method": "clustered", "recall": float("nan")}),
    ]
    for message, how in wrong:
        with pytest.raises(BadRequest, match=message):
            gallery.search(codes, 9, **how)


def test_without_a_coarse_code_nobody_knows_what_a_recall_takes(create: Create) -> None:
    gallery = create()
    codes, short = queries(1)
    with pytest.raises(BadRequest, match="a coarse code, whose table says what a recall takes, got none"):
        gallery.search(codes, 1, attribute_codes=short, recall=0.5)
    with pytest.raises(BadRequest, match="a coarse code, whose table says what a recall takes, got none"):
        gallery.search(codes, 1, attribute_codes=short, method="two_stage")


def test_a_coarse_code_of_identity_bits_needs_no_attributes(create: Create) -> None:
    gallery = create(Contract(32, coarse=CoarseCode((), (31, 30, 0, 1, 2, 3, 4, 5), COARSE.recall)))
    gallery.add(Items.of(["a", "b", "c"], Codes(np.array([[0, 0, 0, 1], [0, 9, 0, 0], [0, 0, 0, 7]], np.uint8), 32)))
    query = Codes(np.zeros((1, 4), np.uint8), 32)
    assert gallery.search(query)[0].ids == ("a", "b", "c")
    assert gallery.search(query, 3, 1)[0].ids == ("b",)
    assert gallery.search(query, 3, recall=0.5)[0].ids == ("b",)


def test_a_gallery_without_attributes(create: Create) -> None:
    gallery = create(Contract(32))
    gallery.add(Items.of(["a", "b"], Codes(np.array([[0, 0, 0, 1], [0, 0, 0, 3]], np.uint8), 32)))
    assert gallery.search(Codes(np.zeros((1, 4), np.uint8), 32))[0].ids == ("a", "b")
    with pytest.raises(WrongModel, match="no attribute codes here"):
        gallery.search(Codes(np.zeros((1, 4), np.uint8), 32), 1, 1, attribute_codes=queries(1)[1])


def test_attributes_without_a_picture(create: Create) -> None:
    gallery = create()
    gallery.add(people(IDS))
    wanted = {"backpack": 1.0, "hat": False, "upper_colour=red": 0.75}
    hits = gallery.search_attributes(wanted, 12, "camera in (0, 1)")

    def wrong(item: Any) -> float:
        bits = [(int(item.attribute_code[0]) >> (7 - i)) & 1 for i in range(5)]
        chances = [wanted.get(name) for name in ATTRIBUTES]
        return sum(abs(bit - float(p)) for bit, p in zip(bits, chances, strict=True) if p is not None)

    allowed = [item for item in people(IDS) if item.camera in (0, 1)]
    expected = sorted(allowed, key=lambda item: (wrong(item), key(item.id)))[:12]
    assert hits.ids == tuple(item.id for item in expected)
    assert [hit.distance for hit in hits] == [wrong(item) for item in expected]
    assert hits.n_gallery == len(allowed)
    with pytest.raises(BadRequest, match="backpack, hat"):
        gallery.search_attributes({"beard": True})
    with pytest.raises(BadRequest, match="from 0 to 1"):
        gallery.search_attributes({"hat": 2})


def test_what_was_closed_is_not_used(create: Create) -> None:
    gallery = create()
    gallery.add(people([1]))
    gallery.close()
    gallery.close()
    for use in (lambda: gallery.add(people([2])), gallery.count, lambda: gallery.get([1])):
        with pytest.raises(GalleryClosed, match="closed"):
            use()


def test_searching_while_others_add_and_delete(create: Create) -> None:
    gallery, codes = create(), queries(1)[0]
    gallery.add(people(range(50)))
    stop, errors = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            hits = gallery.search(codes, 100, max_distance=None)[0]
            if not {*range(50)} <= set(hits.ids) or [h.distance for h in hits] != sorted(h.distance for h in hits):
                errors.append(hits)

    searching = [threading.Thread(target=search) for _ in range(2)]
    for thread in searching:
        thread.start()
    for round in range(6):
        gallery.add(people(range(50, 58), seed=round))
        gallery.delete(list(range(50, 58)))
    stop.set()
    for thread in searching:
        thread.join()
    assert not errors
    assert gallery.count() == 50


def test_the_audit_says_what_was_done(create: Create) -> None:
    gallery = create(actor="desk 7")
    gallery.add(people([1, "b"]))
    gallery.upsert(people([1, 2]))
    hits = gallery.search(queries(1)[0], 2)[0]
    gallery.delete([1])
    entries = list(gallery.audit())
    assert [entry["action"] for entry in entries] == ["add", "upsert", "search", "delete"]
    assert [sorted(map(str, entry["ids"])) for entry in entries] == [
        ["1", "b"],
        ["1", "2"],
        sorted(map(str, hits.ids)),
        ["1"],
    ]
    assert [entry["count"] for entry in entries] == [2, 2, 2, 1]
    assert {entry["actor"] for entry in entries} == {"desk 7"}
    assert {key for entry in entries for key in entry} == {"time", "actor", "action", "count", "ids", "queries"}
    quiet = create(audited=False)
    quiet.add(people([1]))
    quiet.search(queries(1)[0])
    assert not list(quiet.audit())


def test_the_audit_names_who_acts_in_each_thread(create: Create) -> None:
    gallery = create(actor="desk 7")
    gallery.add(people([1, 2, 3, 4, 5]))
    together = threading.Barrier(2)

    def act(name: str, id: int) -> None:
        with acting_as(name):
            together.wait(10)
            gallery.search(queries(1)[0], 2)
            gallery.confirm([id], f"found by {name}")
            gallery.delete([id])

    threads = [threading.Thread(target=act, args=(name, id)) for id, name in ((1, "Anna"), (2, "Ben"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def served() -> None:
        with acting_as("Cleo"):
            await asyncio.to_thread(gallery.delete, [3])
        await asyncio.to_thread(gallery.delete, [4])

    asyncio.run(served())
    with acting_as("Dora"), acting_as(""):
        gallery.forget_audit(datetime(2000, 1, 1, tzinfo=UTC))
    gallery.delete([5])
    found = [(entry["actor"], entry["action"]) for entry in gallery.audit()]
    for name in ("Anna", "Ben"):
        assert [action for actor, action in found if actor == name] == ["search", "confirm", "delete"]
    rest = [each for each in found if each[0] not in ("Anna", "Ben")]
    own = "desk 7"
    assert rest == [(own, "add"), ("Cleo", "delete"), (own, "delete"), ("", "forget audit"), (own, "delete")]


def test_the_audit_can_forget(create: Create) -> None:
    gallery = create(actor="desk 7")
    gallery.add(people([1, "b", 3]))
    gallery.search(queries(1)[0], 3)
    gallery.confirm(["b"], "Ada")
    first = next(iter(gallery.audit()))["time"]
    assert gallery.delete([1], blank_audit=True) == 1
    assert gallery.delete_where("person = Ada", blank_audit=True) == len(list(gallery.audit())[2]["ids"])
    assert gallery.delete(["nobody"], blank_audit=True) == 0
    entries = list(gallery.audit())
    left = {item.id for batch in gallery.scan() for item in batch}
    assert [entry["action"] for entry in entries] == ["add", "search", "confirm", "delete", "delete", "delete"]
    assert {id for entry in entries for id in entry["ids"]} == {None, *left}
    assert [entry["count"] for entry in entries[:2]] == [len(entry["ids"]) for entry in entries[:2]] == [3, 3]
    assert gallery.forget_audit(datetime.fromisoformat(first)) == 0
    assert gallery.forget_audit(datetime.now(UTC)) == 7
    assert [(entry["actor"], entry["action"], entry["count"]) for entry in gallery.audit()] == [
        ("desk 7", "forget audit", 7)
    ]
    gallery.delete([3])
    assert len(list(gallery.audit())) == 2
    with pytest.raises(BadRequest, match="offset from UTC"):
        gallery.forget_audit(datetime(2026, 1, 1))  # on purpose
    quiet = create(audited=False)
    assert quiet.forget_audit(datetime.now(UTC)) == len(list(quiet.audit())) == 0


def test_a_filter_for_what_nobody_has_says_so(create: Create) -> None:
    gallery, query = create(), queries(1)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not gallery.search(query, where="metadata.zone = none")[0].n_gallery  # nothing is there yet
        gallery.add(people(IDS))
        gallery.search(query, where="camera = 1 and (metadata.zon = north or person = P1)")  # some pass
        gallery.search(query, where="camera = 1 and camera = 2")  # each is true of some
    for where, said in (
        ("metadata.zon = north", 'metadata.zon = "north"'),
        ("camera = 1 and person in (P1, nobody) and camera = 2", 'person = "nobody"'),
        ("tracklet in (9, t1) and camera = 77", 'tracklet = "9" or camera = 77'),
        ("id = 99999", "id = 99999"),
    ):
        with pytest.warns(DataWarning, match=rf"no item has {re.escape(said)}$"):
            assert gallery.search(query, where=where)[0].nobody


def test_a_gallery_is_there_when_opened_again(create: Create) -> None:
    gallery = create(actor="one")
    place = gallery.info().place
    if place == "memory:":
        with pytest.raises(BadRequest, match="memory:"):
            open_gallery(place)
        return
    gallery.add(people(IDS))
    gallery.confirm([5], "Ada")
    gallery.close()
    with open_gallery(place, actor="two") as again:
        assert again.contract == CONTRACT
        assert again.count() == len(IDS)
        assert again.undo() == "confirm Ada"
        assert [entry["actor"] for entry in again.audit()] == ["one", "one", "two"]
    with pytest.raises(GalleryExists, match="there"):
        create_gallery(place, CONTRACT)


@pytest.mark.parametrize("limit", ["10", "none", True, 12.5, [1]])
def test_a_limit_that_is_none_is_not_taken_for_no_limit(create: Create, limit: Any) -> None:
    gallery = three(create)
    with pytest.raises(BadRequest, match="max_distance"):
        gallery.search(codes(1), max_distance=limit)


def test_a_deletion_of_nothing_named_is_refused(create: Create) -> None:
    gallery = three(create)
    nothing: Any = None
    with pytest.raises(BadRequest, match="what to delete"):
        gallery.delete_where(nothing)
    assert gallery.count() == 3


def test_a_closed_gallery_says_so_at_once(create: Create) -> None:
    gallery = three(create)
    gallery.close()
    calls: list[Callable[[], object]] = [
        lambda: list(gallery.audit()),
        lambda: list(gallery.scan()),
        lambda: gallery.rejected("Ada"),
    ]
    for call in calls:
        with pytest.raises(GalleryClosed, match="closed"):
            call()


def test_columns_of_metadata_fill_no_memory_and_are_right_when_read_again(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MOST_KEYS", 2)
    gallery = create(Contract(64))
    batch: Items = Items.of(range(9), codes(9), metadata=[{"a": i % 2, "b": i % 3, "c": i} for i in range(9)])
    gallery.add(batch)
    for _ in range(3):
        assert gallery.count("metadata.a = 1 and metadata.b = 1 and metadata.c = 1") == 1
        assert [gallery.count(f"metadata.{key} = 0") for key in "abcd"] == [5, 3, 1, 0]
        gallery.delete([8])
        gallery.add(batch)
