"""A training run from a recipe to an artifact: the folder, the start, the end."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from bitreid.artifact import Artifact, load_artifact, save_artifact
from bitreid.errors import SettingsError
from bitreid.models import HashingNetwork, build_network, load_backbone_weights
from bitreid.training.export import deployed_weights, environment, make_card, start_from
from bitreid.training.fit import Reporter, fit
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task


def train(
    recipe: Recipe,
    task: Task,
    run: Path,
    reporter: Reporter,
    *,
    resume: bool = False,
    init: Path | None = None,
    backbone: nn.Module | None = None,
) -> Artifact:
    """The artifact of a finished run, saved in `run/artifact`.

    The folder `run` holds the effective recipe, versions and commit, a log of JSON lines and the checkpoint.
    `resume` continues a stopped run exactly; `init` starts from an artifact's weights; `backbone` is the caller's
    module where the recipe says `custom`. Raises `fit.Interrupted` when stopped, with the state saved.
    """
    if (run / "checkpoint.pt").exists() and not resume:
        raise SettingsError(
            f"expected an empty folder for the run, {run} holds one; continue it with --resume or choose another"
        )
    run.mkdir(parents=True, exist_ok=True)
    network = first_network(recipe, task, init, backbone)
    log = _Log(run / "log.jsonl", reporter, resume)
    if not resume:
        (run / "recipe.yaml").write_text(
            yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
        )
    (run / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n", encoding="utf-8")
    fit(recipe, task, network, run, log, resume)
    metrics = {name: value for name, value in log.last.items() if name.startswith("val_")}
    return save_artifact(run / "artifact", make_card(recipe, task, metrics), deployed_weights(network, half=True))


def first_network(recipe: Recipe, task: Task, init: Path | None, backbone: nn.Module | None) -> HashingNetwork:
    """The network that a run starts from: seeded random weights, published ones in the backbone, or an artifact's."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network, len(task.schema) if task.schema else 0, backbone)
    if recipe.weights != "none":
        load_backbone_weights(network.backbone, recipe.network.backbone, recipe.weights)
    if init is not None:
        start_from(network, task.schema, load_artifact(init))
    return network


class _Log:
    """Writes each pass's record as a JSON line and passes everything on to the caller's reporter."""

    def __init__(self, path: Path, reporter: Reporter, resume: bool) -> None:
        self.path = path
        self.on_step = reporter.on_step
        self.reporter = reporter
        self.last: dict[str, Any] = {}
        if not resume:
            path.write_text("", encoding="utf-8")
        elif path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self.last = json.loads(lines[-1]) if lines else {}

    def on_epoch(self, record: dict[str, Any]) -> None:
        self.last = record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.reporter.on_epoch(record)
