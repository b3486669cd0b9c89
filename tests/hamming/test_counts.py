"""Distances and counts on every path against loops over bits and rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import pack_bits, unpack
from bitreid.hamming import (
    count_nearer,
    count_nearer_prefixes,
    distance_blocks,
    distances_at,
    pairwise_distances,
    prefix_distance_blocks,
)
from tests.hamming.cases import SMALL, Case, random_codes
from tests.reference import search as twin

pytestmark = pytest.mark.usefixtures("path")

LENGTHS = st.sampled_from([(8,), (8, 24), (24, 32, 136), (64, 128, 200), (16, 64, 320, 328)])
SEEDS = st.integers(0, 10_000)


@given(SMALL)
def test_distances_are_those_of_loops(case: Case) -> None:
    blocks = list(distance_blocks(case.queries, case.gallery, n_threads=case.n_threads))
    assert [row for rows, _ in blocks for row in range(rows.start, rows.stop)] == list(range(len(case.gallery)))
    found = np.concatenate([np.empty((len(case.queries), 0), np.uint32), *(block for _, block in blocks)], axis=1)
    assert found.dtype == np.uint32
    sides = unpack(case.queries), unpack(case.gallery)
    assert found.tolist() == [[twin.hamming(a, b) for b in sides[1]] for a in sides[0]]


@given(SEEDS, st.integers(0, 4), st.integers(1, 12), st.sampled_from([8, 64, 72]), st.integers(1, 3))
def test_listed_and_pairwise_distances_are_those_of_loops(
    seed: int, n_queries: int, n_gallery: int, n_bits: int, n_threads: int
) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = random_codes(rng, n_queries, n_bits, 0.5), random_codes(rng, n_gallery, n_bits, 0.5)
    positions = rng.integers(0, n_gallery, (n_queries, 12))[:, ::2]
    at = distances_at(queries, gallery, positions, n_threads=n_threads)
    bits = unpack(gallery)
    wanted = [[twin.hamming(unpack(queries)[i], bits[row]) for row in rows] for i, rows in enumerate(positions)]
    assert at.tolist() == wanted
    among = pairwise_distances(gallery, n_threads=n_threads)
    assert among.tolist() == [[twin.hamming(a, b) for b in bits] for a in bits]
    assert at.dtype == among.dtype == np.int32


SHARES = st.none() | st.sampled_from([0.0, 0.5, 1.0])


@given(SEEDS, st.integers(0, 8), st.integers(0, 12), LENGTHS, SHARES, SHARES)
def test_counts_are_those_of_loops(
    seed: int, n_queries: int, n_gallery: int, lengths: tuple[int, ...], share: float | None, of_bits: float | None
) -> None:
    rng = np.random.default_rng(seed)
    n_bits = lengths[-1]
    queries, gallery = random_codes(rng, n_queries, n_bits), random_codes(rng, n_gallery, n_bits)
    rows = None if share is None else rng.random(n_gallery) < share
    bits = None if of_bits is None else rng.random(n_bits) < of_bits
    kept = np.ones(n_bits, np.bool_) if bits is None else bits
    # Few of the possible distances, those about the ends among them.
    thresholds = rng.integers(-2, min(n_bits, 40) + 3, (len(lengths), n_queries, 5), dtype=np.int32)
    thresholds[:, :, 0] = n_bits + 1
    nearer, at = count_nearer_prefixes(queries, gallery, lengths, thresholds, bits=bits, rows=rows, n_threads=2)
    assert nearer.dtype == at.dtype == np.int64
    for length, n in enumerate(lengths):
        for i, query in enumerate(unpack(queries) & kept):
            for j, threshold in enumerate(thresholds[length, i]):
                wanted = twin.counts(query[:n], (unpack(gallery) & kept)[:, :n], int(threshold), rows)
                assert (nearer[length, i, j], at[length, i, j]) == wanted
    of_whole = count_nearer(queries, gallery, thresholds[-1], bits=bits, rows=rows)
    np.testing.assert_array_equal(of_whole, (nearer[-1], at[-1]))


@given(SEEDS, st.integers(0, 4), st.integers(1, 12), LENGTHS)
def test_distances_of_prefixes_are_those_of_loops(
    seed: int, n_queries: int, n_gallery: int, lengths: tuple[int, ...]
) -> None:
    # Longer codes than the longest prefix, and so many ones that a wrong sum of bytes would overflow.
    rng = np.random.default_rng(seed)
    queries = random_codes(rng, n_queries, lengths[-1] + 8, 0.02)
    gallery = random_codes(rng, n_gallery, lengths[-1] + 8, 0.98)
    blocks = [distances for _, distances in prefix_distance_blocks(queries, gallery, lengths)]
    found = np.concatenate(blocks, axis=2)
    assert found.dtype == np.uint32
    assert found.shape == (len(lengths), n_queries, n_gallery)
    for of_length, n in zip(found, lengths, strict=True):
        for i, query in enumerate(unpack(queries)):
            assert of_length[i].tolist() == [twin.hamming(query[:n], code[:n]) for code in unpack(gallery)]


def test_long_codes_are_exact() -> None:
    codes = pack_bits(np.array([[False] * 4096, [True] * 4096]))
    assert pairwise_distances(codes).tolist() == [[0, 4096], [4096, 0]]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_thresholds_past_every_integer_do_not_overflow(dtype: type[np.signedinteger]) -> None:
    codes = random_codes(np.random.default_rng(0), 3, 8)
    limits = np.iinfo(dtype)
    nearer, at = count_nearer(codes[:1], codes, np.array([[limits.min, limits.max]], dtype).astype(dtype))
    assert nearer.tolist() == [[0, 3]]
    assert at.tolist() == [[0, 0]]
