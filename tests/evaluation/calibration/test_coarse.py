"""The choice of a coarse code's bits, against distances of all pairs; what its table promises."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitreid.arrays import Bools
from bitreid.coarse import RECALLS, CoarseCode
from bitreid.codes import pack_bits, unpack
from bitreid.data.manifest import JUNK, UNKNOWN
from bitreid.errors import DataError
from bitreid.evaluation.calibration.coarse import choose_bits, fit_coarse, shares_for
from bitreid.evaluation.side import Side
from tests.reference import coarse as twin

N_GOOD = 24


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 6))
def test_bits_are_those_of_the_best_distances(seed: int, n_candidates: int, n_bits: int) -> None:
    rng = np.random.default_rng(seed)
    rates = rng.random(n_candidates) * 0.6
    of_one = rng.random((int(rng.integers(1, 12)), n_candidates)) < rates / 2
    of_two = rng.random((int(rng.integers(1, 12)), n_candidates)) < rates
    of_two[:, -1] = of_two[:, 0]  # bits repeat one another
    pids = rng.integers(1, 4, len(of_one))
    n = min(n_bits, n_candidates)
    found = choose_bits(of_one, of_two, pids, n)
    assert found == twin.chosen_bits(of_one.tolist(), of_two.tolist(), pids.tolist(), n)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), min_size=1, max_size=8))
def test_shares_are_the_least_that_keep_enough(matches: list[tuple[int, int]]) -> None:
    places, weights = np.array(matches, np.float64).T
    for recall, share in zip(RECALLS, shares_for(places, weights, RECALLS), strict=True):
        kept = {each: weights[places <= each].sum() / weights.sum() for each in sorted(set(places.tolist()))}
        assert share == next(each for each, found in kept.items() if found >= recall - 1e-9)


def crowd(n_people: int, first_pid: int = 1, seed: int = 0, attributes: bool = True) -> Side:
    """Pictures of people by two cameras: of 64 identity bits the last are people's own, the first are of no use."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(n_people) + first_pid, 4)
    own = rng.random((n_people, 64)) < 0.5
    wrong = np.where(np.arange(64) < 64 - N_GOOD, 0.5, 0.1)
    codes = pack_bits(own[pids - first_pid] ^ (rng.random((len(pids), 64)) < wrong))
    clothes = rng.random((n_people, 5)) < 0.5
    worn: Bools = clothes[pids - first_pid] ^ (rng.random((len(pids), 5)) < 0.05)
    return Side(codes, None, pack_bits(worn) if attributes else None, pids, np.tile([1, 1, 2, 2], n_people))


NOBODY = None


def test_it_takes_the_bits_that_tell_people_apart() -> None:
    coarse = fit_coarse(crowd(20), crowd(30, 100, seed=1), 5, range(16, 60))
    assert coarse.n_bits == 48
    assert coarse.attribute_bits == tuple(range(5))
    assert set(range(64 - N_GOOD, 60)) <= set(coarse.identity_bits) <= set(range(16, 60))
    assert len(set(coarse.identity_bits)) == len(coarse.identity_bits), "no bit comes twice"
    assert tuple(wanted for wanted, _ in coarse.recall) == RECALLS
    assert coarse.recall[0][1] < 0.1


def test_without_attributes_it_is_made_of_identity_bits() -> None:
    coarse = fit_coarse(crowd(20, attributes=False), crowd(5, 100, attributes=False), 0, range(64))
    assert coarse.attribute_bits == ()
    assert coarse.n_bits == 64


def places_of(coarse: CoarseCode, side: Side) -> list[tuple[float, float]]:
    """Where in the gallery each match lies, and what it weighs, by loops."""
    assert side.codes is not None
    bits = unpack(coarse.of(side.codes, side.attribute_codes))
    found = []
    for i in range(len(side)):
        own = [j for j in range(len(side)) if side.pids[j] == side.pids[i] and side.camids[j] != side.camids[i]]
        rows = [j for j in range(len(side)) if side.pids[j] != side.pids[i]] + own
        distances = [int((bits[i] != bits[j]).sum()) for j in rows]
        found += [(float(twin.place(distances, rows.index(j))), 1 / len(own)) for j in own]
    return found


def test_the_table_is_about_people_whom_the_bits_were_not_chosen_on() -> None:
    people = crowd(12)
    # All candidates are taken, so that all folds judge the same code.
    coarse = fit_coarse(people, NOBODY, 5, range(40, 51))
    places, weights = np.array(places_of(coarse, people)).T
    assert coarse.recall == tuple(zip(RECALLS, shares_for(places, weights, RECALLS), strict=True))


def test_unknown_cameras_and_pictures_of_nobody() -> None:
    people = crowd(12)
    unknown = replace(people, camids=np.where(people.camids == 2, UNKNOWN, 1))
    own = replace(people, camids=np.where(people.camids == 2, 10 + np.arange(len(people)), 1))
    assert fit_coarse(unknown, NOBODY, 5, range(64)) == fit_coarse(own, NOBODY, 5, range(64))
    junk = replace(people, pids=np.where(people.pids > 9, JUNK, people.pids))
    assert fit_coarse(junk, NOBODY, 5, range(64)) == fit_coarse(crowd_of(people, 9), NOBODY, 5, range(64))


def crowd_of(side: Side, last_pid: int) -> Side:
    rows = side.pids <= last_pid
    assert side.codes is not None
    assert side.attribute_codes is not None
    return Side(side.codes[rows], None, side.attribute_codes[rows], side.pids[rows], side.camids[rows])


def test_more_distractors_make_no_match_nearer() -> None:
    alone = fit_coarse(crowd(12), NOBODY, 5, range(40, 51))
    among = fit_coarse(crowd(12), crowd(200, 100, seed=1), 5, range(40, 51))
    assert alone.identity_bits == among.identity_bits
    # Shares of the gallery, so that its size does not matter much.
    assert among.recall[1][1] == pytest.approx(alone.recall[1][1], abs=0.1)


def test_too_few_people_are_refused() -> None:
    with pytest.raises(DataError, match=r"two or more people whom two cameras have seen .* got 1"):
        fit_coarse(crowd(1), crowd(5, 100), 5, range(64))
    one_camera = replace(crowd(12), camids=np.ones(48, np.int64))
    with pytest.raises(DataError, match="got 0; hold out more identities"):
        fit_coarse(one_camera, NOBODY, 5, range(64))
