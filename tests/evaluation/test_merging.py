"""Several pictures as one item, against loops over labels, numbers and bits."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, Part, pack_bits, unpack
from bitreid.errors import DataError
from bitreid.evaluation import PROTOCOLS, evaluate_ranking
from bitreid.evaluation.merging import Merge, merges
from bitreid.evaluation.protocol import Protocol
from tests.evaluation.cases import N_RANKS, People, any_match, check, codes_of, hamming_table, small_people
from tests.reference import ranking as twin

Ints = npt.NDArray[np.int64]
NUMBERS = st.sampled_from([1, 1, 2, -2])


def query_labels(people: People) -> list[object]:
    return [
        (pid, camid) if pid > 0 and camid != -2 else None
        for pid, camid in zip(people.query_pids.tolist(), people.query_camids.tolist(), strict=True)
    ]


def tracklet_labels(pids: Ints, camids: Ints, tracklets: Ints) -> list[object]:
    rows = zip(pids.tolist(), camids.tolist(), tracklets.tolist(), strict=True)
    return [(pid, camid, number) if number != -2 else None for pid, camid, number in rows]


def merged_people(people: People, queries: list[list[int]], gallery: list[list[int]]) -> People:
    of_queries, of_gallery = [rows[0] for rows in queries], [rows[0] for rows in gallery]
    return People(
        people.query_pids[of_queries],
        people.query_camids[of_queries],
        people.gallery_pids[of_gallery],
        people.gallery_camids[of_gallery],
    )


def merged_codes(codes: Codes, items: list[list[int]]) -> Codes:
    bits = unpack(codes).tolist()
    return pack_bits(np.array([twin.majority([bits[row] for row in rows]) for rows in items], np.bool_))


@given(small_people(), st.data())
def test_queries_of_one_person_and_camera_are_one(people: People, data: st.DataObject) -> None:
    n_queries, n_gallery = len(people.query_pids), len(people.gallery_pids)
    queries = codes_of(data.draw(st.lists(st.integers(0, 255), min_size=n_queries, max_size=n_queries)))
    gallery = codes_of(data.draw(st.lists(st.integers(0, 7), min_size=n_gallery, max_size=n_gallery)))
    items = twin.items(query_labels(people))
    merged = merged_people(people, items, [[row] for row in range(n_gallery)])
    arguments = queries, gallery, *people.arguments(), N_RANKS
    if not any_match(merged):
        with pytest.raises(DataError, match=f"got none among {len(items)} queries"):
            evaluate_ranking(*arguments, protocol=PROTOCOLS["multi_query"])
        return
    found = evaluate_ranking(*arguments, protocol=PROTOCOLS["multi_query"])
    check(found, hamming_table(merged_codes(queries, items), gallery), merged)


@given(small_people(), st.data())
def test_pictures_of_one_tracklet_are_one_on_both_sides(people: People, data: st.DataObject) -> None:
    def column(n: int, values: st.SearchStrategy[int]) -> list[int]:
        return data.draw(st.lists(values, min_size=n, max_size=n))

    n_queries, n_gallery = len(people.query_pids), len(people.gallery_pids)
    numbers = np.array(column(n_queries, NUMBERS)), np.array(column(n_gallery, NUMBERS))
    queries = np.array(column(3 * n_queries, st.integers(-1, 1)), np.float32).reshape(-1, 3)
    gallery = np.array(column(3 * n_gallery, st.integers(-1, 1)), np.float32).reshape(-1, 3)
    items = (
        twin.items(tracklet_labels(people.query_pids, people.query_camids, numbers[0])),
        twin.items(tracklet_labels(people.gallery_pids, people.gallery_camids, numbers[1])),
    )
    merged = merged_people(people, *items)
    arguments = queries, gallery, *people.arguments(), N_RANKS
    if not any_match(merged):
        with pytest.raises(DataError, match="at least one query with a match"):
            evaluate_ranking(*arguments, protocol=PROTOCOLS["tracklets"], tracklets=numbers)
        return
    found = evaluate_ranking(*arguments, protocol=PROTOCOLS["tracklets"], tracklets=numbers)
    of_queries, of_gallery = (
        [twin.mean_feature([side[row].tolist() for row in rows]) for rows in which]
        for side, which in zip((queries, gallery), items, strict=True)
    )
    distances = np.array([[twin.cosine_distance(q, g) for g in of_gallery] for q in of_queries])
    check(found, distances, merged)


def test_a_tied_bit_is_zero_and_parts_stay() -> None:
    codes = Codes(np.array([[0b1100], [0b1010], [0b0110]], np.uint8), 8, (Part("all", 0, 8),))
    pair, three = Merge((np.array([0, 1]),)).codes(codes), Merge((np.array([0, 1, 2]),)).codes(codes)
    assert (pair.packed.tolist(), three.packed.tolist()) == ([[0b1000]], [[0b1110]])
    assert three.parts == codes.parts


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_means_are_as_exact_as_their_type(dtype: type[np.floating]) -> None:
    """A float16 sum of these would stop at 2,048."""
    features = np.ones((5000, 2), dtype)
    features[0] = 1001
    merged = Merge((np.arange(5000),)).features(features)
    assert merged.dtype == max(np.dtype(dtype), np.dtype(np.float32))
    np.testing.assert_allclose(merged, [[1.2, 1.2]], rtol=1e-7)


def test_without_groups_nothing_is_copied() -> None:
    features, pids, codes = np.ones((2, 3)), np.arange(2), codes_of([1, 2])
    merge = Merge()
    assert merge.features(features) is features
    assert merge.labels(pids) is pids
    assert merge.codes(codes) is codes


def test_a_side_without_rows_has_no_items() -> None:
    none = np.zeros(0, np.int64)
    of_queries, of_gallery, labels = merges(PROTOCOLS["tracklets"], Protocol(none, none, none, none), (none, none))
    assert of_queries.groups == of_gallery.groups == ()
    assert of_queries.features(np.zeros((0, 4))).shape == (0, 4)
    assert of_queries.codes(codes_of([])).packed.shape == (0, 1)
    assert len(labels.query_pids) == 0


def test_tracklets_that_are_missing_or_do_not_fit_are_refused() -> None:
    one = np.array([1])
    arguments = codes_of([0]), codes_of([0]), one, one, one, one + 1
    with pytest.raises(DataError, match="the tracklet of each query and gallery picture, got none"):
        evaluate_ranking(*arguments, protocol=PROTOCOLS["tracklets"])
    with pytest.raises(DataError, match=r"a tracklet for each gallery picture, \(1,\), got \(2,\)"):
        evaluate_ranking(*arguments, protocol=PROTOCOLS["tracklets"], tracklets=(one, np.array([1, 2])))
