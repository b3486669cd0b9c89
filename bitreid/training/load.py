"""A model on disk, ready to encode with torch."""

from pathlib import Path

import torch
from torch import nn

from bitreid.artifact import load_artifact
from bitreid.encoding.encoder import Encoder
from bitreid.training.engine import TorchEngine
from bitreid.training.export import network_of


def load_encoder(
    artifact: Path, backbone: nn.Module | None = None, bits: int | None = None, flip: bool | None = None
) -> Encoder:
    """Return the encoder of an artifact's folder, of codes of a length that its card names (None: the whole).

    `backbone` is the caller's module where the card says `custom`. `flip` says whether pictures are averaged with their
    mirror images; None: as the card says.
    """
    loaded = load_artifact(artifact)
    network = network_of(loaded, backbone).to("cuda" if torch.cuda.is_available() else "cpu")
    return Encoder(loaded.card, TorchEngine(network, loaded.card.input), bits, flip)
