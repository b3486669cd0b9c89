"""Corners of galleries: strange ids and names, decisions that overtake each other, and errors in words."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import BitreidError, GalleryError
from bitreid.gallery import Contract, Gallery, IdIn, Items, create_gallery, items
from bitreid.gallery.items import GalleryItem, Id, key_of
from bitreid.gallery.table import table as tables
from tests.commands.words import Capture, codes_of, done, refusal
from tests.gallery.test_backends import create

__all__ = ["create"]

Create = Callable[..., Gallery]


def codes(n: int, seed: int = 0) -> Codes:
    return Codes(np.random.default_rng(seed).integers(0, 256, (n, 8), np.uint8), 64)


def three(create: Create) -> Gallery:
    gallery = create(Contract(64))
    gallery.add(items([1, 2, "a"], codes(3), persons=["Ada", None, "Bo"]))
    return gallery


def test_numbers_of_numpy_are_ids_everywhere(create: Create) -> None:
    gallery = create(Contract(64))
    numbers: Any = np.arange(4)
    assert gallery.add(items(numbers, codes(4))) == 4
    assert [type(id) for batch in gallery.scan() for id in batch.ids] == [int] * 4
    numbers = numbers[2:]
    assert [item and item.id for item in gallery.get(numbers)] == [2, 3]
    assert gallery.confirm(numbers, "Ada") == 2
    assert gallery.delete(numbers) == 2
    assert [entry["ids"] for entry in gallery.audit()] == [[0, 1, 2, 3], [2, 3], [2, 3]]


def test_two_ids_of_one_key_in_a_batch_are_refused(create: Create) -> None:
    gallery = create(Contract(64))
    with pytest.raises(GalleryError, match="share one; rename one"):
        gallery.add(items([key_of("a"), 1, "a"], codes(3)))
    assert gallery.count() == 0


def test_of_two_ids_of_one_key_a_filter_finds_the_one_that_is_there(create: Create) -> None:
    gallery = three(create)
    ids: list[Id] = [key_of("a"), "a"]
    for both in (ids, ids[::-1]):
        assert gallery.count(IdIn(frozenset(both))) == 1
    assert gallery.count(IdIn(frozenset(ids[:1]))) == 0


@pytest.mark.parametrize("id", [True, 1.0, None, 2**70, "\ud800", "", "x\0"])
def test_what_is_no_id_is_refused_in_words(create: Create, id: Any) -> None:
    gallery = three(create)
    calls: list[Callable[[], object]] = [
        lambda: gallery.get([id]),
        lambda: gallery.confirm([id], "Ada"),
        lambda: gallery.delete([id]),
        lambda: items([id], codes(1)),
    ]
    for call in calls:
        with pytest.raises(GalleryError, match="expected ids"):
            call()


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"cameras": [1.7]}, "expected cameras that are whole numbers"),
        ({"cameras": ["3"]}, "expected cameras that are whole numbers"),
        ({"cameras": [2**63]}, "expected cameras that are whole numbers"),
        ({"times": [date(2026, 1, 1)]}, "expected a time that says its offset"),
        ({"times": [1767225600]}, "expected a time that says its offset"),
    ],
)
def test_what_would_be_rounded_or_guessed_is_refused(columns: dict[str, Any], wanted: str) -> None:
    with pytest.raises(GalleryError, match=wanted):
        items([1], codes(1), **columns)


def test_the_last_day_that_there_is_can_be_told() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert items([1], codes(1), times=[last])[0].time == last


@pytest.mark.parametrize("person", ["x" * 5000, "a\0b", "\ud800", 5])
def test_a_name_that_no_item_may_have_is_no_decision(create: Create, person: Any) -> None:
    gallery = three(create)
    calls: list[Callable[[], object]] = [lambda: gallery.confirm([1], person), lambda: gallery.merge(person, "Ada")]
    for decide in calls:
        with pytest.raises(GalleryError, match="expected persons of 1 to 4096 bytes"):
            decide()
    assert sum(len(batch) for batch in gallery.scan()) == 3
    assert gallery.undo() is None


def test_what_is_deleted_while_a_decision_is_made_is_forgotten(create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = three(create)
    find = gallery._with_tracklets
    deleting = threading.Thread(target=lambda: gallery.delete([1]))

    def slowly(ids: Sequence[Id]) -> list[GalleryItem]:
        found = find(ids)
        deleting.start()
        deleting.join(0.2)
        return found

    monkeypatch.setattr(gallery, "_with_tracklets", slowly)
    gallery.confirm([1], "Eve")
    deleting.join()
    assert gallery.undo() is None
    assert [entry["action"] for entry in gallery.audit()] == ["add", "confirm", "delete"]


def test_undoing_a_rejection_leaves_alone_whom_it_did_not_change(create: Create) -> None:
    gallery = three(create)
    assert gallery.reject(["a", 1], "Ada") == 2  # "a" is Bo, and stays so
    gallery.upsert(items(["a"], codes(1)))
    assert gallery.undo() == "reject Ada"
    assert [item and item.person for item in gallery.get(["a", 1])] == [None, "Ada"]
    assert set(list(gallery.audit())[-1]["ids"]) == {"a", 1}


@pytest.mark.parametrize("limit", ["10", "none", True, 12.5, [1]])
def test_a_limit_that_is_none_is_not_taken_for_no_limit(create: Create, limit: Any) -> None:
    gallery = three(create)
    with pytest.raises(GalleryError, match="max_distance"):
        gallery.search(codes(1), max_distance=limit)


def test_a_deletion_of_nothing_named_is_refused(create: Create) -> None:
    gallery = three(create)
    nothing: Any = None
    with pytest.raises(GalleryError, match="what to delete"):
        gallery.delete_where(nothing)
    assert gallery.count() == 3


@pytest.mark.parametrize("names", [("hat", "hat"), ("hat", "")])
def test_attributes_have_names_of_their_own(names: tuple[str, ...]) -> None:
    with pytest.raises(GalleryError, match="different names"):
        Contract(64, attributes=names)


def test_a_closed_gallery_says_so_at_once(create: Create) -> None:
    gallery = three(create)
    gallery.close()
    calls: list[Callable[[], object]] = [
        lambda: list(gallery.audit()),
        lambda: list(gallery.scan()),
        lambda: gallery.rejected("Ada"),
    ]
    for call in calls:
        with pytest.raises(BitreidError, match="closed"):
            call()


def test_columns_of_metadata_fill_no_memory_and_are_right_when_read_again(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_MOST_KEYS", 2)
    gallery = create(Contract(64))
    batch: Items = items(range(9), codes(9), metadata=[{"a": i % 2, "b": i % 3, "c": i} for i in range(9)])
    gallery.add(batch)
    for _ in range(3):
        assert gallery.count("metadata.a = 1 and metadata.b = 1 and metadata.c = 1") == 1
        assert [gallery.count(f"metadata.{key} = 0") for key in "abcd"] == [5, 3, 1, 0]
        gallery.delete([8])
        gallery.add(batch)


def test_codes_of_another_model_are_refused_even_where_all_ids_are_there(tmp_path: Path, capsys: Capture) -> None:
    create_gallery(tmp_path / "mine.gallery", Contract(64, "abc", "mine")).close()
    words = ["gallery", "add", tmp_path / "mine.gallery"]
    done(*words, codes_of(tmp_path / "codes.npz"))
    others = codes_of(tmp_path / "codes.npz", model="def")
    assert "of the model mine (abc), got codes of def" in refusal(capsys, *words, others)
