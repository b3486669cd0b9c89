"""Items as arrays in memory: what the kernel searches.

Rows are appended and never changed; what is removed is marked, and dropped when the table is compacted. A snapshot is
the table at one moment: any number of threads may search it while rows are added and removed.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import Bools, Bytes, Ints, Ints32
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.gallery.description import Wanted
from bitreid.gallery.filters.types import Filter, mask
from bitreid.gallery.items import Hit, Id, canonical, key_of, time_of
from bitreid.gallery.requests import Found, Request
from bitreid.gallery.table.columns import Column, Names, Texts, texts_of
from bitreid.hamming import Ranking, search_exact, search_two_stage

Metadata = Callable[[int, int], Iterable[tuple[int, str | bytes]]]
"""Sequence numbers and metadata (JSON) of the items numbered from the first to the last of two numbers, if any."""

WASTE = 0.3
"""Share of rows marked as removed from which on a table is compacted."""
_LEAST_WASTE = 1000  # rows
_MOST_PASSING = 8  # filters whose rows a snapshot keeps, a byte an item each
_MOST_KEYS = 16  # of metadata that are kept as columns, so that who asks for ever new ones fills no memory


class Rows(NamedTuple):
    """Items to append: `seqs` ascend and are larger than all before; a text is None where the key is the id.

    Texts, tracklets and persons are UTF-8.
    """

    seqs: Ints
    keys: Ints
    texts: Sequence[bytes | None]
    codes: Bytes
    attributes: Bytes
    cameras: Ints
    times: Ints
    added: Ints
    tracklets: Sequence[bytes | None]
    persons: Sequence[bytes | None]


@dataclass(frozen=True)
class Snapshot:
    """The rows of a table at one moment; it is the `Columns` that filters are judged on.

    `alive` marks the rows that were not removed, None: all of them. `ascending` says whether the keys ascend.
    """

    seqs: Ints
    keys: Ints
    codes: Codes
    attribute_codes: Codes | None
    cameras: Ints
    times: Ints
    added: Ints
    alive: Bools | None
    n_alive: int
    ascending: bool
    _tracklets: Ints32
    _persons: Ints32
    _table: "Table"
    _passing: dict[Filter, tuple[Bools, int]]  # by filters that were asked for last

    def __len__(self) -> int:
        return len(self.keys)

    def attribute(self, name: str) -> Bools:
        bit = self._table.attributes.index(name)
        assert self.attribute_codes is not None, "the attribute was checked"
        return np.asarray(self.attribute_codes.packed[:, bit // 8] & np.uint8(128 >> bit % 8) != 0)

    def person_in(self, persons: frozenset[str]) -> Bools:
        return _among(self._persons, self._table.person_names.known(persons))

    def tracklet_in(self, tracklets: frozenset[str]) -> Bools:
        return _among(self._tracklets, self._table.tracklet_names.known(tracklets))

    def id_in(self, ids: frozenset[Id]) -> Bools:
        found = np.isin(self.keys, np.fromiter(map(key_of, ids), np.int64, len(ids)))
        rows = np.flatnonzero(found)
        found[rows] = [id in ids for id in self.ids(rows.tolist())]  # a text and a number may share a key
        return found

    def metadata_is(self, key: str, value: str | int | float | bool | None) -> Bools:
        column, values = self._table.metadata_column(key, self)
        return np.asarray(column == values.get(canonical(value), -2))

    def ids(self, rows: Sequence[int]) -> list[Id]:
        """The ids of rows."""
        texts = self._table.texts.at(rows)
        keys = self.keys[np.asarray(rows, np.intp)].tolist()
        return [key if text is None else text.decode() for key, text in zip(keys, texts, strict=True)]

    def distinct(self) -> tuple[int, int]:
        """How many different persons and tracklets there are."""
        rows = slice(None) if self.alive is None else self.alive
        persons, tracklets = (np.unique(column[rows]) for column in (self._persons, self._tracklets))
        return int((persons >= 0).sum()), int((tracklets >= 0).sum())

    def findable(self, where: Filter | None) -> tuple[Bools | None, int]:
        """Which rows are there and pass the filter (None: all), and how many."""
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
        """The nearest items (see `Gallery._find`)."""
        rows, n = self.findable(request.where)
        common: dict[str, Any] = {"bits": request.mask, "rows": rows, "n_threads": request.n_threads}
        ids = None if self.ascending else self.keys
        if request.w is None:
            ranking = search_exact(request.queries, self.codes, request.k, ids, **common)
        else:
            assert request.short is not None, "a search in two stages has short codes"
            assert self.attribute_codes is not None, "they were checked"
            sides = request.short, request.queries, self.attribute_codes, self.codes
            ranking = search_two_stage(*sides, request.w, request.k, ids, **common)
        return Found(self._hits(ranking), n)

    def find_attributes(self, wanted: Wanted, k: int, where: Filter | None) -> tuple[list[Hit], int]:
        """The nearest items by attributes (see `Gallery._find_attributes`)."""
        rows, n = self.findable(where)
        assert self.attribute_codes is not None, "attributes were asked for"
        ids = None if self.ascending else self.keys
        found = search_exact(wanted.code, self.attribute_codes, k, ids, wanted.weights, rows=rows)
        return [hit._replace(distance=wanted.distance(int(hit.distance))) for hit in self._hits(found)[0]], n

    def _hits(self, ranking: Ranking) -> list[list[Hit]]:
        persons, tracklets = self._table.person_names.of_number, self._table.tracklet_names.of_number
        found = []
        for rows, distances in zip(ranking.positions, ranking.distances, strict=True):
            n = len(rows)
            columns = (
                self.ids(rows.tolist()),
                distances.tolist(),
                (None,) * n,
                [None if camera == UNKNOWN else camera for camera in self.cameras[rows].tolist()],
                [time_of(time) for time in self.times[rows].tolist()],
                [None if i < 0 else tracklets[i] for i in self._tracklets[rows].tolist()],
                [None if i < 0 else persons[i] for i in self._persons[rows].tolist()],
                (1,) * n,
            )
            found.append(list(map(Hit._make, zip(*columns, strict=True))))
        return found


class Table:
    """The columns of a gallery's items. Its methods are for one thread at a time; snapshots are for all.

    `attributes` names the bits of attribute codes of so many bytes; `metadata` reads metadata where they lie.
    """

    def __init__(self, n_bits: int, attributes: Sequence[str], metadata: Metadata) -> None:
        self.n_bits, self.attributes, self._metadata = n_bits, list(attributes), metadata
        self.texts = Texts()
        self.person_names, self.tracklet_names = Names(), Names()
        self._seqs, self._keys = Column(np.int64), Column(np.int64)
        self._codes = Column(np.uint8, n_bits // 8)
        self._attributes = Column(np.uint8, -(-len(attributes) // 8))
        self._cameras, self._times, self._added = Column(np.int64), Column(np.int64), Column(np.int64)
        self._tracklets = Column(np.int32)
        self._persons, self._alive = Column(np.int32), Column(np.bool_)
        self._n_alive = 0
        self._ascending = True
        self._columns: dict[str, tuple[Ints32, dict[str, int]]] = {}  # metadata by key, the latest asked for last
        self._reading = threading.Lock()  # of metadata, by those who search
        self._snapshot: Snapshot | None = None

    @property
    def last_seq(self) -> int:
        """The largest sequence number; 0 if there is none."""
        return int(self._seqs.values[-1]) if self._seqs.n else 0

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
        for column, values in (
            (self._seqs, rows.seqs),
            (self._keys, rows.keys),
            (self._codes, rows.codes),
            (self._attributes, rows.attributes),
            (self._cameras, rows.cameras),
            (self._times, rows.times),
            (self._added, rows.added),
            (self._tracklets, self.tracklet_names.numbers(rows.tracklets)),
            (self._persons, self.person_names.numbers(rows.persons)),
            (self._alive, np.ones(n, np.bool_)),
        ):
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
        numbers = dict(zip(seqs.tolist(), self.person_names.numbers(persons).tolist(), strict=True))
        rows = self._rows_of(seqs)
        changed = self._persons.copy()
        changed.values[rows] = [numbers[seq] for seq in self._seqs.values[rows].tolist()]
        self._persons, self._snapshot = changed, None

    def _rows_of(self, seqs: Ints) -> Ints:
        rows = np.searchsorted(self._seqs.values, seqs)
        rows = rows[rows < self._seqs.n]
        return rows[np.isin(self._seqs.values[rows], seqs)]

    def snapshot(self) -> Snapshot:
        """The table as it is now."""
        if self._snapshot is None:
            attributes = (
                Codes(self._attributes.values, 8 * self._attributes.values.shape[1]) if self.attributes else None
            )
            self._snapshot = Snapshot(
                self._seqs.values,
                self._keys.values,
                Codes(self._codes.values, self.n_bits),
                attributes,
                self._cameras.values,
                self._times.values,
                self._added.values,
                None if self._n_alive == self._seqs.n else self._alive.values,
                self._n_alive,
                self._ascending,
                self._tracklets.values,
                self._persons.values,
                self,
                {},
            )
        return self._snapshot

    def compacted(self, snapshot: Snapshot) -> "Table":
        """A table of the rows of `snapshot` that are there; it may be made while this one is used."""
        table = Table(self.n_bits, self.attributes, self._metadata)
        rows = np.arange(len(snapshot)) if snapshot.alive is None else np.flatnonzero(snapshot.alive)
        table.append(self.rows(snapshot, rows))
        with self._reading:
            for key, (column, values) in self._columns.items():
                table._columns[key] = column[rows[rows < len(column)]], dict(values)
        return table

    def rows(self, snapshot: Snapshot, rows: Ints) -> Rows:
        """Some rows as they could be appended again."""
        attributes = snapshot.attribute_codes
        return Rows(
            snapshot.seqs[rows],
            snapshot.keys[rows],
            self.texts.at(rows.tolist()),
            snapshot.codes.packed[rows],
            np.empty((len(rows), 0), np.uint8) if attributes is None else attributes.packed[rows],
            snapshot.cameras[rows],
            snapshot.times[rows],
            snapshot.added[rows],
            texts_of(snapshot._tracklets[rows], self.tracklet_names),
            texts_of(snapshot._persons[rows], self.person_names),
        )

    def metadata_column(self, key: str, snapshot: Snapshot) -> tuple[Ints32, dict[str, int]]:
        """The numbers of the values that rows have, -1 where there are none, and what number stands for which value.

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

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the columns take, without room to grow."""
        return sum(column.values.nbytes for column in self._all) + self.texts.n_bytes

    @property
    def _all(self) -> tuple[Column, ...]:
        numbers = self._seqs, self._keys, self._cameras, self._times, self._added, self._tracklets, self._persons
        return *numbers, self._codes, self._attributes, self._alive


def _among(numbers: Ints32, wanted: Sequence[int]) -> Bools:
    if not wanted:
        return np.zeros(len(numbers), np.bool_)
    return numbers == wanted[0] if len(wanted) == 1 else np.isin(numbers, wanted)
