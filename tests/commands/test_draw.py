"""`bitreid draw`: a data set, and how it refuses."""

from pathlib import Path

from PIL import Image

from tests.commands.words import Capture, done, refusal


def test_draw_makes_a_data_set(tmp_path: Path, capsys: Capture) -> None:
    words = ["draw", tmp_path / "people", "--identities", 1, "--test-identities", 1, "--height", 48, "--width", 24]
    done(*words, "--seed", 5)
    assert f"data set: {tmp_path / 'people'}\n" in capsys.readouterr().out
    pictures = list((tmp_path / "people" / "bounding_box_train").iterdir())
    assert len(pictures) == 6 * 2
    with Image.open(pictures[0]) as picture:
        assert picture.size == (24, 48)
    assert "new or empty folder" in refusal(capsys, *words)
    assert "training identities (n_train) to be at least 1, got 0" in refusal(
        capsys, "draw", tmp_path / "none", "--identities", 0
    )
