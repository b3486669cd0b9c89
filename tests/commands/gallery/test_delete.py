"""`bitreid gallery delete`: all conditions are met, and a terminal is asked."""

import io
import json
from pathlib import Path

import pytest

from bitreid.commands.main import main
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
    assert said(capsys, "delete", place, "--ids", "cam/00.jpg", "nobody") == (
        '1 of 10 items deleted\nno item has id = "nobody"\n'
    )
    assert said(capsys, "delete", place, "--older-than", "1d") == "0 of 9 items deleted\n"
    assert said(capsys, "delete", place, "--older-than", "0h", "--where", "camera = 2") == "4 of 9 items deleted\n"
    assert "expected what to delete" in refusal(capsys, "gallery", "delete", place)
    assert "such as 30d" in refusal(capsys, "gallery", "delete", place, "--older-than", "soon")
    assert n_items(place) == 5


def test_a_deletion_that_finds_nothing_says_so(place: Path, capsys: Capture) -> None:
    def fails(*words: object) -> str:
        capsys.readouterr()
        assert main(["gallery", "delete", str(place), *map(str, words)]) == 1
        return capsys.readouterr().out

    assert fails("--person", "0001") == (
        '0 of 12 items deleted\nno item has person = "0001"\nthe nearest person to 0001 is 1\n'
    )
    assert fails("--ids", "nobody") == '0 of 12 items deleted\nno item has id = "nobody"\n'
    assert fails("--where", "camera = 1 and camera = 2") == "0 of 12 items deleted\n"
    assert json.loads(fails("--person", "Zoë", "--json", "-")) == {"deleted": 0, "unknown": ['person = "Zoë"']}
    assert answer(capsys, "delete", place, "--person", "0001", "--missing-ok")["deleted"] == 0
    assert answer(capsys, "delete", place, "--older-than", "1d") == {"deleted": 0}
    # What keeps everything that it does not know lets everything go where that is misspelt.
    assert "no item has metadata.zon" in said(capsys, "delete", place, "--where", "not metadata.zon = 1", "--dry-run")
    assert n_items(place) == 12


def test_ids_can_be_taken_out_of_the_log(place: Path, capsys: Capture) -> None:
    assert said(capsys, "delete", place, "--person", "2").splitlines()[1] == (
        "the audit log still has the ids of the items; --blank-audit takes them out"
    )
    done("gallery", "delete", place, "--person", "1", "--blank-audit")
    entries = [json.loads(line) for line in said(capsys, "audit", place, "--json", "-").splitlines()]
    assert [(entry["action"], entry["ids"].count(None)) for entry in entries] == [
        ("add", 4),
        ("delete", 0),
        ("delete", 4),
    ]
    assert "got both" in refusal(capsys, "gallery", "audit", place, "--since", "1d", "--forget-before", "1d")
    assert said(capsys, "audit", place, "--forget-before", "1d") == "0 entries forgotten\n"
    assert said(capsys, "audit", place, "--forget-before", "0h") == "4 entries forgotten\n"
    assert said(capsys, "audit", place).endswith("forget audit  4 items\n")


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
