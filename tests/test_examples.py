"""The examples run, small, and find what they say that they find."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pages import ROOT, text_of

EXAMPLES = ROOT / "examples"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Shown":
    return Shown(tmp_path / "out", monkeypatch, capsys)


class Shown:
    """Runs an example and returns the lines that it prints; what it writes is in `out`."""

    def __init__(self, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.out, self.monkeypatch, self.capsys = out, monkeypatch, capsys

    def __call__(self, name: str, *words: str) -> list[str]:
        path = EXAMPLES / name
        self.monkeypatch.setattr(sys, "argv", [str(path), "--out", str(self.out), *words])
        runpy.run_path(str(path), run_name="__main__")
        return self.capsys.readouterr().out.splitlines()


def test_training(shown: Shown) -> None:
    """One pass over few people learns next to nothing; that training learns is tested elsewhere."""
    *passes, size, scores = shown("train.py", "--people", "12", "--passes", "1")
    assert [line for line in passes if line.startswith("epoch 1, ")]
    assert size == "36 queries, 36 pictures in the gallery, codes of 256 bits"
    assert re.fullmatch(r"rank-1 \d+\.\d%, mAP \d+\.\d%", scores)
    assert (shown.out / "run" / "artifact" / "model.onnx").is_file()


def test_bits_that_fire_for_a_backpack(shown: Shown) -> None:
    said, _, *table, told, picture = shown("inside_the_codes.py", "--people", "40", "--bits", "10")
    assert said.startswith("120 pictures of 40 people, ")
    found, checked, fires, without = np.array(
        [[float(word.rstrip("%")) for word in line.split()[2:]] for line in table]
    ).T
    assert len(found) == 10
    assert (np.diff(np.abs(found)) <= 0).all()
    assert ((fires > without) == (found > 0)).all()
    # They go with a backpack on people, too, who had no part in choosing them; less, since chance had its part.
    assert 0.1 < (np.sign(found) * checked).mean() < np.abs(found).mean()
    assert int(re.findall(r"of (\d+)%", told)[0]) > 80
    assert str(shown.out / "bits.png") in picture
    with Image.open(shown.out / "bits.png") as drawn:
        assert drawn.size == (24 * 10, 4 * 121)


def test_people_by_their_clothing(shown: Shown) -> None:
    first, *hits, filtered = shown("by_clothing.py", "--people", "24", "--wanted", "backpack, not hat")
    assert first.startswith("backpack, not hat: the nearest of 72 pictures")
    assert len(hits) == 8
    wrong = [float(line.split()[1]) for line in hits]
    assert wrong == sorted(wrong)
    assert sum(line.endswith("in truth: none") for line in hits) >= 6
    assert int(filtered.split()[0]) >= wrong.count(0)


def test_a_person_on_two_cameras(shown: Shown) -> None:
    *lines, last = shown("two_cameras.py", "--people", "4", "--frames", "4")
    assert lines[:2] == ["entrance: 16 boxes, 4 tracklets", "yard: 16 boxes, 4 tracklets"]
    assert last == "4 of 4 are right"


def test_every_example_is_listed_and_tested() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert set(re.findall(r"\]\((\w+\.py)\)", text_of("examples/README.md"))) == names
    assert set(re.findall(r'shown\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8"))) == names
