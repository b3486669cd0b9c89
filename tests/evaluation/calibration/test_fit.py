"""What an artifact stores about distances: promises that are kept on people whose distances are known."""

import json
import math
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits
from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.errors import ArtifactError, DataError, SettingsError
from bitreid.evaluation.calibration.fit import MARGIN, TAIL, calibrate, fit_open_set, levels_of_queries
from bitreid.evaluation.calibration.promises import reliability
from bitreid.evaluation.open_set_metrics import PairCounts
from bitreid.evaluation.protocol import Protocol
from bitreid.open_set import OpenSet
from tests.evaluation.cases import LEVELS, searches_of, small_case
from tests.reference import calibration as twin

Ints = npt.NDArray[np.int64]
N_BITS = 2048
GENUINE, IMPOSTOR = (500, 120), (900, 90)  # mean and deviation, bits
TENTHS = tuple(tenth / 10 for tenth in range(11))


def histogram(rng: np.random.Generator, mean: float, deviation: float, n: int) -> Ints:
    distances = rng.normal(mean, deviation, n).round().clip(0, N_BITS).astype(np.int64)
    return np.bincount(distances, minlength=N_BITS + 1)


def pairs_of(genuine: Ints, impostor: Ints) -> PairCounts:
    """Of queries with one match each."""
    nearest = np.repeat(np.arange(len(genuine)), genuine)
    return PairCounts(genuine, impostor, nearest, nearest, np.zeros(len(nearest)), 1, 1.0)


def normal_pairs(seed: int) -> PairCounts:
    rng = np.random.default_rng(seed)
    return pairs_of(histogram(rng, *GENUINE, 5_000), histogram(rng, *IMPOSTOR, 200_000))


def truth_of_normals() -> tuple[Ints, Ints]:
    """How many of 1e15 pairs of each kind lie at each distance, as they were drawn."""
    levels = np.arange(N_BITS + 1)
    genuine, impostor = (
        np.rint(1e15 * np.exp(-(((levels - mean) / deviation) ** 2) / 2) / deviation).astype(np.int64)
        for mean, deviation in (GENUINE, IMPOSTOR)
    )
    return genuine, impostor


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
    for distance, n_gallery, present in ((500, 1_000, 0.5), (650, 10, 0.9), (750, 1_000, 0.01)):
        of_one, of_two = (math.exp(-(((distance - mean) / 80) ** 2) / 2) for mean in (600, 900))
        prior = present / n_gallery
        truth = prior * of_one / (prior * of_one + (1 - prior) * of_two)
        assert open_set.probability(distance, n_gallery, present) == pytest.approx(truth, rel=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_the_likelihood_ratio_is_that_of_two_densities(seed: int) -> None:
    """Of the best fit of the tail, also where thresholds are on the safe side; for bitreids without odds of rows."""
    rng = np.random.default_rng(seed)
    pairs, of_each = counted(pairs_of_people(seed, 12, 20, scale=1), 200)
    genuine = rng.normal(45, rng.uniform(4, 20), 500).round().clip(0).astype(np.int64)
    fitted = fit_open_set(replace(pairs, genuine=np.bincount(genuine, minlength=200)), of_each)
    open_set = replace(fitted, odds=None)
    tail = twin.tail_line(np.repeat(np.arange(200), pairs.impostor).tolist(), *TAIL)
    ratios = [twin.log_likelihood_ratio(genuine.tolist(), tail, d) for d in range(100)]
    falling = slice(int(np.argmax(ratios)), int(np.argmin(ratios)) + 1)
    p = open_set.probability(np.arange(100), n_gallery=1)
    expected = 1 / (1 + np.exp(-np.array(ratios)))
    assert p[falling] == pytest.approx(expected[falling], rel=1e-6)
    assert p[: falling.start] == pytest.approx(expected.max(), rel=1e-2)


@given(st.floats(0, 200), st.floats(0, 60), st.floats(0, 200), st.floats(3, 60), st.sampled_from([1, 1000, 10**6]))
def test_nobody_is_more_probable_farther_away(
    mean: float, deviation: float, impostor_mean: float, impostor_deviation: float, n_gallery: int
) -> None:
    """Whatever the model, also one for which strangers are nearer."""
    grid = np.arange(201)
    genuine = np.rint(1e4 * np.exp(-(((grid - mean) / max(deviation, 1)) ** 2) / 2)).astype(np.int64)
    impostor = np.rint(1e5 * np.exp(-(((grid - impostor_mean) / impostor_deviation) ** 2) / 2)).astype(np.int64)
    share = np.cumsum(impostor) / impostor.sum()
    assume(((impostor > 0) & (share >= TAIL[0]) & (share <= TAIL[1])).sum() > 1)
    p = fit_open_set(pairs_of(genuine, impostor)).probability(grid, n_gallery)
    assert (np.diff(p) <= 1e-12).all()
    assert (p >= 0).all()
    assert (p <= 1).all()


def test_a_distance_that_tells_nothing_leaves_what_was_known_before() -> None:
    rng = np.random.default_rng(0)
    open_set = fit_open_set(pairs_of(histogram(rng, 950, 90, 5_000), histogram(rng, 900, 90, 100_000)))
    assert open_set.probability([0, 500, 2048], n_gallery=4, present=0.8) == pytest.approx(0.2)


@pytest.mark.parametrize("n_gallery", [1, 1000])
@pytest.mark.parametrize("seed", [1, 2])
def test_probabilities_are_calibrated(seed: int, n_gallery: int) -> None:
    """Of pairs that are given about p, a share of about p are of one person, as they were drawn."""
    lines = reliability(*truth_of_normals(), fit_open_set(normal_pairs(seed)), n_gallery, bins=TENTHS)
    assert len(lines) == len(TENTHS) - 1
    for line in lines:
        assert line.observed == pytest.approx(line.predicted, abs=0.06)


def test_probabilities_are_calibrated_where_look_alikes_are_frequent() -> None:
    """One impostor in 20 is a look-alike: the bulk of the impostors would promise far too much."""
    rng = np.random.default_rng(0)
    genuine, alike = histogram(rng, *GENUINE, 100_000), histogram(rng, 760, 100, 20_000)
    impostor = histogram(rng, *IMPOSTOR, 380_000) + alike
    lines = reliability(genuine, impostor, fit_open_set(pairs_of(genuine, impostor)), 100, bins=TENTHS)
    for line in lines:
        assert line.observed == pytest.approx(line.predicted, abs=0.1)


def test_people_who_never_overlap_are_told_apart() -> None:
    genuine, impostor = np.zeros(101, np.int64), np.zeros(101, np.int64)
    genuine[10:15], impostor[50:90] = 100, 1000
    spread = fit_open_set(pairs_of(genuine, impostor))
    at_one = fit_open_set(pairs_of(np.where(np.arange(101) == 12, 500, 0), impostor))
    for open_set in (spread, at_one):
        assert open_set.probability(12, 1000) > 0.99
        assert open_set.probability(70, 1) < 0.01


def test_it_is_stored_as_json() -> None:
    open_set = fit_open_set(normal_pairs(0))
    values = asdict(open_set)
    assert OpenSet.from_json(json.loads(json.dumps(values))) == open_set
    wrong: Any
    for wrong in ({}, values | {"more": 1.0}, values | {"slope": "steep"}, values | {"offset": None}, [1.0], 3):
        with pytest.raises(ArtifactError, match="expected the numbers of an open-set calibration"):
            OpenSet.from_json(wrong)
    with pytest.raises(ArtifactError, match="expected finite numbers, got"):
        OpenSet.from_json(values | {"curvature": math.inf})
    with pytest.raises(ArtifactError, match=r"expected a tail that rises with the distance, got tail_slope 0\.0"):
        OpenSet.from_json(values | {"tail_slope": 0.0})


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


# The safe side


def pairs_of_people(seed: int, n_people: int, n_each: int, scale: float) -> dict[twin.Pair, Ints]:
    """Distances of `n_each` pairs of pictures of every two people: some two are look-alikes, in all their pictures."""
    rng = np.random.default_rng(seed)
    names = [f"person {i:02d}" for i in range(n_people)]
    alike = {pair: rng.normal(90, 8) for pair in combinations(names, 2)}
    return {
        pair: (rng.normal(mean, 4, n_each) * scale).round().clip(0).astype(np.int64) for pair, mean in alike.items()
    }


def counted(distances: dict[twin.Pair, Ints], n_levels: int) -> tuple[PairCounts, Ints]:
    """All against all, so that each pair counts twice; and what each person has of them."""
    everybody = sorted({person for pair in distances for person in pair})
    own = [np.concatenate([each for pair, each in distances.items() if person in pair]) for person in everybody]
    of_each = np.stack([np.bincount(each, minlength=n_levels) for each in own])
    genuine = histogram(np.random.default_rng(0), 40, 8, 500)[:n_levels]
    return pairs_of(genuine, of_each.sum(axis=0)), of_each


@pytest.mark.parametrize("seed", range(4))
def test_the_safe_tail_is_that_of_people_left_out_one_by_one(seed: int) -> None:
    distances = pairs_of_people(seed, 12, 20, scale=1)
    found = fit_open_set(*counted(distances, 200))
    expected = twin.safe_tail_line({pair: each.tolist() for pair, each in distances.items()}, *TAIL, MARGIN)
    assert (found.tail_slope, found.tail_offset) == pytest.approx(expected, rel=1e-3)
    best = fit_open_set(counted(distances, 200)[0])
    everything = [int(d) for each in distances.values() for d in each]
    assert (best.tail_slope, best.tail_offset) == pytest.approx(twin.tail_line(everything, *TAIL), rel=1e-6)


def test_a_promise_fitted_on_few_people_is_kept_on_average() -> None:
    """The best fit to 25 people at a time breaks it: one that is too generous does more harm than a mean one good."""
    deviation = 10 * math.hypot(8, 4)

    def observed(open_set: OpenSet) -> float:
        near = math.erfc((900 - open_set.threshold(0.01, 1000) - 0.5) / deviation / math.sqrt(2)) / 2
        return 1 - (1 - near) ** 1000

    samples = [counted(pairs_of_people(seed, 25, 40, scale=10), N_BITS + 1) for seed in range(20)]
    safe = [observed(fit_open_set(pairs, of_each)) for pairs, of_each in samples]
    best = [observed(fit_open_set(pairs)) for pairs, _ in samples]
    assert np.mean(safe) < 0.01 < np.mean(best)
    assert np.mean(safe) > 0.001


def test_people_too_few_or_too_different_are_refused() -> None:
    two = {("a", "b"): np.random.default_rng(0).normal(90, 8, 1000).round().astype(np.int64)}
    with pytest.raises(DataError, match="expected 3 people or more to calibrate with, got 2"):
        fit_open_set(*counted(two, 200))
    wide = np.repeat(np.arange(0, 100), 10)
    narrow = np.repeat(np.arange(90, 93), [1, 30, 969])
    different = {("a", "b"): wide, ("a", "c"): wide, ("b", "c"): narrow}
    with pytest.raises(DataError, match="how rare near impostors are, got 3 who differ too much; hold out more"):
        fit_open_set(*counted(different, 200))


# From pictures


@given(small_case())
def test_rows_are_counted_by_distance(case: tuple[Codes, Codes, Protocol]) -> None:
    counts = levels_of_queries(*case)
    known = case[2].query_pids >= DISTRACTOR
    for kind in (0, 1):
        found = counts[kind][known].tolist()
        assert found == [[search[kind].count(level) for level in LEVELS] for search in searches_of(*case)]


def crowd(seed: int = 0, n_people: int = 12) -> tuple[Codes, Ints, Ints]:
    """Codes, people and cameras of 6 pictures of each of some people by 2 cameras."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(n_people) + 1, 6)
    bits = rng.random((n_people, 256)) < 0.5
    codes = pack_bits(bits[pids - 1] ^ (rng.random((len(pids), 256)) < 0.1))
    return codes, pids, np.tile([1, 1, 1, 2, 2, 2], n_people)


def test_a_calibration_comes_from_all_pictures_against_all() -> None:
    codes, pids, camids = crowd()
    found = calibrate(codes, pids, camids)
    assert (found.identities, found.pictures) == (12, 72)
    open_set = found.open_set
    # One person's pictures differ in 18 % of the bits, those of two people in half.
    assert open_set.probability(0.18 * 256, 100) > 0.9
    assert 0.18 * 256 < open_set.threshold(0.01, 100) < 128


def test_a_picture_never_meets_itself() -> None:
    codes, pids, _ = crowd()
    unknown, own = np.full_like(pids, UNKNOWN), np.arange(len(pids))
    assert calibrate(codes, pids, unknown) == calibrate(codes, pids, own)
    mixed = np.where(own % 6 < 2, UNKNOWN, 3)  # the other pictures of each person are by one camera
    expected = calibrate(codes, pids, np.where(mixed == UNKNOWN, 100 + own, 3))
    assert calibrate(codes, pids, mixed) == expected


def test_the_order_of_pictures_and_those_of_nobody_change_nothing() -> None:
    codes, pids, camids = crowd()
    nobody = np.array([JUNK, UNKNOWN, DISTRACTOR, DISTRACTOR])
    rows = np.random.default_rng(1).permutation(len(pids) + 4) % len(pids)  # four rows come twice
    again = np.array([(rows[:i] == row).any() for i, row in enumerate(rows)])
    labels = pids[rows]
    labels[again] = nobody
    shuffled = calibrate(codes[rows], labels, camids[rows])
    assert shuffled == calibrate(codes, pids, camids)


def test_too_few_people_are_refused() -> None:
    codes, pids, camids = crowd(n_people=4)
    with pytest.raises(DataError, match="at least 1,000 pairs of two people and 10 of one"):
        calibrate(codes, pids, camids)
    with pytest.raises(DataError, match="expected pairs of one person and pairs of two people"):
        calibrate(codes, pids, np.ones_like(camids))
    with pytest.raises(DataError, match="expected pairs of one person and pairs of two people, got 0 and 0"):
        calibrate(codes, np.zeros_like(pids), camids)
