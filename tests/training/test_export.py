"""Between networks and artifacts: what is saved, what comes back, and starting from another model."""

import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitreid.artifact import Artifact, load_artifact, save_artifact
from bitreid.data.attributes import AttributeSchema
from bitreid.errors import ArtifactError, SettingsError
from bitreid.models import HashingNetwork, build_network
from bitreid.models.network import NetworkSettings
from bitreid.training import export
from bitreid.training.engine import TorchEngine
from bitreid.training.export import deployed_weights, load_weights, network_of, start_from
from bitreid.training.load import load_encoder
from bitreid.training.run import first_network
from tests.training.tiny import TinyBackbone, tiny_recipe, tiny_task, tiny_train, trained_network


@pytest.fixture(scope="module")
def run(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    tiny_train(tiny_recipe(epochs=2, network={"n_bits": 256}), people, folder)
    return folder


@pytest.fixture(scope="module")
def artifact(run: Path) -> Artifact:
    return load_artifact(run / "artifact")


def small(n_attributes: int = 3, **settings: Any) -> HashingNetwork:
    torch.manual_seed(5)
    settings = {"backbone": "custom", "n_bits": 64, "attributes": n_attributes > 0, "attention": False} | settings
    return build_network(NetworkSettings(**settings), n_attributes, TinyBackbone())


def packed(network: HashingNetwork, card_of: Artifact, schema: AttributeSchema | None = None) -> Artifact:
    """An artifact of `network`, never saved."""
    card = replace(
        card_of.card,
        model=network.settings.model_dump(mode="json"),
        attributes=schema,
        attribute_thresholds=(),
        calibration=None,
        coarse=None,
    )
    return Artifact(card, deployed_weights(network, half=False))


def schema_of(*names: str) -> AttributeSchema:
    return AttributeSchema(names, names, (True,) * len(names))


def test_an_artifact_gives_the_features_of_the_trained_network(run: Path, artifact: Artifact, people: Path) -> None:
    recipe = tiny_recipe(epochs=2, network={"n_bits": 256})
    task = tiny_task(recipe, people)
    pictures = task.pictures[np.arange(len(task.manifest))]
    trained = TorchEngine(trained_network(recipe, task, run), recipe.input)(pictures)
    network = network_of(artifact, TinyBackbone())
    assert network.attribute_block is not None
    assert network.attribute_block.direct is not None, "which is fitted after the last pass"
    network.attribute_block.direct = None
    deployed = TorchEngine(network, artifact.card.input)(pictures)
    assert trained.teacher is not None
    assert deployed.teacher is None
    assert deployed.features.shape == (len(pictures), 256)
    assert np.abs(deployed.features - trained.features).max() < 0.02 * np.abs(trained.features).max()
    assert ((deployed.features > 0) != (trained.features > 0)).mean() < 0.01
    assert deployed.attribute_logits is not None
    assert trained.attribute_logits is not None
    assert np.abs(deployed.attribute_logits - trained.attribute_logits).max() < 0.02


def test_an_artifact_holds_what_encoding_needs_and_no_more(run: Path, artifact: Artifact) -> None:
    learner = torch.load(run / "checkpoint.pt", weights_only=True)["states"]["learner"]
    assert any(name.startswith("network.teacher.") for name in learner)
    assert any(name.startswith("classifiers.") for name in learner)
    ours = {name.removeprefix("network.") for name in learner if name.startswith("network.")}
    expected = {name for name in ours if not name.startswith("teacher.") and not name.endswith("num_batches_tracked")}
    fitted = {"attribute_block.direct.weight", "attribute_block.direct.bias"}
    assert set(artifact.weights) == expected | fitted
    assert {array.dtype for array in artifact.weights.values()} == {np.dtype(np.float16)}


def test_the_card_is_the_whole_contract(artifact: Artifact, people: Path) -> None:
    card = artifact.card
    assert (card.input.height, card.input.width, card.n_bits, card.n_features) == (96, 32, 256, 256)
    assert [part.n_bits for part in card.parts] == [64] + [32] * 6
    assert card.thresholds == {"attribute_probability": 0.5}
    assert card.attributes is not None
    assert card.training["data"] == people.name
    assert (card.training["identities"], card.training["pictures"]) == (18, 18 * 6)
    assert card.training["recipe"]["network"]["relaxation"] == "ssr"
    assert card.training["commit"]
    assert {"val_mAP", "val_agreement"} <= set(card.metrics)


def test_the_encoder_of_a_custom_backbone_needs_the_module(run: Path) -> None:
    assert load_encoder(run / "artifact", TinyBackbone()).card.n_bits == 256
    with pytest.raises(SettingsError, match="backbone module exactly when"):
        load_encoder(run / "artifact")


def test_a_changed_weight_is_refused(run: Path, tmp_path: Path) -> None:
    changed = tmp_path / "artifact"
    shutil.copytree(run / "artifact", changed)
    weights = bytearray((changed / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (changed / "weights.safetensors").write_bytes(weights)
    with pytest.raises(ArtifactError, match="changed bytes"):
        load_encoder(changed, TinyBackbone())


def test_weights_past_half_precision_stay_whole(artifact: Artifact) -> None:
    network = small()
    with torch.no_grad():
        network.backbone.get_parameter("norm.weight")[0] = 70000.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = deployed_weights(network, half=True)
    assert weights["backbone.norm.weight"].dtype == np.float32
    assert weights["backbone.norm.weight"][0] == 70000.0
    assert weights["backbone.norm.bias"].dtype == np.float16
    assert {array.dtype for array in deployed_weights(network, half=False).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("half", [True, False])
def test_weights_that_are_not_finite_are_refused(value: float, half: bool) -> None:
    network = small()
    with torch.no_grad():
        network.backbone.get_parameter("norm.weight")[0] = value
    with pytest.raises(ArtifactError, match=r"finite weights, got others in backbone.norm.weight"):
        deployed_weights(network, half)


def test_a_card_with_other_settings_is_refused_in_one_line(artifact: Artifact) -> None:
    strange = replace(artifact.card, model={"backbone": "vgg", "n_bits": 128, "depth": 3})
    with pytest.raises(ArtifactError, match=r"settings of a network in the card of tiny; .*vgg.*; depth") as error:
        network_of(Artifact(strange, artifact.weights))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fault", ["missing", "strange", "other shape"])
def test_weights_of_another_network_are_refused_in_one_line(fault: str, artifact: Artifact) -> None:
    weights = dict(artifact.weights)
    name = "backbone.norm.bias"
    if fault == "missing":
        del weights[name]
    elif fault == "strange":
        name = "backbone.extra"
        weights[name] = np.zeros(3, np.float32)
    else:
        weights[name] = np.zeros(3, np.float32)
    with pytest.raises(ArtifactError, match=f"weights that fit the network, tiny .*'{name}'") as error:
        network_of(Artifact(artifact.card, weights), TinyBackbone())
    assert "\n" not in str(error.value)


def test_loading_weights_leaves_the_teacher(artifact: Artifact) -> None:
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items() if name.startswith("teacher.")}
    load_weights(network, packed(small(), artifact))
    assert before
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


# Starting from another model


def same(network: HashingNetwork, artifact: Artifact, names: list[str]) -> bool:
    state = network.state_dict()
    return all(np.array_equal(state[name].numpy(), artifact.weights[name].astype(np.float32)) for name in names)


def started(
    source: HashingNetwork, artifact: Artifact, *names: str, **settings: Any
) -> tuple[HashingNetwork, list[str]]:
    """A network with those settings and attribute names, started from `source`, and the tensors that it kept."""
    torch.manual_seed(9)
    network = small(len(names), **settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    kept = start_from(network, schema_of(*names) if names else None, source_artifact(source, artifact))
    return network, kept


def source_artifact(source: HashingNetwork, artifact: Artifact) -> Artifact:
    return packed(source, artifact, schema_of("hat", "bag", "skirt"))


def test_the_same_settings_start_with_everything(artifact: Artifact) -> None:
    source = small()
    network, kept = started(source, artifact, "hat", "bag", "skirt")
    assert kept == []
    first = source_artifact(source, artifact)
    assert same(network, first, list(first.weights))
    state = network.state_dict()
    for name, value in state.items():
        if name.startswith("student.") and not name.endswith("num_batches_tracked"):
            assert torch.equal(state["teacher." + name.removeprefix("student.")], value)


def test_another_code_length_starts_with_everything_but_the_descriptors(artifact: Artifact) -> None:
    source = small()
    network, kept = started(source, artifact, "hat", "bag", "skirt", n_bits=128)
    assert kept
    assert {name.partition(".")[0] for name in kept} == {"student", "teacher"}
    first = source_artifact(source, artifact)
    assert same(network, first, [name for name in first.weights if not name.startswith("student.")])


@pytest.mark.parametrize("names", [("hat", "skirt", "bag"), ("hat",), ()], ids=["another order", "fewer", "none"])
def test_other_attributes_start_with_heads_of_their_own(names: tuple[str, ...], artifact: Artifact) -> None:
    source = small()
    network, kept = started(source, artifact, *names)
    assert all(name.startswith("attribute_block.heads.") for name in kept)
    assert bool(kept) == bool(names)
    first = source_artifact(source, artifact)
    assert same(network, first, [name for name in first.weights if not name.startswith("attribute_block.")])


def test_a_hidden_layer_is_not_taken_for_a_linear_map(artifact: Artifact) -> None:
    # A hidden layer of 16 is as wide as the global part of 64 bits: only the settings tell the two apart.
    hidden = small(student_hidden=16)
    network, kept = started(hidden, artifact, "hat", "bag", "skirt", student_hidden=16)
    assert {name.partition(".")[0] for name in kept} == {"teacher"}, "the teacher is linear, the student is not"
    first = source_artifact(hidden, artifact)
    assert same(network, first, list(first.weights))
    _, kept = started(hidden, artifact, "hat", "bag", "skirt")
    assert {name.partition(".")[0] for name in kept} == {"student", "teacher"}
    _, kept = started(small(), artifact, "hat", "bag", "skirt", student_hidden=16)
    assert {name.partition(".")[0] for name in kept} == {"student"}, "a linear student can start a teacher"


def test_a_rival_can_start_an_ssr_network(artifact: Artifact) -> None:
    _, kept = started(small(relaxation="tanh"), artifact, "hat", "bag", "skirt")
    assert kept == []


def test_another_backbone_is_refused(artifact: Artifact, people: Path, tmp_path: Path) -> None:
    save_artifact(tmp_path / "tiny", artifact.card, artifact.weights)
    recipe = tiny_recipe(network={"backbone": "resnet18"})
    with pytest.raises(SettingsError, match="artifact with the backbone resnet18, got custom"):
        first_network(recipe, tiny_task(recipe, people), tmp_path / "tiny", None)


def test_a_run_starts_from_an_artifact(run: Path, artifact: Artifact, people: Path) -> None:
    recipe = tiny_recipe(network={"n_bits": 256})
    network = first_network(recipe, tiny_task(recipe, people), run / "artifact", TinyBackbone())
    # The head of attributes that is fitted after the last pass is fitted anew.
    assert same(network, artifact, [name for name in artifact.weights if ".direct." not in name])


def test_published_weights_come_from_a_file(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(network={"backbone": "resnet18"}, weights=str(tmp_path / "none.pth"))
    with pytest.raises(SettingsError, match=r"none.pth"):
        first_network(recipe, tiny_task(recipe, people), None, None)


# Where the code was


def test_the_commit_is_that_of_this_code_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    module = tmp_path / "lib" / "export.py"
    module.parent.mkdir()
    module.write_text("", encoding="utf-8")
    monkeypatch.setattr(export, "__file__", str(module))
    assert export.environment()["commit"] == "unknown"
    git("init")
    git("commit", "--allow-empty", "-m", "somebody else's")
    assert export.environment()["commit"] == "unknown", "the code lies in a checkout, but is no part of it"
    git("add", "-A")
    git("commit", "-m", "ours")
    commit = export.environment()["commit"]
    assert len(commit) == 40
    module.write_text("changed", encoding="utf-8")
    assert export.environment()["commit"] == commit + "+changes"
