"""`bitreid calibrate`: what it writes into the card of a model, and how it refuses."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitreid.artifact import fingerprint, load_artifact, save_artifact
from bitreid.commands.main import main
from bitreid.evaluation.calibration.files import StoredCalibration, read_calibration
from bitreid.gallery import open_gallery

Capture = pytest.CaptureFixture[str]


def model(trained: Path, folder: Path, **training: Any) -> Path:
    """The trained model in a folder of its own, with a card that tells another story of its training."""
    shutil.copytree(trained / "artifact", folder)
    artifact = load_artifact(folder)
    save_artifact(folder, replace(artifact.card, training=artifact.card.training | training), artifact.weights)
    (folder / "README.md").write_text("mine", encoding="utf-8")
    return folder


@pytest.fixture
def half_held_out(trained: Path, tmp_path: Path) -> Path:
    """A model whose card says that 12 of the 24 people, of 6 pictures each, were held out."""
    story = {"recipe": {"held_out_identities": 12, "seed": 3}, "identities": 12, "pictures": 72}
    return model(trained, tmp_path / "model", **story)


def refusal(capsys: Capture, artifact: Path, people: Path) -> str:
    capsys.readouterr()
    before = (artifact / "card.json").read_bytes()
    assert main(["calibrate", str(artifact), "--data", str(people)]) == 1
    assert (artifact / "card.json").read_bytes() == before
    return capsys.readouterr().err


def test_it_writes_the_card_and_nothing_else(half_held_out: Path, people: Path, capsys: Capture) -> None:
    before, weights = load_artifact(half_held_out).card, (half_held_out / "weights.safetensors").read_bytes()
    assert main(["calibrate", str(half_held_out), "--data", str(people)]) == 0
    card = load_artifact(half_held_out).card
    calibration = card.calibration
    assert calibration is not None
    assert (calibration.identities, calibration.pictures) == (12, 72)
    assert card.coarse is not None
    assert card.coarse.n_bits == 64
    assert replace(card, calibration=None, coarse=None) == before
    assert fingerprint(card) == fingerprint(before)
    assert (half_held_out / "weights.safetensors").read_bytes() == weights
    assert (half_held_out / "README.md").read_text(encoding="utf-8") == "mine"
    out = capsys.readouterr().out
    assert "calibrated on 72 pictures of 12 people held out\n" in out
    threshold = calibration.open_set.threshold(0.01, 1000)
    assert f"same person within {f'{threshold} bits' if threshold >= 0 else 'no distance'} in 1,000 rows, " in out
    assert "in 100,000 rows" in out
    assert "in 1,000,000 rows" in out
    assert "matches kept by coarse code: 50% in " in out


def test_info_shows_it(half_held_out: Path, people: Path, trained: Path, capsys: Capture) -> None:
    assert main(["info", str(trained / "artifact")]) == 0
    out = capsys.readouterr().out
    assert "calibrated on" in out
    assert "same person within" not in out
    assert re.search(r"coarse code +\S* *none", out)
    assert main(["calibrate", str(half_held_out), "--data", str(people)]) == 0
    capsys.readouterr()
    assert main(["info", str(half_held_out)]) == 0
    out = capsys.readouterr().out
    assert "72 pictures of 12 people" in out
    assert "same person within" in out
    assert "identity bits; keeps of the matches 50% in" in " ".join(out.replace("│", " ").split())


def test_it_refuses(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    few = model(trained, tmp_path / "few")
    assert "at least 1,000 pairs of two people and 10 of one" in refusal(capsys, few, people)
    silent = model(trained, tmp_path / "silent", recipe={})
    assert "a card that says which training identities its run held out" in refusal(capsys, silent, people)
    other = model(trained, tmp_path / "other", identities=700)
    assert "expected the data that the model was trained on" in refusal(capsys, other, people)


def test_it_takes_pictures_of_ones_own_cameras(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    """Of a data set its queries and gallery count, of anything else all people who are known."""
    artifact = model(trained, tmp_path / "model")
    before, out = load_artifact(artifact).card, tmp_path / "own.json"
    assert main(["calibrate", str(artifact), "--own", str(people), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    n_pictures = len(list((people / "query").iterdir())) + sum(
        not path.name.startswith(("0000", "-1")) for path in (people / "bounding_box_test").iterdir()
    )
    assert f"calibrated on {n_pictures} pictures of 6 people of people, whom it was not trained on\n" in said
    assert f"calibration: {out}\n" in said
    assert "coarse code" not in said, "the file has none"
    assert load_artifact(artifact).card == before, "the card stays"
    assert main(["calibrate", str(artifact), "--own", str(people)]) == 0
    card = load_artifact(artifact).card
    assert card.calibration is not None
    assert read_calibration(out) == StoredCalibration(fingerprint(card), 128, card.calibration.open_set, {})
    assert card.training["calibrated_on"] == "people"
    assert main(["info", str(artifact)]) == 0
    assert "6 people of people, whom it" in capsys.readouterr().out

    place = str(tmp_path / "people.gallery")
    assert main(["gallery", "create", place, "--model", str(trained / "artifact")]) == 0
    assert main(["gallery", "calibrate", place, str(out)]) == 0
    with open_gallery(place) as gallery:
        assert gallery.contract.open_set == card.calibration.open_set
    other = str(tmp_path / "other.gallery")
    assert main(["gallery", "create", other, "--bits", "128", "--calibration", str(out)]) == 0
    with open_gallery(other) as gallery:
        assert gallery.contract.open_set == card.calibration.open_set
    assert card.coarse is not None
    assert main(["gallery", "calibrate", place, str(trained / "artifact")]) == 1, "the model was not calibrated"
    assert "expected a model that was calibrated for codes of 128 bits" in capsys.readouterr().err
    assert main(["gallery", "calibrate", place, str(artifact)]) == 0
    with open_gallery(place) as gallery:
        assert gallery.contract.coarse == card.coarse
    assert main(["gallery", "info", place]) == 0
    assert "64 bits of the coarse code" in capsys.readouterr().out
    out.write_text(out.read_text(encoding="utf-8").replace(fingerprint(card), "0" * 16), encoding="utf-8")
    assert main(["gallery", "calibrate", place, str(out)]) == 1
    out.write_text("{}", encoding="utf-8")
    assert main(["gallery", "calibrate", place, str(out)]) == 1
    error = capsys.readouterr().err
    assert "expected codes of the model" in error
    assert "expected a calibration that `bitreid calibrate --out` wrote" in error


def test_thresholds_of_attributes_make_no_other_model(
    half_held_out: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    before = load_artifact(half_held_out).card
    labels = ["--attributes", str(people / "attributes_train.csv")]
    command = ["calibrate", str(half_held_out), "--data", str(people), *labels]
    assert main([*command, "--out", str(tmp_path / "own.json")]) == 1
    assert main(["calibrate", str(half_held_out), "--own", str(people), *labels]) == 1
    assert capsys.readouterr().err.count("expected --attributes with --data and without --out") == 2
    assert load_artifact(half_held_out).card == before
    assert main(command) == 0
    card = load_artifact(half_held_out).card
    assert card.attributes is not None
    assert len(card.attribute_thresholds) == len(card.attributes)
    assert fingerprint(card) == fingerprint(before)
    assert card.calibration is not None


def test_models_by_name(people: Path, tmp_path: Path, capsys: Capture) -> None:
    """A model that comes with bitreid is calibrated into a file, without its weights, and its card stays."""
    own, place = str(tmp_path / "own.json"), str(tmp_path / "people.gallery")
    assert main(["calibrate", "drawn", "--own", str(people)]) == 1
    assert "expected a folder of your own to write into, got 'drawn'" in capsys.readouterr().err
    assert main(["calibrate", "drawn", "--own", str(people), "--out", own]) == 0
    assert main(["gallery", "create", place, "--model", "drawn"]) == 0
    for source in (own, "drawn"):
        assert main(["gallery", "calibrate", place, source]) == 0
    assert main(["gallery", "calibrate", place, str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
    assert main(["export", "drawn"]) == 1
    assert "expected a folder of your own to write into, got 'drawn'" in capsys.readouterr().err
