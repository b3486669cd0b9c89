"""The two collections of the items of a gallery on a Milvus server: the record, and the attribute codes with all that
filters ask of them.

An item is written to the attributes first and to the record last, and removed from the record first, with a note of
the keys before that and none after it. A writer that stops between leaves the note; who opens the gallery later mends
these items: as the record says. Both rows of an item carry the number of the write that made them, so that each can be
told from an older one.
"""

import heapq
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from bitreid.gallery.contract import Contract
from bitreid.gallery.milvus.filter import keys_in
from bitreid.gallery.milvus.notes import Notes
from bitreid.gallery.milvus.rows import WHOLE, attribute_row, stored
from bitreid.gallery.milvus.server import ROWS, Row, Server


class ItemCollections:
    """The items of the gallery `record`; without attributes it is one collection. One thread at a time writes."""

    def __init__(self, server: Server, record: str, contract: Contract, notes: Notes) -> None:
        self._server, self._notes = server, notes
        self._n_bits = contract.attribute_bits
        self.record, self.attributes = record, f"{record}_attributes"
        self.collections = (self.record, self.attributes) if contract.attributes else (self.record,)

    def of_keys(
        self, collection: str, keys: Iterable[int], fields: Sequence[str], moment: Mapping[str, Any]
    ) -> dict[int, Row]:
        """Return the rows of these keys, by key."""
        wanted = sorted(keys)
        found: dict[int, Row] = {}
        for start in range(0, len(wanted), ROWS):
            some = wanted[start : start + ROWS]
            batches = self._server.rows(collection, keys_in(some), fields, moment, size=len(some) + 1)
            found |= {row["key"]: row for rows in batches for row in rows}
        return found

    def store(self, rows: Sequence[Row]) -> None:
        """Write rows of the record and those that belong to them, instead of those of the same keys."""
        for start in range(0, len(rows), ROWS):
            revision = time.time_ns()
            some = [{**row, "revision": revision} for row in rows[start : start + ROWS]]
            with self._noted([row["key"] for row in some]):
                self._store_attributes(some)
                self._server.call("upsert", self.record, some)

    def remove(self, keys: list[int]) -> None:
        """Remove the rows of these keys."""
        with self._noted(keys):
            for collection in self.collections:
                self._server.call("delete", collection, filter=keys_in(keys))

    def mend_left(self, before: float) -> None:
        """Mend what was being written by those who began before this time, in seconds from 1970 on, and stopped."""
        for note in list(self._notes.of("write")):
            if note.made < before * 1e9:
                self._mend(note.content["keys"])
                self._notes.drop("write", note)

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
        for rows in self._server.rows(collection, "", ["revision"], self._server.moment()):
            for row in rows:
                yield row["key"], side, row["revision"]

    def _mend(self, keys: Sequence[int]) -> int:
        mended = 0
        for start in range(0, len(keys), ROWS):
            some, moment = keys[start : start + ROWS], self._server.moment()
            record = self.of_keys(self.record, some, WHOLE, moment)
            there = self.of_keys(self.attributes, some, ["revision"], moment)
            orphans = there.keys() - record.keys()
            if orphans:
                self._server.call("delete", self.attributes, filter=keys_in(orphans))
            wrong = [row for key, row in record.items() if there.get(key, {}).get("revision") != row["revision"]]
            self._store_attributes([stored(row) for row in wrong])
            mended += len(orphans) + len(wrong)
        return mended

    def _store_attributes(self, rows: Sequence[Row]) -> None:
        if rows and len(self.collections) > 1:
            self._server.call("upsert", self.attributes, [attribute_row(row, self._n_bits) for row in rows])

    @contextmanager
    def _noted(self, keys: list[int]) -> Iterator[None]:
        """Keep a note, until it is done, that items of these keys are being written or removed."""
        if len(self.collections) < 2:
            yield
            return
        (note,) = self._notes.keep("write", [{"keys": keys}])
        yield
        self._notes.drop("write", note)
