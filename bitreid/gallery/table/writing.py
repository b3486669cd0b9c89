"""Writing segments of rows of a snapshot."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from bitreid.arrays import AnyArray, Ints, Ints32
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.gallery.table.segment import ALIGNED, BLOCK, HEADER, NUMBERS, TEXTS, coarse_name, header_of
from bitreid.gallery.table.snapshot import Snapshot
from bitreid.hamming import Clusters

_ROWS = 8192  # that are gathered at once


def write_segment(
    path: Path,
    snapshot: Snapshot,
    rows: Ints,
    covered: tuple[int, int],
    coarse: CoarseCode | None,
    going_on: Callable[[], None],
    clusters: tuple[Clusters, int] | None = None,
) -> int:
    """Write a segment of these rows, one or more, in their order, to a new file; return its header's checksum.

    `covered` are the first and the last of the sequence numbers of which it holds all items. `going_on` is called
    between stretches, and may raise to end it. `clusters` are those that the rows are sorted by, and of how many items
    they were learned.
    """
    n = -(-len(rows) // BLOCK) * BLOCK
    padded = np.concatenate([rows, np.full(n - len(rows), rows[-1])])
    arrays: dict[str, tuple[str, list[int], int, int]] = {}
    with path.open("xb") as file:
        end = HEADER

        def write(name: str, kind: str, width: tuple[int, ...], stretches: Iterable[AnyArray]) -> None:
            nonlocal end
            offset, dtype, count, checksum = -(-end // ALIGNED) * ALIGNED, np.dtype(kind), 0, 0
            file.seek(offset)
            for values in stretches:
                data = np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8).data
                file.write(data)
                checksum, count = crc32(data, checksum), count + len(values)
                going_on()
            arrays[name] = kind, [count, *width], offset, checksum
            end = offset + count * dtype.itemsize * int(np.prod(width))

        codes, attributes = snapshot.codes, snapshot.attribute_codes
        for name in NUMBERS:
            write(name, "<i8", (), _stretches(snapshot.numbers(name), padded))
        write("code", "|u1", codes.packed.shape[1:], _stretches(codes.packed, padded))
        short = np.empty((len(snapshot), 0), np.uint8) if attributes is None else attributes.packed
        write("attributes", "|u1", short.shape[1:], _stretches(short, padded))
        if coarse is not None:
            write("coarse", "|u1", (coarse.n_bits // 8,), _coarse_codes(snapshot, padded, coarse))
        for name in TEXTS:
            numbers, names = _names(snapshot, name, padded)
            write(name, "<i4", (), [numbers])
            _write_texts(write, name, [names])
        texts = (snapshot.id_texts(padded[some].tolist()) for some in _slices(n))
        if snapshot.has_id_texts:
            _write_texts(write, "id", list(texts))
        seqs, keys = snapshot.seqs[rows], snapshot.keys[rows]
        if (seqs[1:] < seqs[:-1]).any():
            write("by seq", "<i4", (), [np.argsort(snapshot.seqs[padded], kind="stable")])
        if clusters is not None:
            found, (n_nearest, n_lists) = clusters[0], clusters[0].recalls.shape
            write("centres", "|u1", found.centres.packed.shape[1:], [found.centres.packed])
            write("lists", "<i8", (), [found.offsets])
            write("nearest", "<i8", (), [found.n_nearest])
            write("recalls", "<f4", (n_lists,), [found.recalls] if n_nearest else [])
        header, checksum = header_of(
            {
                "rows": n,
                "items": len(rows),
                "ascending": bool((keys[1:] > keys[:-1]).all()),
                "first": covered[0],
                "last": covered[1],
                "n_bits": codes.n_bits,
                "attribute_bits": 8 * short.shape[1],
                "coarse": coarse_name(coarse),
                "clustered": 0 if clusters is None else clusters[1],
                "arrays": arrays,
            }
        )
        file.truncate(max(end, HEADER))
        file.seek(0)
        file.write(header)
        file.flush()
        os.fsync(file.fileno())
    return checksum


def _slices(n: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, n, _ROWS))


def _stretches(column: AnyArray, rows: Ints) -> Iterator[AnyArray]:
    return (column[rows[some]] for some in _slices(len(rows)))


def _coarse_codes(snapshot: Snapshot, rows: Ints, coarse: CoarseCode) -> Iterator[AnyArray]:
    for some in _slices(len(rows)):
        attributes: Codes | None = snapshot.attribute_codes
        short = None if attributes is None else attributes[rows[some]]
        yield coarse.of(snapshot.codes[rows[some]], short).packed


def _names(snapshot: Snapshot, field: str, rows: Ints) -> tuple[Ints32, list[bytes]]:
    """Return the numbers that rows have for their names, -1 for none, and the names in ascending order."""
    texts: list[dict[int, bytes]] = []
    parts = list(snapshot.parts_of(rows))
    for at in parts:
        found = np.unique(snapshot.fields[field][rows[at]]).tolist()
        texts.append(snapshot.names_of(field, int(rows[at[0]]), [number for number in found if number != -1]))
    names = sorted(set().union(*(each.values() for each in texts)))
    number_of = {name: number for number, name in enumerate(names)}
    numbers = np.full(len(rows), -1, np.int32)
    for at, each in zip(parts, texts, strict=True):
        if each:
            old = np.array(sorted(each), np.int32)
            new = np.array([number_of[each[number]] for number in old.tolist()], np.int32)
            mine = snapshot.fields[field][rows[at]]
            numbers[at] = np.where(mine == -1, -1, new[np.searchsorted(old, mine).clip(max=len(old) - 1)])
    return numbers, names


def _write_texts(write: Any, name: str, texts: list[list[bytes]] | list[list[bytes | None]]) -> None:
    """Write texts, empty for None."""
    some = [text or b"" for each in texts for text in each]
    lengths = np.fromiter(map(len, some), np.int64, len(some))
    write(f"{name} names", "|u1", (), [np.frombuffer(b"".join(some), np.uint8)])
    write(f"{name} ends", "<i8", (), [np.cumsum(lengths)])
