"""Who writes a gallery's segments: a thread beside the writes, `close` and `compact`."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import NamedTuple

import numpy as np

from bitreid.coarse import CoarseCode
from bitreid.data.files import sync_folder
from bitreid.errors import GalleryError
from bitreid.gallery.sqlite.cache import Cache, Known
from bitreid.gallery.sqlite.file import BUSY_S
from bitreid.gallery.sqlite.segments import plan
from bitreid.gallery.sqlite.segments.clustering import sorted_rows
from bitreid.gallery.sqlite.segments.folder import AVAILABLE
from bitreid.gallery.sqlite.segments.listed import Entry, Listed, keep_listed, listed_in
from bitreid.gallery.table.base import Unconfirmed
from bitreid.gallery.table.writing import write_segment

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


_MOST = 2**63 - 1
_CLUSTERING = 0.7  # of the time that a segment takes


class _Ended(Exception):
    """Somebody asked to stop."""


class _Written(NamedTuple):
    """Segments that were written, and are to be listed instead of those that were known."""

    known: Known
    listed: Listed


class SegmentWriter:
    """Writes segments of what a cache knows; `transaction` gives the connection to list them by, `coarse` the code.

    What `told` returns, if anything, is called with the share that is written.
    """

    def __init__(
        self,
        cache: Cache,
        transaction: Transaction,
        coarse: Callable[[], CoarseCode | None],
        told: Callable[[], Callable[[float], object] | None],
    ) -> None:
        self._cache, self._folder, self._transaction, self._coarse = cache, cache.folder, transaction, coarse
        self._told = told
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._tried = 0  # the sequence number of when it was last tried
        self.share_written = 1.0
        """How much of what is being written is there."""

    def look(self, last: int) -> None:
        """Write in a thread of its own, if by the last sequence number there is enough, and nobody does."""
        since = max(self._cache.listed.last, self._tried - plan.TAIL // 2)
        if AVAILABLE and last - since >= plan.TAIL and (self._thread is None or not self._thread.is_alive()):
            self._tried = last
            self._thread = threading.Thread(target=self._write_beside, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Have the thread end, and wait for that."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._ended.clear()

    def settle(self, least: int) -> None:
        """Write what is due, from so many items in memory on, unless another process does or it cannot be done."""
        with suppress(GalleryError, OSError, _Ended):
            known = self._cache.known(say=False)
            if AVAILABLE and self._is_due(known, least):
                with self._folder.locked(0):
                    written = self._written(least, everything=False)
                    if written is not None:
                        self._list(written)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who writes segments, for a compaction; nobody else may start to meanwhile."""
        self.end()
        with ExitStack() as held:
            if AVAILABLE and (self._folder.path.is_dir() or self._is_due(self._cache.known(say=False), plan.FEWEST)):
                try:
                    held.enter_context(self._folder.locked(BUSY_S))
                except OSError:
                    if self._folder.path.is_dir():
                        raise  # what lies there could not be removed
            yield

    def write_anew(self) -> tuple[tuple[int] | None, Listed]:
        """Write all segments of which anything changed, and what came since; return the gallery's next generation and
        the list. Where that cannot be written no segment is listed."""
        while True:
            try:
                written = self._written(plan.FEWEST, everything=True) if AVAILABLE else None
            except (OSError, _Ended):
                written = None
            written = written or _Written(self._cache.known(say=False), Listed())
            with self._transaction() as connection:  # nobody else writes from here on
                self._cache.snapshot()
                if self._is_current(connection, written):
                    keep_listed(connection, written.listed)
                    # Segments are what the file holds up to some change; the later ones are still to be followed.
                    last = written.listed.change if written.listed.entries else _MOST
                    connection.execute("DELETE FROM changes WHERE n <= ?", (last,))
                    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'")
                    return _generation(connection), written.listed

    def _is_current(self, connection: sqlite3.Connection, written: "_Written") -> bool:
        """Return, within a transaction, whether nobody listed other segments or compacted meanwhile."""
        before, generation = written.known, _generation(connection) or (0,)
        return (*generation, listed_in(connection, self._folder.gallery)) == (before.generation, before.listed)

    def clean(self, listed: Listed) -> None:
        """Remove all files that are not listed, within the lock."""
        if self._folder.path.is_dir():
            self._folder.clean(listed.entries)

    def _written(self, least: int, everything: bool) -> _Written | None:
        """Write what is due to files that are not listed yet, within the lock; None if nothing is.

        What cannot be written leaves no file.
        """
        known = self._cache.known(say=False)
        base = known.snapshot.base
        alive = known.snapshot.alive
        at = np.arange(len(known.snapshot)) if alive is None else np.flatnonzero(alive)
        rows = plan.Rows(base, at, known.snapshot.seqs, known.touched, known.listed.last)
        new = list(rows.plan(least, everything))
        self.share_written, total = 0.0, sum(len(each.rows) for each in new) or 1
        entries = {entry.name: entry for entry in known.listed.entries if entry.name in {s.name for s in base.segments}}
        made: list[Entry] = []
        replaced = {segment.name for each in new for segment in each.replaces}
        try:
            for each in new:
                self._check_sources(known, each)
                if len(each.rows):
                    made.append(self._write(known, each, len(each.rows) / total))
        except BaseException:
            self._folder.clean(known.listed.entries)
            raise
        finally:
            self.share_written = 1.0
        kept = [entry for name, entry in entries.items() if name not in replaced]
        listed = sorted([*kept, *made], key=lambda entry: entry.first)
        if listed == list(known.listed.entries) and not everything:
            return None
        touched = {base.segments[number].name for number in known.touched}
        change = known.listed.change if any(entry.name in touched for entry in kept) else known.change
        last = listed[-1].last if listed else 0
        return _Written(known, Listed(tuple(listed), change, tuple(seq for seq in known.damaged if seq <= last)))

    def _write_beside(self) -> None:
        self.settle(plan.TAIL)
        with suppress(GalleryError):
            self._cache.known(say=False)  # so that no search waits for that

    def _is_due(self, known: Known, least: int) -> bool:
        base, alive = known.snapshot.base, known.snapshot.alive
        if len(known.snapshot) - base.n >= least or len(known.listed.entries) > len(base.segments):
            return True
        return alive is not None and any(
            np.count_nonzero(alive[rows]) < (1 - plan.WASTE) * base.segments[number].items
            for number, rows in enumerate(base.slices(len(alive))[:-1])
            if number in known.touched
        )

    def _list(self, written: _Written) -> None:
        with self._transaction() as connection:
            current = self._is_current(connection, written)
            if current:
                keep_listed(connection, written.listed)
        self.clean(written.listed if current else self._cache.known(say=False).listed)

    def _check_sources(self, known: Known, new: plan.New) -> None:
        """Check the segments that are to be replaced: what is wrong with them must not be written again."""
        for segment in new.replaces:
            if not segment.verified and not segment.verify(self._ended.is_set):
                number = known.snapshot.base.segments.index(segment)
                self._cache.doubt(known.snapshot, [number], "other bytes than were written")
                raise _Ended
            self._go_on()

    def _write(self, known: Known, new: plan.New, share: float) -> Entry:
        path = self._folder.new_path()
        covered, before = (new.first, new.last), self.share_written

        def progress(done: int, n: int) -> None:
            self._go_on()
            self._written_is(before + share * _CLUSTERING * done / n)

        try:
            rows, clusters = sorted_rows(known.snapshot, new, progress)
            header = write_segment(path, known.snapshot, rows, covered, self._coarse(), self._go_on, clusters)
        except Unconfirmed as error:
            self._cache.doubt(known.snapshot, error.numbers, error.what)
            raise _Ended from error
        self._written_is(before + share)
        path.chmod(self._folder.mode())
        sync_folder(path.parent)
        return Entry(path.name, header, new.first, new.last)

    def _written_is(self, share: float) -> None:
        self.share_written = share
        told = self._told()
        if told is not None:
            told(share)

    def _go_on(self) -> None:
        if self._ended.is_set():
            raise _Ended


def _generation(connection: sqlite3.Connection) -> tuple[int] | None:
    found: tuple[int] | None = connection.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
    return found
