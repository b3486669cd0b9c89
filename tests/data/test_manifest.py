"""The table of pictures: its checks and its row selection."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN, Manifest
from bitreid.errors import DataError


def make_manifest() -> Manifest:
    return Manifest(
        paths=tuple(Path(f"{i}.jpg") for i in range(5)),
        pids=np.array([7, 3, JUNK, DISTRACTOR, UNKNOWN]),
        camids=np.array([1, 2, 3, 1, UNKNOWN]),
        splits=("train", "query", "gallery", "gallery", "gallery"),
        times=np.arange(5),
        tracklets=np.arange(5) * 10,
    )


def test_rows_keeps_every_column_together() -> None:
    rows = make_manifest().rows(np.array([False, True, False, True, False]))
    assert rows.paths == (Path("1.jpg"), Path("3.jpg"))
    assert rows.pids.tolist() == [3, DISTRACTOR]
    assert rows.camids.tolist() == [2, 1]
    assert rows.splits == ("query", "gallery")
    assert rows.times is not None
    assert rows.times.tolist() == [1, 3]
    assert rows.tracklets is not None
    assert rows.tracklets.tolist() == [10, 30]


def test_take_keeps_the_given_order_and_missing_columns() -> None:
    rows = replace(make_manifest(), times=None, tracklets=None).take(np.array([4, 0]))
    assert rows.paths == (Path("4.jpg"), Path("0.jpg"))
    assert rows.times is None
    assert rows.tracklets is None


def test_rows_refuses_row_numbers() -> None:
    with pytest.raises(DataError, match=r"mask of shape \(5,\) bool"):
        make_manifest().rows(np.array([0, 1, 0, 1, 0]))


def test_split_gives_its_rows_and_refuses_an_empty_one() -> None:
    manifest = make_manifest()
    assert manifest.split("gallery").pids.tolist() == [JUNK, DISTRACTOR, UNKNOWN]
    queries = manifest.split("query")
    with pytest.raises(DataError, match=r"split 'train', got none .*'query': 1"):
        queries.split("train")
    with pytest.raises(DataError, match="no rows"):
        queries.take(np.array([], dtype=np.int64)).split("train")


def test_identities_are_real_people_sorted() -> None:
    assert make_manifest().identities().tolist() == [3, 7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pids": np.array([1, 2])}, r"pids of shape \(5,\) int64, got \(2,\)"),
        ({"camids": np.zeros(5)}, "camids .* got .* float64"),
        ({"times": np.zeros((5, 1), dtype=np.int64)}, r"times .* got \(5, 1\)"),
        ({"pids": np.array([1, 2, 3, 4, -3])}, "at least -2 .* got pid -3"),
        ({"camids": np.array([1, 2, 3, 4, -9])}, "camid -9"),
        ({"splits": ("train",)}, "expected 5 splits, one a picture, got 1"),
        ({"splits": ("train", "test", "train", "val", "query")}, "train, query, gallery, got test, val"),
    ],
)
def test_wrong_columns_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(make_manifest(), **change)
