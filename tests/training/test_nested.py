"""Nested codes, fitted or learned: where the map starts, what it learns, and what an artifact of it holds."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from bitreid.artifact import load_artifact
from bitreid.codes import pack
from bitreid.evaluation import evaluate_ranking
from bitreid.models import build_network
from bitreid.models.nested import NestedMap, nested_layout
from bitreid.models.parts import code_layout
from bitreid.training import nested as module
from bitreid.training.checkpoint import Position
from bitreid.training.export import network_of
from bitreid.training.fit import Interrupted
from bitreid.training.nested import NestedHead, fit_nested, start_nested
from bitreid.training.task import Task
from tests.training.runs import assert_equal_runs, log_of, states_of
from tests.training.tiny import Recorder, TinyBackbone, tiny_recipe, tiny_train

N_BITS = 256
NESTED: dict[str, Any] = {"network": {"n_bits": N_BITS, "nested": True}, "losses": {"nested_weight": 1}}


def people_features(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two views of 120 pictures of 30 people who differ in 12 directions, and who is who."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(1).normal(size=(12, N_BITS)) / np.sqrt(N_BITS)
    classes = np.repeat(np.arange(30), 4)
    people = rng.normal(size=(30, 12))[classes] @ directions
    views = np.stack([people + 0.03 * rng.normal(size=people.shape) for _ in range(2)])
    return np.tanh(3 * views).astype(np.float32), classes


def mean_ap(codes: np.ndarray, classes: np.ndarray) -> float:
    """Of each picture as a query among the others."""
    cameras = np.arange(len(classes)) % 2
    packed = pack(codes)
    return float(evaluate_ranking(packed, packed, classes, cameras, classes, cameras).expected.mAP)


def short_code(nested: NestedMap, features: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(nested(torch.from_numpy(features))[:, :32])


def test_the_first_values_are_centred_and_of_one_spread() -> None:
    views, _ = people_features()
    nested = NestedMap(code_layout(N_BITS, 6), 6)
    start_nested(nested, views[0], np.random.default_rng(0))
    with torch.no_grad():
        values = nested.learned(torch.from_numpy(views[0])).numpy()
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-3)


def test_a_short_prefix_is_a_better_code_than_as_many_of_the_networks_bits() -> None:
    views, classes = people_features()
    nested = NestedMap(code_layout(N_BITS, 6), 6)
    fit_nested(nested, views, classes)
    other, whose = people_features(seed=2)
    assert mean_ap(short_code(nested, other[0]), whose) > mean_ap(other[0][:, :32], whose) + 0.02


def test_fitting_is_repeatable() -> None:
    views, classes = people_features()
    maps = [NestedMap(code_layout(N_BITS, 6), 6) for _ in range(2)]
    for nested in maps:
        fit_nested(nested, views, classes, seed=3)
    one, other = (short_code(nested, views[0]) for nested in maps)
    assert np.array_equal(one, other)


def test_the_map_is_where_the_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, for which torch's device without memory stands here; the map itself is fitted on the CPU."""
    views, classes = people_features()
    task = SimpleNamespace(split=SimpleNamespace(train=np.arange(len(classes))), classes_of=lambda rows: classes[rows])
    monkeypatch.setattr(module, "features_of", lambda *arguments: views[int(arguments[-1])])
    recipe = tiny_recipe(network={"n_bits": N_BITS, "nested": True})
    network = build_network(recipe.network, 2, TinyBackbone()).to("meta")
    network.nested = module.nest(recipe, cast(Task, task), network)
    assert network.nested is not None
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}
    assert network.nested.order.device.type == "meta"


@pytest.mark.parametrize(("n_parts", "flip"), [(0, True), (6, False)])
def test_an_artifact_of_a_nested_network_gives_nested_codes(
    people: Path, tmp_path: Path, n_parts: int, flip: bool
) -> None:
    recipe = tiny_recipe(
        epochs=1,
        warmup_epochs=0,
        network={"n_bits": 256, "nested": True, "n_parts": n_parts},
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
        network.nested = None
        torch.testing.assert_close(nested, fitted(network(pictures).student))


@pytest.fixture(scope="module")
def learned(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network learns its nested code."""
    run = tmp_path_factory.mktemp("learned") / "run"
    tiny_train(tiny_recipe(**NESTED), people, run)
    return run


def test_a_network_learns_who_is_who_from_its_prefixes(learned: Path) -> None:
    first, *_, last = log_of(learned)
    assert last["nested_id"] < first["nested_id"]
    assert last["nested"] == pytest.approx(last["nested_sim"] + last["nested_id"] + last["nested_tri"])


def test_the_artifacts_bits_are_those_that_were_learned(learned: Path) -> None:
    network = network_of(load_artifact(learned / "artifact"), TinyBackbone())
    fitted, network.nested = network.nested, None
    assert fitted is not None
    head = NestedHead(network.new_nested(), len(states_of(learned)["learner"]["nested.centres"]))
    state = states_of(learned)["learner"]
    head.load_state_dict({name.removeprefix("nested."): state[name] for name in state if name.startswith("nested.")})
    with torch.no_grad():
        values = network(torch.rand(8, 3, 96, 32, generator=torch.Generator().manual_seed(0))).student
        found = fitted(values)
        learned_values = head.eval().norm(head.map.learned(values))
    torch.testing.assert_close(found[:, :N_BITS], learned_values, atol=0.02, rtol=0.02)  # weights in half precision


def test_a_stopped_run_of_learned_prefixes_ends_as_one_that_is_not(learned: Path, people: Path, tmp_path: Path) -> None:
    def stop(position: Position) -> None:
        if (position.epoch, position.step) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)

    recipe = tiny_recipe(**NESTED)
    with pytest.raises(Interrupted):
        tiny_train(recipe, people, tmp_path / "run", Recorder(stop))
    tiny_train(recipe, people, tmp_path / "run", resume=True)
    assert_equal_runs(learned, tmp_path / "run")


def test_a_stage_that_learns_prefixes_starts_from_a_fitted_map(learned: Path, people: Path, tmp_path: Path) -> None:
    """Or from the map of the stage before, where that learned one."""
    tiny_train(tiny_recipe(epochs=1, warmup_epochs=0, network=NESTED["network"]), people, tmp_path / "plain")
    still = {"epochs": 1, "warmup_epochs": 0, "learning_rate": 1e-12, "weight_decay": 0}
    for name, init in (("fitted", tmp_path / "plain"), ("kept", learned)):
        tiny_train(tiny_recipe(**still, **NESTED), people, tmp_path / name, init=init)
    weight = "nested.map.summary.weight"
    fitted, kept, before = (
        states_of(run)["learner"][weight] for run in (tmp_path / "fitted", tmp_path / "kept", learned)
    )
    torch.testing.assert_close(kept, before, atol=1e-6, rtol=0)
    own = load_artifact(tmp_path / "plain" / "artifact").weights["nested.summary.weight"]
    torch.testing.assert_close(fitted, torch.as_tensor(own, dtype=torch.float32), atol=2e-3, rtol=2e-3)
