"""Small segments, and a gallery with one."""

from pathlib import Path

import pytest

from bitreid.gallery.sqlite.segments import plan
from tests.gallery.sqlite.cases import SMALL
from tests.gallery.sqlite.segments.cases import filled


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(plan, name, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed gallery of `FIRST`, in one segment."""
    path = tmp_path / "people.gallery"
    filled(path)
    return path
