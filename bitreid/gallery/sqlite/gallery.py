"""A gallery in one SQLite file, searched from arrays beside it and in memory: the default.

The file is the record: what is acknowledged is in it, synced to the disk. The arrays are a cache that follows it: most
are in segments, files that all processes share (`segments`), and what came since is in memory. Each item has a sequence
number, so that what is new is read from the number that was last seen on, whichever process wrote it, and what was
removed or changed is listed by such numbers. A search looks whether anything was committed since the last one, reads
that, and searches a snapshot that nobody changes.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.files import new_file
from bitreid.errors import GalleryError, GalleryExists, GalleryReadOnly
from bitreid.gallery.about import About
from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.description import Description
from bitreid.gallery.filters.types import Filter, IdIn
from bitreid.gallery.items import GalleryItem, Hit, Id, Items, joined, key_of, plain_id
from bitreid.gallery.leftovers import check_lasting_name, remove_leftovers
from bitreid.gallery.requests import BATCH, Found, Info, Request, Where
from bitreid.gallery.sqlite import audit
from bitreid.gallery.sqlite.cache import Cache
from bitreid.gallery.sqlite.changing import assign, chosen_of, delete_seqs, seqs_of
from bitreid.gallery.sqlite.file import (
    about_in,
    can_be_written,
    chunks,
    closed,
    connect,
    contract_in,
    copy_to,
    create_file,
    damaged,
    empty_log,
    explained,
    keep_about,
    keep_contract,
    sealed,
    size_of,
    unsealed,
)
from bitreid.gallery.sqlite.identity import Place
from bitreid.gallery.sqlite.record import asks_for_metadata, judged
from bitreid.gallery.sqlite.rows import WHOLE, Row, Widths, items_of, stored, warn
from bitreid.gallery.sqlite.schema import identity_of, mark
from bitreid.gallery.sqlite.segments import plan
from bitreid.gallery.sqlite.segments.check import Watch, check, verified
from bitreid.gallery.sqlite.segments.folder import Folder, remove_segments
from bitreid.gallery.sqlite.segments.writer import SegmentWriter
from bitreid.gallery.table.base import Unconfirmed
from bitreid.gallery.table.snapshot import Snapshot

Asked = TypeVar("Asked")

LOG_S = 1.0
"""How long entries of searches may wait before they are in the audit log."""


def create_sqlite(path: Path, contract: Contract, *, audited: bool = True, actor: str = "") -> "SqliteGallery":
    """Return a new gallery in a file that is made; `GalleryExists` if there is one."""
    create_file(path, contract, audited)
    remove_segments(path)
    return open_sqlite(path, actor=actor)


def open_sqlite(path: Path, *, actor: str = "", read_only: bool = False) -> "SqliteGallery":
    """Return the gallery in a file. With `read_only` nothing can be written, and searches are not audited."""
    return SqliteGallery(path, actor=actor, read_only=read_only)


class SqliteGallery(Gallery):
    """A gallery in one SQLite file (WAL mode, synchronous FULL); any number of processes may use it at a time."""

    def __init__(self, path: Path, *, actor: str = "", read_only: bool = False) -> None:
        self.path, self.actor = path, actor
        self._told_to_read = read_only
        self._writing, self._reading = threading.RLock(), threading.RLock()
        self._owner = 0  # the thread whose transaction is open
        self._pending: list[Mapping[str, Any]] = []
        self._timer: threading.Timer | None = None
        with explained(path), ExitStack() as opened:
            self.read_only = read_only or (path.is_file() and not can_be_written(path))
            self._reader: sqlite3.Connection | None = opened.enter_context(closing(connect(path, self.read_only)))
            self._writer = self._reader if self.read_only else opened.enter_context(closing(connect(path)))
            self._identity, self._place = identity_of(self._reader), Place.of(path)
            self.contract, self.audited = contract_in(self._reader, path)
            self.about = about_in(self._reader, path)
            self._widths = Widths.of(self.contract)
            self._cache = Cache(path, self.contract, self._read, Folder(path, self.contract))
            self._segments = SegmentWriter(
                self._cache, self._writes, lambda: self.contract.coarse, lambda: self.on_writing
            )
            self._snapshot()
            self._watch = Watch(self._cache)
            if not self.read_only:
                remove_leftovers(path.resolve().parent)
            opened.pop_all()  # they stay open

    # Looking.

    def get(self, ids: Sequence[Id]) -> list[GalleryItem | None]:
        found = {item.id: item for item in self._of_keys([key_of(plain_id(id)) for id in ids])}
        return [found.get(id) for id in ids]

    def count(self, where: Where = None) -> int:
        return self._snapshot().matching(self._filter(where))[1]

    def scan(self, where: Where = None, *, after: int | None = None, batch_size: int = BATCH) -> Iterator[Items]:
        chosen = self._filter(where)
        pages = self._pages(after, batch_size) if chosen is None else self._chosen(chosen, after, batch_size)
        return (joined(items, self.contract) for items in pages if items)

    def _chosen(self, where: Filter, after: int | None, batch_size: int) -> Iterator[list[GalleryItem]]:
        snapshot = verified(self._cache)  # decisions follow from what it finds
        rows, _ = snapshot.matching(where)
        keys = np.sort(snapshot.keys if rows is None else snapshot.keys[rows])
        keys = keys if after is None else keys[keys > after]
        for start in range(0, len(keys), batch_size):
            yield self._of_keys(keys[start : start + batch_size].tolist())

    def _pages(self, after: int | None, batch_size: int) -> Iterator[list[GalleryItem]]:
        first = -(2**63) if after is None else after + 1
        while first < 2**63:
            with self._read() as reader:
                statement = f"SELECT {WHOLE} FROM items WHERE key >= ? ORDER BY key LIMIT ?"
                rows = reader.execute(statement, (first, batch_size)).fetchall()
            if not rows:
                return
            yield items_of(rows, self._widths, self.path)
            last = rows[-1][1]
            if not isinstance(last, int) or last < first:
                raise damaged(self.path, "ids out of order")
            first = last + 1

    def _of_keys(self, keys: Sequence[int]) -> list[GalleryItem]:
        """Return the items of these keys, by ascending key."""
        rows: list[Row] = []
        with self._read() as reader:
            for some in chunks(keys):
                marks = ",".join("?" * len(some))
                rows += reader.execute(f"SELECT {WHOLE} FROM items WHERE key IN ({marks}) ORDER BY key", some)
        return items_of(rows, self._widths, self.path)

    def audit(self) -> Iterator[Mapping[str, Any]]:
        self._flush()
        return (entry for _, entry in audit.entries(self._read, self.path))

    def info(self) -> Info:
        check(self._cache, self._read, self._widths, self.path)
        snapshot = self._snapshot()
        base, listed = self._cache.base, self._cache.listed.entries
        details: dict[str, str | int] = {
            "segments": f"{len(base.segments)} of {len(listed)}" if len(base.segments) < len(listed) else len(listed),
            "bytes in segments": self._cache.folder.n_bytes,
            "bytes in memory": self._cache.n_bytes,
            "removed, still in memory": len(snapshot) - snapshot.n_alive - self._cache.n_padding,
            "damaged": len(self._cache.damaged),
            "audited": "yes" if self.audited else "no",
        }
        if self._segments.share_written < 1:
            details["segments being written"] = f"{self._segments.share_written:.0%} done"
        counts = snapshot.n_alive, snapshot.n_persons, snapshot.n_tracklets
        n_bytes = self._cache.folder.n_bytes + size_of(self.path)
        return Info(str(self.path), self.contract, *counts, n_bytes, details, snapshot.camera_numbers)

    # Keeping.

    def compact(self) -> None:
        """Remove the bytes of what was deleted from the gallery's files; they are gone when it returns.

        A deletion alone zeroes them in the file's pages, but copies may stay there, in segments and in the log beside
        it (`-wal`) for long. Rewrites the file, which takes room for it twice, and segments of which anything was
        removed or changed; searches go on meanwhile. `GalleryBusy` while other processes read old pages or write
        segments. Backups and exports, and what the disk itself keeps, are out of its reach.
        """
        with self._write_lock():
            pass  # it can be written
        with explained(self.path), self._segments.alone(), self._write_lock() as writer:
            generation, listed = self._segments.write_anew()
            self._cache.go_on(generation)
            writer.execute("VACUUM")
            empty_log(writer, self.path)
            self._segments.clean(listed)
        self._cache.compact()

    def backup(self, path: Path) -> None:
        """Write a copy of the gallery as it is at one moment, while it goes on being used, to a new file.

        `GalleryExists` for a file that is there. `restore_sqlite` goes back to it.
        """
        with explained(f"backup of {self.path} to {path}"):
            if path.exists():
                raise GalleryExists(f"expected a new file for the backup, got {path}, which is there; name another")
            check_lasting_name(path)
            remove_leftovers(path.parent)
            self._flush()
            with self._read():  # it is open
                own = connect(self.path, read_only=True)  # so that nobody waits
            with closing(own), new_file(path) as unfinished:
                copy_to(own, unfinished)

    def close(self) -> None:
        self._watch.end()
        if self._reader is not None and not self.read_only:
            self._segments.end()
            self._segments.settle(plan.FEWEST)
        with self._writing, self._reading:
            if self._reader is None:
                return
            if self._timer is not None:
                self._timer.cancel()
            try:
                self._flush()
            finally:
                reader, self._reader = self._reader, None
                reader.close()
                self._writer.close()
                self._cache = Cache(self.path, self.contract, self._read, self._cache.folder)  # frees the arrays

    # What the protocol asks of a backend.

    def _write(self, batch: Items, replace: bool, added: Ints) -> list[Id]:
        there, keys = seqs_of(self._writer, batch, self.path), batch.keys().tolist()
        new = [id for id, key in zip(batch.ids, keys, strict=True) if key not in there]
        if replace:
            delete_seqs(self._writer, list(there.values()))
        elif there:
            kept = np.array([i for i, key in enumerate(keys) if key not in there], np.int64)
            batch, added = batch.rows(kept), added[kept]
        insert = f"INSERT INTO items ({WHOLE}) VALUES (?{', ?' * WHOLE.count(',')})"
        self._writer.executemany(insert, stored(batch, added))
        return new

    def _added(self, ids: Sequence[Id]) -> Mapping[Id, int]:
        return verified(self._cache).added_of(ids)

    def _remove(self, where: Filter) -> list[Id]:
        if isinstance(where, IdIn):
            found = chosen_of(self._writer, list(where.ids))
        else:
            snapshot = verified(self._cache)
            rows, _ = snapshot.matching(where)
            at = np.arange(len(snapshot)) if rows is None else np.flatnonzero(rows)
            found = dict(zip(snapshot.seqs[at].tolist(), snapshot.ids(at.tolist()), strict=True))
            wrong = self._cache.damaged.keys() | (self._cache.unread if asks_for_metadata(where) else set())
            passing, unclear = judged(self._writer, wrong, where, self.contract)
            found = {seq: id for seq, id in found.items() if seq not in wrong} | passing
            if unclear:
                warn(
                    f"{self.path}: expected to see what damaged items are, got {len(unclear)} that the filter cannot "
                    f"judge and that stay, the first {unclear[0]!r}; delete them by their ids"
                )
        delete_seqs(self._writer, list(found))
        return list(found.values())

    def _assign(self, persons: Mapping[Id, str | None]) -> None:
        assign(self._writer, persons, self._widths)

    def _find(self, request: Request) -> Found:
        return self._asked(lambda snapshot: snapshot.find(request))

    def _find_attributes(self, description: Description, k: int, where: Filter | None) -> tuple[list[Hit], int]:
        return self._asked(lambda snapshot: snapshot.find_attributes(description, k, where))

    def _asked(self, ask: Callable[[Snapshot], Asked]) -> Asked:
        """Return what is asked of a snapshot in which all that was found is what the file holds."""
        while True:
            snapshot = self._snapshot()
            try:
                return ask(snapshot)
            except Unconfirmed as error:
                self._cache.doubt(snapshot, error.numbers, error.what)

    def _keep_contract(self, contract: Contract) -> None:
        keep_contract(self._writer, contract)

    def _keep_about(self, new: About) -> About:
        return keep_about(self._writer, self.path, new)

    def _note(self, note: Mapping[str, Any]) -> None:
        self._writer.execute("INSERT INTO decisions (note, checksum) VALUES (?, ?)", sealed(note))

    def _notes(self) -> list[tuple[int, dict[str, Any]]]:
        with self._write_lock() if self._inside else self._read() as connection:
            rows = connection.execute("SELECT n, note, checksum FROM decisions ORDER BY n").fetchall()
        return [(n, unsealed(note, checksum, self.path)) for n, note, checksum in rows]

    def _rewrite_note(self, number: int, note: Mapping[str, Any]) -> None:
        self._writer.execute("UPDATE decisions SET note = ?, checksum = ? WHERE n = ?", (*sealed(note), number))

    def _forget_note(self, number: int) -> None:
        self._writer.execute("DELETE FROM decisions WHERE n = ?", (number,))

    def _log(self, entry: Mapping[str, Any]) -> None:
        if self._inside:
            audit.append(self._writer, entry)
        elif self.read_only:
            if not self._told_to_read:
                self._told_to_read = True
                warn(f"{self.path}: expected to log searches, got a file that can only be read; they are not audited")
        else:
            with self._reading:
                self._pending.append(entry)
                if self._timer is None:
                    self._timer = threading.Timer(LOG_S, self._flush_later)
                    self._timer.daemon = True
                    self._timer.start()

    def _cut_log(self, before: str) -> int:
        return audit.cut(self._writer, self._write_lock, before, self.path)

    def _blank_log(self, ids: frozenset[Id]) -> None:
        audit.blank(self._writer, self._write_lock, ids, self.path)

    def _flush_later(self) -> None:
        with self._reading:
            self._timer = None
        with suppress(GalleryError):  # the next write says so; the entries are kept
            self._flush()

    def _flush(self) -> None:
        """Write the entries of searches that wait."""
        if self._pending:
            with self._transaction():
                pass

    # Transactions.

    @property
    def _inside(self) -> bool:
        return self._owner == threading.get_ident()

    @contextmanager
    def _write_lock(self) -> Iterator[sqlite3.Connection]:
        with self._writing, explained(self.path):
            if self._reader is None:
                raise closed(self.path)
            if self.read_only:
                raise GalleryReadOnly(
                    f"{self.path}: expected a gallery that can be written, got one that can only be read, or was "
                    "opened to read only; nothing was written"
                )
            yield self._writer

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._write_lock() as writer:
            if self._inside:
                yield
                return
            with self._reading:
                waiting, self._pending = self._pending, []
            self._owner = threading.get_ident()
            try:
                writer.execute("BEGIN IMMEDIATE")
                self._place.check()
                mark(writer, self._identity)  # so that the log tells whose it is
                for entry in waiting:
                    self._log(entry)
                yield
                (last,) = writer.execute("SELECT ifnull(max(seq), 0) FROM items").fetchone()
                writer.execute("COMMIT")
            except BaseException:
                with self._reading:
                    self._pending = waiting + self._pending
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise
            finally:
                self._owner = 0
        self._segments.look(last)

    @contextmanager
    def _writes(self) -> Iterator[sqlite3.Connection]:
        with self._transaction():
            yield self._writer

    def _snapshot(self) -> Snapshot:
        return self._cache.snapshot()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, explained(self.path):
            if self._reader is None:
                raise closed(self.path)
            yield self._reader
