"""What an artifact stores about distances: promises that are kept on people whose distances are known."""

import json
import math

import numpy as np
import numpy.typing as npt
import pytest

from bitreid.errors import ArtifactError, DataError, SettingsError
from bitreid.evaluation.calibration import OpenSet, fit_open_set
from bitreid.evaluation.openset import PairCounts

Ints = npt.NDArray[np.int64]
N_BITS = 2048
GENUINE, IMPOSTOR = (500, 120), (900, 90)  # mean and deviation, bits


def histogram(rng: np.random.Generator, mean: float, deviation: float, n: int) -> Ints:
    distances = rng.normal(mean, deviation, n).round().clip(0, N_BITS).astype(np.int64)
    return np.bincount(distances, minlength=N_BITS + 1)


def pairs_of(genuine: Ints, impostor: Ints) -> PairCounts:
    nobody = np.zeros(1, np.int64)
    return PairCounts(genuine, impostor, nobody, nobody, np.zeros(1), 1, 1.0)


def normal_pairs(seed: int) -> PairCounts:
    rng = np.random.default_rng(seed)
    return pairs_of(histogram(rng, *GENUINE, 5_000), histogram(rng, *IMPOSTOR, 200_000))


def share_within(distance: float) -> float:
    """Of impostors, as they were drawn."""
    return math.erfc((IMPOSTOR[0] - distance - 0.5) / IMPOSTOR[1] / math.sqrt(2)) / 2


@pytest.mark.parametrize("n_gallery", [100, 10_000, 1_000_000])
@pytest.mark.parametrize("wanted", [0.1, 0.01])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_promised_rate_of_false_alarms_is_kept(n_gallery: int, wanted: float, seed: int) -> None:
    threshold = fit_open_set(normal_pairs(seed)).threshold(wanted, n_gallery)
    kept = 1 - (1 - share_within(threshold)) ** n_gallery
    assert wanted / 2 < kept < wanted * 1.5


def test_the_threshold_is_the_largest_that_keeps_the_promise() -> None:
    open_set = fit_open_set(normal_pairs(0))
    for n_gallery in (1, 50, 10_000, 10**9):
        for wanted in (0.001, 0.05, 0.5):
            threshold = open_set.threshold(wanted, n_gallery)
            assert open_set.fpir(threshold, n_gallery) <= wanted < open_set.fpir(threshold + 1, n_gallery)


def test_more_rows_or_fewer_alarms_ask_for_nearer_pictures() -> None:
    open_set = fit_open_set(normal_pairs(0))
    thresholds = [[open_set.threshold(rate, n) for n in (10, 1_000, 100_000)] for rate in (0.2, 0.02, 0.002)]
    assert (np.diff(thresholds, axis=0) < 0).all()
    assert (np.diff(thresholds, axis=1) < 0).all()


def test_where_no_distance_is_near_enough_everybody_is_nobody() -> None:
    open_set = OpenSet(tail_slope=0.01, tail_offset=-3, slope=-0.03, offset=5)
    assert open_set.threshold(0.01, 10**9) == -1


def test_rates_in_the_tail_are_those_that_were_counted() -> None:
    pairs = normal_pairs(3)
    share = np.cumsum(pairs.impostor) / pairs.impostor.sum()
    tail = np.flatnonzero((share > 1e-4) & (share < 0.05))
    assert fit_open_set(pairs).pair_rate(tail) == pytest.approx(share[tail], rel=0.25)


def test_the_probability_is_that_of_bayes() -> None:
    """Two normals of one deviation have log-odds in a straight line, (m1 - m0) (d - (m0 + m1) / 2) / s ** 2."""
    rng = np.random.default_rng(0)
    open_set = fit_open_set(pairs_of(histogram(rng, 600, 80, 100_000), histogram(rng, 900, 80, 100_000)))
    assert open_set.slope == pytest.approx(-300 / 80**2, rel=0.05)
    assert open_set.offset == pytest.approx(300 / 80**2 * 750, rel=0.05)
    for distance, n_gallery, present in ((500, 1_000, 0.5), (650, 10, 0.9), (750, 1_000, 0.01)):
        of_one, of_two = (math.exp(-(((distance - mean) / 80) ** 2) / 2) for mean in (600, 900))
        prior = present / n_gallery
        truth = prior * of_one / (prior * of_one + (1 - prior) * of_two)
        assert open_set.probability(distance, n_gallery, present) == pytest.approx(truth, rel=0.2)


def test_probabilities_are_calibrated() -> None:
    """Of pairs that are given about p, a share of about p are of one person; here every second pair is."""
    pairs = normal_pairs(1)
    p = fit_open_set(pairs).probability(np.arange(N_BITS + 1), n_gallery=1)
    genuine, impostor = pairs.genuine / pairs.genuine.sum(), pairs.impostor / pairs.impostor.sum()
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (p >= low) & (p < low + 0.2)
        share = genuine[inside].sum() / (genuine[inside].sum() + impostor[inside].sum())
        assert low - 0.1 < share < low + 0.3


def test_people_who_never_overlap_have_a_finite_slope() -> None:
    genuine, impostor = np.zeros(101, np.int64), np.zeros(101, np.int64)
    genuine[10:15], impostor[50:90] = 100, 1000
    open_set = fit_open_set(pairs_of(genuine, impostor))
    assert -np.inf < open_set.slope < 0
    assert open_set.probability(12, 1) > 0.99
    assert open_set.probability(70, 1) < 0.01


def test_it_is_stored_as_json() -> None:
    open_set = fit_open_set(normal_pairs(0))
    assert OpenSet.from_json(json.loads(json.dumps(open_set.to_json()))) == open_set
    for wrong in ({}, open_set.to_json() | {"more": 1.0}):
        with pytest.raises(ArtifactError, match="expected the numbers of an open-set calibration"):
            OpenSet.from_json(wrong)


def test_too_few_pairs_are_refused() -> None:
    many, few = histogram(np.random.default_rng(0), 900, 90, 999), histogram(np.random.default_rng(0), 500, 90, 20)
    with pytest.raises(DataError, match=r"1,000 pairs of two people and 10 of one .* got 999 and 20; hold out more"):
        fit_open_set(pairs_of(few, many))
    one_distance = np.zeros(N_BITS + 1, np.int64)
    one_distance[900] = 5000
    with pytest.raises(DataError, match="at two distances or more among the nearest 5%, got 0"):
        fit_open_set(pairs_of(few, one_distance))


@pytest.mark.parametrize(("fpir", "n_gallery"), [(0, 10), (1, 10), (0.1, 0)])
def test_impossible_wishes_are_refused(fpir: float, n_gallery: int) -> None:
    open_set = fit_open_set(normal_pairs(0))
    with pytest.raises(SettingsError, match="between 0 and 1 and a gallery of rows"):
        open_set.threshold(fpir, n_gallery)
    with pytest.raises(SettingsError, match="between 0 and 1 and a gallery of rows"):
        open_set.probability(100, n_gallery, fpir)
