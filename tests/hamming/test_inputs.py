"""What a search refuses, in which words; which bytes it reads; how large its blocks are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import (
    Matches,
    Ranking,
    count_nearer,
    count_nearer_prefixes,
    distance_blocks,
    distances_at,
    kernel,
    pairwise_distances,
    prefix_distance_blocks,
    search_exact,
    search_range,
    search_two_stage,
)
from bitreid.hamming.inputs import counted_bits
from tests.hamming.cases import random_codes

RNG = np.random.default_rng(0)
CODES, LONGER = random_codes(RNG, 3, 8), random_codes(RNG, 3, 16)
# What a careless caller gives.
NAN: Any = float("nan")
ALL: Any = "all"
WHOLE: Any = np.ones(8, np.uint8)
REAL: Any = np.zeros((3, 1))


@pytest.mark.parametrize("lengths", [(), (8, 8), (16, 8), (12,), (0, 8), (-8,), (8, 24)])
def test_impossible_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(CodesError, match="ascending lengths, multiples of 8 up to the 16 bits"):
        list(prefix_distance_blocks(LONGER, LONGER, lengths))
    with pytest.raises(CodesError, match="ascending lengths, multiples of 8 up to the 16 bits"):
        count_nearer_prefixes(LONGER, LONGER, lengths, np.zeros((len(lengths), 3, 1), np.int32))


def test_impossible_numbers_are_refused() -> None:
    careless: list[Any] = [0, 1.5]
    for k in careless:
        with pytest.raises(SettingsError, match=f"expected k to be a number of gallery rows, at least 1, got {k}"):
            search_exact(CODES, CODES, k)
    with pytest.raises(SettingsError, match="expected w"):
        search_two_stage(CODES, CODES, CODES, CODES, -1, 1)
    with pytest.raises(SettingsError, match="n_threads to be a whole number, at least 1, got 0"):
        search_exact(CODES, CODES, 1, n_threads=0)
    with pytest.raises(SettingsError, match="max_distance to be a whole number, got nan"):
        search_range(CODES, CODES, NAN)
    with pytest.raises(SettingsError, match="ties to be 'cut' or 'keep', got 'all'"):
        search_two_stage(CODES, CODES, CODES, CODES, 1, 1, ties=ALL)


def test_codes_ids_and_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CodesError, match="one length, got 8 and 16 bits"):
        search_exact(CODES, LONGER, 1)
    with pytest.raises(CodesError, match="one length, got 16 and 8 bits"):
        search_two_stage(LONGER, CODES, CODES, CODES, 1, 1)
    with pytest.raises(CodesError, match="same rows, got 3 and 3 queries, 2 and 3 gallery rows"):
        search_two_stage(CODES, LONGER, CODES[:2], LONGER, 1, 1)
    with pytest.raises(CodesError, match=r"ids of shape \(3,\) int64"):
        search_exact(CODES, CODES, 1, np.arange(2))
    with pytest.raises(CodesError, match=r"rows of shape \(3,\) bool, one a gallery row, got \(2,\) bool"):
        search_exact(CODES, CODES, 1, rows=np.ones(2, np.bool_))
    with pytest.raises(CodesError, match=r"bits of shape \(8,\) bool, one a bit of the codes, got \(8,\) uint8"):
        search_exact(CODES, CODES, 1, bits=WHOLE)


def test_positions_and_thresholds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CodesError, match=r"positions of shape \(3, m\)"):
        distances_at(CODES, CODES, np.zeros((2, 1), np.int64))
    for position in (-1, 3):
        with pytest.raises(CodesError, match="positions from 0 up to the 3 rows of the gallery"):
            distances_at(CODES, CODES, np.full((3, 1), position))
    with pytest.raises(CodesError, match=r"thresholds of shape \(3, m\)"):
        count_nearer(CODES, CODES, np.zeros((2, 1), np.int32))
    with pytest.raises(CodesError, match=r"thresholds of shape \(1, 3, m\)"):
        count_nearer_prefixes(CODES, CODES, (8,), np.zeros((2, 3, 1), np.int32))
    with pytest.raises(CodesError, match="thresholds that are whole numbers of bits, got float64"):
        count_nearer(CODES, CODES, REAL)


def test_codes_longer_than_the_kernel_counts_are_refused() -> None:
    huge = Codes(np.zeros((1, 2**20), np.uint8), 2**23)
    with pytest.raises(CodesError, match="codes of fewer than 8388608 bits, got 8388608"):
        search_exact(huge, huge, 1)
    longest = Codes(np.array([[255], [0]], np.uint8).repeat(2**20 - 1, axis=1), 2**23 - 8)
    assert pairwise_distances(longest).tolist() == [[0, 2**23 - 8], [2**23 - 8, 0]]


def test_more_results_than_an_array_can_hold_are_refused(tmp_path: Path) -> None:
    """2**32 codes of a byte in a sparse file, of which nothing is read: 2**32 times 2**32 is 0 in 64 bits."""
    n = 2**32
    many = Codes(np.memmap(tmp_path / "codes", np.uint8, "w+", shape=(n, 1)), 8)
    searches: list[Callable[[], object]] = [
        lambda: pairwise_distances(many),
        lambda: search_exact(many, many, n),
        lambda: search_two_stage(many, many, many, many, n, n),
    ]
    for search in searches:
        with pytest.raises(CodesError, match=f"at most {2**59} results, got {n} queries with {n} each; search fewer"):
            search()
    native, none = kernel.native(), None
    if native:
        calls: list[tuple[Callable[..., object], tuple[object, ...]]] = [
            (native.distances, (many.packed, many.packed, 1)),
            (native.search, (many.packed, many.packed, n, none, none, none, 1)),
            (native.two_stage, (*(many.packed,) * 4, none, n, n, False, False, none, none, 1)),
        ]
        for function, arguments in calls:
            with pytest.raises(ValueError, match="expected fewer results"):
                function(*arguments)
    with pytest.raises(CodesError, match=f"at most {n - 2} gallery rows to count, got {n}; count parts"):
        count_nearer(many[:1], many, np.zeros((1, 1), np.int32))


def test_results_of_loose_arrays_are_refused() -> None:
    with pytest.raises(CodesError, match=r"positions of shape \(n_queries, k\) int64"):
        Ranking(np.zeros(3, np.int64), np.zeros(3, np.int32))
    with pytest.raises(CodesError, match=r"distances of shape \(1, 3\) int32"):
        Ranking(np.zeros((1, 3), np.int64), np.zeros((1, 2), np.int32))
    positions, distances = np.zeros(3, np.int64), np.zeros(3, np.int32)
    with pytest.raises(CodesError, match=r"positions of shape \(n,\) int64"):
        Matches(np.array([0, 1]), positions[None], distances[None])
    with pytest.raises(CodesError, match=r"distances of shape \(3,\) int32"):
        Matches(np.array([0, 3]), positions, distances[:2])
    loose: list[Any] = [np.zeros((1, 2), np.int64), np.zeros(2, np.int32), np.zeros(0, np.int64)]
    for offsets in loose:
        with pytest.raises(CodesError, match=r"offsets of shape \(n_queries \+ 1,\) int64"):
            Matches(offsets, positions, distances)
    for wrong in ([1, 3], [0, 2], [0, 2, 1, 3]):
        with pytest.raises(CodesError, match="offsets that rise from 0 to the 3 positions"):
            Matches(np.array(wrong), positions, distances)


def test_only_the_bytes_that_count_are_read() -> None:
    bits = np.zeros(64, np.bool_)
    bits[16:32] = True
    whole_bytes = counted_bits(64, bits)
    assert whole_bytes.run == slice(2, 4)
    assert whole_bytes.mask is None
    bits[17] = False
    bits[20:] = False
    some = counted_bits(64, bits)
    assert some.run == slice(2, 3)
    assert some.mask is not None
    assert some.mask.tolist() == [0b1011_0000]
    nothing = counted_bits(64, np.zeros(64, np.bool_))
    assert nothing.run == slice(0, 1)
    assert nothing.mask is not None
    assert nothing.mask.tolist() == [0]
    assert counted_bits(64, None).bytes_of(random_codes(RNG, 5, 64)).shape == (5, 8)


def test_blocks_of_many_queries_stay_small() -> None:
    queries, gallery = random_codes(RNG, 300, 16), random_codes(RNG, 9000, 16)
    for blocks in (distance_blocks(queries, gallery), prefix_distance_blocks(queries, gallery, (8, 16))):
        assert max(distances.nbytes for _, distances in blocks) <= 2**22
