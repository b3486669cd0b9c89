"""Files of `bitreid calibrate --out` of every format can be taken over by a gallery."""

from bitreid.evaluation.calibration.files import read_calibration
from bitreid.open_set import OpenSet
from tests.formats.cases import FORMATS


def test_format_1_is_about_whole_codes() -> None:
    found = read_calibration(FORMATS / "calibration-1.json")
    assert found.model == "5d3dbb7141ec93a9"
    assert found.open_set_of(16) == OpenSet(0.125, -7.0, -0.5, 3.0, -0.01)
