"""A recipe, a backbone and a reporter so small that a whole run takes a second."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bitreid.artifact import Artifact
from bitreid.models import HashingNetwork, build_network
from bitreid.training.checkpoint import Position
from bitreid.training.recipe import Recipe, make_recipe
from bitreid.training.run import train
from bitreid.training.task import Task, task_from


class TinyBackbone(nn.Module):
    """`(N, 3, H, W)` to a map `(N, 16, H / 16, W / 16)`."""

    n_channels = 16
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 16, stride=16, bias=False)
        self.norm = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.patches(x)))


def tiny_recipe(**changes: Any) -> Recipe:
    """A recipe over a `TinyBackbone`: 3 passes of 3 steps on the drawn people; `network` and `losses` are merged in."""
    values: dict[str, Any] = {
        "name": "tiny",
        "network": {"backbone": "custom", "n_bits": 64},
        "input": {"height": 96, "width": 32},
        "augmentation": {"pad": 4},
        "losses": {"ssr_warmup_epochs": 1},
        "epochs": 3,
        "warmup_epochs": 1,
        "identities_per_batch": 6,
        "pictures_per_identity": 6,
        "held_out_identities": 6,
        "validate_every": 2,
        "int8": False,
    }
    for group in ("network", "losses"):
        values[group] |= changes.pop(group, {})
    return make_recipe(values | changes)


@functools.cache
def _task(recipe: str, people: Path) -> Task:
    return task_from(Recipe.model_validate_json(recipe), people, None)


def tiny_task(recipe: Recipe, people: Path) -> Task:
    """The recipe's task; made once."""
    return _task(recipe.model_dump_json(), people)


class Recorder:
    """A reporter that keeps what it is told; `on_step_do` is called after each batch."""

    def __init__(self, on_step_do: Callable[[Position], object] | None = None) -> None:
        self.on_step_do = on_step_do
        self.steps: list[tuple[int, int, int]] = []
        self.records: list[dict[str, Any]] = []

    def on_step(self, position: Position, n_steps: int, losses: dict[str, float], pictures_per_s: float) -> None:
        assert pictures_per_s > 0
        self.steps.append((position.epoch, position.step, n_steps))
        if self.on_step_do:
            self.on_step_do(position)

    def on_epoch(self, record: dict[str, Any]) -> None:
        self.records.append(record)


def tiny_train(recipe: Recipe, people: Path, run: Path, recorder: Recorder | None = None, **options: Any) -> Artifact:
    """`train` with a fresh `TinyBackbone`."""
    torch.manual_seed(recipe.seed)
    backbone = TinyBackbone() if recipe.network.backbone == "custom" else None
    return train(recipe, tiny_task(recipe, people), run, recorder or Recorder(), backbone=backbone, **options)


def trained_network(recipe: Recipe, task: Task, run: Path) -> HashingNetwork:
    """The network as it was trained, teacher and all: out of the run's checkpoint."""
    network = build_network(recipe.network, len(task.schema) if task.schema else 0, TinyBackbone())
    learner = torch.load(run / "checkpoint.pt", weights_only=True)["states"]["learner"]
    state = {name.removeprefix("network."): value for name, value in learner.items() if name.startswith("network.")}
    network.load_state_dict(state)
    return network.eval()
