"""Codes and attributes as JSON values, and back."""

import base64
import binascii
from typing import Any

import numpy as np

from bitreid.arrays import AnyArray, Features
from bitreid.codes import Codes
from bitreid.data.attributes import AttributeSchema
from bitreid.encoding.encoder import Encoded
from bitreid.gallery import Contract
from bitreid.gallery.query import Queries
from bitreid.service.problems import Problem
from bitreid.service.schemas import PackedCodes


def attributes_of(encoded: Encoded, schema: AttributeSchema | None) -> list[dict[str, float] | None]:
    """Return the probabilities of attributes of each picture, by name; None for a model without attributes."""
    if encoded.attributes is None or schema is None:
        return [None] * len(encoded)
    rows = encoded.attributes.astype(np.float64).round(4).tolist()
    return [dict(zip(schema.names, row, strict=True)) for row in rows]


def packed(encoded: Encoded, model: str, features: bool) -> dict[str, Any]:
    """Return codes as JSON values, see `PackedCodes`; with floats where `features` says so."""
    short = encoded.attribute_codes
    return {
        "codes": _text(encoded.codes.packed),
        "attribute_codes": None if short is None else _text(short.packed),
        "model": model,
        "features": _text(encoded.features.astype("<f4")) if features else None,
        "n_bits": encoded.codes.n_bits,
    }


def codes_of(given: PackedCodes, contract: Contract) -> Queries:
    """Return codes that a client sent as queries; a `Problem` or an error of codes for what is none."""
    n_bits = given.n_bits or contract.n_bits
    codes = Codes(_rows(given.codes, n_bits // 8, "codes.codes"), n_bits)
    short: Codes | None = None
    if given.attribute_codes is not None:
        width = max(contract.attribute_bits // 8, 1)
        short = Codes(_rows(given.attribute_codes, width, "codes.attribute_codes"), 8 * width)
    contract.check(contract.cut(codes, given.model), short, given.model)
    features: Features | None = None
    if given.features is not None:
        features = _rows(given.features, 4 * n_bits, "codes.features").view("<f4")
        if not np.isfinite(features).all():
            raise Problem(400, "bad_request", "expected finite features, got NaN or infinity", "codes.features")
    for name, other in (("attribute_codes", short), ("features", features)):
        if other is not None and len(other) != len(codes):
            message = f"expected {name} for each of {len(codes)} codes, got {len(other)}"
            raise Problem(400, "bad_request", message, f"codes.{name}")
    return Queries([str(i) for i in range(len(codes))], codes, short, given.model, features=features)


def _rows(text: str, width: int, where: str) -> Any:
    """Return the bytes `(n, width)` of base64."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Problem(400, "bad_request", f"expected base64, got: {str(error).lower()}", where) from None
    if not content or len(content) % width:
        message = f"expected rows of {width} bytes, one at least, got {len(content)} bytes"
        raise Problem(400, "bad_request", message, where)
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def _text(rows: AnyArray) -> str:
    return base64.b64encode(np.ascontiguousarray(rows).tobytes()).decode()
