"""The arrays that a SQLite gallery is searched from: a cache that follows the file, and its segments."""

import gc
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import compress
from operator import add, not_
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import Bytes, Ints
from bitreid.errors import GalleryError
from bitreid.gallery.contract import Contract
from bitreid.gallery.items import Id
from bitreid.gallery.sqlite.confirming import confirm
from bitreid.gallery.sqlite.file import chunks, damaged
from bitreid.gallery.sqlite.rows import (
    AT,
    DETAILS,
    NAMES,
    NUMBERS,
    SEARCHED,
    Row,
    Widths,
    are_sound,
    damaged_items,
    id_of,
    warn,
    which_are_sound,
)
from bitreid.gallery.sqlite.segments.folder import Folder
from bitreid.gallery.sqlite.segments.listed import Listed, gaps, listed_in
from bitreid.gallery.table.base import Base
from bitreid.gallery.table.segment import Segment
from bitreid.gallery.table.snapshot import Snapshot
from bitreid.gallery.table.table import Rows, Table

_CHUNK = 2_000  # items read at once: few enough to stay in a processor's cache
_HALF = 2**32
_MOST_SEQ = 2**63 - 1


class Known(NamedTuple):
    """All that is known of a gallery at one moment.

    `listed` are its segments, of which `touched` are the numbers, in the snapshot, of those of which anything was
    removed or changed since they were written; `change` and `last` say how far the file was read.
    """

    snapshot: Snapshot
    generation: int
    listed: Listed
    touched: frozenset[int]
    change: int
    last: int
    damaged: tuple[int, ...]


class Cache:
    """A table of what was last committed to a gallery's file, by whichever process.

    `read` gives the connection to read from, and keeps other threads away meanwhile; `folder` has the segments. Items
    that are not what was written are left out: `damaged` are their ids by sequence number, and a `DataWarning` says so.
    """

    def __init__(
        self,
        path: Path,
        contract: Contract,
        read: Callable[[], AbstractContextManager[sqlite3.Connection]],
        folder: Folder,
    ) -> None:
        self._path, self._contract, self._read, self.folder = path, contract, read, folder
        self._widths = Widths.of(contract)
        self._compacting: threading.Thread | None = None
        self._warnings: list[str] = []
        self._reset()

    def _reset(self) -> None:
        table = self._contract.n_bits, self._contract.attributes, self._metadata, Base(), self._confirm
        self._table = Table(*table)
        self._version = -1  # SQLite's, which changes with every commit of anybody else's connection
        self.generation = -1
        self._listed = Listed()
        self._last_change = self._last_seq = 0  # how far the file was read
        self.damaged: dict[int, Id] = {}
        self.unread: set[int] = set()

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the arrays take, without what is in segments."""
        return self._table.n_bytes

    @property
    def n_padding(self) -> int:
        """Rows of segments that are no items, and never were."""
        return self._table.n_padding

    @property
    def base(self) -> Base:
        """The segments that are searched."""
        return self._table.base

    @property
    def listed(self) -> Listed:
        """The segments that the file listed when it was last read."""
        return self._listed

    def snapshot(self) -> Snapshot:
        """Return the items as they were last committed."""
        return self.known().snapshot

    def known(self, say: bool = True) -> Known:
        """Return the items as they were last committed, and what else is known; `say` gives the warnings that wait."""
        with self._read() as reader:
            if cut := [segment for segment in self._table.base.segments if segment.is_cut]:
                self._reset()  # nothing of them is looked at again
                for segment in cut:
                    self._distrust(segment, "a file that was cut short")
            (version,) = reader.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                reader.execute("BEGIN")
                try:
                    if self.folder.missing(listed_in(reader, self._path).entries):
                        reader.execute("ROLLBACK")  # perhaps others came in their place just now
                        reader.execute("BEGIN")
                    with _no_collection():
                        self._catch_up(reader)
                except BaseException:
                    self._reset()  # some columns may be longer than others
                    raise
                finally:
                    if reader.in_transaction:
                        reader.execute("ROLLBACK")  # nothing was written
                self._version = version
                if self._table.wasteful and self._compacting is None:
                    self._compacting = threading.Thread(target=self._compact_later, daemon=True)
                    self._compacting.start()
            known = Known(
                self._table.snapshot(),
                self.generation,
                self._listed,
                frozenset(self._table.touched),
                self._last_change,
                self._last_seq,
                tuple(sorted(self.damaged)),
            )
            warnings: list[str] = []
            if say:
                warnings, self._warnings = self._warnings, []
        for text in warnings:
            warn(text)
        return known

    def doubt(self, snapshot: Snapshot, numbers: Sequence[int], what: str) -> None:
        """Leave out segments of a snapshot, by number, unless the file was changed since the snapshot."""
        if self.known(say=False).snapshot is not snapshot:
            return
        with self._read():
            for number in numbers:
                self._distrust(snapshot.base.segments[number], what)
            self._version = -1

    def _distrust(self, segment: Segment, what: str) -> None:
        self.folder.distrust(segment.name)
        self._warnings.append(f"{segment.damaged(what)}; its items are read from the gallery's file meanwhile")

    def go_on(self, generation: tuple[Any, ...] | None) -> None:
        """Follow a compaction of this process, which changed nothing that is not known here.

        Another thread may have followed it already, and another process may have compacted since.
        """
        with self._read():
            if generation == (self.generation + 1,):
                self.generation += 1

    def compact(self) -> None:
        """Make the arrays anew without what was removed; searches and writes go on meanwhile."""
        with self._read():
            before, snapshot = self._table, self._table.snapshot()
            # What happened to the items of segments is followed anew.
            change = self._listed.change if before.base.n else self._last_change
            generation, *known = self.generation, change, self._last_seq
        table = before.compacted(snapshot)
        with self._read():
            if before is self._table and generation == self.generation:
                self._table = table
                self._last_change, self._last_seq = known  # what came meanwhile is read again
                self._version = -1

    def _compact_later(self) -> None:
        try:
            with suppress(GalleryError):  # closed meanwhile
                self.compact()
        finally:
            self._compacting = None

    def _catch_up(self, reader: sqlite3.Connection) -> None:
        """Read what was committed since the last time, within one transaction."""
        generation = reader.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
        if generation != (self.generation,):  # the list of changes was emptied: whatever is known may be old
            self._reset()
            self.generation = generation[0] if generation else 0
            (self._last_change,) = reader.execute("SELECT ifnull(max(n), 0) FROM changes").fetchone()
        listed = listed_in(reader, self._path)
        segments, words = self.folder.open(listed.entries)
        self._warnings += words
        if listed != self._listed or tuple(segments) != self._table.base.segments:
            self._switch(reader, listed, Base(segments))
        self._follow(reader)
        first = not self._last_seq
        listed_sums = _sums_of_index(reader) if first else (0,) * 4
        if first:
            self._table.make_room(listed_sums[0] + listed_sums[0] // 16)
        sums = self._append(reader, self._last_seq + 1, _MOST_SEQ)
        n = 2 if self.damaged else 4  # keys of damaged rows are not known
        if first and sums[:n] != listed_sums[:n]:
            self._warnings.append(
                f"{self._path}: expected {listed_sums[0]} items, as its list of ids says, got {sums[0]} or others; "
                "some are lost, or are not found by their ids; restore a backup"
            )

    def _switch(self, reader: sqlite3.Connection, listed: Listed, base: Base) -> None:
        """Search other segments from now on. What they do not cover is taken along, or read where it is not here."""
        before, old = self._table.snapshot(), self._table.base
        covered = [(each.first, each.last) for each in base.segments]
        here = gaps([(each.first, each.last) for each in old.segments], self._last_seq)
        missing = gaps(covered, max(self._last_seq, listed.last))
        if all(any(first <= start and stop <= last for first, last in here) for start, stop in missing):
            seqs = before.seqs[old.n :]
            left = np.ones(len(seqs), np.bool_) if before.alive is None else before.alive[old.n :].copy()
            for first, last in covered:
                left &= (seqs < first) | (seqs > last)
            self._table = self._table.moved(before, base, old.n + np.flatnonzero(left))
        else:
            self._table = self._table.moved(before, base, np.empty(0, np.int64))
            self.damaged, self._last_seq = {}, listed.last if base.n else 0
            for start, stop in gaps(covered, self._last_seq):
                self._append(reader, start, stop)
        if base.n:
            self._last_change = listed.change
        self._last_seq = max(self._last_seq, base.segments[-1].last if base.n else 0)
        self._listed = listed
        self._name_damaged(reader, [seq for seq in listed.damaged if seq not in self.damaged])

    def _name_damaged(self, reader: sqlite3.Connection, seqs: Sequence[int]) -> None:
        """Know of damaged items that segments leave out."""
        wrong: dict[int, Id] = {}
        for some in chunks(seqs):
            marks = ",".join("?" * len(some))
            found = reader.execute(f"SELECT seq, key, id FROM items WHERE seq IN ({marks})", some)
            wrong |= {seq: id_of(key, text) for seq, key, text in found}
        self._found_damaged(wrong)

    def _append(self, reader: sqlite3.Connection, start: int, stop: int) -> tuple[int, ...]:
        """Read the items of these sequence numbers; return how many, and sums, as `_sums_of_index` does."""
        sums: tuple[int, ...] = (0,) * 4
        statement = f"SELECT {SEARCHED} FROM items WHERE seq BETWEEN ? AND ? ORDER BY seq"
        new, before = reader.execute(statement, (start, stop)), start - 1
        while rows := new.fetchmany(_CHUNK):
            sound = self._sound(rows)
            columns = self._columns(sound)
            if (np.diff(columns.seqs, prepend=before) <= 0).any():
                raise damaged(self._path, "items out of order")
            self._table.append(columns)
            before = rows[-1][0]
            self._last_seq = max(self._last_seq, before)
            total = int(columns.seqs.sum()) if sound is rows else sum(row[0] for row in rows)
            sums = tuple(map(add, sums, (len(rows), total, *_halves(columns.keys))))
        return sums

    def _follow(self, reader: sqlite3.Connection) -> None:
        """Follow what happened to items that are known: removed, or another person."""
        changes = reader.execute("SELECT n, seq FROM changes WHERE n > ? ORDER BY n", (self._last_change,)).fetchall()
        known = sorted({seq for _, seq in changes if isinstance(seq, int) and seq <= self._last_seq})
        rows: list[Row] = []
        for some in chunks(known):
            marks = ",".join("?" * len(some))
            rows += reader.execute(f"SELECT {SEARCHED} FROM items WHERE seq IN ({marks})", some)
        persons = {row[0]: row[AT["person"]] for row in self._sound(rows)}
        removed = [seq for seq in known if seq not in persons]
        for seq in set(known) - {row[0] for row in rows}:
            self.damaged.pop(seq, None)
        if removed:
            self._table.remove(np.array(removed, np.int64))
        if persons:
            self._table.assign(np.array(list(persons), np.int64), list(persons.values()))
        self._last_change = changes[-1][0] if changes else self._last_change

    def _columns(self, rows: Sequence[Row]) -> Rows:
        """Return sound rows of the file as columns."""
        n = len(rows)
        columns: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) or [()] * NAMES.stop

        def numbers(column: tuple[Any, ...]) -> Ints:
            return np.fromiter(column, np.int64, n)

        def packed(name: str, n_bits: int) -> Bytes:
            return np.frombuffer(b"".join(columns[AT[name]]), np.uint8).reshape(n, n_bits // 8)

        return Rows(
            numbers(columns[AT["seq"]]),
            numbers(columns[AT["key"]]),
            columns[AT["id"]],
            packed("code", self._contract.n_bits),
            packed("attributes", self._contract.attribute_bits),
            numbers(columns[AT["added"]]),
            list(map(numbers, columns[NUMBERS])),
            columns[NAMES],
        )

    def _sound(self, rows: list[Row]) -> list[Row]:
        """Return the rows that are what was written; a warning will name one of the others."""
        right = which_are_sound(rows, self._widths)
        if all(right):
            return rows
        self._found_damaged({row[0]: id_of(*row[1:3]) for row in compress(rows, map(not_, right))})
        return list(compress(rows, right))

    def _found_damaged(self, wrong: Mapping[int, Id]) -> None:
        fresh = [id for seq, id in wrong.items() if seq not in self.damaged]
        self.damaged |= wrong
        if fresh:
            self._warnings.append(f"{self._path}: {damaged_items(fresh)}")

    def _confirm(self, snapshot: Snapshot, rows: Ints, segments: Ints, columns: Sequence[Sequence[Any]]) -> None:
        confirm(self._read, snapshot, rows, segments, columns)

    def _metadata(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield a stretch of the file at a time, so that others get their turn between."""
        wrong: list[int] = []
        while first <= last:
            with self._read() as reader:
                statement = f"SELECT seq, {DETAILS} FROM items WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT {_CHUNK}"
                rows = reader.execute(statement, (first, last)).fetchall()
            if not rows:
                break
            first = rows[-1][0] + 1
            for seq, metadata, *rest in rows:
                if not are_sound((metadata, *rest)):
                    wrong.append(seq)
                elif metadata is not None:
                    yield seq, metadata
        if wrong:
            self.unread.update(wrong)
            warn(
                f"{self._path}: expected metadata as they were written, got damaged ones of {len(wrong)} items, which "
                "no filter by metadata finds; restore a backup"
            )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for cycles, of which rows have none: a tenth of the time that it takes to open."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _sums_of_index(reader: sqlite3.Connection) -> tuple[int, ...]:
    """Return how many items the list of ids has, and the sums of their sequence numbers and of their keys' halves."""
    key = f"ifnull(sum(key >> 32), 0), ifnull(sum(key & {_HALF - 1}), 0)"
    found: tuple[int, ...] = reader.execute(
        f"SELECT count(*), ifnull(sum(seq), 0), {key} FROM items INDEXED BY sqlite_autoindex_items_1"
    ).fetchone()
    return found


def _halves(keys: Ints) -> tuple[int, int]:
    return int((keys >> 32).sum()), int((keys & (_HALF - 1)).sum())
