"""`bitreid train`: what it writes, and how it refuses."""

import shutil
from pathlib import Path

import numpy as np

from bitreid.artifact import load_artifact
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
        "environment.json",
        "log.jsonl",
        "recipe.yaml",
    }
    card = load_artifact(trained / "artifact").card
    assert (card.name, card.n_bits, card.training["data"]) == ("drawn-tiny", 128, people.name)


def quick(*changes: str) -> list[str]:
    """Options that make a pass of two steps with a small model."""
    settings = ["epochs=1", "warmup_epochs=0", "network.n_bits=32", "identities_per_batch=10", *changes]
    settings += ["pictures_per_identity=6", "held_out_identities=4"]
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
    done(*words, "--resume")
    assert (run / "artifact" / "weights.safetensors").read_bytes() == before


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
    words = ["train", "drawn_tiny", "--out", tmp_path / "run"]
    assert "at nowhere, got nothing" in refusal(capsys, *words, "--data", "nowhere")
    words += ["--data", people]
    assert "no such setting" in refusal(capsys, *words, "--set", "speed=3")
    assert "one of drawn_tiny" in refusal(capsys, "train", "mine", *words[2:])
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
