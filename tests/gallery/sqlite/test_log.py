"""The log (`-wal`) beside the file of a SQLite gallery, as a killed process leaves it: whole, damaged or lost."""

import random
import shutil
from pathlib import Path

import pytest

from bitreid.gallery import create_gallery, open_gallery
from tests.gallery.sqlite.cases import CONTRACT, batch_of, check_whole, overwritten, plain_of


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A gallery of 20 batches of 30 items, as a process leaves it that is killed."""
    path, left = tmp_path / "people.gallery", tmp_path / "left"
    left.mkdir()
    with create_gallery(path, CONTRACT) as gallery:
        for i in range(20):
            gallery.add(batch_of(range(30 * i, 30 * i + 30)))
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", left)
    return left / path.name


def check_batches(path: Path) -> int:
    """How many of the batches are there; they are the first ones, and whole."""
    with open_gallery(path) as gallery:
        n = gallery.count()
        assert n % 30 == 0
        check_whole(gallery, plain_of(*(batch_of(range(i, i + 30)) for i in range(0, n, 30))))
        assert gallery.add(batch_of(["one more"])) == 1
        return n // 30


def test_the_log_of_a_killed_process_is_read(crashed: Path) -> None:
    assert check_batches(crashed) == 20


def test_a_missing_log_leaves_what_was_in_the_file(crashed: Path) -> None:
    Path(f"{crashed}-wal").unlink()
    assert check_batches(crashed) < 20


def test_a_damaged_log_leaves_whole_batches(crashed: Path) -> None:
    file, log = crashed.read_bytes(), Path(f"{crashed}-wal").read_bytes()
    chance = random.Random(3)
    found = set()
    for _ in range(25):
        crashed.write_bytes(file)
        Path(f"{crashed}-wal").write_bytes(
            overwritten(log, chance) if chance.random() < 0.7 else log[: chance.randrange(len(log))]
        )
        found.add(check_batches(crashed))
    assert len(found) > 3
