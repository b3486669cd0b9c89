"""The odds of rows: fitted where the truth is known, the probabilities that rest on them, and how they are stored."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.artifact import Calibration, load_card, save_artifact
from bitreid.artifact.shipped import folder_of
from bitreid.errors import ArtifactError
from bitreid.evaluation.calibration.promises import reliability
from bitreid.evaluation.calibration.row_odds import SIZES, fit_row_odds, rows_beside
from bitreid.gallery import Contract
from bitreid.open_set import OpenSet, RowOdds, SearchTail
from tests.reference import calibration as twin

Ints = npt.NDArray[np.int64]
OLDER = OpenSet(0.1, -5, -0.1, 1, search=SearchTail(0.35, -11.5, 0.5))
ODDS = RowOdds(slope=2.4, offset=-6.0, curvature=-0.12, rows=4.5)
STORED = replace(OLDER, odds=ODDS)


def pairs_at(rng: np.random.Generator, mean: float, deviation: float, n: int) -> Ints:
    """Pairs at each distance whose square root is normal."""
    distances = rng.normal(mean, deviation, n).clip(0) ** 2
    return np.bincount(distances.round().astype(np.int64), minlength=1500)[:1500]


def test_a_near_row_of_the_shipped_model_is_probable() -> None:
    """38 of 1,024 bits in a gallery of 270 rows, where more are certain, were given 59 % once."""
    open_set = load_card(folder_of("drawn")).open_set_of(1024)
    assert open_set is not None
    threshold = open_set.threshold(0.01, 270)
    assert threshold == 58
    assert (open_set.probability(np.arange(threshold + 1), 270) >= 0.8).all()
    assert open_set.probability(38, 270) == pytest.approx(0.832, abs=0.001)
    assert open_set.probability(500, 270) < 0.001


@given(
    st.floats(-5, 5),
    st.floats(-50, 50),
    st.floats(-1, 1),
    st.floats(1, 100),
    st.lists(st.floats(0, 5000), min_size=2, max_size=8),
    st.lists(st.integers(1, 10**9), min_size=2, max_size=2),
    st.floats(0.01, 0.99),
)
def test_farther_rows_and_larger_galleries_are_less_probable(
    slope: float,
    offset: float,
    curvature: float,
    rows: float,
    distances: list[float],
    sizes: list[int],
    present: float,
) -> None:
    slope = slope if curvature else min(slope, 0.0)
    open_set = replace(OLDER, odds=RowOdds(slope, offset, curvature, rows))
    few, many = (open_set.probability(sorted(distances), n, present) for n in sorted(sizes))
    for p in (few, many):
        assert np.isfinite(p).all()
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p) <= 1e-12).all()
    assert (many <= few + 1e-12).all()


@pytest.mark.parametrize("odds", [ODDS, RowOdds(-1.0, 9.0, 0.02, 1.0), RowOdds(-0.5, 6.0, 0.0, 20.0)])
def test_the_probability_is_that_of_bayes(odds: RowOdds) -> None:
    open_set = replace(OLDER, odds=odds)
    parabola = odds.offset, odds.slope, odds.curvature
    for distance, n_gallery, present in ((0, 1, 0.5), (38, 270, 0.5), (120, 10, 0.9), (300, 5_000, 0.1)):
        expected = twin.row_probability(parabola, odds.rows, distance, n_gallery, present, farthest=32)
        assert open_set.probability(distance, n_gallery, present) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_no_parabola_has_less_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = pairs_at(rng, 12, 2, 60), pairs_at(rng, 19, 2.5, 120)
    genuine, impostor = (np.repeat(np.arange(1500), each).tolist() for each in counts)
    odds = fit_row_odds(*counts, rows=3.0)
    roots = np.sqrt(genuine)
    mean, deviation = float(roots.mean()), float(roots.std())
    found = (
        odds.offset + (odds.slope + odds.curvature * mean) * mean,
        (odds.slope + 2 * odds.curvature * mean) * deviation,
        odds.curvature * deviation**2,
    )
    least = twin.odds_loss(genuine, impostor, SIZES, found, 1e-4)
    for direction in rng.normal(size=(12, 3)):
        for step in (0.01, 0.3):
            tried = [value + step * each for value, each in zip(found, direction, strict=True)]
            assert twin.odds_loss(genuine, impostor, SIZES, tried, 1e-4) > least


@pytest.mark.parametrize("n_gallery", [100, 270, 1000, 5000])
def test_a_person_has_several_rows(n_gallery: int) -> None:
    """Of rows that are given about p, a share of about p shows the person, for other people than were fitted."""
    rng = np.random.default_rng(0)
    fitted, others = ((pairs_at(rng, 12, 2, 20_000), pairs_at(rng, 19, 2, 2_000_000)) for _ in range(2))
    open_set = replace(OLDER, odds=fit_row_odds(*fitted, rows=8.0))
    lines = reliability(*others, open_set, n_gallery, rows=8.0)
    for line in lines:
        if line.share > 0.1 / n_gallery:
            assert line.observed == pytest.approx(line.predicted, abs=0.05)
    assert sum(line.share * line.observed for line in lines) == pytest.approx(0.5 * 8 / n_gallery)
    one_row = reliability(*others, replace(OLDER, odds=replace(open_set.odds or ODDS, rows=1.0)), n_gallery, rows=8.0)
    assert max(line.observed - line.predicted for line in one_row) > 0.1


def test_rows_of_a_person_are_those_that_are_not_searched_for() -> None:
    """Person 1: three pictures by camera 1, two by camera 2, one by camera 3; person 2: two by each of two cameras."""
    pids, camids = np.array([1] * 6 + [2] * 4), np.array([1, 1, 1, 2, 2, 3, 1, 1, 2, 2])
    assert rows_beside(pids, camids) == pytest.approx(np.mean([2, 2, 2, 3, 3, 3, 1, 1, 1, 1]))
    assert rows_beside(np.append(pids, 3), np.append(camids, 9)) == rows_beside(pids, camids), "3 has no match"
    assert rows_beside(np.array([1, 2]), np.array([1, 1])) == 1
    assert rows_beside(np.array([5] * 4), np.arange(4)) == 3


def test_where_look_alikes_decide_nearness_ends() -> None:
    """Look-alikes are as near as the person's own rows: no row is certain, however near."""
    rng = np.random.default_rng(1)
    genuine = pairs_at(rng, 12, 2, 20_000)
    impostor = pairs_at(rng, 21, 1.5, 2_000_000) + 2 * genuine
    open_set = replace(OLDER, odds=fit_row_odds(genuine, impostor, 1.0))
    p = open_set.probability([0, 25, 64, 100], 101)
    assert p == pytest.approx(1 / 3, abs=0.1)


def test_people_who_never_overlap_and_people_who_cannot_be_told_apart() -> None:
    genuine, impostor = np.zeros(101, np.int64), np.zeros(101, np.int64)
    genuine[10:15], impostor[50:90] = 100, 1000
    apart = replace(OLDER, odds=fit_row_odds(genuine, impostor, 1.0))
    assert apart.probability(12, 1000) > 0.99
    assert apart.probability(70, 1) < 0.01
    odds = fit_row_odds(impostor, genuine, 2.0)
    assert odds == RowOdds(0.0, 0.0, 0.0, 2.0), "strangers are nearer: distance tells nothing"
    assert replace(OLDER, odds=odds).probability([0, 500], 4) == pytest.approx(0.25)


def test_they_are_stored_where_they_were_fitted_and_older_bitreids_do_not_see_them() -> None:
    assert OpenSet.from_json(json.loads(json.dumps(STORED.to_json()))) == STORED
    assert "odds" not in OLDER.to_json()
    assert OpenSet.from_json(OLDER.to_json()) == OpenSet.from_json(asdict(OLDER)) == OLDER
    contract = Contract(64, open_set=STORED)
    assert Contract.from_json(contract.to_json()) == contract
    assert contract.plain().to_json() == Contract(64, open_set=replace(OLDER, search=None)).to_json()
    assert "odds" not in Contract(64, open_set=OLDER).to_json()
    for wrong in ({}, 3, asdict(ODDS) | {"rows": 0.5}, asdict(ODDS) | {"offset": math.nan}):
        with pytest.raises(ArtifactError, match="expected"):
            OpenSet.from_json(STORED.to_json() | {"odds": wrong})
    with pytest.raises(ArtifactError, match="odds that fall with the distance"):
        RowOdds(slope=1.0, offset=0.0, curvature=0.0, rows=1.0)


def test_a_card_holds_them(tmp_path: Path) -> None:
    card = load_card(folder_of("drawn"))
    weights = {"weight": np.zeros(3, np.float32)}
    for open_set, n_known in ((STORED, 2), (OLDER, 0)):
        calibration = Calibration(open_set, 60, 720, {"512": open_set})
        saved = save_artifact(tmp_path / str(n_known), replace(card, calibration=calibration, engines={}), weights)
        assert load_card(tmp_path / str(n_known)).calibration == saved.card.calibration == calibration
        assert (tmp_path / str(n_known) / "card.json").read_text().count('"odds"') == n_known
