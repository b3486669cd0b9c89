"""Between networks and artifacts."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import torch
from torch import nn

import bitreid
from bitreid.arrays import AnyArray
from bitreid.artifact import Artifact, Card
from bitreid.data.attributes import AttributeSchema
from bitreid.errors import ArtifactError, SettingsError
from bitreid.models import HashingNetwork, NetworkSettings, build_network
from bitreid.models.nested import nested_layout
from bitreid.models.parts import code_layout
from bitreid.training.recipe import Recipe, faults_of
from bitreid.training.task import Task

ATTRIBUTE_THRESHOLD = 0.5
"""Probability above which an attribute bit is 1."""
UNTOLD = "not told (of the training data; see `bitreid train --licence`)"
"""The licence of a model where nobody said what the training data allows."""

_TOLD = ("licence", "notes")


def deployed_weights(network: HashingNetwork, half: bool) -> dict[str, AnyArray]:
    """Return the tensors that encoding needs, by name: no teacher, no counters; in half precision where asked.

    A tensor with a value past half precision's largest (65504) stays in full precision.
    """
    weights: dict[str, AnyArray] = {}
    for name, value in network.state_dict().items():
        if not _for_training_only(name):
            array = value.detach().float().cpu().numpy()
            fits = not array.size or np.abs(array).max() <= np.finfo(np.float16).max
            weights[name] = array.astype(np.float16) if half and fits else array
    wrong = [name for name, array in weights.items() if not np.isfinite(array).all()]
    if wrong:
        raise ArtifactError(
            f"expected finite weights, got others in {', '.join(wrong[:3])}; train again with a lower learning_rate"
        )
    return weights


def _for_training_only(name: str) -> bool:
    return name.startswith("teacher.") or name.endswith("num_batches_tracked")


def make_card(recipe: Recipe, task: Task, metrics: dict[str, float], record: Mapping[str, Any]) -> Card:
    """Return the card of a trained network.

    `record` says what made it: versions, commit, what the run started from; and, for the card, licence and notes.
    """
    network = recipe.network
    parts = nested_layout(network.n_bits, network.n_parts) if network.nested else None
    told = {"licence": UNTOLD, "notes": recipe.notes} | {name: record[name] for name in _TOLD if name in record}
    return Card(
        name=recipe.name,
        model=network.model_dump(mode="json"),
        input=recipe.input,
        n_bits=network.n_bits,
        parts=parts or code_layout(network.n_bits, network.n_parts),
        n_features=network.n_bits,
        attributes=task.schema,
        thresholds={"attribute_probability": ATTRIBUTE_THRESHOLD} if task.schema else {},
        training={
            "data": task.source,
            "identities": len(task.identities),
            "pictures": len(task.split.train),
            "held_out_identities": recipe.held_out_identities,
            "recipe": recipe.model_dump(mode="json"),
            **{name: value for name, value in record.items() if name not in _TOLD},
        },
        metrics=metrics,
        **told,
    )


def network_of(artifact: Artifact, backbone: nn.Module | None = None) -> HashingNetwork:
    """Return the network in an artifact, in evaluation mode, without a teacher.

    `backbone` is the caller's module where the settings say `custom`.
    """
    card = artifact.card
    network = build_network(_settings_of(card), len(card.attributes) if card.attributes else 0, backbone)
    network.teacher = None
    if network.settings.nested:
        network.nested = network.new_nested()
    if network.attribute_block is not None and "attribute_block.direct.weight" in artifact.weights:
        network.attribute_block.direct = network.attribute_block.new_head()
    load_weights(network, artifact)
    return network.eval()


def _settings_of(card: Card) -> NetworkSettings:
    try:
        return NetworkSettings.model_validate(card.model)
    except pydantic.ValidationError as error:
        raise ArtifactError(
            f"expected the settings of a network in the card of {card.name}; {faults_of(error)}; use the bitreid that "
            f"made it"
        ) from error


def load_weights(network: HashingNetwork, artifact: Artifact) -> None:
    """Put an artifact's weights into a network of the same settings; its teacher keeps its own."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = [name for name in expected if name not in artifact.weights and not _for_training_only(name)]
    others = [name for name, array in artifact.weights.items() if expected.get(name) != array.shape]
    if missing or others:
        raise ArtifactError(
            f"expected weights that fit the network, {artifact.card.name} lacks {missing[:3] or 'none'} "
            f"and has others in {others[:3] or 'none'}; use the weights and the card of one run"
        )
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in artifact.weights.items()}
    network.load_state_dict(state, strict=False)


def start_from(network: HashingNetwork, schema: AttributeSchema | None, artifact: Artifact) -> list[str]:
    """Return the names of tensors that keep their first values; the others start as in the artifact (fine-tuning).

    A teacher starts as the artifact's student where both are linear maps of one shape. Tensors are kept where the
    artifact has none that fits: another code length, other attributes, another `student_hidden`. `SettingsError` if
    the backbones differ.
    """
    settings = _settings_of(artifact.card)
    if settings.backbone != network.settings.backbone:
        raise SettingsError(
            f"expected an artifact with the backbone {network.settings.backbone}, got {settings.backbone}; "
            "set network.backbone to the artifact's, or start without --init"
        )
    weights = dict(artifact.weights)
    if artifact.card.attributes is None or schema is None or artifact.card.attributes.names != schema.names:
        weights = {name: value for name, value in weights.items() if not name.startswith("attribute_block.heads.")}
    # By name alone, a hidden layer as wide as a part has bits would pass for the part's linear map.
    hidden = _hidden_width(settings)
    student = {name: weights.pop(name) for name in list(weights) if name.startswith("student.")}
    if hidden == _hidden_width(network.settings):
        weights |= student
    if hidden == 0:
        weights |= {"teacher." + name.removeprefix("student."): value for name, value in student.items()}
    kept = []
    state = network.state_dict()
    for name, tensor in state.items():
        if name in weights and weights[name].shape == tuple(tensor.shape):
            tensor.copy_(torch.from_numpy(weights[name].astype(np.float32)))
        elif not name.endswith("num_batches_tracked"):
            kept.append(name)
    return kept


def _hidden_width(settings: NetworkSettings) -> int:
    return settings.student_hidden if settings.relaxation == "ssr" else 0


def environment() -> dict[str, Any]:
    """Return versions, and the commit that the code is at ("unknown" outside a checkout)."""
    packages = ("numpy", "torch", "kornia")
    return {
        "bitreid": bitreid.__version__,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "commit": _commit(),
    }


def _commit() -> str:
    here = Path(__file__)

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        # An installed bitreid may lie inside somebody else's checkout, whose commit says nothing about it.
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
