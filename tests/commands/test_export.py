"""`bitreid export` and `bitreid models`."""

import shutil
from pathlib import Path

import pytest

from bitreid.artifact import Proof, add_engine, fingerprint, load_card, read_engine, shipped
from bitreid.commands.main import main
from bitreid.encoding.files import load_encoded
from tests.commands.words import Capture, done, queries, refusal


@pytest.fixture
def own(artifact: Path, tmp_path: Path) -> Path:
    """A copy of the model to change."""
    return Path(shutil.copytree(artifact, tmp_path / "own"))


def test_training_ends_with_an_exported_engine(artifact: Path) -> None:
    proof = load_card(artifact).engines["onnx"].proof
    assert proof.source == "held-out people of people"
    assert proof.people == 4
    assert proof.flipped < 0.001
    assert proof.before == pytest.approx(proof.after, abs=0.02)


def test_export_says_how_near_to_the_weights_it_is(own: Path, people: Path, capsys: Capture) -> None:
    done("export", own)
    said = capsys.readouterr().out
    assert f"onnx: {own / 'model.onnx'} (" in said
    assert "(64 pictures: random colours)" in said
    assert load_card(own).engines["onnx"].proof.people == 0
    done("export", own, "--data", people)
    assert "mAP" in capsys.readouterr().out
    proof = load_card(own).engines["onnx"].proof
    assert (proof.people, proof.source) == (4, "held-out people of people")
    done("info", own)
    assert "engine onnx" in capsys.readouterr().out


def test_int8_needs_pictures_and_keeps_its_limits(own: Path, people: Path, capsys: Capture) -> None:
    assert "expected pictures that the model was trained on" in refusal(capsys, "export", own, "--int8")
    assert "onnx-int8" not in load_card(own).engines
    done("export", own, "--int8", "--data", people, "--force")
    card = load_card(own)
    proof = card.engines["onnx-int8"].proof
    assert 0 < proof.flipped < 0.2
    assert len(read_engine(own, card, "onnx-int8")) < len(read_engine(own, card, "onnx"))
    assert "onnx" in card.engines


def test_codes_of_an_engine_past_its_limits_enter_no_gallery(
    own: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    done("gallery", "create", tmp_path / "g.gallery", "--model", own)
    data = read_engine(own, load_card(own), "onnx")
    add_engine(own, "onnx-int8", data, Proof(10, 0, "drawn", 1.0, 0.3))
    pictures = queries(people, 25)
    done("encode", own, *pictures, "--engine", "onnx-int8", "--out", tmp_path / "far.npz")
    found = load_encoded(tmp_path / "far.npz")
    assert (found.engine, found.model) == ("onnx-int8", f"{fingerprint(load_card(own))}+onnx-int8")
    assert "expected codes of the model" in refusal(
        capsys, "gallery", "add", tmp_path / "g.gallery", tmp_path / "far.npz"
    )
    add_engine(own, "onnx-int8", data, Proof(10, 0, "drawn", 1.0, 0.01))
    for engine in ("onnx-int8", "onnx", "torch"):
        done("encode", own, *pictures, "--engine", engine, "--out", tmp_path / "near.npz")
        assert load_encoded(tmp_path / "near.npz").engine == engine
        done("gallery", "add", tmp_path / "g.gallery", tmp_path / "near.npz", "--upsert")


def test_models_lists_what_there_is(own: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", own.parent / "shipped")
    done("models")
    assert "no models" in capsys.readouterr().out
    (own.parent / "shipped").mkdir()
    shutil.copytree(own, own.parent / "shipped" / "drawn")
    done("models", own)
    said = capsys.readouterr().out
    assert "drawn" in said
    assert str(own) in said
    assert "onnx" in said
    (own / "card.json").write_text("{", encoding="utf-8")
    assert main(["models", str(own)]) == 1
    assert "expected JSON in" in capsys.readouterr().out
