"""Checkpoints: the whole state of a run, so that it can go on exactly where it stopped."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bitreid.errors import ArtifactError


@dataclass
class Position:
    """Where a run is: `step` batches of pass `epoch` are done (both count from 0)."""

    epoch: int = 0
    step: int = 0


def save_checkpoint(path: Path, position: Position, recipe: dict[str, Any], states: dict[str, Any]) -> None:
    """Write a checkpoint, to a temporary name first, so that a killed run leaves a whole one."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save({"epoch": position.epoch, "step": position.step, "recipe": recipe, "states": states}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_checkpoint(path: Path, recipe: dict[str, Any]) -> tuple[Position, dict[str, Any]]:
    """The position and states in a checkpoint; refused if it was made by another recipe."""
    if not path.is_file():
        raise ArtifactError(f"expected a checkpoint to resume at {path}, found none; start without --resume")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ArtifactError(f"expected a checkpoint at {path}, could not read it ({error}); start again") from error
    changed = sorted(name for name in recipe if saved["recipe"].get(name) != recipe[name])
    if changed:
        raise ArtifactError(
            f"expected the recipe that {path} was made with, got other values of {', '.join(changed)}; "
            "resume with the old recipe, or start a new run"
        )
    return Position(saved["epoch"], saved["step"]), saved["states"]
