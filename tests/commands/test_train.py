"""`bitreid train`: what it writes, and how it refuses."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitreid.artifact import fingerprint, load_artifact, save_artifact
from bitreid.artifact.shipped import folder_of
from tests.commands.words import (
    Capture,
    done,
    queries,
    refusal,
)


def test_train_writes_a_run(trained: Path, people: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "artifact",
        "checkpoint.pt",
        "command.json",
        "environment.json",
        "log.jsonl",
        "recipe.yaml",
    }
    card = load_artifact(trained / "artifact").card
    assert (card.name, card.n_bits, card.training["data"]) == ("ssr-tiny", 128, people.name)
    assert card.licence == "Apache-2.0"
    assert "none of whom exists" in card.notes


def quick(*changes: str) -> list[str]:
    """Options that make a pass of two steps with a small model."""
    settings = ["epochs=1", "warmup_epochs=0", "network.n_bits=32", "identities_per_batch=10", *changes]
    settings += ["pictures_per_identity=6", "held_out_identities=4", "int8=false"]
    return [word for setting in settings for word in ("--set", setting)]


def test_train_starts_from_another_model_and_resumes(artifact: Path, people: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "drawn_tiny", "--data", people, "--out", run, "--init", artifact, *quick("learning_rate=1e-12")]
    done(*words)
    old, new = load_artifact(artifact).weights, load_artifact(run / "artifact").weights
    # With next to no learning, what fits the new code length is what it was.
    assert np.array_equal(new["backbone.conv1.weight"], old["backbone.conv1.weight"])
    assert new["student.embeddings.0.0.weight"].shape != old["student.embeddings.0.0.weight"].shape
    before = (run / "artifact" / "weights.safetensors").read_bytes()
    for again in ([*words, "--resume"], ["train", "--resume", "--out", run]):
        (run / "artifact" / "weights.safetensors").unlink()
        done(*again)
        assert (run / "artifact" / "weights.safetensors").read_bytes() == before


def test_train_learns_from_a_teacher_and_resumes_with_it(
    artifact: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.chdir(artifact.parent)
    done("train", "drawn_tiny", "--data", people, "--out", run, "--teacher", artifact.name, *quick())
    monkeypatch.chdir(tmp_path)
    before = (run / "artifact" / "weights.safetensors").read_bytes()
    shutil.rmtree(run / "artifact")
    done("train", "--resume", "--out", run)
    assert (run / "artifact" / "weights.safetensors").read_bytes() == before
    card = load_artifact(run / "artifact").card
    assert card.training["teacher"]["name"] == load_artifact(artifact).card.name
    assert "; distilled from " in card.licence


def test_a_run_is_resumed_with_all_that_it_began_with(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The data is a folder that only its pattern explains, named from another folder, with labels from elsewhere."""
    monkeypatch.chdir(people)
    run, licence = tmp_path / "run", tmp_path / "terms.txt"
    licence.write_text("Ours.\n", encoding="utf-8")
    words: list[object] = ["train", "drawn_tiny", "--data", "bounding_box_train", *quick()]
    words += ["--attributes", "attributes_train.csv"]
    words += ["--pattern", "^(?P<pid>[0-9]+)_c(?P<camid>[0-9])", "--out", run]
    done(*words, "--licence", "ours alone", "--licence-file", licence, "--notes", "One hall.")
    before = load_artifact(run / "artifact").card
    assert before.licence == "ours alone"
    assert before.notes.endswith("One hall.")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(run / "artifact")
    done("train", "--resume", "--out", run)
    assert load_artifact(run / "artifact").card == before
    assert (run / "artifact" / "LICENSE").read_text(encoding="utf-8") == "Ours.\n"
    (run / "command.json").unlink()
    capsys.readouterr()
    assert "give the recipe and --data as when the run began" in refusal(capsys, "train", "--resume", "--out", run)


def test_train_takes_attributes_of_another_file_or_none(people: Path, tmp_path: Path, capsys: Capture) -> None:
    data = tmp_path / "people"
    shutil.copytree(people, data)
    (data / "attributes_train.csv").rename(tmp_path / "labels.csv")
    words = ["train", "drawn_tiny", "--data", data, "--out", tmp_path / "run", *quick()]
    assert "expected attribute labels, got none; give them with --attributes FILE" in refusal(capsys, *words)
    done(*words, "--attributes", tmp_path / "labels.csv")
    assert load_artifact(tmp_path / "run" / "artifact").card.attributes is not None
    without = ["--set", "network.attributes=false", "--set", "network.attention=false"]
    done(*words, "--out", tmp_path / "plain", *without)
    assert load_artifact(tmp_path / "plain" / "artifact").card.attributes is None
    # A model without attributes has no codes for a first stage.
    query = queries(people, 25)[0]
    words = ["search", tmp_path / "plain" / "artifact", "--query", query, "--gallery", people / "query"]
    assert "expected attribute codes for a search in two stages, got none" in refusal(capsys, *words, "--w", "5")
    done(*words)
    done("evaluate", tmp_path / "plain" / "artifact", "--data", people)
    done("info", tmp_path / "plain" / "artifact")
    assert "attribute code" in capsys.readouterr().out


def test_train_refuses(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "got no recipe and --data" in refusal(capsys, "train", "--out", tmp_path / "run")
    assert "got no --data" in refusal(capsys, "train", "drawn_tiny", "--out", tmp_path / "run")
    words = ["train", "drawn_tiny", "--out", tmp_path / "run"]
    assert "at nowhere, got nothing" in refusal(capsys, *words, "--data", "nowhere")
    words += ["--data", people]
    assert "no such setting" in refusal(capsys, *words, "--set", "speed=3")
    assert "one of drawn, drawn_lite0" in refusal(capsys, "train", "mine", *words[2:])
    assert "no checkpoint" in refusal(capsys, *words, "--resume")
    assert "holds one; continue it with --resume" in refusal(capsys, *words, "--out", trained)
    assert "a folder with card.json" in refusal(capsys, *words, *quick(), "--init", tmp_path / "none")
    assert "got resnet18" in refusal(
        capsys, *words, *quick("network.backbone=efficientnet_lite0"), "--init", trained / "artifact"
    )
    assert "hold out 0 to 23 of 24" in refusal(capsys, *words, "--set", "held_out_identities=24")
    assert "height is a multiple of 96" in refusal(capsys, *words, *quick("input.height=128"))
    file = tmp_path / "file"
    file.touch()
    assert f"{file}" in refusal(capsys, *words, *quick(), "--out", file / "run")


def test_average_makes_a_model_of_two_stages(people: Path, tmp_path: Path) -> None:
    first, second, mean = (tmp_path / name for name in ("first", "second", "mean"))
    done("train", "drawn_tiny", "--data", people, "--out", first, *quick())
    done("train", "drawn_tiny", "--data", people, "--out", second, "--init", first, *quick())
    done("average", first, second, "--data", people, "--out", mean)
    weights = [load_artifact(run / "artifact").weights["backbone.conv1.weight"] for run in (first, second, mean)]
    one, other, found = (each.astype(np.float32) for each in weights)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(found, (one + other) / 2, atol=1e-3)
    card = load_artifact(mean / "artifact").card
    assert [card.training[name]["name"] for name in ("averaged_1", "averaged_2")] == ["ssr-tiny", "ssr-tiny"]
    assert card.licence.count("averaged from ssr-tiny") == 2


def test_average_refuses_what_cannot_be_averaged(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    done("train", "drawn_tiny", "--data", people, "--out", other, *quick())
    words = ["--data", people, "--out", out]
    assert "expected two runs or more" in refusal(capsys, "average", trained, *words)
    assert "expected runs of one network" in refusal(capsys, "average", trained, other, *words)
    assert "recipe" in refusal(capsys, "average", trained, tmp_path / "none", *words)
    assert not out.exists()


def test_a_model_of_all_people_takes_over_what_its_twin_knows(people: Path, tmp_path: Path, capsys: Capture) -> None:
    bare, twin, run, out = (tmp_path / name for name in ("bare", "twin", "run", "refused"))
    words = ["train", "drawn_tiny", "--data", people]
    done(*words, "--out", bare, *quick())
    learned, shipped = load_artifact(bare / "artifact"), load_artifact(folder_of(Path("drawn"))).card.calibration
    assert learned.card.calibration is None, "which so little training allows"
    assert shipped is not None
    of_twin = save_artifact(twin, replace(learned.card, calibration=replace(shipped, lengths={})), learned.weights).card
    everybody = ["--set", "held_out_identities=0", "--out"]
    all_of = [*words, *quick(), *everybody]
    done(*all_of, run, "--twin", twin)
    card = load_artifact(run / "artifact").card
    assert card.calibration == of_twin.calibration
    assert (card.metrics, card.lengths, card.coarse) == (of_twin.metrics, of_twin.lengths, of_twin.coarse)
    assert card.attribute_thresholds == of_twin.attribute_thresholds
    assert card.training["identities"] == of_twin.training["identities"] + 4
    assert card.training["twin"]["fingerprint"] == fingerprint(of_twin)
    assert "its twin ssr-tiny" in card.notes
    assert {name: engine.proof.source for name, engine in card.engines.items()}["onnx"].startswith("training pictures")
    shutil.rmtree(run / "artifact")
    done("train", "--resume", "--out", run)
    assert load_artifact(run / "artifact").card == card
    assert "expected nobody held out" in refusal(capsys, *words, *quick(), "--out", out, "--twin", twin)
    assert "calibrated on people" in refusal(capsys, *all_of, out, "--twin", bare)
    longer = [*words, *quick(), "--set", "network.n_bits=64", *everybody, out, "--twin", twin]
    assert "differs in model" in refusal(capsys, *longer)
