"""Engines exported from networks of every kind, their proofs, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bitreid.arrays import Pixels
from bitreid.artifact import engines as engines_module
from bitreid.artifact import load_artifact, load_card, read_engine, save_artifact
from bitreid.artifact.engines import Limits
from bitreid.encoding.engine import EngineOutput
from bitreid.encoding.onnx import OnnxEngine
from bitreid.errors import ArtifactError, DataWarning, SettingsError
from bitreid.models import NetworkSettings, build_network
from bitreid.models.nested import nested_layout
from bitreid.models.parts import code_layout
from bitreid.training.engine import TorchEngine
from bitreid.training.export import deployed_weights, network_of
from bitreid.training.exporting import INT8, ONNX, Known, artifacts, export_engine
from bitreid.training.exporting.int8 import quantise
from bitreid.training.exporting.proof import MOST_CALIBRATED, prove, random_pictures
from bitreid.training.run import train
from tests.artifact.cases import CARD
from tests.training.tiny import Recorder, TinyBackbone, tiny_recipe, tiny_task, tiny_train

SETTINGS: list[dict[str, Any]] = [
    {"n_bits": 64, "attributes": False, "attention": False},
    {"n_bits": 64, "n_parts": 0, "pooling": "mean_max", "relaxation": "tanh", "attributes": False, "attention": False},
    {"n_bits": 512, "nested": True, "student_hidden": 32, "student_activation": "tanh"},
    {"n_bits": 96, "attention": False, "relaxation": "ste"},
    {"backbone": "efficientnet_lite0", "n_bits": 64, "pooling": "mean_max"},
]


def saved(folder: Path, **changes: object) -> Path:
    """A model of random weights, saved, whose batch norms do something."""
    settings = NetworkSettings.model_validate({"backbone": "resnet18"} | changes)
    torch.manual_seed(3)
    network = build_network(settings, 3)
    if settings.nested:
        network.nested = network.new_nested()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    card = replace(
        CARD,
        model=settings.model_dump(mode="json"),
        input=replace(CARD.input, height=96, width=32),
        n_bits=settings.n_bits,
        n_features=settings.n_bits,
        parts=(nested_layout if settings.nested else code_layout)(settings.n_bits, settings.n_parts),
        attributes=CARD.attributes if settings.attributes else None,
        thresholds={"attribute_probability": 0.5},
    )
    save_artifact(folder, card, deployed_weights(network, half=True))
    return folder


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_exported_network_gives_its_codes(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", **settings)
    card = export_engine(folder)
    assert card.engines[ONNX].proof.flipped < 0.001
    engine = OnnxEngine(read_engine(folder, card, ONNX), card, threads=1, batch=5)
    pictures = random_pictures(card)[:13]
    expected, found = TorchEngine(network_of(load_artifact(folder)), card.input)(pictures), engine(pictures)
    assert np.abs(found.features - expected.features).max() < 1e-3 * np.abs(expected.features).max()
    outputs = engine.outputs(pictures)
    assert np.array_equal(outputs["code"], np.packbits(found.features > 0, axis=1))
    if card.attributes is None:
        assert found.attribute_logits is None
    else:
        assert found.attribute_logits is not None
        assert expected.attribute_logits is not None
        assert np.abs(found.attribute_logits - expected.attribute_logits).max() < 1e-3
        assert np.allclose(outputs["attributes"], 1 / (1 + np.exp(-found.attribute_logits)), atol=1e-5)


def test_an_exported_file_is_as_small_as_the_weights(tmp_path: Path) -> None:
    """Weights of half precision are stored in half precision."""
    card = export_engine(saved(tmp_path, **SETTINGS[0]))
    assert card.engines[ONNX].size < 1.05 * card.weights_bytes


def test_an_engine_past_its_limits_is_refused_unless_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path, **SETTINGS[0])
    pictures = random_pictures(load_card(folder))
    known = Known(pictures[:0], pictures, None, "nothing")  # type: ignore[arg-type]  # nobody is shown
    monkeypatch.setitem(engines_module.LIMITS, INT8, Limits(flipped=0.0, lost=0.0))
    with pytest.raises(
        ArtifactError,
        match=r"of bits flipped, of 0 % at most \(64 pictures: random colours\); `bitreid export --force`",
    ):
        export_engine(folder, INT8, known)
    assert not load_card(folder).engines
    assert not (folder / "model-int8.onnx").exists()
    card = export_engine(folder, INT8, known, force=True)
    assert 0 < card.engines[INT8].proof.flipped < 0.1
    assert card.engines[INT8].size < 0.7 * card.weights_bytes
    with pytest.raises(SettingsError, match="an engine among onnx, onnx-int8, got 'openvino'"):
        export_engine(folder, "openvino")


def test_a_proof_counts_what_differs(tmp_path: Path) -> None:
    folder = saved(tmp_path, **SETTINGS[0])
    artifact = load_artifact(folder)
    engine = TorchEngine(network_of(artifact), artifact.card.input)

    def other(pictures: Pixels) -> EngineOutput:
        output = engine(pictures)
        features = output.features.copy()
        features[::2, 3] *= -1
        return output._replace(features=features)

    proof = prove(artifact.card, engine, other, None)
    assert proof.flipped == pytest.approx(0.5 / 64)
    features = engine(random_pictures(artifact.card)).features
    assert proof.difference == pytest.approx(2 * np.abs(features[::2, 3]).max())


class Odd(TinyBackbone):
    """A backbone that does what ONNX has no operator for."""

    def forward(self, x: Tensor) -> Tensor:
        turned: Tensor = torch.fft.ifft2(torch.fft.fft2(super().forward(x))).real
        return turned


def test_a_network_that_cannot_be_exported_is_trained_all_the_same(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=1, validate_every=1, warmup_epochs=0)
    with pytest.warns(
        DataWarning, match="the model was saved, but not exported as onnx: expected a network that ONNX has"
    ):
        artifact = train(recipe, tiny_task(recipe, people), tmp_path / "run", Recorder(), backbone=Odd())
    assert not artifact.card.engines
    assert load_artifact(tmp_path / "run" / "artifact").card == artifact.card


def test_a_callers_backbone_is_exported_and_left_as_it_is(people: Path, tmp_path: Path) -> None:
    artifact = tiny_train(tiny_recipe(epochs=1, warmup_epochs=0), people, tmp_path / "run")
    assert artifact.card.engines[ONNX].proof.flipped < 0.001


def test_a_run_ends_with_8_bits_if_they_are_within_their_limits(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges are those of training pictures, and the proof is on held-out people."""
    calibrated: list[Pixels] = []

    def kept(model: bytes, pictures: Pixels) -> bytes:
        calibrated.append(pictures)
        return quantise(model, pictures)

    monkeypatch.setattr(artifacts, "quantise", kept)
    recipe = tiny_recipe(epochs=1, warmup_epochs=0, int8=True)
    card = tiny_train(recipe, people, tmp_path / "run").card
    assert set(card.engines) == {ONNX, INT8}
    task = tiny_task(recipe, people)
    proof = card.engines[INT8].proof
    assert (proof.pictures, proof.people, proof.source) == (len(task.held_out), 6, "held-out people of people")
    shown = {each.tobytes() for each in task.pictures[task.split.train]}
    assert 64 <= len(calibrated[0]) <= MOST_CALIBRATED
    assert {each.tobytes() for each in calibrated[0]} <= shown

    monkeypatch.setitem(engines_module.LIMITS, INT8, Limits(flipped=0.0, lost=0.0))
    with pytest.warns(DataWarning, match="the model was saved, but not exported as onnx-int8: expected onnx-int8"):
        card = tiny_train(recipe, people, tmp_path / "other").card
    assert set(card.engines) == {ONNX}
