"""Schemas and tables of attributes: their checks and look-ups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.data.attributes import UNKNOWN_LABEL, AttributeSchema, AttributeTable
from bitreid.errors import DataError

SCHEMA = AttributeSchema(("hat", "top=blue", "top=red"), ("hat", "top", "top"), (True, False, True))


def make_table(*rows: tuple[int, tuple[int, int, int]]) -> AttributeTable:
    """A table of (pid, labels) rows."""
    pids = np.array([pid for pid, _ in rows], dtype=np.int64)
    return AttributeTable(SCHEMA, pids, np.array([labels for _, labels in rows], dtype=np.int8).reshape(-1, 3))


def test_a_schema_counts_its_bits() -> None:
    assert len(SCHEMA) == 3
    assert SCHEMA.n_code_bits == 2


def test_wrong_schemas_are_refused() -> None:
    with pytest.raises(DataError, match="one length, got 2, 1 and 2"):
        AttributeSchema(("a", "b"), ("a",), (True, True))
    with pytest.raises(DataError, match="names to differ"):
        AttributeSchema(("a", "a"), ("a", "a"), (True, True))


@given(
    st.dictionaries(st.integers(1, 20), st.tuples(*[st.integers(-1, 1)] * 3), max_size=8),
    st.lists(st.integers(-2, 22)),
)
def test_labels_of_looks_each_identity_up(people: dict[int, tuple[int, int, int]], asked: list[int]) -> None:
    table = make_table(*sorted(people.items()))
    labels = table.labels_of(np.array(asked, dtype=np.int64))
    assert labels.dtype == np.int8
    assert labels.shape == (len(asked), 3)
    for pid, row in zip(asked, labels.tolist(), strict=True):
        assert tuple(row) == people.get(pid, (UNKNOWN_LABEL,) * 3)


@given(
    st.dictionaries(st.integers(1, 20), st.tuples(*[st.integers(-1, 1)] * 3), max_size=8),
    st.sets(st.integers(1, 20)),
    st.integers(0, 4),
)
def test_code_bits_are_those_with_enough_positives(
    people: dict[int, tuple[int, int, int]], train: set[int], min_positives: int
) -> None:
    table = make_table(*sorted(people.items()))
    chosen = table.with_code_bits(np.array(sorted(train), dtype=np.int64), min_positives)
    for bit, kept in enumerate(chosen.schema.in_code):
        positives = [pid for pid, labels in people.items() if pid in train and labels[bit] == 1]
        assert kept is (len(positives) >= min_positives)


def test_wrong_tables_are_refused() -> None:
    pids = np.array([1, 2])
    with pytest.raises(DataError, match=r"shape \(2, 3\) int8, got \(2, 2\) int8"):
        AttributeTable(SCHEMA, pids, np.zeros((2, 2), dtype=np.int8))
    with pytest.raises(DataError, match="labels 1, 0 or -1"):
        make_table((1, (0, 2, 0)))
    for wrong in [(2, 1), (1, 1)]:
        with pytest.raises(DataError, match="sorted by identity, each identity once"):
            make_table((wrong[0], (0, 0, 0)), (wrong[1], (0, 0, 0)))
