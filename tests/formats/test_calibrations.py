"""Files of `bitreid calibrate --out` of every format can be taken over by a gallery."""

import math

import pytest

from bitreid.evaluation.calibration.files import read_calibration
from bitreid.open_set import OpenSet, RowOdds, SearchTail
from tests.formats.cases import FORMATS


def test_format_1_is_about_whole_codes() -> None:
    found = read_calibration(FORMATS / "calibration-1.json")
    assert found.model == "5d3dbb7141ec93a9"
    assert found.open_set_of(16) == OpenSet(0.125, -7.0, -0.5, 3.0, -0.01)


def test_format_2_is_about_lengths_and_may_hold_odds_of_rows() -> None:
    found = read_calibration(FORMATS / "calibration-2.json")
    search, odds = SearchTail(0.5, -8.0, 0.25), RowOdds(2.5, -6.0, -0.125, 4.5)
    assert found.open_set_of(16) == OpenSet(0.125, -7.0, -0.5, 3.0, -0.01, search, odds)
    short = OpenSet(0.25, -5.0, -0.5, 2.0, -0.02)
    assert found.open_set_of(8) == short
    assert short.probability(2, 10) == pytest.approx(1 / (1 + 19 * math.exp(-0.92)))
