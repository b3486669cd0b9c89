"""Comparing what a search found in segments with the gallery's file, which is the record."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import compress
from typing import Any

from bitreid.arrays import Ints
from bitreid.gallery.fields import FIELDS
from bitreid.gallery.sqlite.file import chunks
from bitreid.gallery.sqlite.rows import Row
from bitreid.gallery.table.base import Unconfirmed
from bitreid.gallery.table.snapshot import Snapshot

_HIT = ", ".join(("seq", "key", "code", "id", *(field.name for field in FIELDS if field.searched)))


def confirm(
    read: Callable[[], AbstractContextManager[sqlite3.Connection]],
    snapshot: Snapshot,
    rows: Ints,
    segments: Ints,
    columns: Sequence[Sequence[Any]],
) -> None:
    """Check that rows of segments, and columns of them, are what the file holds; else `Unconfirmed` (see `Confirm`)."""
    base = snapshot.base
    here = segments < len(base.segments)
    if not here.any():
        return
    if not here.all():
        rows, segments = rows[here], segments[here]
        columns = [list(compress(column, here)) for column in columns]
    seqs, keys, codes = snapshot.seqs[rows], snapshot.keys[rows].tolist(), map(bytes, snapshot.codes.packed[rows])
    mine: list[Row] = list(zip(seqs.tolist(), keys, codes, *columns, strict=True))
    found: list[Row] = []
    with read() as reader:
        for some in chunks(seqs.tolist()):
            marks = ",".join("?" * len(some))
            found += reader.execute(f"SELECT {_HIT} FROM items WHERE seq IN ({marks}) ORDER BY seq", some)
    covered = base.covered(segments, seqs)
    if found == mine and covered.all():
        return
    record = {row[0]: row for row in found}
    wrong = {
        number
        for number, row, belongs in zip(segments.tolist(), mine, covered.tolist(), strict=True)
        # Each is there once, and nothing that the segment does not cover.
        if record.pop(row[0], None) != row or not belongs
    }
    raise Unconfirmed(sorted(wrong))
