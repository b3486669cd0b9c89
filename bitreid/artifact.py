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

import hashlib
import json
import math
import os
import re
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from bitreid.arrays import AnyArray
from bitreid.codes import Part, check_layout
from bitreid.data.attributes import AttributeSchema
from bitreid.data.files import sync_folder
from bitreid.errors import ArtifactError, BitreidError
from bitreid.open_set import OpenSet
from bitreid.text import brief, shown

FORMAT_VERSION = 2
"""The newest card format that this bitreid reads, and the one that it writes. Format 1 had no calibration."""

Weights = dict[str, AnyArray]

_CARD = "card.json"
_WEIGHTS = "weights.safetensors"
_LICENCE = "LICENSE"
_NEW = ".new"
# The seal is the checksum of the file's bytes with these 64 digits as zeros: it notices a changed space too.
_SEAL = re.compile(rb'"card_sha256": "([0-9a-f]{64})"\n}\n\Z')
_NO_SEAL = "0" * 64
_DTYPES = frozenset({"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"})
_MAX_DEPTH = 32  # of settings, which what comes after reads by recursion
_AGAIN = "copy the artifact again, or save it again with save_artifact"


@dataclass(frozen=True)
class InputSpec:
    """How to prepare a picture for the network: in a recipe, and then in the card."""

    height: int = 384
    """Rows of pixels; a multiple of 16 times the network's number of stripes."""
    width: int = 128
    """Columns of pixels; a multiple of 16."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from each colour of pixels scaled to 0..1, in `colour_order`."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What each colour is then divided by; above 0."""
    colour_order: str = "RGB"
    """Order of the three colour planes; always RGB."""
    resize: str = "bilinear"
    """Filter that resizes a picture to `height` x `width`; always bilinear (Pillow's)."""

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise ArtifactError(f"expected an input of positive size, got {self.height}x{self.width}")
        if min(self.std) <= 0:
            raise ArtifactError(f"expected input.std above 0, got {self.std}")
        if self.colour_order != "RGB" or self.resize != "bilinear":
            raise ArtifactError(
                f"expected colour_order 'RGB' and resize 'bilinear', got {self.colour_order!r} and {self.resize!r}"
            )


@dataclass(frozen=True)
class Calibration:
    """What the distances of a model mean, fitted on people whom it was not trained on. It decides no bit."""

    open_set: OpenSet
    """The threshold for a gallery of any size, and probabilities that two pictures show one person."""
    attribute_weights: tuple[int, ...]
    """How much each bit of the attribute code says in stage 1 of AFR, whole numbers from 0; empty without attributes.
    """
    identities: int
    """The people that it was fitted on."""
    pictures: int
    """Their pictures."""

    def __post_init__(self) -> None:
        if min(self.attribute_weights, default=0) < 0 or min(self.identities, self.pictures) < 1:
            raise ArtifactError(
                "expected a calibration of one person or more with weights from 0, got "
                f"{self.identities} people and weights from {min(self.attribute_weights, default=0)}"
            )


@dataclass(frozen=True)
class Card:
    """The contract of a model: all that its user has to know, and nothing guessed from a file name."""

    name: str
    """What people call the model."""
    model: dict[str, Any]
    """Settings that rebuild the network, as JSON values; only the models room reads them."""
    input: InputSpec
    """How to prepare a picture."""
    n_bits: int
    """Length of an identity code; a positive multiple of 8."""
    parts: tuple[Part, ...]
    """Layout of the identity code, in order; empty when the bits of the parts are interleaved."""
    n_features: int
    """Float features before the sign."""
    attributes: AttributeSchema | None
    """What the attribute bits mean; None for a model without attributes."""
    thresholds: dict[str, float]
    """Values that decide a bit (at what probability an attribute bit is 1); part of the fingerprint."""
    training: dict[str, Any]
    """Where the weights come from, as JSON values: data, recipe, commit, versions, identities, pictures, seed."""
    licence: str
    """Who may use the weights for what: an SPDX name or one sentence."""
    metrics: dict[str, float]
    """Measured figures, by name."""
    notes: str = ""
    """Anything else that a user should know."""
    calibration: Calibration | None = None
    """What distances mean; None where it was not fitted."""
    weights_sha256: str = ""
    """Checksum of the weights' file, in hex; `save_artifact` fills it in."""
    weights_bytes: int = 0
    """Size of the weights' file; `save_artifact` fills it in."""
    format_version: int = FORMAT_VERSION
    """Format of the card."""

    def __post_init__(self) -> None:
        if self.n_bits <= 0 or self.n_bits % 8:
            raise ArtifactError(f"expected n_bits to be a positive multiple of 8, got {self.n_bits}")
        if self.n_features <= 0:
            raise ArtifactError(f"expected n_features above 0, got {self.n_features}")
        if self.parts:
            check_layout(self.parts, self.n_bits)
        n_weights = len(self.calibration.attribute_weights) if self.calibration else 0
        n_code_bits = self.attributes.n_code_bits if self.attributes else 0
        if n_weights not in (0, n_code_bits):
            raise ArtifactError(f"expected a weight for each of {n_code_bits} attribute bits, got {n_weights}")


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
    text = _seal_card(card, blob)
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
    card = _parse_card(_read(folder / _CARD), folder / _CARD)
    blob = _read_weights(folder, card)
    try:
        weights = load(blob)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"expected {folder / _WEIGHTS} in safetensors format, got {error}; {_AGAIN}") from error
    return Artifact(card, weights)


def fingerprint(card: Card) -> str:
    """Return 16 hex digits that differ for models whose codes may not be compared.

    They cover the weights and every setting that decides a bit, but not the name, notes, licence, training, metrics or
    calibration. ArtifactError for a card that has not been saved.
    """
    if not card.weights_sha256:
        raise ArtifactError("expected the card of a saved model, got one without weights_sha256; save it first")
    decides = ("model", "input", "n_bits", "parts", "n_features", "attributes", "thresholds", "weights_sha256")
    values = asdict(card)
    text = json.dumps({name: values[name] for name in decides}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
        if _sha256(blob) == card.weights_sha256:
            return blob
    blob = _read(path)
    if len(blob) != card.weights_bytes:
        raise ArtifactError(f"expected {path} of {card.weights_bytes} bytes, got {len(blob)}; {_AGAIN}")
    if _sha256(blob) != card.weights_sha256:
        raise ArtifactError(f"expected {path} as the card describes it, got changed bytes (checksum); {_AGAIN}")
    return blob


def _finish_interrupted_save(folder: Path) -> None:
    """Rename weights that a killed save left pending, before this save writes over them."""
    pending = folder / (_WEIGHTS + _NEW)
    if not pending.is_file():
        return
    try:
        card = _parse_card(_read(folder / _CARD), folder / _CARD)
    except ArtifactError:
        return
    if _sha256(_read(pending)) == card.weights_sha256:
        pending.replace(folder / _WEIGHTS)
        sync_folder(folder)


def _seal_card(card: Card, weights: bytes) -> bytes:
    """Return the bytes of card.json for these weights; its own checksum comes last."""
    checksums = {"weights_sha256": _sha256(weights), "weights_bytes": len(weights), "format_version": FORMAT_VERSION}
    try:
        plain = json.dumps(asdict(card) | checksums, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"expected a card of JSON values (finite numbers, text, lists, dicts), got one where {error}; convert it"
        ) from error
    checked: Card = _decode(Card, json.loads(plain), "")
    text = json.dumps(asdict(checked) | {"card_sha256": _NO_SEAL}, indent=2)
    zeroed = f"{text}\n".encode()
    head, tail = zeroed.rsplit(_NO_SEAL.encode(), 1)
    return head + _sha256(zeroed).encode() + tail


def _parse_card(text: bytes, path: Path) -> Card:
    """Return the card in `text`, checked: first its format, then keys and types, then the checksum, so that an error
    names the nearest cause."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"expected JSON in {path}, got something else ({brief(error)}); {_AGAIN}") from error
    version = body.get("format_version") if isinstance(body, dict) else None
    if type(version) is not int or version < 1:
        raise ArtifactError(
            f"expected {path} to give format_version, a whole number from 1, got {shown(version)}; {_AGAIN}"
        )
    if version > FORMAT_VERSION:
        raise ArtifactError(
            f"expected {path} in format {FORMAT_VERSION} or older, got format {version}, made by a newer bitreid; "
            f"update bitreid"
        )
    body.pop("card_sha256", None)
    if version < 2:
        body.setdefault("calibration", None)
    calibration = body.get("calibration")
    if isinstance(calibration, dict) and isinstance(calibration.get("open_set"), dict):
        calibration["open_set"].setdefault("curvature", 0.0)  # the first cards of format 2 had no such number
    try:
        card: Card = _decode(Card, body, "")
    except (BitreidError, OverflowError) as error:
        raise ArtifactError(f"{path}: {brief(error, 1000)}; {_AGAIN}") from error
    seal = _SEAL.search(text)
    if seal is None:
        raise ArtifactError(f"expected {path} to end in its own checksum, card_sha256, got none; {_AGAIN}")
    start, stop = seal.span(1)
    if _sha256(text[:start] + _NO_SEAL.encode() + text[stop:]) != seal[1].decode():
        raise ArtifactError(f"expected {path} as it was written, got changed bytes (checksum); {_AGAIN}")
    return card


def _decode(kind: Any, value: Any, where: str) -> Any:
    """Return `value`, parsed from JSON, as the annotated type `kind`; only whole numbers are converted, to floats."""
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (present,) = (one for one in inner if one is not type(None))
        return None if value is None else _decode(present, value, where)
    if origin is tuple and isinstance(value, list):
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(value) != len(each):
            raise ArtifactError(f"expected {len(each)} values in {where}, got {len(value)}")
        return tuple(_decode(one, v, f"{where}[{i}]") for i, (one, v) in enumerate(zip(each, value, strict=True)))
    if origin is dict and isinstance(value, dict):
        return {key: _decode(inner[1], v, f"{where}.{key}") for key, v in value.items()}
    if kind is Any:
        if _deeper_than(_MAX_DEPTH, value):
            raise ArtifactError(f"expected {where} to be nested at most {_MAX_DEPTH} deep, got more")
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ArtifactError(f"expected {where} to be {getattr(origin or kind, '__name__', kind)}, got {value!r:.80}")


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ArtifactError(f"expected {where or 'the card'} to be an object, got {value!r:.80}")
    names = [field.name for field in fields(kind)]
    missing = [name for name in names if name not in value]
    unknown = [name for name in value if name not in names]
    if missing or unknown:
        raise ArtifactError(
            f"expected {where or 'the card'} to have exactly its keys, got {missing or 'none'} missing and "
            f"{unknown or 'none'} unknown"
        )
    hints = get_type_hints(kind)
    return kind(**{name: _decode(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in names})


def _deeper_than(most: int, value: Any) -> bool:
    """Whether lists and objects are nested more than `most` deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (most == 0 or any(_deeper_than(most - 1, each) for each in inner))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(f"expected the file {path}, got none; the artifact is incomplete: {_AGAIN}") from error
    except OSError as error:
        raise ArtifactError(f"expected to read {path}, got {error}; check the disk and its permissions") from error


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
