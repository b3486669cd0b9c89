"""The rate of a search: the model against a slow sum, and its fit to searches whose rate is known."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import pack_bits
from bitreid.errors import ArtifactError, DataError
from bitreid.evaluation.calibration.fit import calibrate, calibrate_open_set
from bitreid.evaluation.calibration.promises import false_alarms
from bitreid.evaluation.calibration.search_tail import LEAST_ROWS, fit_search_tail
from bitreid.gallery import Contract
from bitreid.open_set import OpenSet, SearchTail
from tests.reference import calibration as twin

Ints = npt.NDArray[np.int64]
N_LEVELS = 1200
TRUTH = SearchTail(slope=0.35, offset=-11.5, spread=0.5)


def searches(seed: int, n_people: int, n_each: int = 6, n_rows: int = 5_000) -> tuple[Ints, Ints]:
    """Rows at each distance from each query, and whom it shows: one person's pictures have the same look-alikes."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), n_each)
    own = rng.normal(size=n_people)[people]
    levels = np.arange(N_LEVELS)
    counts = []
    for kind in own:
        near = OpenSet(TRUTH.slope, TRUTH.offset + TRUTH.spread * kind, -1, 0).pair_rate(np.sqrt(levels + 0.5))
        counts.append(rng.multinomial(n_rows, np.diff(np.append(near, 1), prepend=0)))
    return np.stack(counts).astype(np.int64), people


@pytest.mark.parametrize(("slope", "offset", "spread"), [(0.38, -12.7, 0.5), (0.2, -7.0, 0.0), (1.5, -9.0, 1.0)])
@pytest.mark.parametrize("n_gallery", [1, 100, 10_000])
def test_the_rate_is_a_mean_over_queries(slope: float, offset: float, spread: float, n_gallery: int) -> None:
    tail = SearchTail(slope, offset, spread)
    for distance in (5, 30, 300, 500, 800):
        expected = twin.search_rate(slope, offset, spread, distance, n_gallery)
        assert tail.rate(distance, n_gallery) == pytest.approx(expected, rel=0.03, abs=1e-9)
    assert tail.rate([-1, 0], 10)[0] == 0, "no row is nearer than no distance"


@given(st.floats(0.05, 2), st.floats(-20, 1), st.floats(0, 2), st.integers(1, 10**7), st.floats(1e-4, 0.9))
def test_the_threshold_is_the_largest_that_keeps_the_promise(
    slope: float, offset: float, spread: float, n_gallery: int, wanted: float
) -> None:
    open_set = OpenSet(0.1, -5, -0.1, 1, search=SearchTail(slope, offset, spread))
    threshold = open_set.threshold(wanted, n_gallery)
    assert open_set.fpir(threshold, n_gallery) <= wanted < open_set.fpir(threshold + 1, n_gallery)
    assert (
        open_set.threshold(wanted, 2 * n_gallery) <= threshold <= open_set.threshold(min(2 * wanted, 0.95), n_gallery)
    )


def test_without_a_spread_rows_are_strangers() -> None:
    alone = SearchTail(0.4, -12.0, 0.0)
    p = float(alone.rate(600, 1))
    assert alone.rate(600, 1000) == pytest.approx(1 - (1 - p) ** 1000)
    spread = SearchTail(0.4, -12.0 * np.sqrt(1.5), np.sqrt(0.5))
    assert spread.rate(600, 10**6) < 1 - (1 - float(spread.rate(600, 1))) ** 10**6


@pytest.mark.parametrize("n_gallery", [300, 5_000])
@pytest.mark.parametrize("wanted", [0.1, 0.01])
def test_the_promise_is_kept_and_not_too_well(n_gallery: int, wanted: float) -> None:
    """On average over fits to 60 people, for others: within a factor of two, on the safe side."""
    kept = []
    for seed in range(8):
        open_set = OpenSet(0.1, -5, -0.1, 1, search=fit_search_tail(*searches(seed, 60)))
        kept.append(float(TRUTH.rate(open_set.threshold(wanted, n_gallery), n_gallery)))
    assert wanted / 2 <= np.mean(kept) <= wanted


def test_larger_galleries_than_were_seen() -> None:
    tail = fit_search_tail(*searches(0, 400, n_each=2))
    open_set = OpenSet(0.1, -5, -0.1, 1, search=tail)
    for n_gallery in (20_000, 100_000):
        kept = float(TRUTH.rate(open_set.threshold(0.01, n_gallery), n_gallery))
        assert 0.002 < kept < 0.02


def test_few_people_promise_less() -> None:
    """The same searches by as many people as pictures, and by few with many pictures of the same look-alikes."""
    impostor, _ = searches(0, 30)
    many = fit_search_tail(impostor, np.arange(len(impostor)))
    few = fit_search_tail(impostor, np.arange(len(impostor)) // 6)
    assert (many.slope, many.spread) == (few.slope, few.spread)
    assert few.offset > many.offset


def test_rates_are_those_of_the_searches() -> None:
    impostor, people = searches(1, 400, n_each=1)
    tail = fit_search_tail(impostor, people)
    for n in (300, 5_000):
        for d in range(200, 700, 50):
            observed = float(false_alarms(impostor, d, n).mean())
            if 0.02 < observed < 0.4:
                assert tail.rate(d, n) == pytest.approx(observed, rel=0.3)


def test_too_little_is_refused() -> None:
    impostor, people = searches(0, 3)
    fit_search_tail(impostor, people)
    with pytest.raises(DataError, match="3 people or more and 100 rows of others to calibrate with, got 2 and 5000"):
        fit_search_tail(impostor[people < 2], people[people < 2])
    with pytest.raises(DataError, match="got 3 and 4"):
        fit_search_tail(np.ones((3, 4), np.int64), np.arange(3))
    at_once = np.zeros((3, 50), np.int64)
    at_once[:, 40] = 1000
    with pytest.raises(DataError, match="at three distances or more"):
        fit_search_tail(at_once, np.arange(3))
    for slope, spread in ((0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)):
        with pytest.raises(ArtifactError, match="expected"):
            SearchTail(slope, -5.0, spread)


def test_it_is_stored_as_json() -> None:
    open_set = OpenSet(0.1, -5, -0.1, 1, search=TRUTH)
    values = asdict(open_set)
    assert OpenSet.from_json(json.loads(json.dumps(values))) == open_set
    assert Contract.from_json(Contract(64, open_set=open_set).to_json()).open_set == open_set
    wrongs: tuple[Any, ...] = ({}, 3, values["search"] | {"slope": 0}, values["search"] | {"more": 1})
    for wrong in wrongs:
        with pytest.raises(ArtifactError, match="expected"):
            OpenSet.from_json(values | {"search": wrong})


def test_others_are_the_impostors_where_there_are_enough() -> None:
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(12) + 1, 6)
    people = rng.random((40, 256)) < 0.5
    bits = people[pids - 1] ^ (rng.random((72, 256)) < 0.1)
    camids = np.tile([1, 1, 1, 2, 2, 2], 12)
    others = people[12:][np.repeat(np.arange(28), 6)] ^ (rng.random((168, 256)) < 0.1)
    codes = pack_bits(bits)
    found = calibrate(codes, pids, camids, others=pack_bits(others))
    assert found.open_set.search is not None
    assert (found.identities, found.pictures, found.others) == (12, 72, 168)
    assert 0.18 * 256 < found.open_set.threshold(0.01, 100) < 128
    few = calibrate(codes, pids, camids, others=pack_bits(others[: LEAST_ROWS - 1]))
    assert few == calibrate(codes, pids, camids)
    assert (few.open_set.search, few.others) == (None, 0)
    assert calibrate_open_set(codes, pids, camids, pack_bits(others)) == found.open_set
