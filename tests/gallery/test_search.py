"""What a search finds in every gallery, in memory, in a file and on a server: the same hits."""

import math
import re
import threading
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import BadRequest, DataWarning, WrongModel
from bitreid.gallery import Contract, Items
from tests.gallery.cases import (
    ATTRIBUTES,
    COARSE,
    CONTRACT,
    IDS,
    Create,
    agree,
    codes,
    people,
    queries,
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
    assert gallery.cluster() == 0  # too small for clusters
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


@pytest.mark.parametrize("limit", ["10", "none", True, 12.5, [1]])
def test_a_limit_that_is_none_is_not_taken_for_no_limit(create: Create, limit: Any) -> None:
    gallery = three(create)
    with pytest.raises(BadRequest, match="max_distance"):
        gallery.search(codes(1), max_distance=limit)
