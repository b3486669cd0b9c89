"""A model on disk: weights and the card with its whole contract.

An artifact is a folder:

    weights.safetensors   every tensor that inference needs, by name
    card.json             what the network is, how to feed it and what its bits mean; both checksums
    LICENSE               the licence's text, when the caller gave one

`card.json` names the checksum of the weights, so renaming it into place is the moment at which a save
happens. Until `weights.safetensors` follows, the new weights lie beside the old ones under their
temporary name, where `load_artifact` finds them: a save killed at any moment leaves either the old
artifact or the new one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitreid.arrays import AnyArray
from bitreid.artifact.card import Card
from bitreid.artifact.sealing import AGAIN, parse_card, seal_card, sha256
from bitreid.data.files import sync_folder
from bitreid.errors import ArtifactError

Weights = dict[str, AnyArray]

_CARD = "card.json"
_WEIGHTS = "weights.safetensors"
_LICENCE = "LICENSE"
_NEW = ".new"
_DTYPES = frozenset({"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"})


@dataclass(frozen=True)
class Artifact:
    """A model: `card` is its contract, `weights` its tensors by name."""

    card: Card
    weights: Weights


def save_artifact(
    folder: Path, card: Card, weights: Mapping[str, AnyArray], licence_text: str | None = None
) -> Artifact:
    """Save an artifact and return it as it now lies in `folder`, read back.

    `folder` is made when missing; other files in it stay. `card` comes without checksums (those it has
    are replaced). A save that is killed leaves what was there before or the new artifact. One process
    saves to a folder at a time. ArtifactError for a card or weights that cannot be stored, or a full disk.
    """
    blob = _pack_weights(weights)
    text = seal_card(card, blob)
    try:
        _write_folder(folder, text, blob, licence_text)
    except OSError as error:
        raise ArtifactError(
            f"expected to write the artifact to {folder}, got {error}; make room or choose another"
        ) from error
    return load_artifact(folder)


def load_artifact(folder: Path) -> Artifact:
    """Return the artifact in `folder`, with every checksum verified. Weights are writable arrays.

    ArtifactError when the folder or a file is missing, a byte has changed, the card lacks a key, has an
    unknown one or a value of the wrong type, or a newer bitreid wrote it; also, now and then, while
    another process saves there: load again.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not folder.is_dir():
        raise ArtifactError(
            f"expected a folder with {_CARD} and {_WEIGHTS}, got {folder}, which is "
            f"{'a file' if folder.exists() else 'not there'}; give the folder that `bitreid train` wrote"
        )
    if not any((folder / (name + new)).exists() for name in (_CARD, _WEIGHTS) for new in ("", _NEW)):
        raise ArtifactError(
            f"expected a folder with {_CARD} and {_WEIGHTS}, got {folder}, which has neither; give the folder "
            "`artifact` in the run's folder that `bitreid train` wrote"
        )
    card = parse_card(_read(folder / _CARD), folder / _CARD)
    blob = _read_weights(folder, card)
    try:
        weights = load(blob)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"expected {folder / _WEIGHTS} in safetensors format, got {error}; {AGAIN}") from error
    return Artifact(card, weights)


def _write_folder(folder: Path, card: bytes, weights: bytes, licence_text: str | None) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent)
    _finish_interrupted_save(folder)
    if licence_text is not None:
        _write_synced(folder / (_LICENCE + _NEW), licence_text.encode())
        (folder / (_LICENCE + _NEW)).replace(folder / _LICENCE)
    _write_synced(folder / (_WEIGHTS + _NEW), weights)
    _write_synced(folder / (_CARD + _NEW), card)
    sync_folder(folder)
    for name in (_CARD, _WEIGHTS):  # the card first: from then on the new artifact loads
        (folder / (name + _NEW)).replace(folder / name)
        sync_folder(folder)


def _pack_weights(weights: Mapping[str, AnyArray]) -> bytes:
    from safetensors.numpy import save

    if not weights:
        raise ArtifactError("expected at least one tensor to save, got none")
    for name, array in weights.items():
        if array.dtype.name not in _DTYPES:
            raise ArtifactError(
                f"expected weights of one of {', '.join(sorted(_DTYPES))}, got {name!r} of {array.dtype}; convert it"
            )
    # safetensors copies raw memory: of a transposed or strided view it would write the wrong numbers.
    return save({name: np.asarray(array, order="C") for name, array in weights.items()})


def _read_weights(folder: Path, card: Card) -> bytes:
    """Return the bytes that `card` was made for, also where a killed save left them."""
    path, pending = folder / _WEIGHTS, folder / (_WEIGHTS + _NEW)
    if pending.is_file():
        blob = _read(pending)
        if sha256(blob) == card.weights_sha256:
            return blob
    blob = _read(path)
    if len(blob) != card.weights_bytes:
        raise ArtifactError(f"expected {path} of {card.weights_bytes} bytes, got {len(blob)}; {AGAIN}")
    if sha256(blob) != card.weights_sha256:
        raise ArtifactError(f"expected {path} as the card describes it, got changed bytes (checksum); {AGAIN}")
    return blob


def _finish_interrupted_save(folder: Path) -> None:
    """Rename weights that a killed save left pending, before this save writes over them."""
    pending = folder / (_WEIGHTS + _NEW)
    if not pending.is_file():
        return
    try:
        card = parse_card(_read(folder / _CARD), folder / _CARD)
    except ArtifactError:
        return
    if sha256(_read(pending)) == card.weights_sha256:
        pending.replace(folder / _WEIGHTS)
        sync_folder(folder)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(f"expected the file {path}, got none; the artifact is incomplete: {AGAIN}") from error
    except OSError as error:
        raise ArtifactError(f"expected to read {path}, got {error}; check the disk and its permissions") from error


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
