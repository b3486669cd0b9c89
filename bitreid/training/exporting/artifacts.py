"""Engines into artifacts: exported from the weights, proved, and refused where they are too far from them."""

from pathlib import Path

from torch import nn

from bitreid.artifact import Card, Proof, add_engine, load_artifact
from bitreid.artifact.engines import LIMITS
from bitreid.encoding.onnx.engine import OnnxEngine
from bitreid.errors import ArtifactError, SettingsError
from bitreid.training.engine import TorchEngine
from bitreid.training.export import network_of
from bitreid.training.exporting.int8 import quantise
from bitreid.training.exporting.onnx import export_onnx
from bitreid.training.exporting.proof import Known, prove

ONNX, INT8 = "onnx", "onnx-int8"


def export_engine(
    folder: Path,
    name: str = ONNX,
    known: Known | None = None,
    backbone: nn.Module | None = None,
    force: bool = False,
) -> Card:
    """Export an engine, by its name, from the artifact in `folder` into it, and return the card with its proof.

    `known` pictures are what it is proved on (None: random colours), and what the ranges of 8 bits come from, which
    need some. `backbone` is the caller's module where the card says `custom`, on the CPU. `ArtifactError` for an engine
    past its limits, unless `force`, and nothing is changed.
    """
    if name not in LIMITS:
        raise SettingsError(f"expected an engine among {', '.join(LIMITS)}, got {name!r}")
    artifact = load_artifact(folder)
    card = artifact.card
    network = network_of(artifact, backbone)
    if name == INT8:
        if known is None or not len(known.training):
            raise SettingsError(
                "expected pictures that the model was trained on to quantise with, got none; give --data"
            )
        model = quantise(export_onnx(network, card, folded=True), known.training)
    else:
        model = export_onnx(network, card)
    proof = prove(card, TorchEngine(network, card.input), OnnxEngine(model, card), known)
    too_far = LIMITS[name].broken_by(proof)
    if too_far and not force:
        raise ArtifactError(
            f"expected {name} as near to the weights as its limits say, got {too_far} ({_seen(proof)}); "
            "`bitreid export --force` exports it all the same, and its codes then are another model's"
        )
    return add_engine(folder, name, model, proof)


def _seen(proof: Proof) -> str:
    return f"{proof.pictures} pictures: {proof.source}"
