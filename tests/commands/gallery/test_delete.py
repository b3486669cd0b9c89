"""`bitreid gallery delete`: all conditions are met, and a terminal is asked."""

import io
from pathlib import Path

import pytest

from tests.commands.words import (
    Capture,
    N,
    answer,
    done,
    n_items,
    refusal,
    said,
)


def test_delete(place: Path, capsys: Capture) -> None:
    assert said(capsys, "delete", place, "--where", "camera = 1", "--dry-run") == "4 of 12 items would be deleted\n"
    assert n_items(place) == 12
    # All conditions have to be met.
    assert answer(capsys, "delete", place, "--where", "camera = 1", "--person", "1") == {"deleted": 2}
    assert n_items(place, "camera = 1") == 2
    assert said(capsys, "delete", place, "--ids", "cam/00.jpg", "nobody") == "1 of 10 items deleted\n"
    assert said(capsys, "delete", place, "--older-than", "1d") == "0 of 9 items deleted\n"
    assert said(capsys, "delete", place, "--older-than", "0h", "--where", "camera = 2") == "4 of 9 items deleted\n"
    assert "expected what to delete" in refusal(capsys, "gallery", "delete", place)
    assert "such as 30d" in refusal(capsys, "gallery", "delete", place, "--older-than", "soon")
    assert n_items(place) == 5


def test_delete_asks_a_terminal(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    words = ["delete", place, "--where", "camera = 1"]
    for reply, deleted in (("\n", 0), ("no\n", 0), ("yes\n", 4)):
        monkeypatch.setattr("sys.stdin", Terminal(reply))
        assert answer(capsys, *words) == {"deleted": deleted}
    monkeypatch.setattr("sys.stdin", Terminal())
    assert answer(capsys, "delete", place, "--where", "camera = 2", "--yes") == {"deleted": 4}


def test_a_number_is_an_id_too(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "numbers.gallery"
    done("gallery", "create", place, "--bits", 64)
    done("gallery", "add", place, codes, "--id", "number")
    assert answer(capsys, "delete", place, "--ids", "3", "4") == {"deleted": 2}
    (found,) = answer(capsys, "search", place, "--like", "5")
    assert found["n_gallery"] == N - 3
