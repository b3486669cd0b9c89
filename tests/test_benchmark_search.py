"""What the benchmark of searching could get wrong quietly: its codes, recall, speed at equal recall, bars, labels."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from search import parser, timed
from search_data import NOISE, PICTURES, clustered, difference_rates, flips, noisy, repeated
from search_parts import Plan
from search_plots import recall_panels, size_panels, spread
from search_rivals import Rivals, module_of
from search_tables import tables_of
from search_timing import (
    FLAT,
    FLOAT,
    TWO_STAGE,
    Cell,
    Pace,
    Timing,
    Way,
    bars_of,
    in_turns,
    ms_at_recall,
    ratio,
    recall,
    worst_plan,
)

from bitreid.codes import Codes, hamming_distances, pack_bits, unpack
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation.summary import Side
from bitreid.hamming import kernel, search_exact

CELL = Cell("two-stage", 1000, 64, 1, w=10)


def timing(way: str, ms: float, cell: Cell = CELL, setting: str = "", found: float | None = None) -> Timing:
    return Timing(cell, way, setting, ms, recall=found)


def codes_of(distances: list[int], n_bits: int = 16) -> Codes:
    """Codes that lie so far from the code of zeros."""
    return pack_bits(np.arange(n_bits) < np.array(distances)[:, None])


def side_of(codes: Codes, pids: list[int], camids: list[int], attributes: Codes | None = None) -> Side:
    return Side(codes, None, attributes, np.array(pids, np.int64), np.array(camids, np.int64))


def test_each_bit_is_flipped_at_its_own_rate() -> None:
    rates = np.array([0, 1 / 256, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
    found = unpack(Codes(flips(np.random.default_rng(0), 200_000, rates), 8)).mean(axis=0)
    assert found[0] == 0
    np.testing.assert_allclose(found, rates, atol=0.006)


def test_a_rate_that_rounds_to_one_is_not_none() -> None:
    found = unpack(Codes(flips(np.random.default_rng(0), 2000, np.ones(8)), 8)).mean()
    assert found > 0.99


def test_noise_is_drawn_anew_for_each_copy_of_a_row() -> None:
    rows = np.array([1, 1, 0])
    copies = noisy(np.random.default_rng(0), codes_of([0, 2048], 2048), rows, np.full(2048, 0.25))
    distances = hamming_distances(copies, copies)[0]
    np.testing.assert_allclose(distances / 2048, [0, 2 * 0.25 * 0.75, 1 - 2 * 0.25 * 0.75], atol=0.05)


def test_clusters_are_people_of_so_many_pictures_at_every_length() -> None:
    data = clustered(400, (64, 2048))
    long, short = data[2048], data[64]
    distances = hamming_distances(long.queries, long.gallery)
    same = distances < 0.41 * 2048  # two pictures of one person differ in 0.32 of the bits, of two in half
    assert set(same.sum(axis=1)) == {PICTURES}
    np.testing.assert_allclose(distances[same].mean() / 2048, 2 * NOISE * (1 - NOISE), atol=0.01)
    # The short codes are of the same people in the same rows.
    of_short = hamming_distances(short.queries, short.gallery)
    np.testing.assert_allclose(of_short[same].mean() / 64, 2 * NOISE * (1 - NOISE), atol=0.02)
    np.testing.assert_allclose(of_short[~same].mean() / 64, 0.5, atol=0.02)


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 2), st.integers(0, 255)), min_size=1, max_size=12))
def test_rates_are_those_of_pairs_of_one_person_and_camera(rows: list[tuple[int, int, int]]) -> None:
    pids, camids, bytes_ = (list(column) for column in zip(*rows, strict=True))
    codes = Codes(np.array(bytes_, np.uint8)[:, None], 8)
    pairs = [
        [(a[2] ^ b[2]) >> 7 - bit & 1 for bit in range(8)]
        for a, b in itertools.combinations(rows, 2)
        if a[:2] == b[:2] and a[0] > 0
    ]
    side = side_of(codes, pids, camids)
    if not pairs:
        with pytest.raises(DataError, match="state a --noise"):
            difference_rates(codes, side)
        return
    np.testing.assert_allclose(difference_rates(codes, side), np.mean(pairs, axis=0))


def test_repeated_codes_keep_long_short_and_attribute_codes_of_a_picture_together() -> None:
    rng = np.random.default_rng(0)
    long, short = (Codes(rng.integers(0, 256, (5, n), np.uint8), 8 * n) for n in (128, 32))
    side = side_of(long, [1] * 5, [1] * 5, short)
    pairs = repeated(side, side, 23, noise=0.02)
    assert set(pairs) == {"long", "prefix, 64 bits", "attributes, 256 bits"}
    # The nearest query of a row is the picture that it was made of, by either code.
    nearest = [hamming_distances(pairs[name].gallery, pairs[name].queries) for name in ("long", "attributes, 256 bits")]
    assert nearest[0].min(axis=1).max() < 128 > nearest[1].min(axis=1).max()
    np.testing.assert_array_equal(nearest[0].argmin(axis=1), nearest[1].argmin(axis=1))
    assert sorted(np.bincount(nearest[0].argmin(axis=1))) == [4, 4, 5, 5, 5]
    np.testing.assert_array_equal(pairs["long"].prefix(64).gallery.packed, pairs["prefix, 64 bits"].gallery.packed)


def test_recall_does_not_ask_which_of_the_rows_at_one_distance_was_found() -> None:
    query, gallery = codes_of([0]), codes_of([1, 2, 2, 2, 5])
    exact = np.array([[1, 2]])
    for found, expected in (
        ([0, 1], 1),  # what we return
        ([3, 0], 1),  # another row at the second distance, in another order
        ([0, 4], 0.5),  # a row too far away
        ([0, 0], 0.5),  # one row twice
        ([0, -1], 0.5),  # nothing where faiss fills up
        ([0, 1, 2, 3, 4], 1),  # more than asked for is no more than all
        ([], 0),
    ):
        assert recall(query, gallery, np.array([found], np.int64), exact) == expected


def test_recall_is_the_mean_over_queries() -> None:
    queries, gallery = codes_of([0, 16]), codes_of([0, 16])
    assert recall(queries, gallery, np.array([[0], [0]]), np.array([[0], [0]])) == 0.5


def test_exact_search_finds_all() -> None:
    long = clustered(300, (64,))[64]
    nearest = search_exact(long.queries, long.gallery, 10).distances
    assert recall(long.queries, long.gallery, search_exact(long.queries, long.gallery, 10).positions, nearest) == 1


def test_speed_at_equal_recall_lies_between_the_settings_around_it() -> None:
    points = [(0.5, 1.0), (0.9, 4.0), (1.0, 64.0)]
    assert ms_at_recall(points, 0.5) == 1
    assert ms_at_recall(points, 0.7) == pytest.approx(2)  # half way: the root of 1 * 4
    assert ms_at_recall(points, 0.9) == pytest.approx(4)
    assert ms_at_recall(points, 0.95) == pytest.approx(16)
    assert ms_at_recall(points, 0.1) == 1  # no setting is quicker
    assert ms_at_recall(points[:2], 0.95) is None
    assert ms_at_recall([], 0.1) is None


def test_a_setting_that_another_beats_in_both_is_passed_over() -> None:
    assert ms_at_recall([(0.5, 1.0), (0.6, 50.0), (0.9, 4.0), (0.9, 8.0)], 0.7) == pytest.approx(2)
    assert ms_at_recall([(0.5, 8.0), (0.9, 4.0)], 0.3) == 4


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=6), st.floats(0, 1))
def test_speed_at_equal_recall_is_never_worse_than_the_quickest_setting_that_finds_as_much(
    points: list[tuple[float, float]], wanted: float
) -> None:
    enough = [ms for found, ms in points if found >= wanted]
    ms = ms_at_recall(points, wanted)
    if not enough:
        assert ms is None
    else:
        assert ms is not None
        assert min(ms for _, ms in points) * 0.999 <= ms <= min(enough) * 1.001


def test_ratios_are_to_the_quickest_of_the_rivals_ways_in_the_same_cell() -> None:
    other = Cell("two-stage", 1000, 64, 64, w=10)
    timings = [
        timing("two-stage", 2),
        timing(f"{TWO_STAGE}, heap", 12),
        timing(f"{TWO_STAGE}, counted", 8),
        timing(FLAT, 40),
        timing(TWO_STAGE, 1, other),
    ]
    assert ratio(timings, CELL, "two-stage", TWO_STAGE) == 4
    assert ratio(timings, CELL, "two-stage", FLAT) == 20
    assert ratio(timings, CELL, "two-stage", "usearch") is None
    assert ratio(timings, other, "two-stage", TWO_STAGE) is None


def test_the_planner_is_judged_where_it_is_worst() -> None:
    other = Cell("two-stage", 1000, 64, 64, w=10)
    timings = [
        *(timing(way, ms) for way, ms in (("exact", 4), ("two-stage", 2), ("planned", 2.2))),
        *(timing(way, ms, other) for way, ms in (("exact", 2), ("two-stage", 4), ("planned", 2.6))),
    ]
    assert worst_plan(timings) == pytest.approx(1.3)
    bar = bars_of(timings)["planner: times the better of both ways, at worst"]
    assert bar == {"value": pytest.approx(1.3), "bar": 1.2, "met": False}
    assert worst_plan(timings[:2]) is None


def test_bars_are_met_from_their_value_on_and_left_out_where_nothing_was_run() -> None:
    cell = Cell("float", 100_000, 2048, 1, w=1000)
    name = "100,000 rows, two-stage, one query: times floats"
    met = bars_of([timing("two-stage", 1, cell), timing(FLOAT, 200, cell)])
    assert met == {name: {"value": 200, "bar": 200, "met": True}}
    assert not bars_of([timing("two-stage", 1, cell), timing(FLOAT, 199, cell)])[name]["met"]
    assert bars_of([timing("two-stage", 1, cell)]) == {}


def test_ways_take_turns_through_all_batches_and_a_time_is_shared_by_the_queries() -> None:
    calls: list[tuple[str, int]] = []

    def way(name: str) -> Way:
        def call(i: int) -> np.ndarray:
            calls.append((name, i))
            return np.empty((0, 0))

        return Way(name, call)

    cell = Cell("exact", 1000, 64, 4)
    found = in_turns(cell, [way("a"), way("b")], 3, Pace(turn_s=0, budget_s=9, fewest=1, most=4), [0.5, None])
    assert calls[:2] == [("a", 2), ("b", 2)]  # once before
    assert calls[2:] == [(name, i) for i in (0, 1, 2, 0) for name in "ab"]
    assert [(each.way, each.recall) for each in found] == [("a", 0.5), ("b", None)]
    one = Timing(cell, "a", "", ms=0.008)
    assert (one.gb_per_s, one.queries_per_s) == (1, 125_000)


def test_labels_keep_their_order_and_are_not_too_close() -> None:
    assert spread({"a": 0.5, "b": 0.1}, 0.1) == {"b": 0.1, "a": 0.5}
    found = spread({"a": 0.5, "b": 0.5, "c": 0.52, "d": 0.9}, 0.1)
    assert found == pytest.approx({"a": 0.5067 - 0.1, "b": 0.5067, "c": 0.5067 + 0.1, "d": 0.9}, abs=1e-3)


def test_plots_show_the_quickest_way_of_each_rival() -> None:
    exact, two = Cell("exact", 1000, 2048, 1), Cell("two-stage", 1000, 2048, 1, w=10)
    timings = [
        *(timing(way, ms, exact) for way, ms in (("exact", 1), (f"{FLAT}, heap", 4), (f"{FLAT}, counted", 2))),
        *(timing(way, ms, two) for way, ms in (("two-stage", 0.5), ("exact", 1))),
        timing("exact", 1, Cell("exact", 1000, 512, 1)),
    ]
    assert [panel.lines for panel in size_panels(timings)] == [
        {"exact": [(1000, 1000)], FLAT: [(1000, 500)], "two-stage": [(1000, 2000)]}
    ]
    real = Cell("real", 1000, 2048, 1)
    timings = [timing("IVF", 2, real, found=0.9), timing("IVF", 1, real, found=0.5), timing("HNSW", 1, real, found=1)]
    assert [panel.lines for panel in recall_panels(timings)] == [
        {"IVF": [(50, 1000), (90, 500)], "HNSW": [(100, 1000)]}
    ]


def test_a_missing_rival_is_named_with_the_extra_that_has_it() -> None:
    with pytest.raises(
        SettingsError, match=r"expected no_such_rival, got none; install it: pip install 'bitreid\[bench\]'"
    ):
        module_of("no_such_rival")


def test_all_parts_run_without_any_rival(tmp_path: Path) -> None:
    rivals = Rivals()
    rivals.faiss = rivals.usearch = rivals.hnswlib = None
    plan = Plan((1000, 2000), (2048,), 3000, 1000, 0, Pace(turn_s=0, budget_s=0, fewest=1, most=1), rivals)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (40, 256), np.uint8)
    files = []
    for name in ("query", "gallery"):
        files.append(tmp_path / f"{name}.npz")
        np.savez(files[-1], codes=codes, pids=np.arange(40) // 2 + 1, camids=np.ones(40, np.int64))
    arguments = parser().parse_args(["--real", *map(str, files)])
    timings = timed(plan, arguments, Console(quiet=True))
    tables = tables_of(timings)
    assert len(tables) == 6
    assert all(table.row_count for table in tables.values())
    found = {each.cell.rows: each.recall for each in timings if each.cell.part == "real" and each.way == "exact"}
    assert found == {1000: 1, 2000: 1}
    assert list(bars_of(timings)) == ["planner: times the better of both ways, at worst"]  # all that needs no rival
    assert kernel.path() in kernel.available_paths()
