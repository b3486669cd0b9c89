"""Codes and attributes as JSON values, and back."""

import base64
import binascii
from typing import Any

import numpy as np

from bitreid.arrays import AnyArray, Features
from bitreid.codes import Codes
from bitreid.data.attributes import AttributeSchema
from bitreid.encoding.encoder import Encoded
from bitreid.errors import BadRequest
from bitreid.gallery import Contract
from bitreid.gallery.query import Queries
from bitreid.service.schemas import PackedCodes


def attributes_of(encoded: Encoded, schema: AttributeSchema | None) -> list[dict[str, float] | None]:
    """Return the probabilities of attributes of each picture, by name; None for a model without attributes."""
    if encoded.attributes is None or schema is None:
        return [None] * len(encoded)
    rows = encoded.attributes.astype(np.float64).round(4).tolist()
    return [dict(zip(schema.names, row, strict=True)) for row in rows]


def packed(codes: Codes, attribute_codes: Codes | None, model: str, features: Features | None) -> PackedCodes:
    """Return codes, and what belongs to them, as they are sent."""
    return PackedCodes(
        codes=_text(codes.packed),
        attribute_codes=None if attribute_codes is None else _text(attribute_codes.packed),
        model=model,
        features=None if features is None else _text(features.astype("<f4")),
        n_bits=codes.n_bits,
    )


def unpacked(sent: PackedCodes, contract: Contract) -> Queries:
    """Return codes that were sent as queries of a gallery of this contract, named by their rows.

    `BadRequest` for what is none, `WrongModel` for codes of another model or length.
    """
    n_bits = sent.n_bits or contract.n_bits
    codes = Codes(_rows(sent.codes, n_bits // 8, "codes"), n_bits)
    short: Codes | None = None
    if sent.attribute_codes is not None:
        width = max(contract.attribute_bits // 8, 1)
        short = Codes(_rows(sent.attribute_codes, width, "attribute_codes"), 8 * width)
    contract.check(contract.cut(codes, sent.model), short, sent.model)
    features: Features | None = None
    if sent.features is not None:
        features = _rows(sent.features, 4 * n_bits, "features").view("<f4")
        if not np.isfinite(features).all():
            raise BadRequest("expected finite features, got NaN or infinity; encode the pictures again")
    for name, other in (("attribute_codes", short), ("features", features)):
        if other is not None and len(other) != len(codes):
            raise BadRequest(f"expected a row of {name} for each of {len(codes)} codes, got {len(other)}")
    return Queries([str(i) for i in range(len(codes))], codes, short, sent.model, features=features)


def _text(rows: AnyArray) -> str:
    return base64.b64encode(np.ascontiguousarray(rows).tobytes()).decode()


def _rows(text: str, width: int, name: str) -> Any:
    """Return the bytes `(n, width)` of base64."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadRequest(f"expected {name} in base64, got: {str(error).lower()}") from None
    if not content or len(content) % width:
        raise BadRequest(f"expected {name} of {width} bytes a row, one row at least, got {len(content)} bytes")
    return np.frombuffer(content, np.uint8).reshape(-1, width)
