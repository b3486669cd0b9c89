"""Items as rows of a gallery's SQLite file, and whether a row is still what was written.

Text comes from the file as bytes: who reads it first looks at the checksum, and then knows that it is UTF-8.
"""

import json
import struct
import warnings
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataWarning
from bitreid.gallery.items import GalleryItem, Id, Items, time_of

Row = tuple[Any, ...]

SEARCHED = "seq, key, id, code, attributes, checksum, camera, time, added, tracklet, person"
"""What a search needs of an item; `is_sound` looks at it."""
DETAILS = "metadata, picture, details"
"""The rest of it; `are_sound` looks at it."""
WHOLE = f"{SEARCHED}, {DETAILS}"

_numbers = struct.Struct("<qqqq").pack
_joined = b"\xff".join  # no byte of UTF-8


def is_sound(row: Row) -> bool:
    """Whether a row that begins with `SEARCHED` is what was written."""
    try:
        return bool(checksum(row[1:11]) == row[5])
    except (TypeError, struct.error):
        return False


def which_are_sound(rows: Sequence[Row]) -> list[bool]:
    """`is_sound` of each row; in one sweep as long as nothing is amiss, which opens a large gallery sooner."""
    try:
        return [
            crc32(
                _joined((_numbers(key, camera, time, added), code, short, text or b"", tracklet or b"", person or b""))
            )
            == found
            for _, key, text, code, short, found, camera, time, added, tracklet, person in rows
        ]
    except (TypeError, struct.error):
        return list(map(is_sound, rows))


def are_sound(details: Row) -> bool:
    """Whether `DETAILS` are what was written."""
    try:
        return bool(_details_checksum(*details[:2]) == details[2])
    except TypeError:
        return False


def checksum(values: Row) -> int:
    """CRC-32 of a row of `SEARCHED` from its key on, but for the checksum itself."""
    key, text, code, attributes, _, camera, time, added, tracklet, person = values
    numbers = _numbers(key, camera, time, added)
    return crc32(_joined((numbers, code, attributes, text or b"", tracklet or b"", person or b"")))


def _details_checksum(metadata: bytes | None, picture: bytes | None) -> int:
    return crc32(_joined((metadata or b"", picture or b"")))


def id_of(key: int, text: bytes | None) -> Id:
    """The id of an item; of a damaged one something like it."""
    return text.decode(errors="replace") if isinstance(text, bytes) else key


def item_of(row: Row) -> GalleryItem:
    """The item of a sound row of `WHOLE`."""
    _, key, text, code, attributes, _, camera, time, _, tracklet, person, metadata, picture, _ = row
    names = texts_of((tracklet, person, picture))
    return GalleryItem(
        id_of(key, text),
        np.frombuffer(code, np.uint8),
        np.frombuffer(attributes, np.uint8) if attributes else None,
        None if camera == UNKNOWN else camera,
        time_of(time),
        names[0],
        names[1],
        None if metadata is None else json.loads(metadata),
        names[2],
    )


def items_of(rows: Sequence[Row], path: Path) -> list[GalleryItem]:
    """The items of those rows of `WHOLE` that are sound; a `DataWarning` names one of the others."""
    right = [is_sound(row) and are_sound(row[11:]) for row in rows]
    if not all(right):
        warn(f"{path}: {damaged_items([id_of(*row[1:3]) for row in compress(rows, map(not_, right))])}")
    return list(map(item_of, compress(rows, right)))


def damaged_items(ids: Sequence[Id]) -> str:
    """What is said of items that are left out."""
    return (
        f"expected items as they were written, got {len(ids)} damaged ones, which are left out, the first {ids[0]!r}; "
        "restore a backup, or delete them and add them again"
    )


def warn(text: str) -> None:
    """A `DataWarning`, where the gallery was called."""
    warnings.warn(text, DataWarning, stacklevel=5)


def stored(batch: Items, now: int) -> Iterator[Row]:
    """The rows that hold items: `WHOLE` without the sequence number."""
    attributes = batch.attribute_codes
    keys, cameras, times = batch.keys().tolist(), batch.cameras.tolist(), batch.times.tolist()
    for i, id in enumerate(batch.ids):
        metadata = batch.metadata[i]
        row = [
            keys[i],
            id if isinstance(id, str) else None,
            batch.codes.packed[i].tobytes(),
            b"" if attributes is None else attributes.packed[i].tobytes(),
            None,
            cameras[i],
            times[i],
            now,
            batch.tracklets[i],
            batch.persons[i],
            None if metadata is None else json.dumps(metadata),
            batch.pictures[i],
        ]
        read = tuple(value.encode() if isinstance(value, str) else value for value in row)
        row[4] = checksum(read[:10])
        yield *row, _details_checksum(*read[10:])


def with_person(row: Row, person: str | None) -> tuple[int, str | None, int]:
    """The checksum, person and sequence number of a sound row of `SEARCHED` that shows somebody else now."""
    return checksum((*row[1:10], None if person is None else person.encode())), person, row[0]


def texts_of(column: Sequence[bytes | None]) -> list[str | None]:
    """Texts of sound rows."""
    decoded = {text: None if text is None else text.decode() for text in set(column)}
    return list(map(decoded.__getitem__, column))
