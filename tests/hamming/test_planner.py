"""The planner: its choice is visible, can be forced, and does not change what a method finds."""

import itertools
from typing import Literal

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import kernel, search_exact, search_planned, search_two_stage
from bitreid.hamming.planner import COSTS, METHODS, Amounts, Method, Work, amounts, plan
from tests.hamming.cases import random_codes, using

RNG = np.random.default_rng(3)
SHORT, LONG = random_codes(RNG, 500, 32), random_codes(RNG, 500, 256)
SIZES = list(itertools.product((1, 8, 64), (20_000, 1_000_000), (8, 256)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_queries", [0, 1, 7])
def test_a_forced_method_finds_what_that_method_finds(method: Method, n_queries: int) -> None:
    rows = RNG.random(500) < 0.5
    sides = SHORT[:n_queries], LONG[:n_queries], SHORT, LONG
    found = search_planned(*sides, 40, 5, rows=rows, method=method, n_threads=2)
    expected = (
        search_exact(sides[1], LONG, 5, rows=rows) if method == "exact" else search_two_stage(*sides, 40, 5, rows=rows)
    )
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert (found.plan.method, found.plan.forced) == (method, True)
    assert found.plan.blocked == (n_queries > 1 and method == "exact")
    for blocked in (True, False):
        same = search_planned(*sides, 40, 5, rows=rows, method=method, blocked=blocked)
        np.testing.assert_array_equal(same.positions, expected.positions)
        np.testing.assert_array_equal(same.distances, expected.distances)
        assert same.plan.blocked == blocked


@pytest.mark.parametrize("w", [5, 400])
def test_the_choice_is_the_one_that_is_expected_to_cost_less(w: int) -> None:
    found = search_planned(SHORT[:3], LONG[:3], SHORT, LONG, w, 5)
    assert not found.plan.forced
    assert found.plan.expected_ms[found.plan.method] == min(found.plan.expected_ms.values())
    again = search_planned(SHORT[:3], LONG[:3], SHORT, LONG, w, 5, method=found.plan.method)
    np.testing.assert_array_equal(found.positions, again.positions)


def test_k_is_clipped_to_w_by_either_method() -> None:
    sides = SHORT[:2], LONG[:2], SHORT, LONG
    assert {search_planned(*sides, 3, 10, method=method).positions.shape for method in METHODS} == {(2, 3)}


def test_nothing_to_find() -> None:
    nothing = np.zeros(500, np.bool_)
    sides = SHORT[:2], LONG[:2], SHORT, LONG
    for method in (*METHODS, None):
        assert search_planned(*sides, 3, 10, method=method, rows=nothing).positions.shape == (2, 0)
        assert search_planned(*sides[:2], SHORT[:0], LONG[:0], 3, 10, method=method).positions.shape == (2, 0)


@pytest.mark.parametrize("path", kernel.available_paths())
@pytest.mark.parametrize(("n_queries", "n", "n_bytes"), SIZES)
def test_on_every_path_a_longer_short_list_costs_more_and_the_whole_gallery_most(
    path: str, n_queries: int, n: int, n_bytes: int
) -> None:
    with using(path):
        plans = [plan(Work(n_queries, n, 8, n_bytes, w)) for w in (n // 1000, n // 10, n)]
    costs = [each.expected_ms["two_stage"] for each in plans]
    assert costs == sorted(costs)
    assert plans[-1].method == "exact"
    assert plans[0].method == "two_stage" or n * n_bytes < 2**27
    assert all(cost > 0 for each in plans for cost in each.expected_ms.values())


def test_only_the_bits_that_count_are_reckoned_with() -> None:
    bits = np.arange(256) < 64
    sides = SHORT[:8], LONG[:8], SHORT, LONG
    masked = search_planned(*sides, 40, 5, bits=bits).plan
    whole = search_planned(*sides, 40, 5).plan
    assert masked.expected_ms["exact"] < whole.expected_ms["exact"]


def test_weights_make_the_first_stage_dearer() -> None:
    plain, weighted = (amounts(Work(1, 10_000, 8, 256, 100, planes), "two_stage") for planes in (1, 4))
    costs = COSTS["scalar"]
    cost = [sum(a * b for a, b in zip(each, costs, strict=True)) for each in (plain, weighted)]
    assert cost[1] > cost[0]


def test_every_path_has_costs() -> None:
    assert set(kernel.available_paths()) | {"neon"} <= set(COSTS)
    assert all(cost >= 0 for costs in COSTS.values() for cost in costs)
    assert all(any(cost > 0 for cost in costs) for costs in COSTS.values())
    assert isinstance(COSTS["numpy"], Amounts)


def test_what_does_not_fit_is_refused() -> None:
    sides = SHORT[:2], LONG[:2], SHORT, LONG
    unknown: Method = "slow"  # type: ignore[assignment]  # what a caller without types may ask for
    with pytest.raises(SettingsError, match=r"expected method to be one of exact, two_stage, or None, got 'slow'"):
        search_planned(*sides, 3, 2, method=unknown)
    with pytest.raises(SettingsError, match="expected w to be a number of gallery rows"):
        search_planned(*sides, 0, 2)
    every: Literal["cut", "keep"] = "all"  # type: ignore[assignment]
    for method in METHODS:
        with pytest.raises(SettingsError, match="expected ties to be 'cut' or 'keep', got 'all'"):
            search_planned(*sides, 3, 2, ties=every, method=method)
    with pytest.raises(CodesError, match="expected short and long codes of the same rows"):
        search_planned(*sides[:2], SHORT[:9], LONG, 3, 2, method="exact")
    other = Codes(np.zeros((2, 3), np.uint8), 24)
    with pytest.raises(CodesError, match="expected query and gallery codes of one length"):
        search_planned(SHORT[:2], other, SHORT, LONG, 3, 2, method="exact")
