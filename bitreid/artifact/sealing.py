"""The card as text: sealed with its own checksum, and read back with every value checked."""

import hashlib
import json
import math
import re
import types
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from bitreid.artifact.card import FORMAT_VERSION, Card
from bitreid.errors import ArtifactError, BitreidError
from bitreid.text import brief, shown

# The seal is the checksum of the file's bytes with these 64 digits as zeros: it notices a changed space too.
_SEAL = re.compile(rb'"card_sha256": "([0-9a-f]{64})"\n}\n\Z')
_NO_SEAL = "0" * 64
_MAX_DEPTH = 32  # of settings, which what comes after reads by recursion
AGAIN = "copy the artifact again, or save it again with save_artifact"


def seal_card(card: Card) -> bytes:
    """Return the bytes of card.json; its own checksum comes last."""
    try:
        plain = json.dumps(asdict(card) | {"format_version": FORMAT_VERSION}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"expected a card of JSON values (finite numbers, text, lists, dicts), got one where {error}; convert it"
        ) from error
    checked: Card = _decode(Card, json.loads(plain), "")
    body = asdict(checked)
    if checked.calibration is not None:  # without what was not fitted, and older bitreids do not know
        body["calibration"]["open_set"] = checked.calibration.open_set.to_json()
        body["calibration"]["lengths"] = {n: each.to_json() for n, each in checked.calibration.lengths.items()}
    text = json.dumps(body | {"card_sha256": _NO_SEAL}, indent=2)
    zeroed = f"{text}\n".encode()
    head, tail = zeroed.rsplit(_NO_SEAL.encode(), 1)
    return head + sha256(zeroed).encode() + tail


def parse_card(text: bytes, path: Path) -> Card:
    """Return the card in `text`, checked: first its format, then keys and types, then the checksum, so that an error
    names the nearest cause."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"expected JSON in {path}, got something else ({brief(error)}); {AGAIN}") from error
    version = body.get("format_version") if isinstance(body, dict) else None
    if type(version) is not int or version < 1:
        raise ArtifactError(
            f"expected {path} to give format_version, a whole number from 1, got {shown(version)}; {AGAIN}"
        )
    if version > FORMAT_VERSION:
        raise ArtifactError(
            f"expected {path} in format {FORMAT_VERSION} or older, got format {version}, made by a newer bitreid; "
            f"update bitreid"
        )
    body.pop("card_sha256", None)
    if version < 2:
        body.setdefault("calibration", None)
    if version < 3 and isinstance(body.get("input"), dict):
        body["input"].setdefault("flip", False)
    calibration = body.get("calibration")
    if isinstance(calibration, dict) and isinstance(calibration.get("open_set"), dict):
        calibration["open_set"].setdefault("curvature", 0.0)  # the first cards of format 2 had no such number
        for each in (calibration["open_set"], *_objects(calibration.get("lengths"))):
            each.setdefault("odds", None)  # only where they were fitted
    body.setdefault("engines", {})  # the first cards of format 3 had no such thing
    if version < 3:
        body.setdefault("lengths", {})
        body.setdefault("attribute_thresholds", [])
        body.setdefault("coarse", None)
        if isinstance(calibration, dict):
            calibration.setdefault("lengths", {})
            calibration.pop("attribute_weights", None)
            calibration.setdefault("others", 0)
            if isinstance(calibration.get("open_set"), dict):
                calibration["open_set"].setdefault("search", None)
    try:
        card: Card = _decode(Card, body, "")
    except (BitreidError, OverflowError) as error:
        raise ArtifactError(f"{path}: {brief(error, 1000)}; {AGAIN}") from error
    seal = _SEAL.search(text)
    if seal is None:
        raise ArtifactError(f"expected {path} to end in its own checksum, card_sha256, got none; {AGAIN}")
    start, stop = seal.span(1)
    if sha256(text[:start] + _NO_SEAL.encode() + text[stop:]) != seal[1].decode():
        raise ArtifactError(f"expected {path} as it was written, got changed bytes (checksum); {AGAIN}")
    return card


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects among an object's values."""
    return [each for each in value.values() if isinstance(each, dict)] if isinstance(value, dict) else []


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


def sha256(data: bytes) -> str:
    """Return the checksum of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
