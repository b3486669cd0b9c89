"""What the times of pictures count: dates are microseconds from 1970 on, in UTC."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.errors import SettingsError

NO_TIME = -(2**63)
"""The date of a picture whose date is unknown."""

TimeUnit = Literal["s", "ms", "us"]
"""What a table's numbers count from 1970 on: seconds, milliseconds or microseconds."""

_MICROSECONDS: dict[TimeUnit, int] = {"s": 1_000_000, "ms": 1000, "us": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def with_dates(manifest: Manifest, unit: TimeUnit | None) -> Manifest:
    """Return the manifest with dates for times: those that are dates already, else numbers that count `unit`.

    Without a unit, numbers are left as they are, as frames for example. `SettingsError` for dates outside the years 1
    to 9999.
    """
    times = manifest.times
    if times is None or manifest.dated or unit is None:
        return manifest
    first, last = (
        (end.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=_MICROSECONDS[unit])
        for end in (datetime.min, datetime.max)
    )
    wrong = times[(times < first) | (times > last)]
    if len(wrong):
        raise SettingsError(
            f"expected times of the years 1 to 9999, got {wrong[0]}, counted in {unit} from 1970 on; choose another "
            "time unit"
        )
    return replace(manifest, times=np.where(times == UNKNOWN, UNKNOWN, times * _MICROSECONDS[unit]), dated=True)


def dates_of(manifest: Manifest) -> Ints | None:
    """Return the dates `(n,)` of a manifest, `NO_TIME` where one is unknown; None if its times are no dates."""
    if manifest.times is None or not manifest.dated:
        return None
    return np.where(manifest.times == UNKNOWN, NO_TIME, manifest.times)
