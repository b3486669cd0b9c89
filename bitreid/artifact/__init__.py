"""A model on disk: weights and the card with its whole contract."""

from bitreid.artifact.card import FORMAT_VERSION, Calibration, Card, InputSpec, fingerprint
from bitreid.artifact.engines import EngineFile, Proof
from bitreid.artifact.folder import (
    Artifact,
    Weights,
    add_engine,
    load_artifact,
    load_card,
    read_engine,
    save_artifact,
)

__all__ = [
    "FORMAT_VERSION",
    "Artifact",
    "Calibration",
    "Card",
    "EngineFile",
    "InputSpec",
    "Proof",
    "Weights",
    "add_engine",
    "fingerprint",
    "load_artifact",
    "load_card",
    "read_engine",
    "save_artifact",
]
