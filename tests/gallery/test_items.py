"""Items and their ids: strange ones, those that share a key, and what would be rounded or guessed."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from bitreid.errors import BadRequest
from bitreid.gallery import Contract, IdIn, Items
from bitreid.gallery.fields import MOST_DEEP
from bitreid.gallery.items import Id, key_of
from tests.gallery.cases import Create, codes, people, three


@pytest.mark.parametrize(
    ("id", "key"),
    [
        (0, 0),
        (-7, -7),
        (2**63 - 1, 2**63 - 1),
        ("7", -9038873097560174361),
        ("näme", -7920999340119175299),
        ("gate/0017.jpg", -7852357297378508026),
        ("x" * 4096, 7420555025824870411),
    ],
)
def test_keys_are_the_same_for_ever(id: Id, key: int) -> None:
    """Files of galleries hold them."""
    assert key_of(id) == key


def test_numbers_of_numpy_are_ids_everywhere(create: Create) -> None:
    gallery = create(Contract(64))
    numbers: Any = np.arange(4)
    assert gallery.add(Items.of(numbers, codes(4))) == 4
    assert [type(id) for batch in gallery.scan() for id in batch.ids] == [int] * 4
    numbers = numbers[2:]
    assert [item and item.id for item in gallery.get(numbers)] == [2, 3]
    assert gallery.confirm(numbers, "Ada") == 2
    assert gallery.delete(numbers) == 2
    assert [entry["ids"] for entry in gallery.audit()] == [[0, 1, 2, 3], [2, 3], [2, 3]]


def test_two_ids_of_one_key_in_a_batch_are_refused(create: Create) -> None:
    gallery = create(Contract(64))
    with pytest.raises(BadRequest, match="share one; rename one"):
        gallery.add(Items.of([key_of("a"), 1, "a"], codes(3)))
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
        lambda: Items.of([id], codes(1)),
    ]
    for call in calls:
        with pytest.raises(BadRequest, match="expected ids"):
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
    with pytest.raises(BadRequest, match=wanted):
        Items.of([1], codes(1), **columns)


def test_the_last_day_that_there_is_can_be_told() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert Items.of([1], codes(1), times=[last])[0].time == last


@pytest.mark.parametrize("inside", [lambda deep: [deep], lambda deep: {"a": deep}])
def test_metadata_are_not_nested_too_deep(create: Create, inside: Callable[[Any], Any]) -> None:
    def nested(n: int) -> Mapping[str, Any]:
        value: Any = 1
        for _ in range(n - 1):
            value = inside(value)
        return {"deep": value}

    gallery = create()
    gallery.add(people([1], metadata=[nested(MOST_DEEP)]))
    (batch,) = gallery.scan()
    assert batch.metadata == (nested(MOST_DEEP),)
    for n in (MOST_DEEP + 1, 990, 10_000):
        with pytest.raises(BadRequest, match="a JSON object of at most 32768 bytes and 100 levels"):
            people([2], metadata=[nested(n)])
