"""Times of pictures as dates."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.times import NO_TIME, TimeUnit, dates_of, with_dates
from bitreid.errors import SettingsError


def manifest(*times: int, dated: bool = False) -> Manifest:
    n = len(times)
    unknown = np.full(n, UNKNOWN)
    paths = tuple(Path(f"{i}.jpg") for i in range(n))
    return Manifest(paths, unknown, unknown, ("gallery",) * n, np.array(times, np.int64), dated=dated)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1_000_000), ("ms", 1000), ("us", 1)])
def test_numbers_count_a_unit(unit: TimeUnit, factor: int) -> None:
    found = with_dates(manifest(1_700_000_000, UNKNOWN, 0, -5), unit)
    assert found.dated
    dates = dates_of(found)
    assert dates is not None
    assert dates.tolist() == [1_700_000_000 * factor, NO_TIME, 0, -5 * factor]


def test_without_a_unit_numbers_are_no_dates() -> None:
    frames = manifest(1, 2)
    assert with_dates(frames, None) is frames
    assert dates_of(frames) is None


def test_dates_are_left_as_they_are() -> None:
    dates = dates_of(with_dates(manifest(17, UNKNOWN, dated=True), "s"))
    assert dates is not None
    assert dates.tolist() == [17, NO_TIME]


def test_the_years_1_to_9999() -> None:
    ends = (datetime.min, datetime.max.replace(microsecond=0))
    first, last = (int(end.replace(tzinfo=UTC).timestamp()) for end in ends)
    assert with_dates(manifest(first, last), "s").dated
    for wrong in (first - 1, last + 1):
        with pytest.raises(SettingsError, match=f"years 1 to 9999, got {wrong}, counted in s"):
            with_dates(manifest(wrong), "s")
