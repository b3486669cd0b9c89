"""Nobody, votes, and what people decide, in every gallery."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes, Part
from bitreid.errors import BadRequest, ItemNotFound
from bitreid.gallery import Contract, Gallery, Items, people
from bitreid.gallery.items import GalleryItem, Hit, Id, key_of
from bitreid.gallery.people import By, voted
from bitreid.open_set import OpenSet
from tests.gallery.cases import Create, codes, three

OPEN_SET = OpenSet(tail_slope=0.15, tail_offset=-6.0, slope=-0.4, offset=6.0)
CALIBRATED = Contract(64, open_set=OPEN_SET)


def at(*distances: int) -> Codes:
    """Codes so many bits from zeros."""
    bits = np.arange(64) < np.array(distances)[:, None]
    return Codes(np.packbits(bits, axis=1), 64)


ZEROS = at(0)


def filled(create: Create, distances: dict[Id, int], contract: Contract = CALIBRATED, **columns: Any) -> Gallery:
    gallery = create(contract)
    gallery.add(Items.of(list(distances), at(*distances.values()), **columns))
    return gallery


def test_hits_say_where_certainty_ends_and_how_probable_they_are(create: Create) -> None:
    gallery = filled(create, dict(enumerate(range(40))))
    threshold = OPEN_SET.threshold(0.01, 40)
    assert 0 < threshold < 39
    hits = gallery.search(ZEROS, 40)[0]
    assert hits.threshold == threshold
    assert [hit.distance for hit in hits] == list(range(40)), "all are shown"
    assert (hits.n_certain, hits.nobody) == (threshold + 1, False)
    expected = OPEN_SET.probability(np.arange(40), 40)
    assert np.allclose([hit.probability or 0 for hit in hits], expected)
    certain = gallery.search(ZEROS, 40, only_certain=True)[0]
    assert certain.hits == hits.hits[: threshold + 1]
    assert (certain.threshold, certain.n_certain) == (threshold, threshold + 1)
    # The larger the gallery, the nearer a hit must be; a filter makes it smaller.
    few = gallery.search(ZEROS, 40, where="id in (0, 1, 30, 31)")[0]
    assert few.threshold == OPEN_SET.threshold(0.01, 4) > threshold
    assert gallery.search(ZEROS, 40, fpir=0.1)[0].threshold == OPEN_SET.threshold(0.1, 40)


def test_nobody_is_an_answer_and_the_limit_can_be_told(create: Create) -> None:
    gallery = filled(create, {1: 30, 2: 40})
    hits = gallery.search(ZEROS)[0]
    assert (hits.nobody, hits.n_certain, hits.ids) == (True, 0, (1, 2)), "nobody is certain, and these are the nearest"
    assert gallery.search(ZEROS, only_certain=True)[0].ids == ()
    near = gallery.search(ZEROS, max_distance=35)[0]
    assert (near.ids, near.nobody) == ((1,), True), "a limit makes no hit certain"
    assert gallery.search(ZEROS, max_distance=-1)[0].ids == ()
    uncalibrated = filled(create, {1: 30}, Contract(64))
    hits = uncalibrated.search(ZEROS)[0]
    assert (hits.threshold, hits.n_certain, hits.nobody, hits.ids) == (None, None, False, (1,))
    assert hits[0].probability is None
    assert uncalibrated.search(ZEROS, max_distance=29)[0].nobody
    with pytest.raises(BadRequest, match="hits are certain, got no calibration; leave only_certain out"):
        uncalibrated.search(ZEROS, only_certain=True)


def test_a_gallery_takes_another_calibration(create: Create) -> None:
    gallery = filled(create, {1: 30, 2: 40}, Contract(64))
    gallery.calibrate(OPEN_SET)
    assert gallery.contract == CALIBRATED
    assert gallery.info().contract == CALIBRATED
    assert gallery.search(ZEROS)[0].threshold == OPEN_SET.threshold(0.01, 2)
    gallery.calibrate(None)
    assert gallery.search(ZEROS)[0].threshold is None


def test_tracklets_and_persons_are_as_near_as_their_three_nearest_items(create: Create) -> None:
    distances: dict[Id, int] = {1: 1, 2: 20, 3: 30, 4: 8, 5: 9, 6: 10, 7: 63, 8: 2, 9: 5}
    tracklets = ["a", "a", "a", "b", "b", "b", "b", None, "c"]
    persons = ["Ada", "Ada", "Ada", "Bo", "Bo", "Bo", "Bo", "Cy", None]
    gallery = filled(create, distances, Contract(64), tracklets=tracklets, persons=persons)
    by_tracklet = gallery.search(ZEROS, by="tracklet")[0]
    assert [(hit.tracklet, hit.distance, hit.votes, hit.id) for hit in by_tracklet] == [
        ("c", 5, 1, 9),
        ("b", 9, 4, 4),
        ("a", 17, 3, 1),
    ]
    by_person = gallery.search(ZEROS, 2, by="person")[0]
    assert [(hit.person, hit.distance) for hit in by_person] == [("Cy", 2), ("Bo", 9)]
    with pytest.raises(BadRequest, match="by item, tracklet or person"):
        gallery.search(ZEROS, by="crowd")  # type: ignore[arg-type]  # on purpose


def test_a_tracklet_is_one_of_a_camera(create: Create) -> None:
    distances: dict[Id, int] = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}
    cameras = [1, 1, 2, None, 2]
    gallery = filled(create, distances, Contract(64), cameras=cameras, tracklets=["7"] * 4 + ["8"])
    hits = gallery.search(ZEROS, by="tracklet")[0]
    assert [(hit.camera, hit.tracklet, hit.votes, hit.distance) for hit in hits] == [
        (1, "7", 2, 1.5),
        (2, "7", 1, 3),
        (None, "7", 1, 4),
        (2, "8", 1, 5),
    ]
    assert gallery.count("tracklet = 7") == 4
    assert gallery.count("camera = 1 and tracklet = 7") == 2
    assert gallery.info().n_tracklets in (4, None)
    assert gallery.info().cameras in ((1, 2), None)
    assert gallery.confirm([1], "Ada") == 2
    assert gallery.confirm([4], "Bo") == 1
    assert persons(gallery) == {1: "Ada", 2: "Ada", 3: None, 4: "Bo", 5: None}
    assert gallery.reject([3], "Ada") == 1
    assert gallery.rejected("Ada") == {3}


@pytest.mark.parametrize("by", ["tracklet", "person"])
def test_there_are_as_many_groups_as_there_can_be(create: Create, monkeypatch: pytest.MonkeyPatch, by: By) -> None:
    monkeypatch.setattr("bitreid.gallery.people.POOL", 4)
    # One group has the 30 nearest items, one the next ten; those of the third are far away.
    names = ["a"] * 30 + ["b"] * 10 + ["c"] * 2 + [None] * 5
    distances: dict[Id, int] = {i: i // 2 for i in range(len(names))}
    gallery = filled(create, distances, Contract(64), cameras=[1] * 47, tracklets=names, persons=names)
    for k, found in ((1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"]), (9, ["a", "b", "c"])):
        hits = gallery.search(at(0, 64), k, by=by)[0]
        assert [getattr(hit, by) for hit in hits] == found
    # What the other queries are does not matter.
    both, far = gallery.search(at(0, 64), 2, by=by), gallery.search(at(64), 2, by=by)
    assert both[1] == far[0]
    assert [getattr(hit, by) for hit in far[0]] == ["c", "b"]


def test_what_people_decided_outlives_an_upsert(create: Create) -> None:
    gallery = filled(create, {1: 1, 2: 2, 3: 3, 4: 4}, Contract(64), persons=["X", None, "Ida", "Ida"])
    gallery.confirm([1], "Ada")
    gallery.reject([2], "Bo")
    gallery.merge("Eve", "Ida")
    again = Items.of([1, 2, 3, 4, 5], at(9, 9, 9, 9, 9), persons=["Bo", "Bo", "Ida", None, "Bo"])
    assert gallery.upsert(again) == 1
    assert persons(gallery) == {1: "Ada", 2: None, 3: "Eve", 4: "Eve", 5: "Bo"}
    assert gallery.search(at(9), 1)[0][0].distance == 0
    gallery.upsert(Items.of([2], at(9), persons=["Cy"]))
    assert persons(gallery)[2] == "Cy"
    assert [gallery.undo() for _ in range(3)] == ["merge Eve", "reject Bo", "confirm Ada"]
    assert persons(gallery) == {1: "X", 2: "Cy", 3: "Ida", 4: "Ida", 5: "Bo"}
    gallery.upsert(again)
    assert persons(gallery) == {1: "Bo", 2: "Bo", 3: "Ida", 4: None, 5: "Bo"}


def test_votes_are_counted_as_by_hand() -> None:
    rng = np.random.default_rng(3)
    hits = [
        Hit(i, int(d), None, None, None, f"t{rng.integers(9)}" if rng.random() < 0.8 else None, None)
        for i, d in enumerate(np.sort(rng.integers(0, 30, 80)))
    ]
    groups = {hit.tracklet for hit in hits if hit.tracklet is not None}
    of = {name: [hit for hit in hits if hit.tracklet == name] for name in groups}
    means = {name: float(np.mean([hit.distance for hit in group[:3]])) for name, group in of.items()}
    expected: list[tuple[float, int, str | None, int]] = sorted(
        (means[name], key_of(group[0].id), name, len(group)) for name, group in of.items()
    )
    found = [(float(hit.distance), key_of(hit.id), hit.tracklet, hit.votes) for hit in voted(hits, "tracklet")]
    assert found == expected


def persons(gallery: Gallery) -> dict[Id, str | None]:
    return {item.id: item.person for batch in gallery.scan() for item in batch}


def test_confirming_takes_the_tracklet_along_and_can_be_undone(create: Create) -> None:
    tracklets = ["a", "a", "b", None]
    gallery = filled(
        create, {1: 1, 2: 2, 3: 3, 4: 4}, Contract(64), tracklets=tracklets, persons=["X", None, None, None]
    )
    assert gallery.confirm([1, 4], "Ada") == 3
    assert persons(gallery) == {1: "Ada", 2: "Ada", 3: None, 4: "Ada"}
    assert gallery.search(ZEROS, where="person = Ada")[0].ids == (1, 2, 4)
    assert gallery.undo() == "confirm Ada"
    assert persons(gallery) == {1: "X", 2: None, 3: None, 4: None}
    assert gallery.undo() is None
    with pytest.raises(ItemNotFound, match="99"):
        gallery.confirm([99], "Ada")
    with pytest.raises(BadRequest, match="name of a person"):
        gallery.confirm([1], "")


def test_rejected_items_are_left_out_for_that_person_only(create: Create) -> None:
    gallery = filled(create, {1: 1, 2: 2, 3: 3}, Contract(64), persons=["Ada", "Ada", "Bo"])
    assert gallery.reject([1, 3], "Ada") == 2
    assert persons(gallery) == {1: None, 2: "Ada", 3: "Bo"}
    assert gallery.rejected("Ada") == {1, 3}
    assert gallery.search(ZEROS, person="Ada")[0].ids == (2,)
    assert gallery.search(ZEROS, person="Bo")[0].ids == gallery.search(ZEROS)[0].ids == (1, 2, 3)
    gallery.confirm([1], "Ada")
    assert gallery.rejected("Ada") == {3}
    assert (gallery.undo(), gallery.undo()) == ("confirm Ada", "reject Ada")
    assert gallery.rejected("Ada") == frozenset()
    assert persons(gallery) == {1: "Ada", 2: "Ada", 3: "Bo"}


def test_merging_persons_and_undoing_what_still_stands(create: Create) -> None:
    gallery = filled(create, {1: 1, 2: 2, 3: 3}, Contract(64), persons=["Ada", "Ida", "Ida"])
    assert gallery.merge("Ada", "Ida") == 2
    assert set(persons(gallery).values()) == {"Ada"}
    gallery.delete([3])
    assert gallery.undo() == "merge Ada"
    assert persons(gallery) == {1: "Ada", 2: "Ida"}
    assert gallery.merge("Ada", "nobody known") == 0


def test_who_was_rejected_as_a_person_is_so_as_whom_that_is_merged_into(create: Create) -> None:
    gallery = filled(create, {1: 1, 2: 2, 3: 3}, Contract(64), persons=["Ada", "Ida", "Ida"])
    gallery.reject([3], "Ida")
    gallery.merge("Ada", "Ida")
    assert gallery.rejected("Ada") == {3}
    assert gallery.search(ZEROS, person="Ada")[0].ids == (1, 2)
    gallery.undo()
    assert gallery.rejected("Ada") == frozenset()


def test_decisions_about_what_was_deleted_are_forgotten_and_all_are_audited(create: Create) -> None:
    gallery = filled(create, {1: 1, 2: 2}, Contract(64))
    gallery.confirm([1], "Ada")
    gallery.reject([1, 2], "Bo")
    gallery.delete([1])
    assert gallery.rejected("Bo") == {2}
    gallery.undo()
    assert gallery.undo() is None
    actions = [(entry["action"], entry["ids"]) for entry in gallery.audit()]
    assert actions == [
        ("add", [1, 2]),
        ("confirm", [1]),
        ("reject", [1, 2]),
        ("delete", [1]),
        ("undo reject", [2]),
    ]


def test_a_person_who_is_deleted_is_named_nowhere(create: Create) -> None:
    gallery = filled(create, {1: 1, 2: 2, 3: 3}, Contract(64), persons=["Ada", "Ada", "Bo"])
    gallery.confirm([1], "Bo")
    gallery.reject([3], "Ada")
    assert gallery.delete_where("person = Ada") == 1
    assert gallery.rejected("Ada") == frozenset()
    assert gallery.undo() == "confirm Bo"
    assert persons(gallery) == {1: None, 3: "Bo"}


def test_parts_have_no_threshold(create: Create) -> None:
    contract = replace(CALIBRATED, parts=(Part("head", 0, 24), Part("legs", 24, 64)), attributes=("hat",))
    gallery = create(contract)
    short = Codes(np.zeros((2, 1), np.uint8), 8)
    gallery.add(Items.of([1, 2], at(30, 40), short))
    hits = gallery.search(ZEROS, 2, 2, parts=["legs"], attribute_codes=short[:1])[0]
    assert hits.threshold is None
    assert hits[0].probability is None
    assert [hit.distance for hit in hits] == [6, 16]


@pytest.mark.parametrize("person", ["x" * 5000, "a\0b", "\ud800", 5])
def test_a_name_that_no_item_may_have_is_no_decision(create: Create, person: Any) -> None:
    gallery = three(create)
    calls: list[Callable[[], object]] = [lambda: gallery.confirm([1], person), lambda: gallery.merge(person, "Ada")]
    for decide in calls:
        with pytest.raises(BadRequest, match="expected persons of 1 to 4096 bytes"):
            decide()
    assert sum(len(batch) for batch in gallery.scan()) == 3
    assert gallery.undo() is None


def test_what_is_deleted_while_a_decision_is_made_is_forgotten(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = three(create)
    find = people.with_tracklets
    deleting = threading.Thread(target=lambda: gallery.delete([1]))

    def slowly(gallery: Gallery, ids: Sequence[Id]) -> list[GalleryItem]:
        found = find(gallery, ids)
        deleting.start()
        deleting.join(0.2)
        return found

    monkeypatch.setattr("bitreid.gallery.base.with_tracklets", slowly)
    gallery.confirm([1], "Eve")
    deleting.join()
    assert gallery.undo() is None
    assert [entry["action"] for entry in gallery.audit()] == ["add", "confirm", "delete"]


def test_undoing_a_rejection_leaves_alone_whom_it_did_not_change(create: Create) -> None:
    gallery = three(create)
    assert gallery.reject(["a", 1], "Ada") == 2  # "a" is Bo, and stays so
    gallery.upsert(Items.of(["a"], codes(1)))
    assert gallery.undo() == "reject Ada"
    assert [item and item.person for item in gallery.get(["a", 1])] == [None, "Ada"]
    assert set(list(gallery.audit())[-1]["ids"]) == {"a", 1}
