"""Items as arrays in memory: what the kernel searches.

Rows are appended and never changed; what is removed is marked, and dropped when the table is compacted. A snapshot is
the table at one moment: any number of threads may search it while rows are added and removed.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import AnyArray, Bools, Bytes, Ints, Ints32
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.gallery.description import Description
from bitreid.gallery.fields import FIELDS, SEARCHED_NUMBERS, SEARCHED_TEXTS, Field
from bitreid.gallery.filters.types import Filter, mask
from bitreid.gallery.items import Hit, Id, canonical, key_of
from bitreid.gallery.requests import Found, Request
from bitreid.gallery.table.columns import Column, Names, Texts, texts_of
from bitreid.hamming import Ranking, rescore, search_exact, search_two_stage

Metadata = Callable[[int, int], Iterable[tuple[int, str | bytes]]]
"""Sequence numbers and metadata (JSON) of the items numbered from the first to the last of two numbers, if any."""

WASTE = 0.3
"""Share of rows marked as removed from which on a table is compacted."""
_LEAST_WASTE = 1000  # rows
_MOST_PASSING = 8  # filters whose rows a snapshot keeps, a byte an item each
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


@dataclass(frozen=True)
class Snapshot:
    """The rows of a table at one moment; it is the `Columns` that filters are judged on.

    `alive` marks the rows that were not removed, None: all of them. `ascending` says whether the keys ascend.
    `_fields` holds the columns of searched fields by name: numbers, and for texts the numbers that `Names` gave them.
    """

    seqs: Ints
    keys: Ints
    codes: Codes
    attribute_codes: Codes | None
    added: Ints
    alive: Bools | None
    n_alive: int
    ascending: bool
    _fields: Mapping[str, AnyArray]
    _table: "Table"
    _passing: dict[Filter, tuple[Bools, int]]  # by filters that were asked for last

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def cameras(self) -> Ints:
        return self._fields["camera"]

    @property
    def times(self) -> Ints:
        return self._fields["time"]

    def attribute(self, name: str) -> Bools:
        bit = self._table.attributes.index(name)
        assert self.attribute_codes is not None, "the attribute was checked"
        return np.asarray(self.attribute_codes.packed[:, bit // 8] & np.uint8(128 >> bit % 8) != 0)

    def person_in(self, persons: frozenset[str]) -> Bools:
        return self._text_in("person", persons)

    def tracklet_in(self, tracklets: frozenset[str]) -> Bools:
        return self._text_in("tracklet", tracklets)

    def _text_in(self, field: str, texts: frozenset[str]) -> Bools:
        numbers, wanted = self._fields[field], self._table.names[field].known(texts)
        if not wanted:
            return np.zeros(len(numbers), np.bool_)
        return np.asarray(numbers == wanted[0] if len(wanted) == 1 else np.isin(numbers, wanted))

    def id_in(self, ids: frozenset[Id]) -> Bools:
        found = np.isin(self.keys, np.fromiter(map(key_of, ids), np.int64, len(ids)))
        rows = np.flatnonzero(found)
        found[rows] = [id in ids for id in self.ids(rows.tolist())]  # a text and a number may share a key
        return found

    def metadata_is(self, key: str, value: str | int | float | bool | None) -> Bools:
        column, values = self._table.metadata_column(key, self)
        return np.asarray(column == values.get(canonical(value), -2))

    def added_of(self, ids: Sequence[Id]) -> dict[Id, int]:
        """Return when the items of these ids were added, in microseconds from 1970 on, of those that are there."""
        found = self.id_in(frozenset(ids))
        rows = np.flatnonzero(found if self.alive is None else found & self.alive)
        return dict(zip(self.ids(rows.tolist()), self.added[rows].tolist(), strict=True))

    def ids(self, rows: Sequence[int]) -> list[Id]:
        """Return the ids of rows."""
        texts = self._table.texts.at(rows)
        keys = self.keys[np.asarray(rows, np.intp)].tolist()
        return [key if text is None else text.decode() for key, text in zip(keys, texts, strict=True)]

    @property
    def n_persons(self) -> int:
        """How many different persons there are."""
        persons = self._fields["person"][self._there]
        return len(np.unique(persons[persons >= 0]))

    @property
    def n_tracklets(self) -> int:
        """How many different tracklets there are, each of a camera."""
        cameras, names = self.cameras[self._there], self._fields["tracklet"][self._there]
        pairs = np.stack([cameras, names], axis=1)[names >= 0]
        return len(np.unique(pairs, axis=0))

    @property
    def camera_numbers(self) -> tuple[int, ...]:
        """Numbers of the cameras that items are of, ascending."""
        cameras = self.cameras[self._there]
        return tuple(np.unique(cameras[cameras != UNKNOWN]).tolist())

    @property
    def _there(self) -> Bools | slice:
        return slice(None) if self.alive is None else self.alive

    def matching(self, where: Filter | None) -> tuple[Bools | None, int]:
        """Return which rows are there and pass the filter (None: all), and how many."""
        if where is None:
            return self.alive, self.n_alive
        known = self._passing.get(where)
        if known is None:
            rows = mask(where, self)
            if self.alive is not None:
                rows = rows & self.alive
            known = rows, int(np.count_nonzero(rows))
            if len(self._passing) >= _MOST_PASSING:
                self._passing.clear()
            self._passing[where] = known
        return known

    def find(self, request: Request) -> Found:
        """Return the nearest items (see `Gallery._find`)."""
        rows, n = self.matching(request.where)
        common: dict[str, Any] = {"bits": request.mask, "rows": rows, "n_threads": request.n_threads}
        ids = None if self.ascending else self.keys
        if request.w is None:
            ranking = search_exact(request.queries, self.codes, request.n_short, ids, **common)
        else:
            assert request.short is not None, "a search in two stages has short codes"
            short = self.attribute_codes if request.coarse is None else self._table.coarse_codes(request.coarse, self)
            assert short is not None, "they were checked"
            sides = request.short, request.queries, short, self.codes
            ranking = search_two_stage(*sides, request.w, request.n_short, ids, **common)
        if request.features is not None:
            common.pop("rows")
            ranking = rescore(request.features, self.codes, ranking, request.k, ids, **common)
        return Found(self._hits(ranking), n)

    def find_attributes(self, description: Description, k: int, where: Filter | None) -> tuple[list[Hit], int]:
        """Return the nearest items by attributes (see `Gallery._find_attributes`)."""
        rows, n = self.matching(where)
        assert self.attribute_codes is not None, "attributes were asked for"
        weights = description.wrong(self.attribute_codes.packed)
        there = np.arange(len(self)) if rows is None else np.flatnonzero(rows)
        if k < len(there):
            there = there[weights[there] <= np.partition(weights[there], k - 1)[k - 1]]
        nearest = there[np.lexsort((self.keys[there], weights[there]))][:k]
        found = self._hits(Ranking(nearest[None], weights[nearest][None].astype(np.int32)))[0]
        return [hit._replace(distance=description.distance(int(hit.distance))) for hit in found], n

    def _hits(self, ranking: Ranking) -> list[list[Hit]]:
        found = []
        for rows, distances in zip(ranking.positions, ranking.distances, strict=True):
            n = len(rows)
            fields = [self._shown(field, rows) for field in FIELDS if field.searched]
            columns = self.ids(rows.tolist()), distances.tolist(), (None,) * n, *fields, (1,) * n
            found.append(list(map(Hit._make, zip(*columns, strict=True))))
        return found

    def _shown(self, field: Field, rows: Ints) -> list[Any]:
        numbers = self._fields[field.name][rows].tolist()
        if field.kind.is_number:
            return list(map(field.kind.shown, numbers))
        names = self._table.names[field.name].of_number
        return [None if i < 0 else names[i] for i in numbers]


class Table:
    """The columns of a gallery's items. Its methods are for one thread at a time; snapshots are for all.

    `attributes` names the bits of attribute codes of so many bytes; `metadata` reads metadata where they lie.
    """

    def __init__(self, n_bits: int, attributes: Sequence[str], metadata: Metadata) -> None:
        self.n_bits, self.attributes, self._metadata = n_bits, list(attributes), metadata
        self.texts = Texts()
        self.names = {field.name: Names() for field in SEARCHED_TEXTS}
        self._seqs, self._keys = Column(np.int64), Column(np.int64)
        self._codes = Column(np.uint8, n_bits // 8)
        self._attributes = Column(np.uint8, -(-len(attributes) // 8))
        self._added, self._alive = Column(np.int64), Column(np.bool_)
        self._fields = {field.name: Column(np.int64) for field in SEARCHED_NUMBERS}
        self._fields |= {name: Column(np.int32) for name in self.names}
        self._n_alive = 0
        self._ascending = True
        self._columns: dict[str, tuple[Ints32, dict[str, int]]] = {}  # metadata by key, the latest asked for last
        self._coarse: CoarseCode | None = None  # the one whose codes are kept
        self._coarse_codes = Column(np.uint8, 0)
        self._reading = threading.Lock()  # of metadata and coarse codes, by those who search
        self._snapshot: Snapshot | None = None

    @property
    def wasteful(self) -> bool:
        """Whether so many rows are marked as removed that it is time to compact."""
        dead = self._seqs.n - self._n_alive
        return dead > max(_LEAST_WASTE, WASTE * self._seqs.n)

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
        alive.values[self._rows_of(seqs)] = False
        self._alive, self._n_alive, self._snapshot = alive, int(np.count_nonzero(alive.values)), None

    def assign(self, seqs: Ints, persons: Sequence[bytes | None]) -> None:
        """Say who the rows of these sequence numbers show (UTF-8)."""
        numbers = dict(zip(seqs.tolist(), self.names["person"].numbers(persons).tolist(), strict=True))
        rows = self._rows_of(seqs)
        changed = self._fields["person"].copy()
        changed.values[rows] = [numbers[seq] for seq in self._seqs.values[rows].tolist()]
        self._fields = {**self._fields, "person": changed}
        self._snapshot = None

    def _rows_of(self, seqs: Ints) -> Ints:
        rows = np.searchsorted(self._seqs.values, seqs)
        rows = rows[rows < self._seqs.n]
        return rows[np.isin(self._seqs.values[rows], seqs)]

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
        """Return a table of the rows of `snapshot` that are there; it may be made while this one is used."""
        table = Table(self.n_bits, self.attributes, self._metadata)
        rows = np.arange(len(snapshot)) if snapshot.alive is None else np.flatnonzero(snapshot.alive)
        table.append(self.rows(snapshot, rows))
        with self._reading:
            for key, (column, values) in self._columns.items():
                table._columns[key] = column[rows[rows < len(column)]], dict(values)
            if self._coarse is not None:
                kept = self._coarse_codes.values
                table._coarse, table._coarse_codes = self._coarse, Column(np.uint8, kept.shape[1])
                table._coarse_codes.append(kept[rows[rows < len(kept)]])
        return table

    def rows(self, snapshot: Snapshot, rows: Ints) -> Rows:
        """Return some rows as they could be appended again."""
        attributes = snapshot.attribute_codes
        return Rows(
            snapshot.seqs[rows],
            snapshot.keys[rows],
            self.texts.at(rows.tolist()),
            snapshot.codes.packed[rows],
            np.empty((len(rows), 0), np.uint8) if attributes is None else attributes.packed[rows],
            snapshot.added[rows],
            [snapshot._fields[field.name][rows] for field in SEARCHED_NUMBERS],
            [texts_of(snapshot._fields[name][rows], names) for name, names in self.names.items()],
        )

    def metadata_column(self, key: str, snapshot: Snapshot) -> tuple[Ints32, dict[str, int]]:
        """Return the numbers of the values that rows have, -1 where there is none, and which number each value has.

        Read when first asked for, then kept, until others were asked for.
        """
        with self._reading:
            known, values = self._columns.pop(key, (np.empty(0, np.int32), {}))
            if len(known) < len(snapshot):
                seqs = snapshot.seqs[len(known) :]
                rows = {seq: row for row, seq in enumerate(seqs.tolist())}
                fresh = np.full(len(seqs), -1, np.int32)
                of_text: dict[str | bytes, int] = {}  # many items share theirs
                for seq, text in self._metadata(int(seqs[0]), int(seqs[-1])):
                    if text not in of_text:
                        metadata = json.loads(text)
                        there = key in metadata
                        of_text[text] = values.setdefault(canonical(metadata[key]), len(values)) if there else -1
                    if seq in rows:
                        fresh[rows[seq]] = of_text[text]
                known = np.concatenate([known, fresh])
            self._columns[key] = known, values
            if len(self._columns) > _MOST_KEYS:
                del self._columns[next(iter(self._columns))]
            return known[: len(snapshot)], values

    def coarse_codes(self, coarse: CoarseCode, snapshot: Snapshot) -> Codes:
        """Return the coarse codes of the rows. Made when first asked for, then kept, until another is asked for."""
        with self._reading:
            if self._coarse != coarse:
                self._coarse, self._coarse_codes = coarse, Column(np.uint8, coarse.n_bits // 8)
            while (first := self._coarse_codes.n) < len(snapshot):
                some = slice(first, first + _MADE_AT_ONCE)
                attributes = None if snapshot.attribute_codes is None else snapshot.attribute_codes[some]
                self._coarse_codes.append(coarse.of(snapshot.codes[some], attributes).packed)
            return Codes(self._coarse_codes.values[: len(snapshot)], coarse.n_bits)

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the columns take, without room to grow."""
        columns = *self._all, self._coarse_codes
        return sum(column.values.nbytes for column in columns) + self.texts.n_bytes

    @property
    def _all(self) -> tuple[Column, ...]:
        own = self._seqs, self._keys, self._codes, self._attributes, self._added, self._alive
        return *own, *self._fields.values()
