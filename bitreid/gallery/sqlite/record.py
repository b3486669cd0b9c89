"""Damaged items as a deletion sees them: by the fields in the file, as far as these can be read.

A search leaves out an item that is not what was written. A deletion must not: its bytes would stay.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

import numpy as np

from bitreid.arrays import Bools, Ints
from bitreid.gallery.contract import Contract
from bitreid.gallery.filters.types import Filter, MetadataIs, Scalar, mask, predicates
from bitreid.gallery.items import Id, canonical
from bitreid.gallery.sqlite.file import chunks
from bitreid.gallery.sqlite.rows import AT, WHOLE, Row, id_of


class _Unreadable(Exception):
    """A field that a filter asks for says nothing."""


def asks_for_metadata(where: Filter) -> bool:
    """Return whether a filter looks at metadata."""
    return any(isinstance(predicate, MetadataIs) for predicate in predicates(where))


def judged(
    connection: sqlite3.Connection, seqs: Iterable[int], where: Filter, contract: Contract
) -> tuple[dict[int, Id], list[Id]]:
    """Return those of damaged items that pass a filter, by sequence number, and those that cannot be judged."""
    passing: dict[int, Id] = {}
    unclear: list[Id] = []
    for some in chunks(sorted(seqs)):
        marks = ",".join("?" * len(some))
        for row in connection.execute(f"SELECT {WHOLE} FROM items WHERE seq IN ({marks})", some):
            id = id_of(row[AT["key"]], row[AT["id"]])
            try:
                if mask(where, _Record(row, contract))[0]:
                    passing[row[0]] = id
            except _Unreadable:
                unclear.append(id)
    return passing, unclear


class _Record:
    """The `Columns` of one row; `_Unreadable` for what is not of its kind."""

    def __init__(self, row: Row, contract: Contract) -> None:
        self._row, self._contract = row, contract

    def __len__(self) -> int:
        return 1

    @property
    def cameras(self) -> Ints:
        return self._number("camera")

    @property
    def times(self) -> Ints:
        return self._number("time")

    @property
    def added(self) -> Ints:
        return self._number("added")

    def attribute(self, name: str) -> Bools:
        code = self._row[AT["attributes"]]
        if not isinstance(code, bytes) or len(code) * 8 != self._contract.attribute_bits:
            raise _Unreadable
        bit = self._contract.attributes.index(name)
        return _one(bool(code[bit // 8] & 128 >> bit % 8))

    def person_in(self, persons: frozenset[str]) -> Bools:
        return _one(self._text("person") in persons)

    def tracklet_in(self, tracklets: frozenset[str]) -> Bools:
        return _one(self._text("tracklet") in tracklets)

    def id_in(self, ids: frozenset[Id]) -> Bools:
        text = self._text("id")
        return _one((int(self._number("key")[0]) if text is None else text) in ids)

    def metadata_is(self, key: str, value: Scalar) -> Bools:
        text = self._text("metadata")
        try:
            metadata: Any = {} if text is None else json.loads(text)
        except (ValueError, RecursionError):
            raise _Unreadable from None
        if not isinstance(metadata, dict):
            raise _Unreadable
        return _one(key in metadata and canonical(metadata[key]) == canonical(value))

    def _number(self, name: str) -> Ints:
        number = self._row[AT[name]]
        if not isinstance(number, int):
            raise _Unreadable
        return np.array([number], np.int64)

    def _text(self, name: str) -> str | None:
        text = self._row[AT[name]]
        try:
            return None if text is None else bytes.decode(text)
        except (TypeError, UnicodeDecodeError):
            raise _Unreadable from None


def _one(value: bool) -> Bools:
    return np.array([value])
