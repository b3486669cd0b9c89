"""Paces: pictures by the seconds in which a step works."""

import time

import pytest

from bitreid.encoding.paces import Pace, Paces


def test_a_pace_counts_working_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    pace = Pace()
    assert str(pace) == "-"
    for seconds, pictures, waits in ((2.0, 3000, 50.0), (1.0, 600, 70.0)):
        with pace.timed(pictures):
            now += seconds
        now += waits
    assert (pace.pictures, pace.seconds) == (3600, 3.0)
    assert str(pace) == "1,200"


def test_a_line_says_all_paces() -> None:
    paces = Paces(Pace(2000, 4.0), Pace(2000, 8.0))
    assert str(paces) == "reading 500, encoding 250, writing - pictures/s"
    assert paces.summary(10.0) == f"2,000 pictures in 10.0 s, 200 a second: {paces}"
