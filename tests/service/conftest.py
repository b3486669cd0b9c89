"""Drawn people and the model that comes with bitreid, for all tests of the service."""

from pathlib import Path

import pytest

from bitreid.encoding.encoder import Encoder


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder.open("drawn", threads=1)


@pytest.fixture(scope="session")
def pictures(people: Path) -> list[Path]:
    """Pictures of two people, three each."""
    named = sorted(path for path in (people / "bounding_box_test").glob("*.jpg") if path.name[:4] > "0000")
    who = sorted({path.name[:4] for path in named})[:2]
    return [path for pid in who for path in [each for each in named if each.name.startswith(pid)][:3]]
