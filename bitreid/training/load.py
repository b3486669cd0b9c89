"""A model on disk, ready to encode with torch."""

from pathlib import Path

import torch
from torch import nn

from bitreid.artifact import Artifact, load_artifact
from bitreid.encoding.encoder import Encoder
from bitreid.training.engine import TorchEngine
from bitreid.training.export import network_of


def load_encoder(
    artifact: Path, backbone: nn.Module | None = None, n_bits: int | None = None, flip: bool | None = None
) -> Encoder:
    """Return the encoder of an artifact's folder, of codes of a length that its card names (None: the whole), which
    runs its weights with PyTorch; `Encoder.open` runs an exported model without.

    `backbone` is the caller's module where the card says `custom`. `flip` says whether pictures are averaged with their
    mirror images; None: as the card says.
    """
    loaded = load_artifact(artifact)
    return Encoder(loaded.card, _engine_of(loaded, backbone), n_bits, flip)


def load_torch(artifact: Path) -> TorchEngine:
    """Return the engine that runs the weights in an artifact's folder, for `Encoder.open`."""
    return _engine_of(load_artifact(artifact))


def _engine_of(artifact: Artifact, backbone: nn.Module | None = None) -> TorchEngine:
    network = network_of(artifact, backbone).to("cuda" if torch.cuda.is_available() else "cpu")
    return TorchEngine(network, artifact.card.input)
