"""`--bits`: the shorter codes of a model, through each command that takes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitreid.artifact import Calibration, fingerprint, load_artifact, save_artifact
from bitreid.encoding.files import load_encoded
from bitreid.evaluation import evaluate_ranking
from bitreid.gallery import open_gallery
from bitreid.open_set import OpenSet
from tests.commands.words import Capture, done, queries, read_json, refusal, said

OPEN_SET = OpenSet(tail_slope=0.25, tail_offset=-10.0, slope=-0.2, offset=8.0)
SHORT = replace(OPEN_SET, tail_slope=0.5)


@pytest.fixture(scope="module")
def model(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as if it had been trained to be cut to 32 and 64 bits."""
    folder = tmp_path_factory.mktemp("nested") / "artifact"
    saved = load_artifact(artifact)
    calibration = Calibration(OPEN_SET, 40, 10, {"64": SHORT})
    lengths = {"32": {"mAP": 0.25, "rank1": 0.125}, "64": {"mAP": 0.5}, "128": {"mAP": 0.75}}
    save_artifact(folder, replace(saved.card, calibration=calibration, lengths=lengths), saved.weights)
    return folder


def test_info_tells_of_every_length(model: Path, capsys: Capture) -> None:
    done("info", model)
    lines = {
        line.split("│")[1].strip(): line.split("│")[2] for line in capsys.readouterr().out.splitlines() if "│" in line
    }
    assert lines["first 32 bits"].strip() == "mAP 0.250, rank1 0.125"
    assert "mAP 0.500; same person within " in lines["first 64 bits"]
    assert lines["all 128 bits"].strip() == "mAP 0.750"


def test_encode(model: Path, gallery: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["encode", model, people / "bounding_box_test", "--features", "--out", tmp_path / "codes.npz", "--bits"]
    done(*words, 64)
    assert "28 codes of 64 bits" in capsys.readouterr().out
    whole, short = load_encoded(gallery), load_encoded(tmp_path / "codes.npz")
    assert short.codes.packed.tolist() == whole.codes.packed[:, :8].tolist()
    assert whole.features is not None
    assert short.features is not None
    assert (short.engine, whole.engine) == ("torch", "onnx"), "a copy with other lengths is not exported"
    assert np.abs(short.features - whole.features[:, :64]).max() < 1e-4
    assert short.model == whole.model == fingerprint(load_artifact(model).card), "the model is the same"
    assert "one of the lengths of ssr-tiny, 32, 64, 128, got 72" in refusal(capsys, *words, 72)


def test_a_model_that_was_not_trained_to_be_cut_is_not(
    artifact: Path, gallery: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    for words in (
        ("encode", artifact, people, "--out", tmp_path / "codes.npz"),
        ("evaluate", artifact, "--data", people),
        ("search", artifact, "--query", *queries(people, 26), "--gallery", gallery),
        ("gallery", "create", tmp_path / "people.gallery", "--model", artifact),
    ):
        assert "128 alone (the model was not trained to be cut), got 64" in refusal(capsys, *words, "--bits", 64)
    assert not list(tmp_path.iterdir())


def test_evaluate(model: Path, gallery: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    report, scores = tmp_path / "report.html", tmp_path / "scores.json"
    done("evaluate", model, "--data", people, "--bits", 64, "--report", report, "--json", scores)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    done("encode", model, people / "query", "--out", tmp_path / "query.npz")
    sides = [load_encoded(path) for path in (tmp_path / "query.npz", gallery)]
    labels = (sides[0].pids, sides[0].camids, sides[1].pids, sides[1].camids)
    expected = evaluate_ranking(sides[0].codes.prefix(64), sides[1].codes.prefix(64), *labels).expected
    shortest = evaluate_ranking(sides[0].codes.prefix(32), sides[1].codes.prefix(32), *labels).expected
    (shown,) = [row for row in rows if row[:3] == ["first", "32", "bits"]]
    assert shown[3] == f"{100 * shortest.rank1:.1f}"
    found = read_json(scores)
    assert found["lengths"].keys() == {"32"}
    assert found["lengths"]["32"]["mAP"] == pytest.approx(shortest.mAP)
    assert found["codes"]["expected"]["mAP"] == pytest.approx(expected.mAP)
    assert (found["n_bits"], found["n_features"]) == (64, 64)
    page = report.read_text(encoding="utf-8")
    assert "--bits 64" in page
    assert "A shorter code is the first bits of the longest one." in page
    assert "--features QUERY.npz GALLERY.npz alone, got --features and --bits" in refusal(
        capsys, "evaluate", "--features", tmp_path / "query.npz", gallery, "--bits", 64
    )


def test_a_gallery_knows_its_length(model: Path, gallery: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    place, query = tmp_path / "people.gallery", queries(people, 26)
    assert said(capsys, "create", place, "--model", model, "--bits", 64) == f"gallery of codes of 64 bits: {place}\n"
    assert said(capsys, "add", place, gallery) == "28 items added, 0 were there already\n"
    assert said(capsys, "add", place, gallery) == "0 items added, 28 were there already\n"
    assert said(capsys, "add", place, *query, "--model", model, "--same-people").startswith(f"{len(query)} items added")
    with open_gallery(place) as opened:
        assert opened.contract.open_set == SHORT
        assert {len(item.code) for batch in opened.scan() for item in batch} == {8}
    assert "64 bits global 32, stripe1 16, stripe2 16" in said(capsys, "info", place)
    assert "expected parts among global, stripe1, stripe2, got stripe3" in refusal(
        capsys, "gallery", "search", place, gallery, "--parts", "stripe3"
    )
    other = tmp_path / "other.gallery"
    assert said(capsys, "copy", place, other).startswith(f"{28 + len(query)} items copied")
    assert said(capsys, "search", other, gallery, "-k", 3) == said(capsys, "search", place, gallery, "-k", 3)
    short = tmp_path / "short.gallery"
    assert said(capsys, "create", short, "--model", model, "--bits", 32)
    assert said(capsys, "copy", place, short).startswith(f"{28 + len(query)} items copied")
    assert "items of the same model (codes of bits: 64), got codes of bits: 32" in refusal(
        capsys, "gallery", "copy", short, place
    )
    assert "--bits N for codes that you vouch for, got neither" in refusal(capsys, "gallery", "create", other)


def test_a_gallery_is_calibrated_for_its_length(model: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "own.json"
    done("calibrate", model, "--own", people, "--out", out)
    values = read_json(out)
    assert (values["n_bits"], values["format_version"]) == (128, 2)
    for bits, expected in ((128, values["open_set"]), (64, values["lengths"]["64"])):
        place = tmp_path / f"{bits}.gallery"
        done("gallery", "create", place, "--model", model, "--bits", bits, "--calibration", out)
        done("gallery", "calibrate", place, out)
        with open_gallery(place) as gallery:
            assert gallery.contract.open_set == OpenSet.from_json(expected)
    fitted = {name: open_set for name, open_set in values["lengths"].items() if name != "32"}
    out.write_text(str({**values, "lengths": fitted}).replace("'", '"').replace("None", "null"), encoding="utf-8")
    words = ["gallery", "create", tmp_path / "32.gallery", "--model", model, "--bits", 32, "--calibration", out]
    assert "a calibration of codes of 32 bits, got one of 64, 128 bits" in refusal(capsys, *words)


def test_a_gallery_is_not_calibrated_by_another_model(model: Path, tmp_path: Path, capsys: Capture) -> None:
    saved, place, other = load_artifact(model), tmp_path / "64.gallery", tmp_path / "other"
    save_artifact(other, replace(saved.card, lengths={}, calibration=None, thresholds={"other": 0.5}), saved.weights)
    done("gallery", "create", place, "--model", model, "--bits", 64)
    assert "expected codes of the model" in refusal(capsys, "gallery", "calibrate", place, other)
