"""Search and counts against loops over bits and rows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits, unpack
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import (
    Ranking,
    count_nearer,
    count_nearer_prefixes,
    distance_blocks,
    distances_at,
    pairwise_distances,
    prefix_distance_blocks,
    search,
    search_exact,
    search_two_stage,
)
from tests.reference import search as twin

Rng = np.random.Generator


def random_codes(rng: Rng, n: int, n_bits: int, p: float = 0.2) -> Codes:
    """Codes of few ones, so that distances tie."""
    return pack_bits(rng.random((n, n_bits)) < p)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rng, int, int, npt.NDArray[np.int64]]:
    """A generator, numbers of queries and of gallery rows, and ids of which some repeat."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_gallery = draw(st.integers(0, 12))
    return rng, draw(st.integers(0, 4)), n_gallery, rng.integers(-5, 6, n_gallery)


@pytest.fixture(params=[(256, 8192, 64, 4), (2, 3, 2, 1)], ids=["whole", "blocks"], autouse=True)
def _block_sizes(request: pytest.FixtureRequest) -> object:
    """Every test runs with blocks of the product's size, and so small that each array has several."""
    with pytest.MonkeyPatch.context() as patch:
        names = ("_QUERY_BLOCK", "_GALLERY_BLOCK", "_PAIRWISE_BLOCK", "_QUERIES_IN_CACHE")
        for name, size in zip(names, request.param, strict=True):
            patch.setattr(search, name, size)
        yield


def as_lists(ranking: Ranking) -> list[list[tuple[int, int]]]:
    return [
        [(int(distance), int(row)) for distance, row in zip(*line, strict=True)]
        for line in zip(ranking.distances, ranking.positions, strict=True)
    ]


@given(cases(), st.integers(1, 15), st.sampled_from([8, 24, 64, 72]), st.booleans())
def test_exact_search_is_the_sorted_list(
    case: tuple[Rng, int, int, npt.NDArray[np.int64]], k: int, n_bits: int, with_ids: bool
) -> None:
    rng, n_queries, n_gallery, ids = case
    queries, gallery = random_codes(rng, n_queries, n_bits), random_codes(rng, n_gallery, n_bits)
    names = ids.tolist() if with_ids else list(range(n_gallery))
    ranking = search_exact(queries, gallery, k, ids if with_ids else None)
    assert as_lists(ranking) == [twin.exact(query, unpack(gallery), k, names) for query in unpack(queries)]
    assert ranking.positions.shape == (n_queries, min(k, n_gallery))
    assert len(ranking) == n_queries


WEIGHTS = st.none() | st.lists(st.integers(0, 15), min_size=8, max_size=8)


@given(cases(), st.integers(1, 15), st.integers(1, 15), st.booleans(), WEIGHTS)
def test_two_stage_search_is_the_sorted_short_list(
    case: tuple[Rng, int, int, npt.NDArray[np.int64]], w: int, k: int, with_ids: bool, weights: list[int] | None
) -> None:
    rng, n_queries, n_gallery, ids = case
    short_queries, long_queries = random_codes(rng, n_queries, 8), random_codes(rng, n_queries, 24)
    short_gallery, long_gallery = random_codes(rng, n_gallery, 8), random_codes(rng, n_gallery, 24)
    names = ids.tolist() if with_ids else list(range(n_gallery))
    codes = (short_queries, long_queries, short_gallery, long_gallery)
    found = search_two_stage(*codes, w, k, ids if with_ids else None, short_weights=weights)
    assert as_lists(found) == [
        twin.two_stage(short, long, unpack(short_gallery), unpack(long_gallery), w, k, names, weights)
        for short, long in zip(unpack(short_queries), unpack(long_queries), strict=True)
    ]


@given(cases(), st.sampled_from([8, 16, 64]), st.integers(0, 7), st.sampled_from([1, 15, 2**23 // 64]))
def test_weighted_distances_are_those_of_loops(
    case: tuple[Rng, int, int, npt.NDArray[np.int64]], n_bits: int, n_padding: int, largest: int
) -> None:
    rng, n_queries, n_gallery, _ = case
    sides = [rng.random((n, n_bits)) < 0.5 for n in (n_queries, n_gallery + 1)]
    for bits in sides:
        bits[:, n_bits - n_padding :] = False
    queries, gallery = map(pack_bits, sides)
    weights = rng.integers(0, largest, n_bits - n_padding, endpoint=True).tolist()
    blocks = list(distance_blocks(queries, gallery, weights))
    found = np.concatenate([distances for _, distances in blocks], axis=1)
    assert found.dtype == np.uint32
    assert found.tolist() == [[twin.weighted(a, b, weights) for b in sides[1]] for a in sides[0]]
    assert [row for rows, _ in blocks for row in range(rows.start, rows.stop)] == list(range(n_gallery + 1))


@given(cases(), st.sampled_from([8, 72]))
def test_equal_weights_change_no_distance(case: tuple[Rng, int, int, npt.NDArray[np.int64]], n_bits: int) -> None:
    rng, n_queries, n_gallery, ids = case
    queries, gallery = random_codes(rng, n_queries, n_bits), random_codes(rng, n_gallery, n_bits)
    plain, weighted = (search_exact(queries, gallery, 15, ids, weights) for weights in (None, [1] * n_bits))
    assert as_lists(plain) == as_lists(weighted)


def test_weights_as_large_as_can_be_are_exact() -> None:
    """The largest sum, and sums one apart at it."""
    bits = np.array([[True] * 8, [False] * 8, [False] * 7 + [True]])
    weights = [2**23 - 7, 1, 1, 1, 1, 1, 1, 1]
    ((_, distances),) = distance_blocks(pack_bits(bits[:1]), pack_bits(bits[1:]), weights)
    assert distances.tolist() == [[2**23, 2**23 - 1]]


def test_impossible_weights_are_refused() -> None:
    codes = random_codes(np.random.default_rng(0), 3, 16)
    for weights in ([1] * 8, [1] * 17, []):
        with pytest.raises(CodesError, match=f"a weight for each bit of codes of 16 bits.* got {len(weights)}"):
            search_exact(codes, codes, 1, weights=weights)
    for weights in ([1] * 15 + [-1], [2**23] + [1] * 15):
        with pytest.raises(SettingsError, match="weights from 0 with a sum of at most 8388608"):
            search_exact(codes, codes, 1, weights=weights)


LENGTHS = st.sampled_from([(8,), (8, 24), (24, 32, 136), (64, 128, 200), (16, 64, 320, 328)])


@given(cases(), LENGTHS)
def test_counts_are_those_of_loops(case: tuple[Rng, int, int, npt.NDArray[np.int64]], lengths: tuple[int, ...]) -> None:
    rng, n_queries, n_gallery, _ = case
    n_bits = lengths[-1]
    queries, gallery = random_codes(rng, n_queries, n_bits), random_codes(rng, n_gallery, n_bits)
    # Few of the possible distances, those about the ends among them.
    thresholds = rng.integers(-2, min(n_bits, 40) + 3, (len(lengths), n_queries, 5), dtype=np.int32)
    thresholds[:, :, 0] = n_bits + 1
    nearer, at = count_nearer_prefixes(queries, gallery, lengths, thresholds)
    assert nearer.dtype == at.dtype == np.int64
    for length, n in enumerate(lengths):
        for i, query in enumerate(unpack(queries)):
            for j, threshold in enumerate(thresholds[length, i]):
                wanted = twin.counts(query[:n], unpack(gallery)[:, :n], int(threshold))
                assert (nearer[length, i, j], at[length, i, j]) == wanted
    of_whole = count_nearer(queries, gallery, thresholds[-1])
    np.testing.assert_array_equal(of_whole, (nearer[-1], at[-1]))


@given(cases(), LENGTHS)
def test_distances_of_prefixes_are_those_of_loops(
    case: tuple[Rng, int, int, npt.NDArray[np.int64]], lengths: tuple[int, ...]
) -> None:
    rng, n_queries, n_gallery, _ = case
    # Longer codes than the longest prefix, and so many ones that a wrong sum of bytes would overflow.
    queries = random_codes(rng, n_queries, lengths[-1] + 8, 0.02)
    gallery = random_codes(rng, n_gallery + 1, lengths[-1] + 8, 0.98)
    blocks = [distances for _, distances in prefix_distance_blocks(queries, gallery, lengths)]
    found = np.concatenate(blocks, axis=2)
    assert found.shape == (len(lengths), n_queries, n_gallery + 1)
    for of_length, n in zip(found, lengths, strict=True):
        for i, query in enumerate(unpack(queries)):
            assert of_length[i].tolist() == [twin.hamming(query[:n], code[:n]) for code in unpack(gallery)]


@pytest.mark.parametrize("lengths", [(), (8, 8), (16, 8), (12,), (0, 8), (-8,), (8, 24)])
def test_impossible_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    codes = random_codes(np.random.default_rng(0), 3, 16)
    with pytest.raises(CodesError, match="ascending lengths, multiples of 8 up to the 16 bits"):
        list(prefix_distance_blocks(codes, codes, lengths))


def test_thresholds_past_every_integer_do_not_overflow() -> None:
    codes = random_codes(np.random.default_rng(0), 3, 8)
    limits = np.iinfo(np.int32)
    nearer, at = count_nearer(codes[:1], codes, np.array([[limits.min, limits.max]], np.int32))
    assert nearer.tolist() == [[0, 3]]
    assert at.tolist() == [[0, 0]]


@given(cases(), st.sampled_from([8, 64, 72]))
def test_distances_are_those_of_loops(case: tuple[Rng, int, int, npt.NDArray[np.int64]], n_bits: int) -> None:
    rng, n_queries, n_gallery, _ = case
    queries, gallery = random_codes(rng, n_queries, n_bits, 0.5), random_codes(rng, n_gallery + 1, n_bits, 0.5)
    positions = rng.integers(0, n_gallery + 1, (n_queries, 6))
    blocks = list(distance_blocks(queries, gallery))
    everything = np.concatenate([distances for _, distances in blocks], axis=1)
    assert [row for columns, _ in blocks for row in range(columns.start, columns.stop)] == list(range(n_gallery + 1))
    at = distances_at(queries, gallery, positions)
    for i, query in enumerate(unpack(queries)):
        assert everything[i].tolist() == [twin.hamming(query, code) for code in unpack(gallery)]
        assert at[i].tolist() == [everything[i, row] for row in positions[i]]
    among = [[twin.hamming(a, b) for b in unpack(gallery)] for a in unpack(gallery)]
    assert pairwise_distances(gallery).tolist() == among


def test_long_codes_count_beyond_a_byte() -> None:
    codes = pack_bits(np.array([[False] * 4096, [True] * 4096]))
    ranking = search_exact(codes[:1], codes, 2)
    assert ranking.distances.tolist() == [[0, 4096]]
    assert pairwise_distances(codes).tolist() == [[0, 4096], [4096, 0]]


def test_impossible_numbers_of_rows_are_refused() -> None:
    codes = random_codes(np.random.default_rng(0), 3, 8)
    with pytest.raises(SettingsError, match="expected k to be a number of gallery rows, at least 1, got 0"):
        search_exact(codes, codes, 0)
    with pytest.raises(SettingsError, match="expected w"):
        search_two_stage(codes, codes, codes, codes, -1, 1)


def test_codes_and_ids_that_do_not_fit_are_refused() -> None:
    rng = np.random.default_rng(0)
    codes, longer = random_codes(rng, 3, 8), random_codes(rng, 3, 16)
    with pytest.raises(CodesError, match="one length, got 8 and 16 bits"):
        search_exact(codes, longer, 1)
    with pytest.raises(CodesError, match="same rows, got 3 and 3 queries, 2 and 3 gallery rows"):
        search_two_stage(codes, longer, codes[:2], longer, 1, 1)
    with pytest.raises(CodesError, match=r"ids of shape \(3,\) int64"):
        search_exact(codes, codes, 1, np.arange(2))
    with pytest.raises(CodesError, match=r"positions of shape \(3, m\)"):
        distances_at(codes, codes, np.zeros((2, 1), np.int64))
    with pytest.raises(CodesError, match=r"thresholds of shape \(3, m\)"):
        count_nearer(codes, codes, np.zeros((2, 1), np.int32))
    with pytest.raises(CodesError, match=r"thresholds of shape \(1, 3, m\)"):
        count_nearer_prefixes(codes, codes, (8,), np.zeros((2, 3, 1), np.int32))


def test_a_ranking_of_loose_arrays_is_refused() -> None:
    with pytest.raises(CodesError, match=r"positions of shape \(n_queries, k\) int64"):
        Ranking(np.zeros(3, np.int64), np.zeros(3, np.int32))
    with pytest.raises(CodesError, match=r"distances of shape \(1, 3\) int32"):
        Ranking(np.zeros((1, 3), np.int64), np.zeros((1, 2), np.int32))
