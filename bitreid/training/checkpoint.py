"""Checkpoints: the whole state of a run, so that it can go on exactly where it stopped."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bitreid.data.files import new_file
from bitreid.errors import ArtifactError, SettingsError
from bitreid.training.recipe import Recipe, make_recipe

FORMAT = 1
"""Of the file; one more for each change that older readers cannot read."""


@dataclass
class Position:
    """Where a run is: `step` batches of pass `epoch` are done (both count from 0)."""

    epoch: int = 0
    step: int = 0


def save_checkpoint(path: Path, position: Position, recipe: Recipe, states: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: a run that is killed meanwhile leaves the last one.

    The file is a zip archive whose checksums `load_checkpoint` verifies.
    """
    made_by = recipe.model_dump(mode="json")
    saved = {"epoch": position.epoch, "step": position.step, "recipe": made_by, "states": states}
    with new_file(path) as unfinished:
        torch.save({"format": FORMAT, **saved}, unfinished)


def load_checkpoint(path: Path, recipe: Recipe) -> tuple[Position, dict[str, Any]]:
    """Return the position and states in a checkpoint.

    Settings that a recipe did not have when the checkpoint was made count as their defaults. `ArtifactError` if it is
    damaged or was made by another recipe.
    """
    position, states, saved = _read(path)
    try:
        made_by = make_recipe(saved)
    except SettingsError as error:
        raise ArtifactError(f"{path}: {error}; resume with the bitreid that made it, or start a new run") from error
    # Notes are for people, and change no step.
    decide = Recipe.model_fields.keys() - {"notes"}
    changed = sorted(name for name in decide if getattr(made_by, name) != getattr(recipe, name))
    if changed:
        raise ArtifactError(
            f"expected the recipe that {path} was made with, got other values of {', '.join(changed)}; "
            "resume with the old recipe, or start a new run"
        )
    return position, states


def load_learner(path: Path, backbone: str, data: str) -> dict[str, Tensor]:
    """Return the tensors of the learner in a checkpoint of any recipe with this backbone.

    `data` is the fingerprint of the task that will use them. If another task made the checkpoint, it has other
    identities and perhaps other attributes, and its classifiers and attribute heads are left out. `ArtifactError` if it
    is damaged, `SettingsError` if it has another backbone.
    """
    _, states, made_by = _read(path)
    if made_by["network"]["backbone"] != backbone:
        raise SettingsError(
            f"expected a run with the backbone {backbone} at {path.parent}, got {made_by['network']['backbone']}; "
            "set network.backbone to that run's, or start without --init"
        )
    learner: dict[str, Tensor] = states["learner"]
    if states["data"] == data:
        return learner
    foreign = ("classifiers.", "network.attribute_block.heads.")
    return {name: value for name, value in learner.items() if not name.startswith(foreign)}


def _read(path: Path) -> tuple[Position, dict[str, Any], dict[str, Any]]:
    if not path.is_file():
        raise ArtifactError(f"expected a checkpoint to resume at {path}, found none; start without --resume")
    # torch.load does not verify the archive's checksums; damage makes either reader raise errors of many kinds.
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        saved = torch.load(path, map_location="cpu", weights_only=True)
        position, states, made_by = Position(saved["epoch"], saved["step"]), saved["states"], saved["recipe"]
        file_format = int(saved["format"])
    except Exception as error:
        raise ArtifactError(
            f"expected a whole checkpoint at {path}, could not read it ({type(error).__name__}); start a new run"
        ) from error
    if damaged is not None:
        raise ArtifactError(f"expected a whole checkpoint at {path}, got changed bytes (checksum); start a new run")
    if file_format > FORMAT:
        raise ArtifactError(
            f"expected a checkpoint of format {FORMAT} or older at {path}, got {file_format}; update bitreid"
        )
    return position, states, made_by
