"""Clusters: rows sorted by their nearest centre, centres as majorities, and recalls, against loops over bits."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits, unpack
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import Clusters, assign, cluster, distances_at, kernel, remaining
from tests.hamming.cases import SMALL, Case, any_clusters, random_codes
from tests.reference import search as twin


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 5))
def test_rows_go_to_the_first_of_their_nearest_centres(case: Case, n_lists: int) -> None:
    centres = random_codes(case.rng, n_lists, case.gallery.n_bits)
    lists, distances = assign(case.gallery, centres, n_threads=case.n_threads)
    wanted = [twin.ordered(row, unpack(centres), range(n_lists))[0] for row in unpack(case.gallery)]
    assert list(zip(distances.tolist(), lists.tolist(), strict=True)) == wanted
    assert [each.dtype.name for each in (lists, distances)] == ["int64", "int32"]


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(0, 5))
def test_centres_are_majorities(case: Case, n_lists: int) -> None:
    offsets = any_clusters(case, n_lists).offsets
    order = case.rng.permutation(len(case.gallery))
    found = kernel.engine().majorities(case.gallery.packed, order, offsets, case.n_threads)
    rows = unpack(case.gallery)[order]
    wanted = [twin.majority(rows[start:stop]) for start, stop in pairwise(offsets)]
    assert unpack(Codes(found, case.gallery.n_bits)).tolist() == wanted


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 20))
def test_lists_hold_all_rows_in_order(case: Case, n_lists: int) -> None:
    codes = case.gallery
    clusters, order = cluster(codes, n_lists, n_threads=case.n_threads)
    assert len(clusters) == min(n_lists, len(codes))
    assert sorted(order.tolist()) == list(range(len(codes))) == list(range(clusters.n_rows))
    if len(codes):
        lists, _ = assign(codes, clusters.centres)
        assert order.tolist() == sorted(range(len(codes)), key=lambda row: (lists[row], row))
        assert np.diff(clusters.offsets).tolist() == np.bincount(lists, minlength=len(clusters)).tolist()


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 5))
def test_recalls_are_those_of_loops(case: Case, n_lists: int) -> None:
    codes = case.gallery
    clusters, _ = cluster(codes, n_lists)
    n = len(codes)
    assert clusters.n_nearest.tolist() == ([n - 1] if n > 1 else [])
    if n > 1:
        bits, centres = unpack(codes), unpack(clusters.centres)
        lists = assign(codes, clusters.centres)[0].tolist()
        wanted = [twin.recall(bits, centres, lists, range(n), n - 1, m + 1) for m in range(len(clusters))]
        np.testing.assert_allclose(clusters.recalls[0], wanted, rtol=1e-12)


def people() -> tuple[Codes, list[int]]:
    """Codes of 20 people who are far from each other, 15 pictures each, mixed; and whose they are."""
    rng = np.random.default_rng(0)
    pids = rng.permutation(np.repeat(np.arange(20), 15))
    bits = (rng.random((20, 256)) < 0.5)[pids] ^ (rng.random((300, 256)) < 0.05)
    return pack_bits(bits), pids.tolist()


@pytest.mark.usefixtures("fastest_path")
def test_clusters_find_who_belongs_together() -> None:
    codes, pids = people()
    clusters, order = cluster(codes, 40)
    for start, stop in pairwise(clusters.offsets):
        assert len({pids[row] for row in order[start:stop]}) <= 1
    away = distances_at(codes[order], clusters.centres, np.repeat(np.arange(40), np.diff(clusters.offsets))[:, None])
    assert away.mean() < 0.06 * 256


@pytest.mark.usefixtures("fastest_path")
def test_the_default_is_four_times_the_root_of_the_rows() -> None:
    codes, _ = people()
    assert len(cluster(codes)[0]) == 69
    assert len(cluster(codes[:1])[0]) == 1
    clusters, order = cluster(codes[:0])
    assert (len(clusters), clusters.n_rows, len(order), clusters.lists_for(0.5)) == (0, 0, 0, 0)


@pytest.mark.usefixtures("fastest_path")
def test_the_same_seed_gives_the_same_clusters_with_any_number_of_threads() -> None:
    codes, _ = people()
    one, three, other = (cluster(codes, 30, seed=s, n_threads=t) for s, t in ((1, 1), (1, 3), (2, 1)))
    assert one[1].tolist() == three[1].tolist() != other[1].tolist()
    assert one[0].centres.packed.tolist() == three[0].centres.packed.tolist()


@pytest.mark.usefixtures("fastest_path")
def test_centres_may_be_those_of_before() -> None:
    codes, _ = people()
    clusters, _ = cluster(codes[:200], 30)
    calls: list[tuple[int, int]] = []
    later, order = cluster(codes, centres=clusters.centres, progress=lambda *call: calls.append(call))
    assert later.centres is clusters.centres
    assert later.n_rows == len(order) == 300
    assert calls == [(300, 300)]


@pytest.mark.usefixtures("fastest_path")
def test_equal_rows_fill_one_list() -> None:
    codes = Codes(np.full((30, 2), 7, np.uint8), 16)
    clusters, order = cluster(codes, 4)
    assert clusters.offsets.tolist() == [0, 30, 30, 30, 30]
    assert order.tolist() == list(range(30))
    assert clusters.recalls.tolist() == [[1.0] * 4]


@pytest.mark.usefixtures("fastest_path")
def test_what_does_not_fit_is_refused() -> None:
    codes, _ = people()
    centres = codes[:3]
    table = np.array([1, 2]), np.ones((2, 3))
    with pytest.raises(CodesError, match="expected at least one centre to assign rows to, got none"):
        assign(codes, codes[:0])
    with pytest.raises(SettingsError, match="expected as many lists as centres, 3, got n_lists = 4"):
        cluster(codes, 4, centres=centres)
    with pytest.raises(SettingsError, match="expected n_lists to be a number of gallery rows, at least 1, got 0"):
        cluster(codes, 0)
    with pytest.raises(CodesError, match=r"expected offsets of shape \(4,\) int64, got \(3,\) int64"):
        Clusters(centres, np.arange(3), *table)
    with pytest.raises(CodesError, match="expected offsets that rise from 0, got"):
        Clusters(centres, np.array([0, 2, 1, 3]), *table)
    with pytest.raises(CodesError, match=r"expected recalls of shape \(2, 3\), got \(2, 4\)"):
        Clusters(centres, np.arange(4), table[0], np.ones((2, 4)))
    with pytest.raises(CodesError, match="expected n_nearest and each row of recalls to ascend, got others"):
        Clusters(centres, np.arange(4), table[0][::-1], table[1])


@pytest.mark.usefixtures("fastest_path")
def test_the_kernel_refuses_what_would_read_out_of_bounds() -> None:
    codes, _ = people()
    engine = kernel.native()
    if engine is None:
        return
    rows, order = codes.packed, np.arange(300)
    for offsets, what in (([0, 299], "up to the rows"), ([1, 300], "from 0"), ([0, 301, 300], "ascending offsets")):
        with pytest.raises(ValueError, match=what):
            engine.majorities(rows, order, np.array(offsets), 1)
        with pytest.raises(ValueError, match=what):
            engine.search_lists(rows, rows, rows[:1], np.array(offsets), 1, 1, None, None, None, 1)
    for wrong in (-1, 300):
        with pytest.raises(ValueError, match="expected rows as the order"):
            engine.majorities(rows, np.where(order == 7, wrong, order), np.array([0, 300]), 1)
    for centres, n_visited, k in ((rows[:2], 1, 1), (rows[:1], 2, 1), (rows[:1], 1, 301)):
        with pytest.raises(ValueError, match="expected"):
            engine.search_lists(rows, rows, centres, np.array([0, 300]), n_visited, k, None, None, None, 1)
    with pytest.raises(ValueError, match="expected at most all lists"):
        engine.range_lists(rows, rows, rows[:1], np.array([0, 300]), 2, 1, None, None, None, 1)
    with pytest.raises(ValueError, match="expected at least one centre"):
        engine.assign(rows, rows[:0], 1)


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 20))
def test_rows_that_are_left_out_are_as_if_they_were_not_there(case: Case, n_lists: int) -> None:
    rows = case.rng.random(len(case.gallery)) < 0.6
    there = np.flatnonzero(rows)
    clusters, order = cluster(case.gallery, n_lists, rows=rows, sampled=3, rounds=2)
    alone, order_alone = cluster(case.gallery[there], n_lists, sampled=3, rounds=2)
    assert clusters.centres.packed.tolist() == alone.centres.packed.tolist()
    assert clusters.offsets.tolist() == alone.offsets.tolist()
    assert order.tolist() == there[order_alone].tolist()
    np.testing.assert_array_equal(clusters.recalls, alone.recalls)


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 20))
def test_of_rows_that_are_gone_nothing_remains(case: Case, n_lists: int) -> None:
    clusters, order = cluster(case.gallery, n_lists)
    codes, kept = case.gallery[order], case.rng.random(len(order)) < 0.6
    left = remaining(codes, clusters, kept, n_threads=case.n_threads)
    lists = np.repeat(np.arange(len(clusters)), np.diff(clusters.offsets))
    sizes = np.bincount(lists[kept], minlength=len(clusters))
    assert np.diff(left.offsets).tolist() == sizes[sizes > 0].tolist()
    bits, centres = unpack(codes), unpack(clusters.centres).tolist()
    for list_, centre in zip(np.flatnonzero(sizes), unpack(left.centres).tolist(), strict=True):
        own = lists == list_
        assert centre == (centres[list_] if kept[own].all() else twin.majority(bits[own & kept]))
    np.testing.assert_array_equal(left.recalls, clusters.recalls[:, : len(left)])


def test_progress_is_told_while_centres_are_learned_and_may_end_that() -> None:
    codes, _ = people()
    told: list[tuple[int, int]] = []
    cluster(codes, 40, rounds=2, progress=lambda *each: told.append(each))
    assert told == [(0, 300), (0, 300), (300, 300)]
    with pytest.raises(InterruptedError):
        cluster(codes, 40, progress=_interrupted)


def _interrupted(done: int, n: int) -> None:
    raise InterruptedError


def test_lists_that_end_too_far_away_are_refused() -> None:
    """Whose differences would be too large for 64 bits, and positive."""
    centres = Codes(np.zeros((3, 1), np.uint8), 8)
    offsets = np.array([0, 3 * 2**61, -(2**62), 5])
    with pytest.raises(CodesError, match="offsets that rise from 0"):
        Clusters(centres, offsets, np.empty(0, np.int64), np.empty((0, 3)))
