"""The audit log of a gallery on a Milvus server, in its notes."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from bitreid.errors import GalleryError
from bitreid.gallery.audit import blanked
from bitreid.gallery.items import Id
from bitreid.gallery.milvus.notes import Notes

LATER_S = 1.0
"""How long entries of searches may wait before they are in the log."""


class Log:
    """The entries of the log; those of searches are written a moment later, together."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._lock = threading.Lock()
        self._waiting: list[Mapping[str, Any]] = []
        self._timer: threading.Timer | None = None

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append an entry."""
        self._waiting.append(entry)
        if not entry["action"].startswith("search"):
            self.flush()
        elif self._timer is None:
            self._timer = threading.Timer(LATER_S, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Write the entries that wait."""
        with self._lock:
            entries = list(self._waiting)
            self._notes.keep("audit", entries)
            del self._waiting[: len(entries)]

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """Yield all entries, oldest first."""
        self.flush()
        return (note.content for note in self._notes.of("audit"))

    def cut(self, before: str) -> int:
        """Remove the entries of before a time (ISO, UTC); return how many."""
        self.flush()
        old = [note for note in self._notes.of("audit") if note.content["time"] < before]
        for note in old:
            self._notes.drop("audit", note)
        return len(old)

    def blank(self, ids: frozenset[Id]) -> None:
        """Take ids out of the entries, by `audit.blanked`."""
        self.flush()
        for note in list(self._notes.of("audit")):
            content = blanked(note.content, ids)
            if content is not None:
                self._notes.rewrite("audit", note, content)

    def close(self) -> None:
        """Write the entries that wait, and no more later."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()

    def _flush_later(self) -> None:
        self._timer = None
        with suppress(GalleryError):  # the next write says so; the entries are kept
            self.flush()
