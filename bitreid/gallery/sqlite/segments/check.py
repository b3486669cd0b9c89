"""Checks of whole segments: against their checksums, and against the record."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np

from bitreid.errors import GalleryError
from bitreid.gallery.sqlite.cache import Cache
from bitreid.gallery.sqlite.rows import AT, SEARCHED, Widths, warn, which_are_sound
from bitreid.gallery.table.segment import Segment
from bitreid.gallery.table.snapshot import Snapshot

Read = Callable[[], AbstractContextManager[sqlite3.Connection]]

LATER_S = 10.0
"""How long after it was opened a gallery's segments are first checked."""
_SHARE = 0.1  # of the time
_CHUNK = 2_000  # items read at once


def check(cache: Cache, read: Read, widths: Widths, path: Path) -> None:
    """Check segments that were not checked yet as a whole, and leave out those that are wrong."""
    snapshot = cache.snapshot()
    new = [segment for segment in snapshot.base.segments if not segment.compared]
    for segment in new:
        number = snapshot.base.segments.index(segment)
        if not (segment.verified or segment.verify()):
            cache.doubt(snapshot, [number], "other bytes than were written")
        elif not _as_recorded(snapshot, number, cache, read, widths):
            cache.doubt(snapshot, [number], "other codes than the gallery's file")
        else:
            segment.compared = True
    if new:
        with read() as reader:
            (n,) = reader.execute("SELECT count(*) FROM items INDEXED BY sqlite_autoindex_items_1").fetchone()
            snapshot = cache.snapshot()
            found = snapshot.n_alive + len(cache.damaged)
        if n != found:
            warn(
                f"{path}: expected {n} items, as its list of ids says, got {found}; some are lost, or are not found by "
                "their ids; restore a backup"
            )


def verified(cache: Cache) -> Snapshot:
    """Return the items as they were last committed; all segments were compared with their checksums."""
    while True:
        snapshot = cache.snapshot()
        wrong = [n for n, each in enumerate(snapshot.base.segments) if not (each.verified or each.verify())]
        if not wrong:
            return snapshot
        cache.doubt(snapshot, wrong, "other bytes than were written")


def _as_recorded(snapshot: Snapshot, number: int, cache: Cache, read: Read, widths: Widths) -> bool:
    """Return whether all items of the record that a segment covers are sound, and in it as they are."""
    segment = snapshot.base.segments[number]
    seqs, keys, codes = (segment.arrays[name] for name in ("seq", "key", "code"))
    statement = f"SELECT {SEARCHED} FROM items WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT {_CHUNK}"
    first = segment.first
    while True:
        with read() as reader:
            rows = reader.execute(statement, (first, segment.last)).fetchall()
        rows = [row for row in rows if row[0] not in cache.damaged]
        if not rows:
            return True
        if not all(which_are_sound(rows, widths)):
            return False
        wanted = np.array([row[0] for row in rows], np.int64)
        at = segment.rows_of(wanted)
        same = (seqs[at] == wanted).all() and keys[at].tolist() == [row[AT["key"]] for row in rows]
        if not same or codes[at].tobytes() != b"".join(row[AT["code"]] for row in rows):
            return False
        first = rows[-1][0] + 1


class Watch:
    """A thread that checks segments against their checksums, in a tenth of its time, while a gallery is open."""

    def __init__(self, cache: Cache) -> None:
        self._cache = weakref.ref(cache)
        self._ended = threading.Event()
        self._since = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have the thread end, soon."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(LATER_S) and self.look():
            pass

    def look(self) -> bool:
        """Check segments that were not checked yet; return whether the gallery is still there."""
        cache = self._cache()
        if cache is None:
            return False
        with suppress(GalleryError):  # closed meanwhile, or nothing that a search would not say
            snapshot = cache.known(say=False).snapshot
            for number, segment in enumerate(snapshot.base.segments):
                if not segment.verified and not self._verify(segment):
                    cache.doubt(snapshot, [number], "other bytes than were written")
        return True

    def _verify(self, segment: Segment) -> bool:
        self._since = time.monotonic()
        return segment.verify(self._rest)

    def _rest(self) -> bool:
        taken = time.monotonic() - self._since
        ended = self._ended.wait(taken * (1 / _SHARE - 1))
        self._since = time.monotonic()
        return ended
