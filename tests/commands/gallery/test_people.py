"""`bitreid gallery confirm`, `reject`, `merge` and `undo`."""

from pathlib import Path

from tests.commands.words import Capture, N, answer, done, n_items, refusal, said


def test_decisions(place: Path, capsys: Capture) -> None:
    assert said(capsys, "confirm", place, "Zoë", "cam/00.jpg") == "2 items are now known to be Zoë\n"
    assert n_items(place, "person = Zoë") == 2
    assert said(capsys, "reject", place, "2", "cam/08.jpg") == "2 items are now known not to be 2\n"
    (found,) = answer(capsys, "search", place, "--like", "cam/00.jpg", "--person", "2")
    assert found["n_gallery"] == N - 3
    assert answer(capsys, "merge", place, "Zoë", "2") == {"items": 3}
    assert answer(capsys, "undo", place) == {"undone": "merge Zoë"}
    assert said(capsys, "undo", place) == "undone: reject 2\n"
    done("gallery", "undo", place)
    assert said(capsys, "undo", place) == "there was nothing to undo\n"
    assert answer(capsys, "undo", place) == {"undone": None}
    assert "got 'x', which is not there" in refusal(capsys, "gallery", "confirm", place, "Zoë", "x")
