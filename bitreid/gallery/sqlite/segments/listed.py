"""The list of a gallery's segments, as its file keeps it."""

import re
import sqlite3
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from bitreid.errors import GalleryDamaged
from bitreid.gallery.sqlite.file import sealed, unsealed

_NAME = re.compile(r"[0-9a-f]{16}\.segment")
_WHERE = "WHERE name IN ('segments', 'segments checksum')"


class Entry(NamedTuple):
    """A segment: its file, the checksum of its header, and the first and last sequence number that it covers."""

    name: str
    header: int
    first: int
    last: int


class Listed(NamedTuple):
    """All segments by ascending sequence numbers; up to which of `changes` they are what the record holds; and the
    sequence numbers of items that they leave out, because they are damaged."""

    entries: tuple[Entry, ...] = ()
    change: int = 0
    damaged: tuple[int, ...] = ()

    @property
    def last(self) -> int:
        """The last sequence number that is covered."""
        return self.entries[-1].last if self.entries else 0


def listed_in(connection: sqlite3.Connection, path: Path) -> Listed:
    """Return the list of a gallery; an empty one where it is damaged: nothing but time depends on it."""
    meta = dict(connection.execute(f"SELECT name, value FROM meta {_WHERE}"))
    return _read(meta.get(b"segments"), meta.get(b"segments checksum"), path) if meta else Listed()


@lru_cache(maxsize=16)
def _read(text: object, checksum: object, path: Path) -> Listed:
    try:
        said = unsealed(text, checksum, path)
        entries = tuple(Entry(str(name), *map(_number, rest)) for name, *rest in said["entries"])
        listed = Listed(entries, _number(said["change"]), tuple(map(_number, said["damaged"])))
    except (GalleryDamaged, LookupError, TypeError, ValueError, RecursionError):
        return Listed()
    before = 0
    for entry in entries:
        if not _NAME.fullmatch(entry.name) or not before < entry.first <= entry.last:
            return Listed()
        before = entry.last
    return listed


def keep_listed(connection: sqlite3.Connection, listed: Listed) -> None:
    """Write the list, within a transaction."""
    if not listed.entries:
        connection.execute(f"DELETE FROM meta {_WHERE}")
        return
    text, checksum = sealed(listed._asdict())
    values = [("segments", text), ("segments checksum", checksum)]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)


def gaps(ranges: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """Return the ranges of the numbers from 1 to `last` that ascending ranges leave out.

    >>> gaps([(3, 5), (6, 7)], 9)
    [(1, 2), (8, 9)]
    """
    starts = [1, *(stop + 1 for _, stop in ranges)]
    stops = [*(start - 1 for start, _ in ranges), last]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start <= stop]


def _number(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError("no number")
    return value
