"""Nested codes: what the map is fitted to, and what an artifact of it holds."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from bitreid.codes import pack
from bitreid.evaluation import evaluate_ranking
from bitreid.models import build_network
from bitreid.models.nested import NestedMap, nested_layout
from bitreid.models.parts import code_layout
from bitreid.training import nested as module
from bitreid.training.export import network_of
from bitreid.training.nested import Directions, fit_nested, levels, person_directions
from bitreid.training.task import Task
from tests.training.tiny import TinyBackbone, tiny_recipe, tiny_train

N_BITS = 256


def people_features(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two views of 120 pictures of 30 people who differ in 12 directions, and who is who."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(1).normal(size=(12, N_BITS)) / np.sqrt(N_BITS)
    classes = np.repeat(np.arange(30), 4)
    people = rng.normal(size=(30, 12))[classes] @ directions
    views = np.stack([people + 0.05 * rng.normal(size=people.shape) for _ in range(2)])
    return np.tanh(3 * views).astype(np.float32), classes


def mean_ap(codes: np.ndarray, classes: np.ndarray) -> float:
    """Of each picture as a query among the others."""
    cameras = np.arange(len(classes)) % 2
    packed = pack(codes)
    return float(evaluate_ranking(packed, packed, classes, cameras, classes, cameras).expected.mAP)


def code_of(nested: NestedMap, features: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(nested(torch.from_numpy(features)))


def distances(codes: np.ndarray) -> np.ndarray:
    return np.asarray((codes[:, None] != codes[None]).sum(2), np.float64)


def test_a_short_prefix_is_a_better_code_than_as_many_of_the_networks_bits() -> None:
    views, classes = people_features()
    nested = NestedMap(code_layout(N_BITS, 6), 6)
    fit_nested(nested, views, classes)
    other, whose = people_features(seed=2)
    assert mean_ap(code_of(nested, other[0])[:, :32], whose) > mean_ap(other[0][:, :32], whose) + 0.02


def test_first_bits_and_rotated_values_are_centred_and_of_one_spread() -> None:
    views, classes = people_features()
    nested = NestedMap(code_layout(N_BITS, 6), 6)
    fit_nested(nested, views, classes)
    values = code_of(nested, views.reshape(-1, N_BITS))[:, :128]
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-3)


def test_directions_that_vary_within_people_are_shortened() -> None:
    """Against the slow twin, which inverts the covariance within people as a whole."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 5)
    between, within = np.array([3.0, 3, 1, 1, 0.1, 0.1]), np.array([0.1, 3, 0.1, 1, 0.1, 1])
    turned = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    x = ((rng.normal(size=(40, 6)) * between)[people] + rng.normal(size=(200, 6)) * within) @ turned + 5
    told = person_directions(x.astype(np.float32), people, 6)
    np.testing.assert_allclose(told.mean, x.mean(0), atol=1e-5)
    values = (x - x.mean(0)) @ told.axes
    np.testing.assert_allclose(np.cov(values.T, bias=True), np.diag(told.variances), atol=1e-4)
    assert [*told.variances] == sorted(told.variances, reverse=True)
    assert np.argmax(np.abs(turned @ told.axes[:, 0])) == 0, "as far apart as the second, and surer"
    scatter = sum(np.cov(x[people == i].T, bias=True) for i in range(40)) / 40
    metric = np.linalg.inv(scatter + np.trace(scatter) / 6 * np.eye(6))
    np.testing.assert_allclose(told.axes @ told.axes.T, metric, rtol=1e-3, atol=1e-5)
    few = person_directions(x.astype(np.float32), people, 2)
    _, _, principal = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(few.axes, principal[:2].T @ principal[:2] @ few.axes, atol=1e-4)


def test_levels_count_how_far_values_are_from_each_other() -> None:
    """The Hamming distance of a block is the difference of values in steps, up to the rounding of each."""
    told = Directions(np.zeros(8), np.eye(8), np.ones(8))
    weights, compared = levels(told, [64, 576], np.random.default_rng(0))
    assert weights.shape == (8, 576)
    for columns, n_levels in ((slice(0, 64), 2), (slice(64, 576), 6)):
        values, places = weights[:, columns][:, ::n_levels], compared[columns]
        whole = len(places) // n_levels
        np.testing.assert_allclose(np.linalg.norm(values, axis=0), 1)
        np.testing.assert_allclose(weights[:, columns], np.repeat(values, n_levels, 1)[:, : len(places)])
        reach = 1.5 * (1 - 1 / n_levels)
        expected = np.tile([-reach + 2 * reach / (n_levels - 1) * i for i in range(n_levels)], whole)
        np.testing.assert_allclose(places[: len(expected)], expected)
    x = np.random.default_rng(1).normal(size=(60, 8)) / 2
    found = distances(x @ weights[:, 64:] > compared[64:])
    step, within = 2 * 1.25 / 5, np.clip(x @ weights[:, 64::6], -1.25, 1.25)
    apart = np.abs(within[:, None] - within[None]).sum(2) / step
    assert np.abs(found - apart).max() < np.sqrt(within.shape[1]) * 3
    euclidean = np.linalg.norm(x[:, None] - x[None], axis=2)
    assert np.corrcoef(found.ravel(), euclidean.ravel())[0, 1] > 0.98


def test_a_few_bits_have_one_level() -> None:
    _, compared = levels(Directions(np.zeros(8), np.eye(8), np.ones(8)), [8, 8, 16], np.random.default_rng(0))
    assert not compared.any()
    assert len(compared) == 16


def test_fitting_is_repeatable() -> None:
    views, classes = people_features()
    maps = [NestedMap(code_layout(N_BITS, 6), 6) for _ in range(2)]
    for nested in maps:
        fit_nested(nested, views, classes, seed=3)
    one, other = (code_of(nested, views[0]) for nested in maps)
    assert np.array_equal(one, other)


def test_the_map_is_where_the_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, for which torch's device without memory stands here; the map itself is fitted on the CPU."""
    views, classes = people_features()
    task = SimpleNamespace(split=SimpleNamespace(train=np.arange(len(classes))), classes_of=lambda rows: classes[rows])
    monkeypatch.setattr(module, "features_of", lambda *arguments: views[int(arguments[-1])])
    recipe = tiny_recipe(network={"n_bits": N_BITS, "nested": True})
    network = build_network(recipe.network, 2, TinyBackbone()).to("meta")
    network.nested = module.nest(recipe, cast(Task, task), network)
    assert isinstance(network.nested, NestedMap)
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}
    assert network.nested.order.device.type == "meta"


@pytest.mark.parametrize(("n_parts", "flip"), [(0, True), (6, False)])
def test_an_artifact_of_a_nested_network_gives_nested_codes(
    people: Path, tmp_path: Path, n_parts: int, flip: bool
) -> None:
    recipe = tiny_recipe(
        epochs=1,
        warmup_epochs=0,
        network={"n_bits": 256, "nested": True, "n_parts": n_parts, "student_activation": "tanh"},
        input={"height": 96, "width": 32, "flip": flip},
    )
    artifact = tiny_train(recipe, people, tmp_path / "run")
    assert artifact.card.parts == nested_layout(256, n_parts)
    assert artifact.card.code_lengths == (32, 64, 128, 256)
    assert artifact.card.lengths["256"]["mAP"] == artifact.card.metrics["val_mAP"]
    assert artifact.card.lengths["32"]["mAP"] != artifact.card.metrics["val_mAP"]
    network = network_of(artifact, TinyBackbone())
    fitted = network.nested
    assert fitted is not None
    assert "nested.summary.weight" in artifact.weights
    pictures = torch.rand(2, 3, 96, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        nested = network(pictures).student
        network.nested = torch.nn.Identity()
        torch.testing.assert_close(nested, fitted(network(pictures).student))
