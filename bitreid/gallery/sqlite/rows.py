"""Items as rows of a gallery's SQLite file, and whether a row is still what was written.

Text comes from the file as bytes: who reads it first looks at the checksum, and then knows that it is UTF-8.
"""

import struct
import warnings
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import eq, not_
from pathlib import Path
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np

from bitreid.arrays import Ints
from bitreid.errors import DataWarning
from bitreid.gallery import fields
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import FIELDS, SEARCHED_NUMBERS, SEARCHED_TEXTS, Field
from bitreid.gallery.items import GalleryItem, Id, Items

Row = tuple[Any, ...]


def _names(some: Sequence[Field]) -> tuple[str, ...]:
    return tuple(field.name for field in some)


_NUMBERS = (*_names(SEARCHED_NUMBERS), "added")
_SEARCHED = ("seq", "key", "id", "code", "attributes", "checksum", *_NUMBERS, *_names(SEARCHED_TEXTS))
_DETAILS = _names(fields.DETAILS)
_WHOLE = (*_SEARCHED, *_DETAILS, "details")

SEARCHED = ", ".join(_SEARCHED)
"""What a search needs of an item; `is_sound` looks at it."""
DETAILS = ", ".join((*_DETAILS, "details"))
"""The rest of it; `are_sound` looks at it."""
WHOLE = ", ".join(_WHOLE)
AT = {name: at for at, name in enumerate(_WHOLE)}
"""Where a column is in a row of `WHOLE`, and of `SEARCHED`."""
NUMBERS = slice(AT["checksum"] + 1, AT["added"])
"""Where the searched numbers are in a row."""
NAMES = slice(AT["added"] + 1, len(_SEARCHED))
"""Where the searched texts are in a row."""

_pack = struct.Struct("<q" + "q" * len(_NUMBERS)).pack
_joined = b"\xff".join  # no byte of UTF-8


class Widths(NamedTuple):
    """Bytes of the identity codes and of the attribute codes of a gallery."""

    code: int
    attributes: int

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """Return the widths of a gallery's codes."""
        return cls(contract.n_bits // 8, contract.attribute_bits // 8)


def is_sound(row: Row, widths: Widths) -> bool:
    """Return whether a row that begins with `SEARCHED` is what was written."""
    try:
        for text in (row[AT["id"]], *row[NAMES]):
            _known(text).decode()
        long = len(row[AT["code"]]), len(row[AT["attributes"]])
        return long == widths and bool(checksum(row) == row[AT["checksum"]])
    except (TypeError, ValueError, struct.error):
        return False


def which_are_sound(rows: Sequence[Row], widths: Widths) -> list[bool]:
    """Return `is_sound` of each row; in one sweep as long as nothing is amiss, which opens a large gallery sooner."""
    if not rows:
        return []
    columns = list(zip(*rows, strict=True))
    try:
        texts = [_all_known(column) for column in (columns[AT["id"]], *columns[NAMES])]
        for column in texts:
            b"\n".join(column).decode()
        for name, width in zip(("code", "attributes"), widths, strict=True):
            if set(map(len, columns[AT[name]])) != {width}:
                raise ValueError("other lengths")
        numbers = map(_pack, columns[AT["key"]], *columns[NUMBERS], columns[AT["added"]])
        parts = zip(numbers, columns[AT["code"]], columns[AT["attributes"]], *texts, strict=True)
        return list(map(eq, map(crc32, map(_joined, parts)), columns[AT["checksum"]]))
    except (TypeError, ValueError, struct.error):
        return [is_sound(row, widths) for row in rows]


def are_sound(details: Row) -> bool:
    """Return whether `DETAILS` are what was written."""
    try:
        for text in details[:-1]:
            _known(text).decode()
        return bool(_details_checksum(details[:-1]) == details[-1])
    except (TypeError, ValueError):
        return False


def checksum(row: Row) -> int:
    """Return the CRC-32 of a row that begins with `SEARCHED`: of all but its sequence number and the checksum."""
    numbers = _pack(row[AT["key"]], *row[NUMBERS], row[AT["added"]])
    texts = map(_known, (row[AT["id"]], *row[NAMES]))
    return crc32(_joined((numbers, row[AT["code"]], row[AT["attributes"]], *texts)))


def _details_checksum(details: Row) -> int:
    return crc32(_joined(map(_known, details)))


def _known(text: Any) -> bytes:
    """Return a stored text, empty for None; `TypeError` for what is neither, as 0 and an empty text are."""
    if text is None:
        return b""
    if not isinstance(text, bytes) or not text:
        raise TypeError("neither text nor NULL")
    return text


def _all_known(column: Sequence[Any]) -> list[Any]:
    """Return `_known` of each; what is no text is left as it is, and cannot be joined."""
    texts = [b"" if text is None else text for text in column]
    if texts.count(b"") != column.count(None):
        raise ValueError("empty texts")
    return texts


def id_of(key: int, text: bytes | None) -> Id:
    """Return the id of an item; of a damaged one something like it."""
    return text.decode(errors="replace") if isinstance(text, bytes) else key


def item_of(row: Row) -> GalleryItem:
    """Return the item of a sound row of `WHOLE`."""
    attributes = row[AT["attributes"]]
    stored = [row[AT[field.name]] for field in FIELDS]
    elements = (
        field.kind.loaded(each.decode() if isinstance(each, bytes) else each)
        for field, each in zip(FIELDS, stored, strict=True)
    )
    return GalleryItem._make(
        (
            id_of(row[AT["key"]], row[AT["id"]]),
            np.frombuffer(row[AT["code"]], np.uint8),
            np.frombuffer(attributes, np.uint8) if attributes else None,
            *(field.kind.shown(element) for field, element in zip(FIELDS, elements, strict=True)),
        )
    )


def items_of(rows: Sequence[Row], widths: Widths, path: Path) -> list[GalleryItem]:
    """Return the items of those rows of `WHOLE` that are sound; a `DataWarning` names one of the others."""
    right = [is_sound(row, widths) and are_sound(row[len(_SEARCHED) :]) for row in rows]
    if not all(right):
        warn(f"{path}: {damaged_items([id_of(*row[1:3]) for row in compress(rows, map(not_, right))])}")
    return list(map(item_of, compress(rows, right)))


def damaged_items(ids: Sequence[Id]) -> str:
    """Return what is said of items that are left out."""
    return (
        f"expected items as they were written, got {len(ids)} damaged ones, which are left out, the first {ids[0]!r}; "
        "restore a backup, or delete them and add them again"
    )


def warn(text: str) -> None:
    """Give a `DataWarning` where the gallery was called."""
    warnings.warn(text, DataWarning, stacklevel=5)


def stored(batch: Items, added: Ints) -> Iterator[Row]:
    """Yield the rows of `WHOLE` that hold items, all of them with None for the sequence number."""
    attributes = batch.attribute_codes
    columns: dict[str, Sequence[Any]] = {
        "key": batch.keys().tolist(),
        "id": [id if isinstance(id, str) else None for id in batch.ids],
        "code": [code.tobytes() for code in batch.codes.packed],
        "attributes": [b""] * len(batch) if attributes is None else [code.tobytes() for code in attributes.packed],
        "added": added.tolist(),
        **{field.name: field.kind.stored(getattr(batch, field.column)) for field in FIELDS},
    }
    unknown = [None] * len(batch)
    for row in zip(*(columns.get(name, unknown) for name in _WHOLE), strict=True):
        read = tuple(value.encode() if isinstance(value, str) else value for value in row)
        details = _details_checksum(read[len(_SEARCHED) : -1])
        yield *row[: AT["checksum"]], checksum(read), *row[AT["checksum"] + 1 : -1], details


def with_person(row: Row, person: str | None) -> tuple[int, str | None, int]:
    """Return the checksum, person and sequence number of a sound row of `SEARCHED` that shows somebody else now."""
    at = AT["person"]
    return checksum((*row[:at], None if person is None else person.encode(), *row[at + 1 :])), person, row[AT["seq"]]
