"""A model on disk: weights and the card with its whole contract.

An artifact is a folder:

    weights.safetensors   every tensor that inference needs, by name
    card.json             what the network is, how to feed it and what its bits mean; all checksums
    model.onnx, ...       exported engines, where there are any (`engines.FILES`)
    LICENSE               the licence's text, when the caller gave one

`card.json` names the checksums of the other files, so renaming it into place is the moment at which a save
happens. Until they follow, the new files lie beside the old ones under their temporary names, where they are found:
a save killed at any moment leaves either the old artifact or the new one.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bitreid.arrays import AnyArray
from bitreid.artifact.card import Card, fingerprint
from bitreid.artifact.engines import FILES, MOST_BYTES, EngineFile, Proof
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

    `folder` is made when missing; other files in it stay, and so do the engines that were exported from this very
    model. `card` comes without checksums (those it has are replaced). A save that is killed leaves what was there
    before or the new artifact. One process saves to a folder at a time. ArtifactError for a card or weights that cannot
    be stored, or a full disk.
    """
    blob = _pack_weights(weights)
    card = replace(card, weights_sha256=sha256(blob), weights_bytes=len(blob))
    seal_card(card)  # which refuses what cannot be stored, before anything is written
    with _writing(folder):
        _finish_interrupted_save(folder)
        engines = {
            name: each
            for name, each in card.engines.items()
            if each.model == fingerprint(card) and _holds(folder / FILES[name], each.sha256)
        }
        _write_folder(folder, replace(card, engines=engines), {_WEIGHTS: blob}, licence_text)
    return load_artifact(folder)


def add_engine(folder: Path, name: str, engine: bytes, proof: Proof) -> Card:
    """Put an exported engine of the model in `folder` beside its weights, in the place of an older one; return the
    card.

    The name is one of `engines.FILES`. A call that is killed leaves what was there before or the new engine.
    """
    card = load_card(folder)
    if not engine or len(engine) > MOST_BYTES:
        raise ArtifactError(f"expected an engine of 1 to {MOST_BYTES} bytes, got {len(engine)}")
    file = EngineFile(sha256(engine), len(engine), fingerprint(card), proof)
    with _writing(folder):
        _finish_interrupted_save(folder)
        _write_folder(folder, replace(card, engines=card.engines | {name: file}), {FILES[name]: engine}, None)
    return load_card(folder)


def load_card(folder: Path) -> Card:
    """Return the card of the artifact in `folder`, checked; the errors of `load_artifact`, but for the weights."""
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
    return parse_card(_read(folder / _CARD), folder / _CARD)


def read_engine(folder: Path, card: Card, name: str) -> bytes:
    """Return an exported engine of the artifact in `folder`, with its checksum verified.

    `ArtifactError` where the card names no such engine, or one of another model, and for a file that is missing or has
    changed.
    """
    if name not in card.engines:
        raise ArtifactError(
            f"expected an engine {name!r} in {folder}, got {', '.join(card.engines) or 'none'}; "
            "`bitreid export` makes it"
        )
    engine = card.engines[name]
    if engine.model != fingerprint(card):
        raise ArtifactError(f"expected {name} of the model {card.name}, got another model's; export it again")
    return _read_checked(folder / FILES[name], engine.sha256, engine.size)


def load_artifact(folder: Path) -> Artifact:
    """Return the artifact in `folder`, with its checksums verified. Weights are writable arrays.

    ArtifactError when the folder or a file is missing, a byte has changed, the card lacks a key, has an
    unknown one or a value of the wrong type, or a newer bitreid wrote it; also, now and then, while
    another process saves there: load again.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    card = load_card(folder)
    blob = _read_checked(folder / _WEIGHTS, card.weights_sha256, card.weights_bytes)
    try:
        weights = load(blob)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"expected {folder / _WEIGHTS} in safetensors format, got {error}; {AGAIN}") from error
    return Artifact(card, weights)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make the folder where it is missing; what goes wrong with the disk is an `ArtifactError`."""
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            sync_folder(folder.parent)
        yield
    except OSError as error:
        raise ArtifactError(
            f"expected to write the artifact to {folder}, got {error}; make room or choose another"
        ) from error


def _write_folder(folder: Path, card: Card, files: Mapping[str, bytes], licence_text: str | None) -> None:
    """Write a card and files that it names; engines that it does not name go."""
    if licence_text is not None:
        _write_synced(folder / (_LICENCE + _NEW), licence_text.encode())
        (folder / (_LICENCE + _NEW)).replace(folder / _LICENCE)
    for name, data in files.items():
        _write_synced(folder / (name + _NEW), data)
    _write_synced(folder / (_CARD + _NEW), seal_card(card))
    sync_folder(folder)
    for name in (_CARD, *files):  # the card first: from then on the new artifact loads
        (folder / (name + _NEW)).replace(folder / name)
        sync_folder(folder)
    for name, file in FILES.items():
        if name not in card.engines:
            (folder / file).unlink(missing_ok=True)


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


def _read_checked(path: Path, checksum: str, size: int) -> bytes:
    """Return the bytes that a card was made for, also where a killed save left them."""
    pending = path.with_name(path.name + _NEW)
    if _holds(pending, checksum):
        return _read(pending)
    found = path.stat().st_size if path.is_file() else size  # a file that is missing is named when it is read
    if found != size:
        raise ArtifactError(f"expected {path} of {size} bytes, got {found}; {AGAIN}")
    blob = _read(path)
    if sha256(blob) != checksum:
        raise ArtifactError(f"expected {path} as the card describes it, got changed bytes (checksum); {AGAIN}")
    return blob


def _holds(path: Path, checksum: str) -> bool:
    return path.is_file() and sha256(_read(path)) == checksum


def _finish_interrupted_save(folder: Path) -> None:
    """Rename what a killed save left pending, before this save writes over it."""
    if not any((folder / (name + _NEW)).is_file() for name in (_WEIGHTS, *FILES.values())):
        return
    try:
        card = parse_card(_read(folder / _CARD), folder / _CARD)
    except ArtifactError:
        return
    named = {FILES[name]: engine.sha256 for name, engine in card.engines.items()} | {_WEIGHTS: card.weights_sha256}
    for name, checksum in named.items():
        pending = folder / (name + _NEW)
        if _holds(pending, checksum):
            pending.replace(folder / name)
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
