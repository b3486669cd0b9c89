"""Items as rows of Milvus collections, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bitreid.arrays import Bytes, Ints
from bitreid.codes import Codes
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import DETAILS, FIELDS, Field
from bitreid.gallery.items import GalleryItem, Hit, Id, Items
from bitreid.gallery.milvus.filter import pair_number
from bitreid.gallery.milvus.server import Near, Row

_JSON = {"metadata": "about"}
"""The columns of fields whose own name is that of what filters ask: numbers of their keys and values."""
COLUMN_OF = {field.name: _JSON.get(field.name, field.name) for field in FIELDS}
"""The column that holds a field, which is text where it is no number; empty text is None."""
HIT = ("text", *(field.name for field in FIELDS if field.searched))
"""Columns that a hit is made of. `text` is the id, or empty where the key is."""
SHARED = (*HIT, "added", "metadata", "attributes", "revision")
"""Columns of both collections of items besides key and code. `metadata` has a number for each pair of key and value,
`attributes` the numbers of the bits that are 1."""
ITEM = (*SHARED, *(COLUMN_OF[field.name] for field in DETAILS))
"""Columns of the record, besides key and code."""
WHOLE = (*ITEM, "code")


def rows_of(batch: Items, added: Ints) -> list[Row]:
    """Return the rows of the record, without revision."""
    attributes = batch.attribute_codes
    columns = {
        "key": batch.keys().tolist(),
        "text": [id if isinstance(id, str) else "" for id in batch.ids],
        "added": added.tolist(),
        "metadata": list(map(_pairs, batch.metadata)),
        "attributes": [[]] * len(batch) if attributes is None else list(map(_ones, attributes.packed)),
        "code": [code.tobytes() for code in batch.codes.packed],
    }
    for field in FIELDS:
        stored = field.kind.stored(getattr(batch, field.column))
        columns[COLUMN_OF[field.name]] = ["" if each is None else each for each in stored]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def stored(row: Mapping[str, Any]) -> Row:
    """Return a row of the record that was read, as it is written."""
    return {
        **row,
        "metadata": list(row["metadata"]),
        "attributes": list(row["attributes"]),
        "code": code_of(row).tobytes(),
    }


def short_rows(rows: Sequence[Row], contract: Contract) -> list[Row]:
    """Return the rows of the short codes that belong to rows of the record, as they are written."""
    packed = np.frombuffer(b"".join(row["code"] for row in rows), np.uint8).reshape(len(rows), -1)
    attributes = None
    if contract.attributes:
        attributes = Codes(np.stack([_code(row, contract.attribute_bits) for row in rows]), contract.attribute_bits)
    short = contract.short_codes(Codes(packed, contract.n_bits), attributes)
    return [
        {name: row[name] for name in ("key", *SHARED)} | {"code": code.tobytes()}
        for row, code in zip(rows, short.packed, strict=True)
    ]


def code_of(row: Mapping[str, Any]) -> Bytes:
    """Return the identity code of a row that was read."""
    return np.frombuffer(row["code"][0], np.uint8)


def item_of(row: Mapping[str, Any], contract: Contract) -> GalleryItem:
    """Return the item of a row of the record."""
    attributes = _code(row, contract.attribute_bits) if contract.attributes else None
    return GalleryItem._make((id_of(row), code_of(row), attributes, *(_shown(row, field) for field in FIELDS)))


def id_of(row: Mapping[str, Any]) -> Id:
    """Return the id of the item of a row."""
    return str(row["text"]) or int(row["key"])


def hit_of(near: Near) -> Hit:
    """Return the hit that a row is."""
    row = near.fields
    fields = (_shown(row, field) for field in FIELDS if field.searched)
    return Hit._make((str(row["text"]) or near.key, near.distance, None, *fields, 1))


def _shown(row: Mapping[str, Any], field: Field) -> Any:
    stored = row[COLUMN_OF[field.name]]
    return field.kind.shown(stored if field.kind.is_number else field.kind.loaded(stored or None))


def codes_of(rows: Iterable[Mapping[str, Any]], n_bits: int) -> Codes:
    """Return the identity codes of rows that were read."""
    return Codes(np.array([code_of(row) for row in rows], np.uint8).reshape(-1, n_bits // 8), n_bits)


def _pairs(metadata: Mapping[str, Any] | None) -> list[int]:
    pairs = (metadata or {}).items()
    return [pair_number(name, value) for name, value in pairs if not isinstance(value, dict | list)]


def _ones(code: Bytes) -> list[int]:
    return [int(bit) for bit in np.flatnonzero(np.unpackbits(code))]


def _code(row: Mapping[str, Any], n_bits: int) -> Bytes:
    bits = np.zeros(n_bits, np.bool_)
    bits[list(row["attributes"])] = True
    return np.packbits(bits)
