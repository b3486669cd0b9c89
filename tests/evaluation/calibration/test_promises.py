"""How promises are said to be kept, against every gallery drawn one after another."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.evaluation.calibration.promises import promises_kept, reliability
from bitreid.open_set import OpenSet
from tests.reference import calibration as twin

N_LEVELS = 13
Search = tuple[list[int], list[int]]
DISTANCES = st.integers(0, N_LEVELS - 1)
SEARCHES = st.lists(
    st.tuples(st.lists(DISTANCES, max_size=3), st.lists(DISTANCES, min_size=1, max_size=7)), min_size=1, max_size=4
)


def levels(searches: list[Search], kind: int) -> npt.NDArray[np.int64]:
    return np.stack([np.bincount(np.array(each[kind], np.int64), minlength=N_LEVELS) for each in searches])


@given(SEARCHES, st.integers(1, 9), st.sampled_from([0.05, 0.5, 0.9]), st.floats(-4, 0))
def test_rates_are_the_means_over_all_galleries(searches: list[Search], n: int, rate: float, offset: float) -> None:
    open_set = OpenSet(tail_slope=0.3, tail_offset=offset, slope=-1, offset=5)
    (kept,) = promises_kept(levels(searches, 0), levels(searches, 1), open_set, [n], [rate])
    assert (kept.n_gallery, kept.promised, kept.threshold) == (n, rate, open_set.threshold(rate, n))
    each = [twin.searches(right, wrong, kept.threshold, n) for right, wrong in searches]
    assert kept.fpir == pytest.approx(np.mean([alarms for alarms, _ in each]), abs=1e-9)
    found = [share for _, share in each if not math.isnan(share)]
    assert kept.dir == pytest.approx(np.mean(found) if found else math.nan, abs=1e-9, nan_ok=True)


@given(SEARCHES, st.integers(1, 50), st.integers(0, N_LEVELS - 1))
def test_independence_is_an_upper_bound_over_large_galleries(searches: list[Search], n: int, level: int) -> None:
    """Rows drawn from a crowd whose impostors are as those of these queries: queries differ, so alarms are fewer."""
    impostor = np.stack([counts * 1000 // counts.sum() for counts in levels(searches, 1)])
    share = float((impostor[:, : level + 1].sum(axis=1) / impostor.sum(axis=1)).mean())
    if 0 < share < 1:
        # A tail that gives this share at exactly this level, and a promise that it says is just kept there.
        z = NormalDist().inv_cdf(share)
        open_set = OpenSet(tail_slope=1e3, tail_offset=z - 1e3 * level, slope=-1, offset=0)
        promised = float(open_set.fpir(level, n))
        if 1e-9 < promised < 1 - 1e-9:
            (kept,) = promises_kept(np.zeros_like(impostor), impostor, open_set, [n], [promised * (1 + 1e-12)])
            assert kept.fpir <= promised * 1.03, "without replacement, 50 rows of 1,000"


def test_without_matches_nobody_can_be_found() -> None:
    open_set = OpenSet(tail_slope=0.3, tail_offset=-3, slope=-1, offset=5)
    (kept,) = promises_kept(np.zeros((1, N_LEVELS), np.int64), np.ones((1, N_LEVELS), np.int64), open_set, [5], [0.1])
    assert math.isnan(kept.dir)
    assert kept.fpir > 0


def two_normals() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pairs of one person at 600, of two at 900 bits, both with a deviation of 80."""
    distances = np.arange(1500)
    of_one, of_two = (np.exp(-(((distances - mean) / 80) ** 2) / 2) for mean in (600, 900))
    return of_one * 10, of_two * 10_000


@pytest.mark.parametrize("n_gallery", [1, 1000])
def test_the_probability_of_bayes_is_reliable(n_gallery: int) -> None:
    slope = -300 / 80**2
    of_one, of_two = (each.astype(np.float64) for each in two_normals())
    bayes = OpenSet(tail_slope=1, tail_offset=0, slope=slope, offset=-slope * 750)
    counts = [np.rint(each * 1e9).astype(np.int64) for each in (of_one, of_two)]
    lines = reliability(counts[0], counts[1], bayes, n_gallery, present=0.4)
    assert sum(line.share for line in lines) == pytest.approx(1)
    assert sum(line.share * line.observed for line in lines) == pytest.approx(0.4 / n_gallery)
    for line in lines:
        assert line.low <= line.predicted <= line.high
        assert line.observed == pytest.approx(line.predicted, rel=1e-3)
    boasting = OpenSet(tail_slope=1, tail_offset=0, slope=2 * slope, offset=-2 * slope * 750)
    wrong = reliability(counts[0], counts[1], boasting, n_gallery, present=0.4)
    assert max(abs(line.observed - line.predicted) for line in wrong) > 0.05


def test_bins_without_pairs_are_left_out() -> None:
    genuine, impostor = np.array([5, 0, 0]), np.array([0, 0, 5])
    certain = OpenSet(tail_slope=1, tail_offset=0, slope=-20, offset=20)
    lines = reliability(genuine, impostor, certain, n_gallery=1)
    assert [(line.low, line.high, line.share, line.observed) for line in lines] == [
        (0, 0.01, 0.5, 0),
        (0.99, 1, 0.5, 1),
    ]
