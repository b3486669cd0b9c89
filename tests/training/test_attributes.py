"""The second attribute head, which is fitted after training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bitreid.arrays import Floats32, Labels
from bitreid.models import HashingNetwork, build_network
from bitreid.models.parts import stripe_means
from bitreid.training import attributes
from bitreid.training.attributes import discriminants, fit_attributes
from bitreid.training.engine import TorchEngine
from bitreid.training.export import network_of
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task
from tests.reference.discriminants import log_odds
from tests.training.tiny import TinyBackbone, tiny_recipe, tiny_task, tiny_train


@pytest.mark.parametrize(("n", "d"), [(60, 7), (25, 40)])
def test_log_odds_are_those_of_two_normals_along_a_shrunk_direction(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    x = (rng.normal(size=(n, d)) * rng.uniform(0.5, 3, d) + 5).astype(np.float32)
    labels = np.stack([x[:, 0] > 5, x[:, 1] + x[:, 2] > 11, rng.random(n) < 0.3], axis=1).astype(np.int8)
    labels[rng.random(labels.shape) < 0.1] = -1
    of = rng.normal(5, 1, (9, d)).astype(np.float32)
    weights, biases = discriminants(x, labels)
    expected = log_odds(x, labels, attributes._SHRINKAGE, of)
    np.testing.assert_allclose(of @ weights.T + biases, expected, rtol=1e-3, atol=2e-3)


def test_an_attribute_that_nobody_has_is_not_told_by_any_value() -> None:
    x, labels = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32), np.zeros((9, 2), np.int8)
    labels[:4, 1] = 1
    weights, biases = discriminants(x, labels)
    assert not weights[0].any()
    assert weights[1].all()
    assert biases[0] == pytest.approx(np.log(0.5 / 9.5))


def _untrained(people: Path) -> tuple[Recipe, Task, HashingNetwork]:
    """A network whose own attribute head says nothing of any picture."""
    torch.manual_seed(0)
    recipe = tiny_recipe()
    task = tiny_task(recipe, people)
    assert task.schema is not None
    network = build_network(recipe.network, len(task.schema), TinyBackbone()).eval()
    assert network.attribute_block is not None
    torch.nn.init.zeros_(network.attribute_block.heads.weight)
    torch.nn.init.zeros_(network.attribute_block.heads.bias)
    return recipe, task, network


def test_logits_are_the_means_of_both_heads(people: Path) -> None:
    recipe, task, network = _untrained(people)
    assert fit_attributes(recipe, task, network)
    assert network.attribute_block is not None
    direct = network.attribute_block.direct
    assert direct is not None
    rows = task.held_out[:5]
    feature_map = network.backbone(_normalised(recipe, task, rows))
    expected = direct(stripe_means(feature_map, 6).flatten(1)) / 2
    logits = TorchEngine(network, recipe.input)(task.pictures[rows]).attribute_logits
    assert logits is not None
    np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-4, atol=1e-4)


def _normalised(recipe: Recipe, task: Task, rows: np.ndarray) -> torch.Tensor:
    mean, std = (torch.tensor(each)[:, None, None] for each in (recipe.input.mean, recipe.input.std))
    return (torch.from_numpy(task.pictures[rows]).permute(0, 3, 1, 2) / 255 - mean) / std


def test_a_head_that_held_out_people_contradict_is_left_out(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(x: Floats32, labels: Labels) -> tuple[Floats32, Floats32]:
        weights, biases = discriminants(x, labels)
        return -weights, -biases

    monkeypatch.setattr(attributes, "discriminants", wrong)
    recipe, task, network = _untrained(people)
    assert not fit_attributes(recipe, task, network)
    assert network.attribute_block is not None
    assert network.attribute_block.direct is None


def test_an_artifact_keeps_its_second_head(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=1, warmup_epochs=0, held_out_identities=0, validate_every=1)
    artifact = tiny_train(recipe, people, tmp_path / "run")
    network = network_of(artifact, TinyBackbone())
    assert network.attribute_block is not None
    assert network.attribute_block.direct is not None
    saved = artifact.weights["attribute_block.direct.weight"].astype(np.float32)
    np.testing.assert_array_equal(network.attribute_block.direct.weight.detach().numpy(), saved)
