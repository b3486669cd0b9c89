"""Runs that were stopped go on, whichever bitreid began them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.training.checkpoint import Position, load_checkpoint, load_learner
from bitreid.training.recipe import Recipe, make_recipe
from bitreid.training.run import train
from bitreid.training.task import Task, task_from
from tests.formats.cases import FORMATS, Backbone


class Reporter:
    """Keeps the positions that it is told."""

    def __init__(self) -> None:
        self.positions: list[tuple[int, int]] = []

    def on_step(self, position: Position, n_steps: int, losses: dict[str, float], pictures_per_s: float) -> None:
        self.positions.append((position.epoch, position.step))

    def on_epoch(self, record: dict[str, Any]) -> None:
        pass


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return make_recipe(yaml.safe_load((FORMATS / "run-1" / "recipe.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def task(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The data that the runs were made with: their names, identities and cameras count, not their pixels."""
    data = tmp_path_factory.mktemp("drawn") / "people"
    settings = DrawnSettings(
        n_train=8, n_test=2, n_cameras=2, n_distractors=2, n_junk=0, height=96, width=32, lookalikes=0
    )
    draw_people(data, settings)
    return task_from(recipe, data, None)


def test_a_checkpoint_of_format_1_loads(recipe: Recipe, task: Task) -> None:
    checkpoint = FORMATS / "run-1" / "checkpoint.pt"
    position, states = load_checkpoint(checkpoint, recipe)
    assert (position.epoch, position.step) == (1, 1)
    assert states["sums"]["n"] == 4
    learner = load_learner(checkpoint, "custom", task.fingerprint())
    assert learner["classifiers.student.classifiers.0.weight"].shape == (6, 8)
    assert learner["network.backbone.patches.weight"][0, 0, 0, :3].tolist() == pytest.approx(
        [-0.003538, 0.017896, -0.030869], abs=1e-6
    )


def test_a_run_of_format_1_goes_on_to_its_end(recipe: Recipe, task: Task, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(FORMATS / "run-1", run)
    reporter = Reporter()
    torch.manual_seed(0)
    artifact = train(recipe, task, run, reporter, resume=True, backbone=Backbone())
    assert reporter.positions == [(1, step) for step in range(2, 7)]
    assert artifact.card.training["versions"]["torch"] == "2.13.0+cpu", "what began the run"
    records = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert records[0]["total"] == 3.448599616686503
    states = torch.load(run / "checkpoint.pt", weights_only=True)["states"]
    assert {state["step"].item() for state in states["optimiser"]["state"].values()} == {12}, (
        "the optimiser's first 7 steps count"
    )
