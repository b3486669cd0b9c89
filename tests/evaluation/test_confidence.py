"""Intervals and p-values against loops over identities, and whether they keep what they promise."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import confidence
from bitreid.evaluation.confidence import bootstrap, bootstrap_columns, compare
from tests.reference import confidence as twin

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Values of few kinds: many means are equal, as those of found or not found are, and some only but for their rounding.
VALUES = st.sampled_from([0.0, 0.1, 0.2, 0.7, 1.0, np.nan])


@st.composite
def scored_queries(draw: st.DrawFn, most_people: int = 6) -> tuple[Floats, Floats, Ints]:
    """Scores of two models on up to 15 queries of a few people; at least two people have a match."""
    pids = np.array(draw(st.lists(st.integers(1, most_people), min_size=2, max_size=15)))
    pids[:2] = 1, 2
    a = np.array(draw(st.lists(VALUES, min_size=len(pids), max_size=len(pids))))
    b = np.array(draw(st.lists(VALUES, min_size=len(pids), max_size=len(pids))))
    a[:2] = np.nan_to_num(a[:2], nan=0.5)
    return a, np.where(np.isnan(a), np.nan, np.nan_to_num(b, nan=0.3)), pids


def clustered(rng: np.random.Generator, n_people: int, mean: float, among: float, within: float) -> tuple[Floats, Ints]:
    """1 to 6 values a person; people differ by `among` about the mean, the values of a person by `within`."""
    pids = np.repeat(np.arange(n_people), rng.integers(1, 7, n_people))
    return mean + rng.normal(0, among, n_people)[pids] + rng.normal(0, within, len(pids)), pids


@given(scored_queries(), st.sampled_from([0.5, 0.95]), st.integers(0, 3))
def test_intervals_are_those_of_the_loops(case: tuple[Floats, Floats, Ints], level: float, seed: int) -> None:
    values, _, pids = case
    found = bootstrap(values, pids, repeats=60, level=level, seed=seed)
    people = twin.by_person(values.tolist(), pids.tolist())
    assert found.mean == pytest.approx(twin.mean_of(people), abs=1e-12)
    wanted = twin.interval(values.tolist(), pids.tolist(), 60, level, seed)
    assert (found.low, found.high) == pytest.approx(wanted, abs=1e-9)
    assert (found.level, found.n_queries, found.n_identities) == (level, sum(map(len, people)), len(people))


def test_one_query_a_person_is_the_textbook_interval() -> None:
    """Against scipy's BCa, within what 20,000 random draws leave open."""
    values = np.random.default_rng(1).beta(4, 0.5, 60)
    found = bootstrap(values, np.arange(60), repeats=20_000)
    wanted = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=2).confidence_interval
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.002)
    assert found.mean - found.low > found.high - found.mean


def test_columns_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    values, pids = rng.random((50, 3)), rng.integers(0, 12, 50)
    values[::7] = np.nan
    columns = bootstrap_columns(values, pids, repeats=200)
    monkeypatch.setattr(confidence, "_DRAWS_AT_ONCE", 30)
    for column, found in enumerate(columns):
        alone = bootstrap(values[:, column], pids, repeats=200)
        assert (found.mean, found.low, found.high) == pytest.approx((alone.mean, alone.low, alone.high), abs=1e-12)
    a, b = values[:, 0], values[:, 1]
    in_blocks = compare(a, b, pids, repeats=500)
    monkeypatch.undo()
    assert compare(a, b, pids, repeats=500).p_value == in_blocks.p_value


@pytest.mark.parametrize("pid", [1, 2])
def test_values_that_are_all_equal_have_no_width(pid: int) -> None:
    found = bootstrap(np.full(9, 0.1), np.array([1] * 8 + [pid]), repeats=50)
    ends = (0.1, 0.1) if pid == 2 else (np.nan, np.nan)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, *ends), abs=0, nan_ok=True)


def test_one_identity_has_no_interval() -> None:
    found = compare(np.array([0.5, 1, np.nan]), np.array([0.2, 0.5, np.nan]), np.array([3, 3, 4]))
    assert (found.mean_a, found.mean_b, found.difference) == pytest.approx((0.75, 0.35, 0.4))
    assert np.isnan([found.low, found.high]).all()
    assert (found.p_value, found.n_queries, found.n_identities) == (1, 2, 1)


def test_extreme_levels_stay_within_the_values() -> None:
    """One person in thirty is hard: at this level the acceleration's denominator passes through 0."""
    values = np.array([1.0] * 29 + [0.0])
    found = bootstrap(values, np.arange(30), repeats=500, level=1 - 1e-12)
    assert 0 <= found.low < found.mean < found.high <= 1


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    held: list[bool] = []
    naive: list[bool] = []
    for _ in range(200):
        values, pids = clustered(rng, 40, 0.6, 0.2, 0.05)
        for found, of_whom in ((held, pids), (naive, np.arange(len(values)))):
            interval = bootstrap(values, of_whom, repeats=300)
            found.append(interval.low <= 0.6 <= interval.high)
    assert 0.90 <= np.mean(held) <= 0.985
    assert np.mean(naive) < 0.80  # queries taken for independent promise far too much


@given(scored_queries())
def test_p_values_are_those_of_all_swaps(case: tuple[Floats, Floats, Ints]) -> None:
    a, b, pids = case
    wanted = twin.p_value(a.tolist(), b.tolist(), pids.tolist())
    found = compare(a, b, pids, repeats=64)
    assert found.p_value == pytest.approx(wanted, abs=1e-12)
    means = [twin.mean_of(twin.by_person(values.tolist(), pids.tolist())) for values in (a, b)]
    assert (found.mean_a, found.mean_b) == pytest.approx(means, abs=1e-12)
    assert found.difference == pytest.approx(means[0] - means[1], abs=1e-12)


def test_random_swaps_agree_with_all_swaps() -> None:
    rng = np.random.default_rng(5)
    pids = np.repeat(np.arange(13), 2)
    a, b = rng.random(26), rng.random(26) + 0.12
    exact = twin.p_value(a.tolist(), b.tolist(), pids.tolist())
    found = compare(a, b, pids, repeats=4000).p_value
    assert 0.02 < exact < 0.5
    assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 4000) ** 0.5)
    assert found != exact


def test_identities_without_a_difference_do_not_stop_an_exact_test() -> None:
    """Of 40 people 3 differ, all one way: 2 of their 8 patterns reach that, though 2^40 cannot be tried."""
    a, b = np.full(40, 0.5), np.full(40, 0.5)
    a[[3, 11, 30]] = 0.6, 0.9, 0.7
    assert compare(a, b, np.arange(40), repeats=8).p_value == 0.25


def test_means_that_differ_in_rounding_only_are_equal() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.7, 0.7])
    found = bootstrap(values, np.arange(6), repeats=400)
    wanted = twin.interval(values.tolist(), list(range(6)), 400, 0.95, 0)
    assert (found.low, found.high) == pytest.approx(wanted, abs=1e-9)


def test_p_values_are_uniform_when_models_are_equally_good() -> None:
    rng = np.random.default_rng(6)
    p_values, naive = [], []
    for _ in range(300):
        difference, pids = clustered(rng, 24, 0, 0.2, 0.05)
        base = rng.random(len(difference))
        p_values.append(compare(base + difference, base, pids, repeats=199).p_value)
        naive.append(compare(base + difference, base, np.arange(len(base)), repeats=199).p_value)
    # Kolmogorov and Smirnov's bound at 1 %; the seed is fixed.
    gap = np.abs(np.sort(p_values) - (np.arange(300) + 0.5) / 300).max()
    assert gap < 1.63 / 300**0.5
    assert np.mean(np.array(naive) < 0.05) > 0.15


def test_a_known_difference_is_found() -> None:
    rng = np.random.default_rng(7)
    difference, pids = clustered(rng, 200, 0.03, 0.05, 0.05)
    base = rng.random(len(difference))
    found = compare(base + difference, base, pids, level=0.999)
    assert 0 < found.low < 0.03 < found.high
    assert found.p_value == 1 / 10_001
    swapped = compare(base, base + difference, pids)
    assert (swapped.difference, swapped.p_value) == pytest.approx((-found.difference, found.p_value))
    assert compare(base, base, pids).p_value == 1


def test_what_cannot_be_scored_is_refused() -> None:
    two = np.array([1, 2])
    with pytest.raises(DataError, match="at least one query with a match, got none among 2 queries"):
        bootstrap(np.full(2, np.nan), two)
    with pytest.raises(DataError, match="one value a query, got shape"):
        bootstrap(np.ones((2, 1)), two)
    with pytest.raises(DataError, match=r"values \(n, m\) and pids \(n,\), got shapes"):
        bootstrap(np.ones(3), two)
    with pytest.raises(DataError, match="finite values, or NaN in all columns"):
        bootstrap_columns(np.array([[1, np.nan], [1, 1]]), two)
    with pytest.raises(DataError, match="finite values"):
        bootstrap(np.array([1, np.inf]), two)
    with pytest.raises(DataError, match="same queries, got shapes"):
        compare(np.ones(2), np.ones(3), two)
    with pytest.raises(DataError, match="got 1 queries with a match for one of them only"):
        compare(np.array([1, np.nan]), np.ones(2), two)
    with pytest.raises(SettingsError, match=r"got 0 and 0\.95"):
        bootstrap(np.ones(2), two, repeats=0)
    with pytest.raises(SettingsError, match="got 2000 and 95"):
        bootstrap(np.ones(2), two, level=95)
