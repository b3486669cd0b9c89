"""What every gallery does, in memory, in a file and on a server: items that are added, deleted, read and audited."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bitreid.errors import BadRequest, GalleryClosed, GalleryExists
from bitreid.gallery import Contract, Items, create_gallery, open_gallery, parse_filter
from bitreid.gallery.audit import acting_as
from bitreid.gallery.items import Id, key_of
from bitreid.gallery.table import table as tables
from tests.gallery.cases import (
    ATTRIBUTES,
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
    found = [key for batch in gallery.scan(batch_size=7) for key in batch.keys().tolist()]
    assert found == keys
    later = [key for batch in gallery.scan(after=keys[20], batch_size=7) for key in batch.keys().tolist()]
    assert later == keys[21:]
    north = [id for batch in gallery.scan('metadata.zone = "north"', batch_size=2) for id in batch.ids]
    wanted = [item.id for item in people(IDS) if (item.metadata or {}).get("zone") == "north"]
    assert north == sorted(wanted, key=key)
    again = people(IDS)
    assert same(list(next(gallery.scan(batch_size=1000))), sorted(again, key=lambda item: key(item.id)))


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


def test_what_was_closed_is_not_used(create: Create) -> None:
    gallery = create()
    gallery.add(people([1]))
    gallery.close()
    gallery.close()
    for use in (lambda: gallery.add(people([2])), gallery.count, lambda: gallery.get([1])):
        with pytest.raises(GalleryClosed, match="closed"):
            use()


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
