"""Items as rows of Milvus collections, and back."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bitreid.arrays import Bytes
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.gallery.contract import Contract
from bitreid.gallery.items import GalleryItem, Hit, Id, Items, time_of
from bitreid.gallery.milvus.filter import pair
from bitreid.gallery.milvus.server import Near, Row

SHARED = ("text", "camera", "time", "added", "tracklet", "person", "metadata", "attributes", "revision")
"""Columns of both collections of items besides key and code. `text` is the id, or empty where the key is; `metadata`
has a number for each pair of key and value, `attributes` the numbers of the bits that are 1."""
ITEM = (*SHARED, "about", "picture")
"""Columns of the record; `about` is the metadata as JSON, or empty."""
WHOLE = (*ITEM, "code")
HIT = ("text", "camera", "time", "tracklet", "person")
"""Columns that a hit is made of."""


def rows_of(batch: Items, added: int) -> list[Row]:
    """The rows of the record, without revision."""
    attributes = batch.attribute_codes
    return [
        {
            "key": key,
            "text": id if isinstance(id, str) else "",
            "camera": camera,
            "time": time,
            "added": added,
            "tracklet": tracklet or "",
            "person": person or "",
            "metadata": [
                pair(name, value) for name, value in (metadata or {}).items() if not isinstance(value, dict | list)
            ],
            "attributes": [] if attributes is None else _ones(attributes.packed[i]),
            "about": "" if metadata is None else json.dumps(metadata),
            "picture": picture or "",
            "code": batch.codes.packed[i].tobytes(),
        }
        for i, (key, id, camera, time, tracklet, person, metadata, picture) in enumerate(
            zip(
                batch.keys().tolist(),
                batch.ids,
                batch.cameras.tolist(),
                batch.times.tolist(),
                batch.tracklets,
                batch.persons,
                batch.metadata,
                batch.pictures,
                strict=True,
            )
        )
    ]


def stored(row: Mapping[str, Any]) -> Row:
    """A row of the record that was read, as it is written."""
    return {
        **row,
        "metadata": list(row["metadata"]),
        "attributes": list(row["attributes"]),
        "code": code_of(row).tobytes(),
    }


def attribute_row(row: Row, n_bits: int) -> Row:
    """The row of the attributes that belongs to one of the record, with a code of `n_bits`."""
    return {name: row[name] for name in ("key", *SHARED)} | {"code": _code(row, n_bits).tobytes()}


def code_of(row: Mapping[str, Any]) -> Bytes:
    """The identity code of a row that was read."""
    return np.frombuffer(row["code"][0], np.uint8)


def item_of(row: Mapping[str, Any], contract: Contract) -> GalleryItem:
    """The item of a row of the record."""
    hit = hit_of(Near(0, row["key"], row))
    return GalleryItem(
        hit.id,
        code_of(row),
        _code(row, contract.attribute_bits) if contract.attributes else None,
        hit.camera,
        hit.time,
        hit.tracklet,
        hit.person,
        json.loads(row["about"]) if row["about"] else None,
        row["picture"] or None,
    )


def id_of(row: Mapping[str, Any]) -> Id:
    """The id of the item of a row."""
    return str(row["text"]) or int(row["key"])


def hit_of(near: Near) -> Hit:
    """The hit that a row is."""
    row = near.fields
    return Hit(
        str(row["text"]) or near.key,
        near.distance,
        None,
        None if row["camera"] == UNKNOWN else int(row["camera"]),
        time_of(row["time"]),
        row["tracklet"] or None,
        row["person"] or None,
    )


def codes_of(rows: Iterable[Mapping[str, Any]], n_bits: int) -> Codes:
    """The identity codes of rows that were read."""
    return Codes(np.array([code_of(row) for row in rows], np.uint8).reshape(-1, n_bits // 8), n_bits)


def _ones(code: Bytes) -> list[int]:
    return [int(bit) for bit in np.flatnonzero(np.unpackbits(code))]


def _code(row: Mapping[str, Any], n_bits: int) -> Bytes:
    bits = np.zeros(n_bits, np.bool_)
    bits[list(row["attributes"])] = True
    return np.packbits(bits)
