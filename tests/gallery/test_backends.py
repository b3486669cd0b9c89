"""What every gallery does, in memory, in a file and on a server: the same items, the same hits."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes, Part
from bitreid.errors import GalleryError
from bitreid.gallery import (
    Contract,
    Filter,
    Gallery,
    Items,
    create_gallery,
    items,
    open_gallery,
    parse_filter,
)
from bitreid.gallery.items import Id, key_of
from tests.reference.gallery import PlainGallery

ATTRIBUTES = ("backpack", "hat", "upper_colour=red", "upper_colour=blue", "skirt")
PARTS = (Part("head", 0, 8), Part("legs", 8, 32))
CONTRACT = Contract(32, "feed", "tiny", PARTS, ATTRIBUTES)
START = datetime(2026, 1, 1, tzinfo=UTC)
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


@pytest.fixture(params=["memory", "sqlite", "milvus"])
def create(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Gallery]]:
    """Makes galleries of one kind, and closes them."""
    made: list[Gallery] = []

    def place() -> str:
        number = len(made)
        if request.param == "milvus":
            return f"{request.getfixturevalue('milvus_url').replace('http', 'milvus')}/t{tmp_path.name}_{number}"
        return "memory:" if request.param == "memory" else str(tmp_path / f"{number}.gallery")

    def new(contract: Contract = CONTRACT, **settings: Any) -> Gallery:
        made.append(create_gallery(place(), contract, **settings))
        return made[-1]

    yield new
    for gallery in made:
        gallery.close()


def people(ids: Sequence[Id], seed: int = 0, **columns: Any) -> Items:
    """Items with codes that tie often, and much that nobody told us."""
    rng = np.random.default_rng(seed)
    n = len(ids)
    codes = np.where(rng.random((n, 4)) < 0.7, 0, 1 << rng.integers(0, 8, (n, 4))).astype(np.uint8)
    attributes = (rng.integers(0, 32, (n, 1)) << 3).astype(np.uint8)

    def some(values: Sequence[Any]) -> list[Any]:
        return [None if rng.random() < 0.2 else values[int(rng.integers(len(values)))] for _ in range(n)]

    known = {
        "cameras": some([0, 1, 2]),
        "times": some([START + timedelta(hours=h) for h in range(0, 96, 6)]),
        "tracklets": some([f"t{i}" for i in range(8)]),
        "persons": some([f"P{i}" for i in range(5)]),
        "metadata": some([{"zone": "north"}, {"zone": "south", "floor": 1}, {"floor": True}, {"floor": 1.0}, {}]),
        "pictures": some(["a.jpg", "b.jpg"]),
    }
    return items(ids, Codes(codes, 32), Codes(attributes, 8), **(known | columns), model="feed")


IDS: tuple[Id, ...] = (*range(-4, 30), *(f"x{i}" for i in range(30)), -(2**63), 2**63 - 2, "Zoë")


def queries(n: int = 3, seed: int = 9) -> tuple[Codes, Codes]:
    batch = people(range(n), seed)
    assert batch.attribute_codes is not None
    return batch.codes, batch.attribute_codes


def agree(gallery: Gallery, plain: PlainGallery, where: str | None, seed: int = 9) -> None:
    """Every way of searching finds what the twin finds."""
    codes, short = queries(seed=seed)
    chosen: Filter | None = None if where is None else parse_filter(where, CONTRACT)
    for k, w, bits in ((1, None, None), (7, None, None), (500, None, None), (5, 9, None), (20, 20, None), (4, 11, 8)):
        parts = () if bits is None else ("head",)
        settings: dict[str, Any] = {"parts": parts, "max_distance": None, "attribute_codes": short}
        found = gallery.search(codes, k, w, where, **settings)
        assert {hits.n_gallery for hits in found} == {len(plain.passing(chosen))}
        for hits, code, attributes in zip(found, codes.packed, short.packed, strict=True):
            expected = plain.search(bytes(code), k, chosen, w, bytes(attributes), range(8) if bits else None)
            assert [(hit.id, hit.distance) for hit in hits] == expected
            for hit in hits:
                item = plain.items[hit.id]
                assert (hit.camera, hit.time, hit.tracklet, hit.person) == item[3:7]


def same(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether items are equal, codes and all."""

    def plain(item: Any) -> Any:
        return None if item is None else [np.asarray(value).tolist() for value in item]

    return [plain(item) for item in found] == [plain(item) for item in expected]


@pytest.mark.parametrize("where", WHERES)
def test_a_search_finds_what_the_twin_finds(create: Callable[..., Gallery], where: str | None) -> None:
    gallery, plain = create(), PlainGallery(ATTRIBUTES)
    assert gallery.add(people(IDS)) == plain.add(people(IDS)) == len(IDS)
    agree(gallery, plain, where)
    changed = people([3, "x3", "new"], seed=1)
    assert gallery.upsert(changed) == plain.upsert(changed) == 1
    assert gallery.delete([7, "x8", "absent"]) == 2
    for gone in (7, "x8"):
        del plain.items[gone]
    agree(gallery, plain, where, seed=10)


def test_adding_twice_changes_nothing_and_upserting_replaces(create: Callable[..., Gallery]) -> None:
    gallery = create()
    first, second = people([1, "a"], seed=0), people([1, "a", 2], seed=1)
    assert (gallery.add(first), gallery.add(first), gallery.add(second)) == (2, 0, 1)
    assert same(gallery.get([1, "a", 2, 3]), [first[0], first[1], second[2], None])
    assert gallery.upsert(second) == 0
    assert same(gallery.get([2, "a", 1]), [second[2], second[1], second[0]])
    assert gallery.count() == gallery.info().n_items == 3
    assert gallery.add(people([])) == 0


def test_a_number_and_its_text_are_two_ids(create: Callable[..., Gallery]) -> None:
    gallery = create()
    assert gallery.add(people([7, "7"])) == 2
    assert gallery.delete(["7"]) == 1
    assert [item is not None for item in gallery.get([7, "7"])] == [True, False]


def test_texts_and_numbers_that_share_a_key_are_refused(create: Callable[..., Gallery]) -> None:
    gallery = create()
    gallery.add(people(["a"]))
    with pytest.raises(GalleryError, match="share"):
        gallery.add(people([key_of("a")]))
    assert gallery.delete([key_of("a")]) == 0
    assert gallery.count() == 1


def test_scan_goes_by_key_and_can_go_on(create: Callable[..., Gallery]) -> None:
    gallery = create()
    gallery.add(people(IDS))
    keys = sorted(key_of(id) for id in IDS)
    found = [key for batch in gallery.scan(batch=7) for key in batch.keys().tolist()]
    assert found == keys
    later = [key for batch in gallery.scan(after=keys[20], batch=7) for key in batch.keys().tolist()]
    assert later == keys[21:]
    north = [id for batch in gallery.scan('metadata.zone = "north"', batch=2) for id in batch.ids]
    wanted = [item.id for item in people(IDS) if (item.metadata or {}).get("zone") == "north"]
    assert north == sorted(wanted, key=key_of)
    again = people(IDS)
    assert same(list(next(gallery.scan(batch=1000))), sorted(again, key=lambda item: key_of(item.id)))


def test_delete_where_and_expire(create: Callable[..., Gallery]) -> None:
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


def test_codes_that_do_not_belong_are_refused(create: Callable[..., Gallery]) -> None:
    gallery = create()
    gallery.add(people([1]))
    codes, short = queries()
    other = Codes(np.zeros((3, 8), np.uint8), 64)
    with pytest.raises(GalleryError, match=r"codes of the model tiny \(feed\)"):
        gallery.search(codes, model="beef")
    with pytest.raises(GalleryError, match="32 bits, got 64"):
        gallery.search(other)
    with pytest.raises(GalleryError, match="attribute codes of 8 bits"):
        gallery.search(codes, 3, 5, attribute_codes=other)
    with pytest.raises(GalleryError, match="search without w"):
        gallery.search(codes, 3, 5)
    with pytest.raises(GalleryError, match="attribute code for each of 3"):
        gallery.search(codes, 3, 5, attribute_codes=short[:2])
    with pytest.raises(GalleryError, match="at least 1, got 0"):
        gallery.search(codes, 0)
    with pytest.raises(GalleryError, match="expected attribute codes in this gallery"):
        gallery.add(items([2], codes[:1]))
    assert gallery.count() == 1


def test_a_gallery_without_attributes(create: Callable[..., Gallery]) -> None:
    gallery = create(Contract(32))
    gallery.add(items(["a", "b"], Codes(np.array([[0, 0, 0, 1], [0, 0, 0, 3]], np.uint8), 32)))
    assert gallery.search(Codes(np.zeros((1, 4), np.uint8), 32))[0].ids == ("a", "b")
    with pytest.raises(GalleryError, match="no attribute codes here"):
        gallery.search(Codes(np.zeros((1, 4), np.uint8), 32), 1, 1, attribute_codes=queries(1)[1])


def test_attributes_without_a_picture(create: Callable[..., Gallery]) -> None:
    gallery = create()
    gallery.add(people(IDS))
    wanted = {"backpack": 1.0, "hat": False, "upper_colour=red": 0.75}
    hits = gallery.search_attributes(wanted, 12, "camera in (0, 1)")

    def wrong(item: Any) -> float:
        bits = [(int(item.attribute_code[0]) >> (7 - i)) & 1 for i in range(5)]
        chances = [wanted.get(name) for name in ATTRIBUTES]
        return sum(abs(bit - float(p)) for bit, p in zip(bits, chances, strict=True) if p is not None)

    allowed = [item for item in people(IDS) if item.camera in (0, 1)]
    expected = sorted(allowed, key=lambda item: (wrong(item), key_of(item.id)))[:12]
    assert hits.ids == tuple(item.id for item in expected)
    assert [hit.distance for hit in hits] == [wrong(item) for item in expected]
    assert hits.n_gallery == len(allowed)
    with pytest.raises(GalleryError, match="backpack, hat"):
        gallery.search_attributes({"beard": True})
    with pytest.raises(GalleryError, match="from 0 to 1"):
        gallery.search_attributes({"hat": 2})


def test_what_was_closed_is_not_used(create: Callable[..., Gallery]) -> None:
    gallery = create()
    gallery.add(people([1]))
    gallery.close()
    gallery.close()
    for use in (lambda: gallery.add(people([2])), gallery.count, lambda: gallery.get([1])):
        with pytest.raises(GalleryError, match="closed"):
            use()


def test_searching_while_others_add_and_delete(create: Callable[..., Gallery]) -> None:
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


def test_the_audit_says_what_was_done(create: Callable[..., Gallery]) -> None:
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


def test_a_gallery_is_there_when_opened_again(create: Callable[..., Gallery]) -> None:
    gallery = create(actor="one")
    place = gallery.info().place
    if place == "memory:":
        with pytest.raises(GalleryError, match="memory:"):
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
    with pytest.raises(GalleryError, match="there"):
        create_gallery(place, CONTRACT)
