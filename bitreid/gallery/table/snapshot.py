"""A table at one moment: what the kernel searches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bitreid.arrays import AnyArray, Bools, Ints
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.gallery.description import Description
from bitreid.gallery.fields import FIELDS, Field
from bitreid.gallery.filters.types import Filter, mask
from bitreid.gallery.items import Hit, Id, canonical, key_of
from bitreid.gallery.requests import Found, Request
from bitreid.gallery.table.base import Base, Unconfirmed
from bitreid.gallery.table.clustered import search_lists
from bitreid.hamming import Ranking, rescore, search_exact, search_two_stage

if TYPE_CHECKING:
    from bitreid.gallery.table.table import Table

_MOST_PASSING = 8  # filters whose rows a snapshot keeps, a byte an item each
NOBODY = -1
"""The number of no text; those below it are of names that came after the row's segment, from -2 on."""


@dataclass(frozen=True)
class Snapshot:
    """The rows of a table at one moment; it is the `Columns` that filters are judged on.

    `alive` marks the rows that were not removed, None: all of them. `ascending` says whether the keys ascend.
    `fields` holds the columns of searched fields by name: numbers, and for texts the numbers of their names: of those
    of the row's segment, or of the table's `Names` after the segments.
    """

    seqs: Ints
    keys: Ints
    codes: Codes
    attribute_codes: Codes | None
    added: Ints
    alive: Bools | None
    n_alive: int
    ascending: bool
    fields: Mapping[str, AnyArray]
    _table: "Table"
    _passing: dict[Filter, tuple[Bools, int]]  # by filters that were asked for last

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def base(self) -> Base:
        """The segments that it begins with."""
        return self._table.base

    @property
    def cameras(self) -> Ints:
        return self.fields["camera"]

    @property
    def times(self) -> Ints:
        return self.fields["time"]

    def attribute(self, name: str) -> Bools:
        bit = self._table.attributes.index(name)
        assert self.attribute_codes is not None, "the attribute was checked"
        return np.asarray(self.attribute_codes.packed[:, bit // 8] & np.uint8(128 >> bit % 8) != 0)

    def person_in(self, persons: frozenset[str]) -> Bools:
        return self._text_in("person", persons)

    def tracklet_in(self, tracklets: frozenset[str]) -> Bools:
        return self._text_in("tracklet", tracklets)

    def _text_in(self, field: str, texts: frozenset[str]) -> Bools:
        later = self._table.names[field].known(texts)
        found = np.zeros(len(self), np.bool_)
        for number, rows in enumerate(self.base.slices(len(self))):
            wanted, column = later, self.fields[field][rows]
            if number < len(self.base.segments):
                names = self.base.segments[number].names[field]
                wanted = [*names.known(texts), *(NOBODY - 1 - each for each in later)]
            if len(wanted) == 1:
                np.equal(column, wanted[0], out=found[rows])
            elif wanted:
                found[rows] = np.isin(column, wanted)
        return found

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
        return _ids(self.keys[np.asarray(rows, np.intp)], self.id_texts(rows))

    def id_texts(self, rows: Sequence[int]) -> list[bytes | None]:
        """Return the ids of rows as UTF-8; None where the key is the id."""
        return self._id_texts(rows, self.base.numbers_of(np.asarray(rows, np.int64)).tolist())

    def _id_texts(self, rows: Sequence[int], numbers: Sequence[int]) -> list[bytes | None]:
        """Return `id_texts` of rows, beside the number of each one's segment."""
        base, later = self.base, self._table.texts
        if not self.has_id_texts:
            return [None] * len(rows)
        if not base.n:
            return later.at(rows)
        segments, starts, last = base.segments, base.starts, len(base.segments)
        return [
            later.at([row - base.n])[0] if at == last else segments[at].id_text(row - starts[at])
            for row, at in zip(rows, numbers, strict=True)
        ]

    @property
    def has_id_texts(self) -> bool:
        """Whether any id may be text."""
        return self._table.texts.n_bytes > 0 or any(each.texts is not None for each in self.base.segments)

    def numbers(self, name: str) -> Ints:
        """Return the column of sequence numbers, keys, times of addition, or of a field that is a number."""
        return {"seq": self.seqs, "key": self.keys, "added": self.added, **self.fields}[name]

    @property
    def n_persons(self) -> int:
        """How many different persons there are."""
        return len(self._different("person"))

    @property
    def n_tracklets(self) -> int:
        """How many different tracklets there are, each of a camera."""
        return len(self._different("tracklet", self.cameras))

    @property
    def camera_numbers(self) -> tuple[int, ...]:
        """Numbers of the cameras that items are of, ascending."""
        cameras = self.cameras if self.alive is None else self.cameras[self.alive]
        return tuple(np.unique(cameras[cameras != UNKNOWN]).tolist())

    def _different(self, field: str, beside: Ints | None = None) -> set[tuple[int, bytes]]:
        """Return the different texts of a field, each with each number that is beside it."""
        found: set[tuple[int, bytes]] = set()
        for rows in self.base.slices(len(self)):
            there = self.fields[field][rows] != NOBODY
            if self.alive is not None:
                there &= self.alive[rows]
            numbers = self.fields[field][rows][there].astype(np.int64)
            if len(numbers):
                others = np.zeros_like(numbers) if beside is None else beside[rows][there]
                pairs = np.unique(np.stack([others, numbers], axis=1), axis=0)
                names = self.names_of(field, rows.start, np.unique(numbers).tolist())
                found.update((other, names[number]) for other, number in pairs.tolist())
        return found

    def parts_of(self, rows: Ints) -> Iterator[Ints]:
        """Yield which of some rows are of the first segment, of the second, and so on; of none, and nothing empty."""
        number = np.searchsorted(self.base.starts, rows, side="right")
        return (np.flatnonzero(number == each) for each in np.unique(number))

    def names_of(self, field: str, row: int, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the names that numbers stand for in the segment of this row, or after the segments."""
        base, later = self.base, self._table.names[field].of_number
        at = base.number_of(row)
        if at == len(base.segments):
            return {number: later[number].encode() for number in numbers}
        names = base.segments[at].names[field]
        if numbers and not NOBODY - len(later) <= min(numbers) <= max(numbers) < len(names):
            raise Unconfirmed([at], "names that are none")
        return {n: names[n] if n > NOBODY else later[NOBODY - 1 - n].encode() for n in numbers}

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
        n_visited = np.full(len(request.queries), n)
        ranking: Ranking
        if request.clustered is not None and any(segment.clustered for segment in self.base.segments):
            ranking = visited = search_lists(self, request, rows, ids)
            n_visited = visited.n_visited
        elif request.w is None:
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
        return Found(self._hits(ranking), n, n_visited.tolist())

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
        rows, at = _different(ranking.positions)
        order = np.argsort(self.seqs[rows])  # that in which the record is read
        rows, at = rows[order], np.argsort(order)[at]
        segments, fields = self.base.numbers_of(rows), [field for field in FIELDS if field.searched]
        numbers: list[int] = segments.tolist()
        texts, stored = self._id_texts(rows.tolist(), numbers), [self._stored(each, rows, numbers) for each in fields]
        self._table.confirm(self, rows, segments, (texts, *stored))
        shown: list[list[Any]] = [_ids(self.keys[rows], texts)]
        for field, column in zip(fields, stored, strict=True):
            values = column if field.kind.is_number else [None if text is None else text.decode() for text in column]
            shown.append(list(map(field.kind.shown, values)))
        found = []
        for places, distances in zip(at.tolist(), ranking.distances.tolist(), strict=True):
            n = len(places)
            ids, *others = (list(map(column.__getitem__, places)) for column in shown)
            columns = ids, distances, (None,) * n, *others, (1,) * n
            found.append(list(map(Hit._make, zip(*columns, strict=True))))
        return found

    def _stored(self, field: Field, rows: Ints, numbers: Sequence[int]) -> list[Any]:
        """Return what is stored of a field of rows, numbers or UTF-8 and None; `numbers` are of their segments."""
        values: list[int] = self.fields[field.name][rows].tolist()
        if field.kind.is_number:
            return values
        later, names = self._table.names[field.name].of_number, [each.names[field.name] for each in self.base.segments]
        stored: list[bytes | None] = []
        for value, number in zip(values, numbers, strict=True):
            try:
                if value == NOBODY:
                    stored.append(None)
                elif value > NOBODY and number < len(names):
                    stored.append(names[number][value])
                else:
                    stored.append(later[value if value > NOBODY else NOBODY - 1 - value].encode())
            except IndexError as error:
                raise Unconfirmed([number], "names that are none") from error
        return stored


def _different(positions: Ints) -> tuple[Ints, Ints]:
    """Return the different rows of a ranking, and where among them each of its positions is."""
    if len(positions) == 1:
        return positions[0], np.arange(positions.size).reshape(positions.shape)
    rows, at = np.unique(positions, return_inverse=True)
    return rows, at.reshape(positions.shape)


def _ids(keys: Ints, texts: Sequence[bytes | None]) -> list[Id]:
    return [key if text is None else text.decode() for key, text in zip(keys.tolist(), texts, strict=True)]
