"""What a gallery on a Milvus server keeps besides its items: what it is, decisions, the audit log, unfinished writes.

Notes are JSON in a collection of their own, cut into rows as long texts have to be. Milvus wants a vector in each
collection: theirs is one zero byte.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bitreid.gallery.about import About
from bitreid.gallery.contract import Contract
from bitreid.gallery.items import key_of
from bitreid.gallery.milvus.filter import keys_in
from bitreid.gallery.milvus.server import SOON, Row, Server

COLUMNS = ("key", "kind", "made", "note", "chunk", "chunks", "text")
"""`made` orders notes, in nanoseconds from 1970 on; `note` is the number of one, made of `chunks` rows."""
N_BITS = 8
FORMAT_VERSION = 3
"""The newest format of a gallery's collections that this bitreid opens. A `Contract.plain` has 1, another one 2; one
with inverted lists has 3: who does not know of them misses items."""

_CHUNK = 60_000  # characters, which are bytes: JSON is written in ASCII
_AT_ONCE = 100  # notes


class Note(NamedTuple):
    """A note; they order by when they were made."""

    made: int
    number: int
    content: Mapping[str, Any]

    def rows(self, kind: str) -> list[Row]:
        """Return the rows that it is kept in."""
        text = json.dumps(self.content)
        texts = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
        common = {"kind": kind, "made": self.made, "note": self.number, "chunks": len(texts), "code": b"\0"}
        return [
            {**common, "key": _key(self.number, chunk), "chunk": chunk, "text": text}
            for chunk, text in enumerate(texts)
        ]


class Notes:
    """The notes of one gallery, of several kinds."""

    def __init__(self, server: Server, collection: str) -> None:
        self._server, self._collection = server, collection
        self._lock = threading.Lock()
        self._last = 0

    def keep(self, kind: str, contents: Sequence[Mapping[str, Any]]) -> list[Note]:
        """Keep new notes, and return them; they are there when this returns."""
        notes = [Note(self._now(), secrets.randbits(62), content) for content in contents]
        self._write([row for note in notes for row in note.rows(kind)])
        return notes

    def rewrite(self, kind: str, note: Note, content: Mapping[str, Any]) -> Note:
        """Replace what the note says; return what it is now."""
        new = note._replace(content=content)
        rows = new.rows(kind)
        self._write(rows)
        self._delete(note.rows(kind)[len(rows) :])
        return new

    def keep_about(self, new: About) -> About:
        """Keep what is new of what the gallery learned; return all."""
        (note,) = self.of("gallery")
        whole = About.from_json(note.content).joined(new)
        self.rewrite("gallery", note, {**note.content, **whole.to_json()})
        return whole

    def drop(self, kind: str, note: Note) -> None:
        """Remove the note."""
        self._delete(note.rows(kind))

    def of(self, kind: str) -> Iterator[Note]:
        """Yield all notes of a kind, oldest first."""
        first = self._server.rows(self._collection, f'kind == "{kind}" and chunk == 0', ["made", "note", "chunks"])
        notes = sorted((row["made"], row["note"], row["chunks"]) for batch in first for row in batch)
        for start in range(0, len(notes), _AT_ONCE):
            some = notes[start : start + _AT_ONCE]
            keys = [_key(note, chunk) for _, note, chunks in some for chunk in range(chunks)]
            rows = self._server.of_keys(self._collection, keys, ["text"], SOON)
            for made, note, chunks in some:
                parts = [rows.get(_key(note, chunk)) for chunk in range(chunks)]
                if None not in parts:  # else it is being written or dropped
                    yield Note(made, note, json.loads("".join(part["text"] for part in parts if part)))

    def has(self, note: Note) -> bool:
        """Return whether the note is there still."""
        return bool(self._server.of_keys(self._collection, [_key(note.number, 0)], []))

    def _write(self, rows: list[Row]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            self._server.call("upsert", self._collection, rows[start : start + _AT_ONCE])

    def _delete(self, rows: list[Row]) -> None:
        if rows:
            self._server.call("delete", self._collection, filter=keys_in(row["key"] for row in rows))

    def _now(self) -> int:
        """Return a time that is later than all before."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last


def _key(note: int, chunk: int) -> int:
    return key_of(f"{note}/{chunk}")


def format_of(contract: Contract, lists: bool = False) -> int:
    """Return the format of the collections of a gallery, with inverted lists or without."""
    if lists:
        return FORMAT_VERSION
    return 1 if contract == contract.plain() else 2


def about_of(server: Server, name: str, read_only: bool = False) -> Mapping[str, Any] | None:
    """Return what the gallery is; None if there is none, or one whose making was not finished."""
    notes = f"{name}_notes"
    if not server.has(notes):
        return None
    if not read_only:
        server.create({notes: (N_BITS, COLUMNS)})
    return next((note.content for note in Notes(server, notes).of("gallery")), None)
