"""A model on disk: weights and the card with its whole contract."""

from bitreid.artifact.card import FORMAT_VERSION, Calibration, Card, InputSpec, fingerprint
from bitreid.artifact.folder import Artifact, Weights, load_artifact, save_artifact

__all__ = [
    "FORMAT_VERSION",
    "Artifact",
    "Calibration",
    "Card",
    "InputSpec",
    "Weights",
    "fingerprint",
    "load_artifact",
    "save_artifact",
]
