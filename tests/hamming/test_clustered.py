"""Clustered search against loops over bits, on every path."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, unpack
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import (
    Clusters,
    VisitedMatches,
    VisitedRanking,
    cluster,
    search_clustered,
    search_exact,
    search_range,
    search_range_clustered,
)
from tests.hamming.cases import SMALL, Case, any_clusters, as_lists, random_codes
from tests.reference import search as twin


def listed(case: Case, clusters: Clusters, n_lists: int, k: int) -> tuple[list[list[tuple[int, int]]], list[int]]:
    """Per query what loops find in the lists that it visits, in order, and how many rows these are."""
    gallery, centres = unpack(case.gallery), unpack(clusters.centres)
    ids = case.ids.tolist() if case.ids is not None else list(range(len(gallery)))
    n_allowed = len(gallery) if case.rows is None else int(case.rows.sum())
    lists, n_visited = [], []
    for query in unpack(case.queries):
        order = twin.nearest_lists(query, centres, case.bits)
        if n_allowed * len(clusters) <= min(n_lists, len(clusters)) * len(gallery):
            n_lists = len(clusters)  # few rows may be found: all of them are visited
        rows = twin.visited(order, clusters.offsets.tolist(), n_lists, k, case.rows)
        may = np.isin(np.arange(len(gallery)), rows)
        lists.append(twin.ordered(query, gallery, ids, case.bits, may))
        n_visited.append(len(rows))
    return lists, n_visited


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(0, 5), st.integers(1, 6), st.integers(1, 15))
def test_the_nearest_of_the_nearest_lists(case: Case, n_lists: int, n_visited: int, k: int) -> None:
    clusters = any_clusters(case, n_lists)
    asked: dict[str, Any] = {"bits": case.bits, "rows": case.rows, "n_threads": case.n_threads}
    found = search_clustered(case.queries, case.gallery, clusters, k, case.ids, n_lists=n_visited, **asked)
    n_allowed = len(case.gallery) if case.rows is None else int(case.rows.sum())
    lists, visited = listed(case, clusters, n_visited, min(k, n_allowed))
    assert as_lists(found) == [each[:k] for each in lists]
    assert found.n_visited.tolist() == visited


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(0, 5), st.integers(1, 6), st.sampled_from([-(10**30), -1, 0, 1, 5, 12, 30, 10**30]))
def test_all_rows_of_the_nearest_lists_up_to_a_distance(
    case: Case, n_lists: int, n_visited: int, max_distance: int
) -> None:
    clusters = any_clusters(case, n_lists)
    sides = (case.queries, case.gallery, clusters, max_distance, case.ids)
    asked: dict[str, Any] = {"bits": case.bits, "rows": case.rows, "n_threads": case.n_threads}
    found = search_range_clustered(*sides, n_lists=n_visited, **asked)
    lists, visited = listed(case, clusters, n_visited, 0)
    wanted = [[key for key in each if key[0] <= max_distance] for each in lists]
    assert np.diff(found.offsets).tolist() == [len(each) for each in wanted]
    flat = [key for each in wanted for key in each]
    assert list(zip(found.distances.tolist(), found.positions.tolist(), strict=True)) == flat
    assert found.n_visited.tolist() == visited


def people(n: int = 3000) -> Codes:
    """Codes of 150 people, pictures of each in a row here and there."""
    rng = np.random.default_rng(0)
    them = random_codes(rng, 150, 64, 0.5)
    return Codes(them.packed[rng.integers(0, 150, n)] ^ random_codes(rng, n, 64, 0.1).packed, 64)


@pytest.mark.usefixtures("fastest_path")
def test_a_recall_is_reached_and_visits_a_part_only() -> None:
    codes = people()
    clusters, order = cluster(codes, 60)
    gallery, queries = codes[order], people(3100)[3000:]
    exact = search_exact(queries, gallery, 10)
    visited = []
    for recall in (0.5, 0.8, 0.95):
        found = search_clustered(queries, gallery, clusters, 10, recall=recall)
        near = (found.distances <= exact.distances[:, -1:]).mean()
        assert near >= recall - 0.05
        visited.append(found.n_visited.mean())
    assert visited == sorted(set(visited))
    assert visited[1] < 1500
    everything = search_clustered(queries, gallery, clusters, 10, recall=1)
    assert as_lists(everything) == as_lists(exact)
    assert everything.n_visited.tolist() == [3000] * len(queries)


@pytest.mark.usefixtures("fastest_path")
def test_a_filter_that_lets_few_rows_through_visits_these() -> None:
    codes = people()
    clusters, order = cluster(codes, 60)
    gallery, queries = codes[order], codes[:20]
    few = np.arange(3000) % 100 == 0
    found = search_clustered(queries, gallery, clusters, 50, order, n_lists=1, rows=few)
    assert as_lists(found) == as_lists(search_exact(queries, gallery, 50, order, rows=few))
    assert found.n_visited.tolist() == [30] * 20
    matches = search_range_clustered(queries, gallery, clusters, 20, order, n_lists=1, rows=few)
    assert matches.positions.tolist() == search_range(queries, gallery, 20, order, rows=few).positions.tolist()
    assert matches.n_visited.tolist() == [30] * 20
    none = search_clustered(queries, gallery, clusters, 5, rows=np.zeros(3000, np.bool_))
    assert none.positions.shape == (20, 0)


@pytest.mark.usefixtures("fastest_path")
def test_a_filter_of_half_the_rows_visits_more_lists() -> None:
    clusters = Clusters(random_codes(np.random.default_rng(0), 4, 8), np.arange(5), *table())
    assert [clusters.lists_for(0.9, k, share) for k, share in ((1, 1), (2, 1), (1, 0.5), (1, 0.4), (4, 1))] == [
        *(1, 2, 2, 3, 3),
    ]
    assert clusters.lists_for(0.9, 5) == clusters.lists_for(1) == clusters.lists_for(0.5, 1, 0.0) == 4


def table() -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Recalls of the 1, 2 and 4 nearest rows."""
    return np.array([1, 2, 4]), np.array([[0.9, 1, 1, 1], [0.5, 0.9, 1, 1], [0.3, 0.6, 0.9, 1]])


@pytest.mark.usefixtures("fastest_path")
def test_what_does_not_fit_is_refused() -> None:
    codes = people(50)
    clusters, order = cluster(codes, 5)
    with pytest.raises(CodesError, match=r"expected clusters of the 49 rows of the gallery, got clusters of 50; "):
        search_clustered(codes, codes[:49], clusters, 1)
    with pytest.raises(CodesError, match="expected query and gallery codes of one length, got 64 and 32 bits"):
        search_range_clustered(codes, codes.prefix(32), clusters, 1)
    for n_lists in (0, 1.5):
        with pytest.raises(SettingsError, match="expected n_lists to be a number of lists, at least 1, got "):
            search_clustered(codes, codes[order], clusters, 1, n_lists=n_lists)  # type: ignore[arg-type]
    for recall in (0, 1.1, float("nan")):
        with pytest.raises(SettingsError, match="expected recall above 0 and at most 1, got "):
            search_range_clustered(codes, codes[order], clusters, 1, recall=recall)
    with pytest.raises(SettingsError, match=r"expected max_distance to be a whole number, got 1\.5"):
        search_range_clustered(codes, codes[order], clusters, 1.5)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="expected k to be a number of gallery rows, at least 1, got 0"):
        search_clustered(codes, codes[order], clusters, 0)


@pytest.mark.usefixtures("fastest_path")
def test_a_result_says_how_many_rows_were_visited() -> None:
    nothing, none = np.empty((2, 0), np.int64), np.empty((2, 0), np.int32)
    with pytest.raises(CodesError, match=r"expected n_visited of shape \(2,\) int64, got \(3,\) int64"):
        VisitedRanking(nothing, none, np.zeros(3, np.int64))
    offsets = np.zeros(3, np.int64)
    with pytest.raises(CodesError, match=r"expected n_visited of shape \(2,\) int64, got \(2,\) float64"):
        VisitedMatches(offsets, nothing[0], none[0], np.zeros(2))  # type: ignore[arg-type]
