"""The two collections of the items of a gallery on a Milvus server: the record, and the short codes with all that
filters ask of them.

An item is written to the short codes first and to the record last, and removed from the record first, with a note of
the keys before that and none after it. A writer that stops between leaves the note; who opens the gallery later mends
these items: as the record says. Both rows of an item carry the number of the write that made them, so that each can be
told from an older one.
"""

import hashlib
import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

from bitreid.gallery.contract import Contract
from bitreid.gallery.milvus.filter import keys_in
from bitreid.gallery.milvus.notes import Notes
from bitreid.gallery.milvus.rows import SHARED, WHOLE, short_rows, stored
from bitreid.gallery.milvus.server import ROWS, Row, Server


def short_collection(record: str, contract: Contract) -> str:
    """Return the name of the collection of the short codes: those that the first stage of a search compares.

    Each coarse code has one of its own, so that while another one is made the old one can be searched.
    """
    if contract.coarse is None:
        return f"{record}_attributes"
    bits = repr((contract.coarse.attribute_bits, contract.coarse.identity_bits)).encode()
    return f"{record}_coarse_{hashlib.blake2b(bits, digest_size=4).hexdigest()}"


class ItemCollections:
    """The items of the gallery `record`; without short codes it is one collection. One thread at a time writes."""

    def __init__(self, server: Server, record: str, contract: Contract, notes: Notes) -> None:
        self._server, self._notes = server, notes
        self._contract = contract
        self.record, self.short = record, short_collection(record, contract)
        self.collections = (self.record, self.short) if contract.short_bits else (self.record,)

    def store(self, rows: Sequence[Row]) -> None:
        """Write rows of the record and those that belong to them, instead of those of the same keys."""
        for start in range(0, len(rows), ROWS):
            revision = time.time_ns()
            some = [{**row, "revision": revision} for row in rows[start : start + ROWS]]
            self._noted([row["key"] for row in some], partial(self._store, some))

    def remove(self, keys: list[int]) -> None:
        """Remove the rows of these keys."""
        self._noted(keys, partial(self._remove, keys))

    def mend_left(self, before: float) -> None:
        """Mend what was being written by those who began before this time, in seconds from 1970 on, and stopped."""
        for note in list(self._notes.of("write")):
            if note.made < before * 1e9:
                # The writer may wake up: from here on it sees that the note is gone, and writes once more.
                (own,) = self._notes.keep("write", [note.content])
                self._notes.drop("write", note)
                while self._mend(note.content["keys"]):
                    pass
                self._notes.drop("write", own)

    def made_for(self, contract: Contract) -> "ItemCollections":
        """Return the collections for another contract; short codes of another kind are made from the record.

        Nobody else may write meanwhile. Those that there were stay, until `drop_older`.
        """
        made = ItemCollections(self._server, self.record, contract, self._notes)
        if made.collections == self.collections:
            return made
        if self._server.has(made.short):
            self._server.call("drop_collection", made.short)
        self._server.create({made.short: (contract.short_bits, ("key", *SHARED))})
        made.repair()
        return made

    def drop_older(self, older: "ItemCollections") -> None:
        """Drop the older collection of short codes, if it is another than this one."""
        if older.short != self.short and len(older.collections) > 1:
            self._server.call("drop_collection", older.short)

    def repair(self) -> int:
        """Mend all items that differ from the record, as it says; return how many there were."""
        if len(self.collections) < 2:
            return 0
        differ = []
        streams = (self._revisions(side, collection) for side, collection in enumerate(self.collections))
        for key, rows in groupby(heapq.merge(*streams), key=lambda each: each[0]):
            revisions = {side: revision for _, side, revision in rows}
            if revisions.get(0) != revisions.get(1):
                differ.append(key)
        mended = self._mend(differ)
        self.mend_left(time.time())
        return mended

    def _revisions(self, side: int, collection: str) -> Iterator[tuple[int, int, int]]:
        for rows in self._server.rows(collection, "", ["revision"]):
            for row in rows:
                yield row["key"], side, row["revision"]

    def _mend(self, keys: Sequence[int]) -> int:
        mended = 0
        for start in range(0, len(keys), ROWS):
            some = keys[start : start + ROWS]
            record = self._server.of_keys(self.record, some, WHOLE)
            there = self._server.of_keys(self.short, some, ["revision"])
            orphans = there.keys() - record.keys()
            if orphans:
                self._server.call("delete", self.short, filter=keys_in(orphans))
            wrong = [row for key, row in record.items() if there.get(key, {}).get("revision") != row["revision"]]
            self._store_short([stored(row) for row in wrong])
            mended += len(orphans) + len(wrong)
        return mended

    def _store_short(self, rows: Sequence[Row]) -> None:
        if rows and len(self.collections) > 1:
            self._server.call("upsert", self.short, short_rows(rows, self._contract))

    def _store(self, rows: Sequence[Row]) -> None:
        self._store_short(rows)
        self._server.call("upsert", self.record, rows)

    def _remove(self, keys: list[int]) -> None:
        for collection in self.collections:
            self._server.call("delete", collection, filter=keys_in(keys))

    def _noted(self, keys: list[int], write: Callable[[], None]) -> None:
        """Write, and keep a note of the keys until it is done.

        Who was asleep in between, for so long that another process took the note for one that was left and mended the
        items as they were, writes them once more: nothing is acknowledged that is not in both collections.
        """
        if len(self.collections) < 2:
            write()
            return
        (note,) = self._notes.keep("write", [{"keys": keys}])
        write()
        while not self._notes.has(note):
            (note,) = self._notes.keep("write", [{"keys": keys}])
            write()
            self._mend(keys)
        self._notes.drop("write", note)
