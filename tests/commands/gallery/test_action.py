"""Words that the commands on galleries read."""

from datetime import UTC, datetime

import pytest

from bitreid.commands.gallery.action import moment_of


def test_moments() -> None:
    assert moment_of("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert moment_of("2026-01-31T10:00+02:00") == datetime(2026, 1, 31, 8, tzinfo=UTC)
    for text, hours in {"36h": 36, "2d": 48, "1w": 168}.items():
        assert (datetime.now(UTC) - moment_of(text)).total_seconds() == pytest.approx(hours * 3600, abs=60)
