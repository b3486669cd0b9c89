"""The demo: from nothing to a ranked sheet."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bitreid.artifact import load_artifact
from bitreid.commands.demo import make_room
from bitreid.commands.demo.quick import quick_demo
from bitreid.commands.demo.training import train_demo
from bitreid.commands.main import main
from bitreid.drawn.data_set import DrawnSettings
from bitreid.errors import SettingsError
from bitreid.gallery import open_gallery

# Ten identities are held out, and ten of the others have to share an attribute before it gets a bit in the code.
FEW = DrawnSettings(n_train=40, n_test=6, n_cameras=2, n_distractors=4, n_junk=2, height=96, width=32)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


# So few people need not wear all colours that the others wear.
@pytest.mark.filterwarnings("ignore:.* are new to the schema and set no bit:bitreid.errors.DataWarning")
def test_the_demo_trains_scores_searches_and_draws(tmp_path: Path) -> None:
    out, said = tmp_path / "demo", console()
    train_demo(make_room(out), out, epochs=1, console=said, settings=FEW)
    for relaxation in ("ssr", "tanh"):
        card = load_artifact(out / relaxation / "artifact").card
        assert (card.model["relaxation"], card.training["data"]) == (relaxation, "people")
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert set(scores) == {"ssr", "tanh"}
    assert 0 < scores["ssr"]["codes"]["expected"]["mAP"] <= 1
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.array(sheet.convert("RGB"))
    assert pixels.shape[0] > 8 * 192, "eight queries"
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3)[::97].tolist()}
    assert len(colours) > 500, "pictures, not paper"
    assert isinstance(said.file, io.StringIO)
    text = said.file.getvalue()
    assert f"ranked sheet: {out / 'sheet.png'}" in text
    assert text.rstrip().endswith(f"look at it in a browser: {out / 'report.html'}")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Drawn people: SSR codes" in page
    assert page.count("<img") >= 8 or page.count("data:image") >= 8, "the worst and the best queries with their hits"
    assert "drawn people, ssr (does not distil: bit agreement 0." in text, "one pass is not enough, and it says so"
    assert "drawn people, tanh" in text
    assert "two-stage search for 00" in text
    assert "AFR, w = " in text
    assert "coarse, w = " in text, "training ends with a coarse code"


def test_the_demo_replaces_only_what_it_made(tmp_path: Path) -> None:
    make_room(tmp_path).mkdir()
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "people" / "old.jpg").touch()
    (tmp_path / "sheet.png").touch()
    assert make_room(tmp_path) == tmp_path / "people"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.txt", "notes.txt"]


def test_the_quick_demo_finds_people_with_the_shipped_model(tmp_path: Path) -> None:
    settings, said = DrawnSettings(n_train=2, n_test=8, n_distractors=10, n_junk=0), console()
    quick_demo(make_room(tmp_path), tmp_path, said, settings)
    assert isinstance(said.file, io.StringIO)
    text = said.file.getvalue()
    assert "3/4 person 00" in text
    assert text.rstrip().endswith(f"look at it in a browser: {tmp_path / 'report.html'}")
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["codes"]["expected"]["mAP"] > 0.6, "mostly green"
    with open_gallery(tmp_path / "people.gallery") as gallery:
        assert gallery.count() == 8 * 6 + 10
    for name in ("found.png", "sheet.png"):
        with Image.open(tmp_path / name) as sheet:
            assert sheet.height > 192


@pytest.mark.parametrize("entry", ["people", "notes.txt"])
def test_the_demo_leaves_other_folders_alone(entry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / entry).mkdir()
    with pytest.raises(SettingsError, match=r"new or empty folder for the demo, got .*; choose one with --out"):
        make_room(tmp_path)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [entry]


def test_the_demo_refuses_no_passes_before_it_draws(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"epochs: .* got 0"):
        train_demo(tmp_path / "people", tmp_path, 0, console(), FEW)
    assert not (tmp_path / "people").exists()


def test_passes_are_those_of_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--epochs", "3", "--out", str(tmp_path / "demo")]) == 1
    assert "expected --train with --epochs" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
