"""The audit log of a gallery's SQLite file: entries are appended, and never changed but to forget."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from bitreid.gallery.audit import blanked
from bitreid.gallery.items import Id
from bitreid.gallery.sqlite.file import damaged, sealed, unsealed
from bitreid.gallery.sqlite.schema import TRIGGERS

Read = Callable[[], AbstractContextManager[sqlite3.Connection]]

_PAGE = 1000


def append(writer: sqlite3.Connection, entry: Mapping[str, Any]) -> None:
    """Append an entry, within a transaction."""
    writer.execute("INSERT INTO audit (entry, checksum) VALUES (?, ?)", sealed(entry))


def entries(read: Read, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the entries with their numbers, oldest first; `GalleryDamaged` for one that is not what was written."""
    last = 0
    while True:
        with read() as reader:
            rows = reader.execute(
                f"SELECT n, entry, checksum FROM audit WHERE n > ? ORDER BY n LIMIT {_PAGE}", (last,)
            ).fetchall()
        if not rows:
            return
        yield from ((n, unsealed(entry, checksum, path)) for n, entry, checksum in rows)
        if rows[-1][0] <= last:
            raise damaged(path, "an audit log out of order")
        last = rows[-1][0]


def cut(writer: sqlite3.Connection, read: Read, before: str, path: Path) -> int:
    """Remove the entries of before a time, in ISO format and UTC, within a transaction; return how many."""
    old = [(n,) for n, entry in entries(read, path) if entry["time"] < before]
    with _unlocked(writer):
        writer.executemany("DELETE FROM audit WHERE n = ?", old)
    return len(old)


def blank(writer: sqlite3.Connection, read: Read, ids: Set[Id], path: Path) -> None:
    """Take ids out of all entries, within a transaction."""
    changed = [(*sealed(new), n) for n, entry in entries(read, path) if (new := blanked(entry, ids)) is not None]
    with _unlocked(writer):
        writer.executemany("UPDATE audit SET entry = ?, checksum = ? WHERE n = ?", changed)


@contextmanager
def _unlocked(writer: sqlite3.Connection) -> Iterator[None]:
    """Let the log be changed; others see it locked all the time, as they see only what is committed."""
    for name in TRIGGERS:
        writer.execute(f"DROP TRIGGER {name}")
    yield
    for statement in TRIGGERS.values():
        writer.execute(statement)
