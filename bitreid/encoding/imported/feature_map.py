"""Codes of features: a map that is fitted once, kept as an artifact, and known by its fingerprint as any model is."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from bitreid.arrays import AnyArray, Features, Floats32
from bitreid.artifact import Card, fingerprint, load_artifact
from bitreid.codes import pack
from bitreid.data.times import dates_of
from bitreid.encoding.encoder import Encoded
from bitreid.encoding.files import EncodedSet
from bitreid.encoding.imported.features import FeatureSet
from bitreid.errors import ArtifactError, DataError, DataWarning

_CHUNK = 65_536
_MATRIX, _OFFSET = "matrix", "offset"


@dataclass(frozen=True)
class Affine:
    """The values `unit(features) @ matrix + offset`, whose signs are the code; features are of unit length first.

    matrix  (d, n_bits) float32; None where each bit is the sign of one feature (d = n_bits)
    offset  (n_bits,) float32
    """

    matrix: Floats32 | None
    offset: Floats32

    def __call__(self, features: Features) -> Floats32:
        """Return the values `(n, n_bits)` of features `(n, d)`."""
        values = np.empty((len(features), len(self.offset)), np.float32)
        for start in range(0, len(features), _CHUNK):
            rows = slice(start, start + _CHUNK)
            x = unit(features[rows])
            values[rows] = (x if self.matrix is None else x @ self.matrix) + self.offset
        return values

    def encoded(self, features: Features) -> Encoded:
        """Return the codes of features `(n, d)`; the result's features are the values whose signs they are."""
        values = self(features)
        return Encoded(values, pack(values), None, None)

    @property
    def n_features(self) -> int:
        return len(self.offset) if self.matrix is None else len(self.matrix)

    def weights(self) -> dict[str, AnyArray]:
        """Return the tensors to save."""
        return {_OFFSET: self.offset} | ({} if self.matrix is None else {_MATRIX: self.matrix})

    @classmethod
    def of(cls, weights: Mapping[str, AnyArray]) -> Self | None:
        """Return the map of saved tensors; None where they are anything else."""
        offset, matrix = weights.get(_OFFSET), weights.get(_MATRIX)
        fits = {*weights} <= {_OFFSET, _MATRIX} and offset is not None and offset.ndim == 1
        if not fits or offset is None or (matrix is not None and matrix.shape[1:] != offset.shape):
            return None
        if any(
            each is not None and (each.dtype != np.float32 or not np.isfinite(each).all()) for each in weights.values()
        ):
            return None
        return cls(matrix, offset)


def unit(features: Features) -> Floats32:
    """Return features of length 1, `(n, d)` float32; those of zeros alone stay zeros."""
    # Squares of large features may not fit into single precision.
    largest = np.abs(features).max(axis=1, keepdims=True, initial=0)
    scaled = features / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    found: Floats32 = (scaled / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found


class FeatureMap:
    """A saved map from the features of one network to codes: its card, whose fingerprint is `model`, and numbers."""

    def __init__(self, card: Card, affine: Affine) -> None:
        self.card = card
        self.affine = affine

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the map in a folder; `ArtifactError` for a model of pictures, and those of `load_artifact`."""
        loaded = load_artifact(folder)
        if not loaded.card.takes_features:
            raise ArtifactError(
                f"expected a map of features, which `bitreid import --fit` makes, in {folder}, got {loaded.card.name}, "
                "which encodes pictures; `bitreid encode` takes it"
            )
        affine = Affine.of(loaded.weights)
        if affine is None or (affine.n_features, len(affine.offset)) != (loaded.card.n_features, loaded.card.n_bits):
            raise ArtifactError(
                f"expected a map from {loaded.card.n_features} features to {loaded.card.n_bits} bits in {folder}, got "
                "other numbers; fit it again"
            )
        return cls(loaded.card, affine)

    @property
    def model(self) -> str:
        """What the codes are known by."""
        return fingerprint(self.card)

    def encode(self, features: Features) -> Encoded:
        """Return the codes of features `(n, d)`, see `Affine.encoded`.

        `DataError` for features of another length, and a `DataWarning` that counts those of zeros, which say nothing.
        """
        if features.ndim != 2 or features.shape[1] != self.card.n_features:
            raise DataError(
                f"expected {self.card.n_features} features of each picture, as {self.card.name} takes, got an array of "
                f"{features.shape}; are they another network's?"
            )
        nothing = np.flatnonzero(~features.any(axis=1))
        if len(nothing):
            text = f"{len(nothing)} of {len(features)} pictures have features that are all 0, first row {nothing[0]}"
            warnings.warn(f"{text}; their codes mean nothing", DataWarning, stacklevel=2)
        return self.affine.encoded(features)

    def encode_set(self, found: FeatureSet) -> EncodedSet:
        """Return the codes of features with what is known about the pictures."""
        encoded, manifest = self.encode(found.features), found.manifest
        known = manifest.pids, manifest.camids, self.model, manifest.tracklets, dates_of(manifest)
        return EncodedSet(manifest.paths, encoded.codes, None, encoded.features, *known)
