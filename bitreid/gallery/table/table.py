"""Items as arrays: what the kernel searches.

Rows are appended and never changed; what is removed is marked, and dropped when the table is compacted. A snapshot is
the table at one moment: any number of threads may search it while rows are added and removed. The first rows may be
those of segments, files that are mapped (`segment`); the rest are in memory.
"""

import json
import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import AnyArray, Bytes, Ints, Ints32
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.gallery.fields import SEARCHED_NUMBERS, SEARCHED_TEXTS
from bitreid.gallery.items import canonical
from bitreid.gallery.table.base import Base
from bitreid.gallery.table.columns import Column, Names, Texts, texts_of
from bitreid.gallery.table.segment import coarse_name
from bitreid.gallery.table.snapshot import NOBODY, Snapshot

Metadata = Callable[[int, int], Iterable[tuple[int, str | bytes]]]
"""Sequence numbers and metadata (JSON) of the items numbered from the first to the last of two numbers, if any."""
Confirm = Callable[[Snapshot, Ints, Ints, Sequence[Sequence[Any]]], None]
"""Raises `Unconfirmed` where rows of segments are not what the record holds: they, the number of each one's segment,
and what hits show of them, the ids that are text and the searched fields, a column each. Rows are in the order of their
sequence numbers; those after the segments are passed over."""

WASTE = 0.3
"""Share of rows marked as removed from which on a table is compacted."""
_LEAST_WASTE = 1000  # rows
_MADE_AT_ONCE = 10_000  # coarse codes
_MOST_KEYS = 16  # of metadata that are kept as columns, so that who asks for ever new ones fills no memory


class Rows(NamedTuple):
    """Items to append: `seqs` ascend and are larger than all before; a text is None where the key is the id.

    `numbers` and `names` have a column for each of `SEARCHED_NUMBERS` and `SEARCHED_TEXTS`. All text is UTF-8.
    """

    seqs: Ints
    keys: Ints
    texts: Sequence[bytes | None]
    codes: Bytes
    attributes: Bytes
    added: Ints
    numbers: Sequence[Ints]
    names: Sequence[Sequence[bytes | None]]


class Table:
    """The columns of a gallery's items. Its methods are for one thread at a time; snapshots are for all.

    `attributes` names the bits of attribute codes of so many bytes; `metadata` reads metadata where they lie. `base` is
    the first rows, and `confirm` is asked about those of them that are found.
    """

    def __init__(
        self,
        n_bits: int,
        attributes: Sequence[str],
        metadata: Metadata,
        base: Base | None = None,
        confirm: Confirm = lambda snapshot, rows, segments, columns: None,
    ) -> None:
        self.n_bits, self.attributes, self._metadata = n_bits, list(attributes), metadata
        self.base, self.confirm = base or Base(), confirm
        self.texts = Texts()
        self.names = {field.name: Names() for field in SEARCHED_TEXTS}

        def column(name: str, kind: type[np.generic], width: int | None = None) -> Column:
            return Column(kind, width, self.base.pieces(name))

        self._seqs, self._keys = column("seq", np.int64), column("key", np.int64)
        self._codes = column("code", np.uint8, n_bits // 8)
        self._attributes = column("attributes", np.uint8, -(-len(attributes) // 8))
        self._added, self._alive = column("added", np.int64), Column(np.bool_)
        self._fields = {field.name: column(field.name, np.int64) for field in SEARCHED_NUMBERS}
        self._fields |= {name: column(name, np.int32) for name in self.names}
        self.touched: set[int] = set()
        """Numbers of segments of which anything was removed or changed."""
        if self.base.n:
            self._alive.append(self.base.items())
        self._n_alive = self.base.n_items
        self._ascending = self.base.ascending
        self._columns: dict[str, tuple[Ints32, dict[str, int]]] = {}  # metadata by key, the latest asked for last
        self._coarse: CoarseCode | None = None  # the one whose codes are kept
        self._coarse_codes = Column(np.uint8, 0)
        self._reading = threading.Lock()  # of metadata and coarse codes, by those who search
        self._snapshot: Snapshot | None = None

    @property
    def wasteful(self) -> bool:
        """Whether so many rows in memory are marked as removed that it is time to compact."""
        n = self._seqs.n - self.base.n
        if n <= _LEAST_WASTE:
            return False
        dead = n - int(np.count_nonzero(self._alive.values[self.base.n :]))
        return dead > max(_LEAST_WASTE, WASTE * n)

    @property
    def n_padding(self) -> int:
        """Rows of segments that are no items, and never were."""
        return self.base.n - self.base.n_items

    def make_room(self, n: int) -> None:
        """Make room for so many rows more, so that they need not be moved."""
        for column in self._all:
            column.make_room(column.n + n)

    def append(self, rows: Rows) -> None:
        """Add rows at the end."""
        n = len(rows.keys)
        if not n:
            return
        keys = rows.keys if not self._keys.n else np.concatenate([self._keys.values[-1:], rows.keys])
        self._ascending = self._ascending and bool((keys[1:] > keys[:-1]).all())
        fields: dict[str, AnyArray] = dict(zip([field.name for field in SEARCHED_NUMBERS], rows.numbers, strict=True))
        texts = zip(self.names.items(), rows.names, strict=True)
        fields |= {name: names.numbers(column) for (name, names), column in texts}
        columns: tuple[tuple[Column, AnyArray], ...] = (
            (self._seqs, rows.seqs),
            (self._keys, rows.keys),
            (self._codes, rows.codes),
            (self._attributes, rows.attributes),
            (self._added, rows.added),
            (self._alive, np.ones(n, np.bool_)),
            *((self._fields[name], values) for name, values in fields.items()),
        )
        for column, values in columns:
            column.append(values)
        self.texts.append(rows.texts)
        self._n_alive += n
        self._snapshot = None

    def remove(self, seqs: Ints) -> None:
        """Mark the rows of these sequence numbers as removed; numbers that are not there are passed over."""
        alive = self._alive.copy()
        rows = self._rows_of(seqs)
        self._touch(rows)
        alive.values[rows] = False
        self._alive, self._n_alive, self._snapshot = alive, int(np.count_nonzero(alive.values)), None

    def assign(self, seqs: Ints, persons: Sequence[bytes | None]) -> None:
        """Say who the rows of these sequence numbers show (UTF-8)."""
        numbers = dict(zip(seqs.tolist(), self.names["person"].numbers(persons).tolist(), strict=True))
        rows = self._rows_of(seqs)
        self._touch(rows)
        changed = self._fields["person"].copy()
        new = np.array([numbers[seq] for seq in self._seqs.values[rows].tolist()], np.int32)
        # In segments, names that came later count down from that of nobody.
        changed.values[rows] = np.where((rows < self.base.n) & (new != NOBODY), NOBODY - 1 - new, new)
        self._fields = {**self._fields, "person": changed}
        self._snapshot = None

    def _touch(self, rows: Ints) -> None:
        self.touched.update(map(self.base.number_of, rows[rows < self.base.n].tolist()))

    def _rows_of(self, seqs: Ints) -> Ints:
        """Return the rows of those sequence numbers that are there."""
        found = []
        for number, part in enumerate(self.base.slices(self._seqs.n)):
            own = self._seqs.values[part]
            if not len(own):
                continue
            if number < len(self.base.segments):
                segment = self.base.segments[number]
                seqs_here = seqs[(seqs >= segment.first) & (seqs <= segment.last)]
                rows = segment.rows_of(seqs_here)
            else:
                seqs_here, rows = seqs, np.searchsorted(own, seqs).clip(max=len(own) - 1)
            found.append(rows[own[rows] == seqs_here] + part.start)
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def snapshot(self) -> Snapshot:
        """Return the table as it is now."""
        if self._snapshot is None:
            attributes = (
                Codes(self._attributes.values, 8 * self._attributes.values.shape[1]) if self.attributes else None
            )
            self._snapshot = Snapshot(
                self._seqs.values,
                self._keys.values,
                Codes(self._codes.values, self.n_bits),
                attributes,
                self._added.values,
                None if self._n_alive == self._seqs.n else self._alive.values,
                self._n_alive,
                self._ascending,
                {name: column.values for name, column in self._fields.items()},
                self,
                {},
            )
        return self._snapshot

    def compacted(self, snapshot: Snapshot) -> "Table":
        """Return a table of the rows of `snapshot` that are there; it may be made while this one is used.

        Those of segments are all there again: what happened to them has to be told anew.
        """
        rows = np.arange(len(snapshot)) if snapshot.alive is None else np.flatnonzero(snapshot.alive)
        if not self.base.n:
            table = self.moved(snapshot, self.base, rows)
            with self._reading:
                if self._coarse is not None:
                    kept = self._coarse_codes.values
                    table._coarse, table._coarse_codes = self._coarse, Column(np.uint8, kept.shape[1])
                    table._coarse_codes.append(kept[rows[rows < len(kept)]])
            return table
        return self.moved(snapshot, self.base, rows[rows >= self.base.n])

    def moved(self, snapshot: Snapshot, base: Base, rows: Ints) -> "Table":
        """Return a table of other segments and some `rows` of a snapshot; columns of metadata are taken along."""
        table = Table(self.n_bits, self.attributes, self._metadata, base, self.confirm)
        table.append(self.rows(snapshot, rows))
        with self._reading:
            known = dict(self._columns)
        if known:
            seqs = table._seqs.values
            there = self._row_of_each(snapshot, seqs)
            for key, (column, values) in known.items():
                # Those at the end that are not known yet are read when they are asked for.
                right = (there >= 0) & (there < len(column))
                n = len(seqs) if right.all() else int(np.argmin(right))
                table._columns[key] = column[there[:n]], dict(values)
        return table

    def _row_of_each(self, snapshot: Snapshot, seqs: Ints) -> Ints:
        """Return the row of a snapshot for each sequence number; -1 where there is none."""
        order = np.argsort(snapshot.seqs, kind="stable")
        at = np.searchsorted(snapshot.seqs, seqs, sorter=order)
        rows = order[at.clip(max=max(len(order) - 1, 0))] if len(order) else np.zeros(len(seqs), np.int64)
        return np.where(snapshot.seqs[rows] == seqs, rows, -1) if len(order) else rows - 1

    def rows(self, snapshot: Snapshot, rows: Ints) -> Rows:
        """Return some rows, none of them of segments, as they could be appended again."""
        attributes = snapshot.attribute_codes
        return Rows(
            snapshot.seqs[rows],
            snapshot.keys[rows],
            snapshot.id_texts(rows.tolist()),
            snapshot.codes.packed[rows],
            np.empty((len(rows), 0), np.uint8) if attributes is None else attributes.packed[rows],
            snapshot.added[rows],
            [snapshot.fields[field.name][rows] for field in SEARCHED_NUMBERS],
            [texts_of(snapshot.fields[name][rows], names) for name, names in self.names.items()],
        )

    def metadata_column(self, key: str, snapshot: Snapshot) -> tuple[Ints32, dict[str, int]]:
        """Return the numbers of the values that rows have, -1 where there is none, and which number each value has.

        Read when first asked for, then kept, until others were asked for.
        """
        with self._reading:
            known, values = self._columns.pop(key, (np.empty(0, np.int32), {}))
            if len(known) < len(snapshot):
                seqs = snapshot.seqs[len(known) :]
                found, numbers = array("q"), array("i")
                of_text: dict[str | bytes, int] = {}  # many items share theirs
                for seq, text in self._metadata(int(seqs.min()), int(seqs.max())):
                    if text not in of_text:
                        metadata = json.loads(text)
                        there = key in metadata
                        of_text[text] = values.setdefault(canonical(metadata[key]), len(values)) if there else -1
                    found.append(seq)
                    numbers.append(of_text[text])
                known = np.concatenate([known, _in_rows(seqs, found, numbers)])
            self._columns[key] = known, values
            if len(self._columns) > _MOST_KEYS:
                del self._columns[next(iter(self._columns))]
            return known[: len(snapshot)], values

    def coarse_codes(self, coarse: CoarseCode, snapshot: Snapshot) -> Codes:
        """Return the coarse codes of the rows. Made when first asked for, then kept, until another is asked for."""
        with self._reading:
            if self._coarse != coarse:
                wanted = coarse_name(coarse), coarse.n_bits // 8
                in_files = all((each.coarse, each.coarse_bytes) == wanted for each in self.base.segments)
                pieces = self.base.pieces("coarse") if in_files else []
                self._coarse, self._coarse_codes = coarse, Column(np.uint8, coarse.n_bits // 8, pieces)
            while (first := self._coarse_codes.n) < len(snapshot):
                some = slice(first, first + _MADE_AT_ONCE)
                attributes = None if snapshot.attribute_codes is None else snapshot.attribute_codes[some]
                self._coarse_codes.append(coarse.of(snapshot.codes[some], attributes).packed)
            return Codes(self._coarse_codes.values[: len(snapshot)], coarse.n_bits)

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the columns take, without room to grow and what is in segments."""
        columns = *self._all, self._coarse_codes
        return sum(column.n_bytes for column in columns) + self.texts.n_bytes

    @property
    def _all(self) -> tuple[Column, ...]:
        own = self._seqs, self._keys, self._codes, self._attributes, self._added, self._alive
        return *own, *self._fields.values()


def _in_rows(seqs: Ints, found: "array[int]", numbers: "array[int]") -> Ints32:
    """Return numbers in the rows of the sequence numbers that they were found with, -1 in the other rows."""
    column = np.full(len(seqs), -1, np.int32)
    order = np.argsort(seqs, kind="stable")
    at = np.searchsorted(seqs, wanted := np.frombuffer(found, np.int64), sorter=order)
    rows = order[at.clip(max=len(seqs) - 1)]
    right = seqs[rows] == wanted
    column[rows[right]] = np.frombuffer(numbers, np.int32)[right]
    return column
