"""A file of codes, and a gallery of them."""

from pathlib import Path

import pytest

from tests.commands.words import Capture, codes_of, done


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    return codes_of(tmp_path / "codes.npz")


@pytest.fixture
def place(codes: Path, tmp_path: Path, capsys: Capture) -> Path:
    """A gallery of those codes."""
    made = tmp_path / "people.gallery"
    done("gallery", "create", made, "--bits", 64, "--attributes", "hat, bag, top=red")
    done("gallery", "add", made, codes)
    capsys.readouterr()
    return made
