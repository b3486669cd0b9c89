"""Search on every path against loops over bits and rows."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits, unpack
from bitreid.hamming import Matches, search_exact, search_range, search_two_stage
from tests.hamming.cases import SMALL, Case, Lists, as_lists, random_codes
from tests.reference import search as twin

pytestmark = pytest.mark.usefixtures("path")

TIES = st.sampled_from(["cut", "keep"])


def ordered(queries: Codes, gallery: Codes, case: Case, *, masked: bool) -> Lists:
    """The whole gallery in each query's order."""
    ids = list(range(len(gallery))) if case.ids is None else case.ids.tolist()
    bits = case.bits if masked else None
    return [twin.ordered(query, unpack(gallery), ids, bits, case.rows) for query in unpack(queries)]


def n_findable(case: Case) -> int:
    return len(case.gallery) if case.rows is None else int(case.rows.sum())


def of_matches(matches: Matches) -> Lists:
    return [
        list(zip(matches.distances[start:stop].tolist(), matches.positions[start:stop].tolist(), strict=True))
        for start, stop in zip(matches.offsets[:-1], matches.offsets[1:], strict=True)
    ]


@given(SMALL, st.integers(1, 15))
def test_exact_search_is_the_sorted_list(case: Case, k: int) -> None:
    masks: dict[str, Any] = {"bits": case.bits, "rows": case.rows}
    found = search_exact(case.queries, case.gallery, k, case.ids, **masks, n_threads=case.n_threads)
    wanted = ordered(case.queries, case.gallery, case, masked=True)
    assert as_lists(found) == [each[:k] for each in wanted]
    assert found.positions.shape == (len(case.queries), min(k, n_findable(case)))
    assert len(found) == len(case.queries)


@given(SMALL, st.sampled_from([-(10**30), -1, 0, 1, 5, 12, 30, 10**30]))
def test_range_search_is_the_sorted_list_up_to_a_distance(case: Case, max_distance: int) -> None:
    masks: dict[str, Any] = {"bits": case.bits, "rows": case.rows}
    asked = (case.queries, case.gallery, max_distance, case.ids)
    found = search_range(*asked, **masks, n_threads=case.n_threads)
    wanted = ordered(case.queries, case.gallery, case, masked=True)
    assert of_matches(found) == [[item for item in each if item[0] <= max_distance] for each in wanted]
    assert len(found) == len(case.queries)


@given(SMALL, st.integers(1, 15), st.integers(1, 15), TIES, st.none() | st.booleans())
def test_two_stage_search_is_the_sorted_short_list(
    case: Case, w: int, k: int, ties: Literal["cut", "keep"], sweep: bool | None
) -> None:
    found = search_two_stage(
        *(case.short_queries, case.queries, case.short_gallery, case.gallery, w, k, case.ids),
        bits=case.bits,
        rows=case.rows,
        ties=ties,
        sweep=sweep,
        n_threads=case.n_threads,
    )
    short = ordered(case.short_queries, case.short_gallery, case, masked=False)
    long = ordered(case.queries, case.gallery, case, masked=True)
    assert as_lists(found) == [twin.two_stage(*lists, w, k, ties) for lists in zip(short, long, strict=True)]
    assert found.positions.shape == (len(case.queries), min(w, k, n_findable(case)))


def test_ties_at_the_end_of_the_short_list_are_cut_or_kept() -> None:
    """Rows 1 and 2 tie on the short code; the long code prefers the one that a cut leaves out."""
    short = Codes(np.array([[0], [1], [2], [255]], np.uint8), 8)
    long = Codes(np.array([[0], [7], [1], [0]], np.uint8), 8)
    query = Codes(np.zeros((1, 1), np.uint8), 8)
    cut = search_two_stage(query, query, short, long, 2, 2)
    kept = search_two_stage(query, query, short, long, 2, 2, ties="keep")
    assert as_lists(cut) == [[(0, 0), (3, 1)]]
    assert as_lists(kept) == [[(0, 0), (1, 2)]]


@given(SMALL)
def test_a_mask_of_all_bits_changes_no_distance(case: Case) -> None:
    plain = search_exact(case.queries, case.gallery, 15, case.ids)
    masked = search_exact(case.queries, case.gallery, 15, case.ids, bits=np.ones(case.queries.n_bits, np.bool_))
    assert as_lists(plain) == as_lists(masked)


def test_long_codes_count_beyond_a_byte() -> None:
    codes = pack_bits(np.array([[False] * 40_000, [True] * 40_000]))
    assert search_exact(codes[:1], codes, 2).distances.tolist() == [[0, 40_000]]
    assert search_range(codes, codes, 39_999).positions.tolist() == [0, 1]


def test_ids_may_be_the_smallest_and_the_largest() -> None:
    codes = random_codes(np.random.default_rng(0), 1, 8)
    gallery = codes[np.zeros(4, np.intp)]
    limits = np.iinfo(np.int64)
    ids = np.array([limits.max, 0, limits.min, limits.max])
    assert search_exact(codes, gallery, 4, ids).positions.tolist() == [[2, 1, 0, 3]]
    assert search_exact(codes, gallery, 3, ids).positions.tolist() == [[2, 1, 0]]


def test_arrays_may_be_read_only_with_gaps_and_out_of_line() -> None:
    rng = np.random.default_rng(0)
    codes = random_codes(rng, 40, 24)
    bytes_ = np.zeros(40 * 24 + 1, np.uint8)
    gappy = bytes_[1:].reshape(40, 24)[:, 3:6]
    gappy[:] = codes.packed
    gappy.flags.writeable = False
    rows, bits, ids = rng.random(80)[::2] < 0.5, rng.random(48)[::2] < 0.5, rng.integers(0, 9, 80)[::2]
    misaligned = np.frombuffer(b"?" + ids.tobytes(), np.int64, offset=1)
    plain = search_exact(codes, codes, 9, ids.copy(), bits=bits.copy(), rows=rows.copy())
    for these in (ids, misaligned):
        same = search_exact(Codes(gappy, 24), Codes(gappy, 24), 9, these, bits=bits, rows=rows)
        assert as_lists(same) == as_lists(plain)
