"""A model on disk, ready to encode with torch."""

from pathlib import Path

from torch import nn

from bitreid.artifact import load_artifact
from bitreid.encoding.encoder import Encoder
from bitreid.training.engine import TorchEngine
from bitreid.training.export import network_of


def load_encoder(artifact: Path, backbone: nn.Module | None = None) -> Encoder:
    """The encoder of an artifact's folder; `backbone` is the caller's module where the card says `custom`."""
    loaded = load_artifact(artifact)
    return Encoder(loaded.card, TorchEngine(network_of(loaded, backbone), loaded.card.input))
