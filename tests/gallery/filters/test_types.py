"""Filters on columns against a judge of one item at a time, and what no filter can be."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.arrays import Bools, Ints
from bitreid.codes import Codes, unpack
from bitreid.errors import FilterError
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import microseconds
from bitreid.gallery.filters.types import (
    And,
    CameraIn,
    Filter,
    HasAttribute,
    IdIn,
    MetadataIs,
    Not,
    OlderThan,
    Or,
    PersonIn,
    Scalar,
    TimeBetween,
    TrackletIn,
    check_filter,
    mask,
    predicates,
)
from bitreid.gallery.items import Id, Items
from tests.gallery.filters.cases import ATTRIBUTES, CONTRACT, FILTERS, START, batches
from tests.reference.filters import passes

EMPTY = Items.of([], Codes(np.zeros((0, 1), np.uint8), 8))


class Batch:
    """A batch of items as columns."""

    def __init__(self, batch: Items, added: Ints) -> None:
        self.batch, self.added = batch, added
        self.cameras, self.times = batch.cameras, batch.times

    def __len__(self) -> int:
        return len(self.batch)

    def attribute(self, name: str) -> Bools:
        assert self.batch.attribute_codes is not None
        return unpack(self.batch.attribute_codes)[:, ATTRIBUTES.index(name)].astype(np.bool_)

    def person_in(self, persons: frozenset[str]) -> Bools:
        return np.array([person in persons for person in self.batch.persons], np.bool_)

    def tracklet_in(self, tracklets: frozenset[str]) -> Bools:
        return np.array([tracklet in tracklets for tracklet in self.batch.tracklets], np.bool_)

    def id_in(self, ids: frozenset[Id]) -> Bools:
        return np.array([id in ids for id in self.batch.ids], np.bool_)

    def metadata_is(self, key: str, value: Scalar) -> Bools:
        def same(found: object) -> bool:
            return isinstance(found, bool) == isinstance(value, bool) and found == value

        return np.array([key in (known or {}) and same((known or {})[key]) for known in self.batch.metadata], np.bool_)


@given(FILTERS, batches(), st.lists(st.integers(-1, 3), min_size=8))
def test_filters_let_through_what_passes_item_by_item(filter: Filter, batch: Items, steps: list[int]) -> None:
    added = [START + timedelta(microseconds=step) for step in steps[: len(batch)]]
    columns = Batch(batch, np.array([microseconds(time) for time in added], np.int64))
    check_filter(filter, CONTRACT)
    found = mask(filter, columns)
    assert found.dtype == np.bool_
    assert found.tolist() == [passes(filter, *row, ATTRIBUTES) for row in zip(batch, added, strict=True)]


def test_many_cameras_at_once() -> None:
    rng = np.random.default_rng(0)
    cameras = rng.integers(-2, 200, 1000)
    batch = Items.of(range(1000), Codes(np.zeros((1000, 1), np.uint8), 8), cameras=cameras)
    chosen = frozenset({*range(0, 200, 3), 2**62})
    found = mask(CameraIn(chosen), Batch(batch, batch.times))
    assert found.tolist() == [camera in chosen for camera in cameras.tolist()]
    assert 200 < found.sum() < 500


def test_columns_are_left_as_they_were() -> None:
    class Kept(Batch):
        bits = np.array([True, False, True])

        def attribute(self, name: str) -> Bools:
            return self.bits

    batch = Items.of(range(3), Codes(np.zeros((3, 1), np.uint8), 8), cameras=[1, 2, 3])
    columns = Kept(batch, batch.times)
    hat, first = HasAttribute("hat"), CameraIn(frozenset({1}))
    assert mask(hat & first, columns).tolist() == [True, False, False]
    assert mask(hat | ~first, columns).tolist() == [True, True, True]
    assert Kept.bits.tolist() == [True, False, True]


def test_operators_keep_chains_flat() -> None:
    a, b, c = (HasAttribute(name) for name in "abc")
    assert a & b & c == And((a, b, c))
    assert a | (b | c) == Or((a, b, c))
    assert a & b | ~c == Or((And((a, b)), Not(c)))
    assert list(predicates(a & b | ~c)) == [a, b, c]


def test_filters_are_values_that_tell_true_from_one() -> None:
    assert MetadataIs("a", 1) == MetadataIs("a", 1.0) != MetadataIs("a", True)
    assert len({MetadataIs("a", True), MetadataIs("a", 1), CameraIn(frozenset({1})), CameraIn(frozenset({1}))}) == 3


def test_words_between_filters_are_refused() -> None:
    with pytest.raises(FilterError, match="combined by &"):
        HasAttribute("a") and HasAttribute("b")


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (CameraIn, frozenset({-2}), "cameras to be whole numbers from -1 on, got -2"),
        (CameraIn, frozenset({True}), "cameras to be whole"),
        (CameraIn, [1], "a frozenset of cameras, got"),
        (PersonIn, "P 7", "a frozenset of persons, got 'P 7'"),
        (PersonIn, frozenset({7}), "persons to be text, got 7"),
        (TrackletIn, frozenset({"\ud800"}), "tracklets to be text"),
        (IdIn, frozenset({2**63}), "ids to be whole numbers of 64 bits or text, got 9223372036854775808"),
        (lambda start: TimeBetween(start, None), -(2**63), "a time in whole microseconds"),
        (lambda stop: TimeBetween(None, stop), 1.5, "a time in whole microseconds"),
        (OlderThan, 2**63, "a time in whole microseconds"),
        (HasAttribute, 7, "the name of an attribute to be text, got 7"),
        (lambda key: MetadataIs(key, 7), 7, "the key of metadata to be text, got 7"),
        (lambda value: MetadataIs("a", value), "\udfff", "a value of metadata to be text"),
        (lambda value: MetadataIs("a", value), float("nan"), "a finite number of 64 bits"),
        (lambda value: MetadataIs("a", value), 2**63, "a finite number of 64 bits"),
        (lambda value: MetadataIs("a", value), [1], "a finite number of 64 bits"),
        (And, (), "at least one filter"),
        (Or, [HasAttribute("a")], "a tuple of at least one filter"),
        (Not, "hat", "a filter, got 'hat'; parse_filter makes one"),
        (lambda other: HasAttribute("a") & other, "hat", "a filter, got 'hat'"),
        (lambda filter: check_filter(filter, CONTRACT), "hat", "a filter, got 'hat'"),
        (lambda filter: mask(filter, Batch(EMPTY, EMPTY.times)), "hat", "a filter, got 'hat'"),
    ],
)
def test_what_no_filter_can_be(make: Callable[[Any], object], wrong: object, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        make(wrong)


def test_unknown_attributes_are_named_with_the_known_ones() -> None:
    check_filter(HasAttribute("hat") | CameraIn(frozenset()), CONTRACT)
    with pytest.raises(FilterError, match=r"\(backpack, hat, .*\), got 'bakpack'; did you mean backpack\?$"):
        check_filter(~(HasAttribute("hat") & HasAttribute("bakpack")), CONTRACT)
    with pytest.raises(FilterError, match=r"\(there are none\), got 'hat'$"):
        check_filter(HasAttribute("hat"), Contract(64))
