"""Between networks and artifacts."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import bitreid
from bitreid.artifact import Artifact, Card, InputSpec
from bitreid.data.attributes import AttributeSchema
from bitreid.errors import ArtifactError, SettingsError
from bitreid.models import HashingNetwork, NetworkSettings, build_network
from bitreid.models.parts import code_layout
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task

ATTRIBUTE_THRESHOLD = 0.5
"""Probability above which an attribute bit is 1."""


def deployed_weights(network: HashingNetwork, half: bool) -> dict[str, npt.NDArray[Any]]:
    """The tensors that encoding needs, by name: no teacher, no counters; in half precision if asked."""
    weights = {}
    for name, value in network.state_dict().items():
        if not name.startswith("teacher.") and not name.endswith("num_batches_tracked"):
            array = value.detach().float().cpu().numpy()
            weights[name] = array.astype(np.float16) if half else array
    overflown = [name for name, array in weights.items() if not np.isfinite(array).all()]
    if overflown:
        raise ArtifactError(
            f"expected finite weights, got others in {', '.join(overflown[:3])}; save in full precision"
        )
    return weights


def make_card(recipe: Recipe, task: Task, metrics: dict[str, float]) -> Card:
    """The contract of the network that `recipe` and `task` made."""
    network = recipe.network
    picture = recipe.input
    return Card(
        name=recipe.name,
        model=network.model_dump(mode="json"),
        input=InputSpec(picture.height, picture.width, picture.mean, picture.std),
        n_bits=network.n_bits,
        parts=code_layout(network.n_bits, network.n_parts),
        n_features=network.n_bits,
        attributes=task.schema,
        thresholds={"attribute_probability": ATTRIBUTE_THRESHOLD} if task.schema else {},
        training={
            "data": task.source,
            "identities": len(task.identities),
            "pictures": len(task.split.train),
            "held_out_identities": recipe.held_out_identities,
            "recipe": recipe.model_dump(mode="json"),
            **environment(),
        },
        licence=recipe.licence,
        metrics=metrics,
        notes=recipe.notes,
    )


def network_of(artifact: Artifact, backbone: nn.Module | None = None) -> HashingNetwork:
    """The network in an artifact, in evaluation mode, without a teacher; `backbone` where the settings say `custom`."""
    card = artifact.card
    try:
        settings = NetworkSettings.model_validate(card.model)
    except ValueError as error:
        raise ArtifactError(
            f"expected the settings of a network in the card of {card.name}, got others: {error}"
        ) from error
    network = build_network(settings, len(card.attributes) if card.attributes else 0, backbone)
    network.teacher = None
    load_weights(network, artifact)
    return network.eval()


def load_weights(network: HashingNetwork, artifact: Artifact) -> None:
    """Put an artifact's weights into a network of the same settings; its teacher keeps its own."""
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in artifact.weights.items()}
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ArtifactError(
            f"expected weights that fit the network, got others in {artifact.card.name}: {error}"
        ) from error
    missing = [name for name in missing if not name.startswith("teacher.") and not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ArtifactError(
            f"expected weights that fit, {artifact.card.name} lacks {missing[:3]} and has also {unexpected[:3]}"
        )


def start_from(network: HashingNetwork, schema: AttributeSchema | None, artifact: Artifact) -> list[str]:
    """Start a network from an artifact (fine-tuning); the teacher starts as the student where they have one shape.

    Returns the names of tensors that kept their first values because the artifact has none that fits (another code
    length, other attributes). Refused if the backbones differ.
    """
    backbone = artifact.card.model.get("backbone")
    if backbone != network.settings.backbone:
        raise SettingsError(f"expected an artifact with the backbone {network.settings.backbone}, got {backbone}")
    weights = dict(artifact.weights)
    if artifact.card.attributes is None or schema is None or artifact.card.attributes.names != schema.names:
        weights = {name: value for name, value in weights.items() if not name.startswith("attribute_block.heads.")}
    for name, value in artifact.weights.items():
        if name.startswith("student."):
            weights.setdefault("teacher." + name.removeprefix("student."), value)
    kept = []
    state = network.state_dict()
    for name, tensor in state.items():
        if name in weights and weights[name].shape == tuple(tensor.shape):
            tensor.copy_(torch.from_numpy(weights[name].astype(np.float32)))
        elif not name.endswith("num_batches_tracked"):
            kept.append(name)
    return kept


def environment() -> dict[str, Any]:
    """Versions, and the commit that the code is at ("unknown" outside a checkout)."""
    packages = ("numpy", "torch", "lightning-fabric", "kornia")
    return {
        "bitreid": bitreid.__version__,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "commit": _commit(),
    }


def _commit() -> str:
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if dirty.strip() else "")
