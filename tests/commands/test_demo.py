"""The demo: from nothing to a ranked sheet."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bitreid.artifact import load_artifact
from bitreid.commands.demo import run_demo
from bitreid.commands.main import main
from bitreid.drawn.data_set import DrawnSettings
from bitreid.errors import SettingsError

# Ten identities are held out, and ten of the others have to share an attribute before it gets a bit in the code.
FEW = DrawnSettings(n_train=40, n_test=6, n_cameras=2, n_distractors=4, n_junk=2, height=96, width=32)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


# So few people need not wear all colours that the others wear.
@pytest.mark.filterwarnings("ignore:.* are new to the schema and set no bit:bitreid.errors.DataWarning")
def test_the_demo_trains_scores_searches_and_draws(tmp_path: Path) -> None:
    out, said = tmp_path / "demo", console()
    run_demo(out, epochs=1, console=said, settings=FEW)
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


def test_the_demo_replaces_only_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(data: Path, *_: object) -> None:
        data.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("bitreid.drawn.data_set.draw_people", drawn)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path, None, console(), FEW)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "people" / "old.jpg").touch()
    (tmp_path / "sheet.png").touch()
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path, None, console(), FEW)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "people" / "old.jpg").exists()
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("entry", ["people", "notes.txt"])
def test_the_demo_leaves_other_folders_alone(entry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / entry).mkdir()
    with pytest.raises(SettingsError, match=r"new or empty folder for the demo, got .*; choose one with --out"):
        run_demo(tmp_path, 1, console(), FEW)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [entry]


def test_the_demo_refuses_no_passes_before_it_draws(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"epochs: .* got 0"):
        run_demo(tmp_path / "demo", 0, console(), FEW)
    assert not (tmp_path / "demo").exists()
