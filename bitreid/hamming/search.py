"""Exact and two-stage Hamming search over arrays of packed codes, and the counts that evaluation needs.

Arguments are checked here; the native kernel searches, or its numpy twin where the kernel was not built (see `kernel`).
Results are exact and fully ordered, the same on every path and for any number of threads.

All functions take codes of any whole number of bytes. `n_threads` is how many threads a call may use; Python's global
lock (GIL) is released meanwhile: do not write to the arrays until the call returns. A thread that has searched keeps up
to 64 MB for its next search; what the C library keeps of freed memory comes on top (95 MB in all were seen). Arguments
that several functions share:

- `ids`, `(n_gallery,) int64`, decide between rows of equal distance, by default the row; rows of equal distance and id
  keep the gallery's order. Ids that only ascend order nothing that the rows do not: leave them out, which is a little
  faster (to check whether they ascend would cost as much as a search of short codes).
- `bits`, `(n_bits,) bool`: which bits count. Only the bytes from the first of them to the last are read.
- `rows`, `(n_gallery,) bool`: which gallery rows may be found. Numbers of rows are clipped to them.

Codes, ids and masks that do not fit raise `CodesError`; impossible numbers raise `SettingsError`.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from bitreid.arrays import Bools, Ints, Ints8, Ints32, Words32
from bitreid.codes import Codes
from bitreid.errors import CodesError
from bitreid.hamming import kernel
from bitreid.hamming.inputs import (
    MOST_COUNTED_ROWS,
    bit_mask,
    blocks,
    check_lengths,
    check_n_results,
    check_prefixes,
    check_sides,
    check_ties,
    checked_ids,
    checked_limit,
    checked_positions,
    checked_threads,
    clipped,
    counted_bits,
    row_mask,
)
from bitreid.hamming.ranking import Matches, Ranking

_BLOCK_BYTES = 2**22  # of a block of distances
_ROWS_IN_BLOCK = 64  # at least, however many queries there are
_SWEEP_QUERIES = 8  # from this many on, queries visit their short lists together


def search_exact(
    queries: Codes,
    gallery: Codes,
    k: int,
    ids: Ints | None = None,
    *,
    bits: Bools | None = None,
    rows: Bools | None = None,
    n_threads: int = 1,
) -> Ranking:
    """Return the `k` nearest gallery rows of each query, ordered by (distance, id).

    `k` is clipped to the rows that may be found. The other arguments and the errors are those of this module's
    docstring.

    >>> gallery = Codes(np.array([[0b1111_0000], [0b0000_0000], [0b0000_0011]], np.uint8), 8)
    >>> query = Codes(np.array([[0b0000_0001]], np.uint8), 8)
    >>> ranking = search_exact(query, gallery, 2)
    >>> ranking.positions.tolist(), ranking.distances.tolist()
    ([[1, 2]], [[1, 1]])
    """
    check_lengths(queries, gallery)
    counted = counted_bits(queries.n_bits, bits)
    allowed, n_allowed = row_mask(rows, len(gallery))
    k = clipped("k", k, n_allowed)
    check_n_results(len(queries), k)
    ids, n_threads = checked_ids(ids, len(gallery)), checked_threads(n_threads)
    sides = counted.bytes_of(queries), counted.bytes_of(gallery)
    return Ranking(*kernel.engine().search(*sides, k, counted.mask, allowed, ids, n_threads))


def search_range(
    queries: Codes,
    gallery: Codes,
    max_distance: int,
    ids: Ints | None = None,
    *,
    bits: Bools | None = None,
    rows: Bools | None = None,
    n_threads: int = 1,
) -> Matches:
    """Return all gallery rows at most `max_distance` from each query, ordered by (distance, id).

    `max_distance` is in bits; below 0 nothing is found. The other arguments and the errors
    are those of this module's docstring. All that is found is held in memory, about 32 bytes a row.

    >>> gallery = Codes(np.array([[0b1111_0000], [0b0000_0000], [0b0000_0011]], np.uint8), 8)
    >>> matches = search_range(gallery[:2], gallery, 4)
    >>> matches.offsets.tolist(), matches.positions.tolist(), matches.distances.tolist()
    ([0, 2, 5], [0, 1, 1, 2, 0], [0, 4, 0, 2, 4])
    """
    check_lengths(queries, gallery)
    limit = checked_limit(max_distance)
    counted = counted_bits(queries.n_bits, bits)
    allowed, _ = row_mask(rows, len(gallery))
    ids, n_threads = checked_ids(ids, len(gallery)), checked_threads(n_threads)
    sides = counted.bytes_of(queries), counted.bytes_of(gallery)
    return Matches(*kernel.engine().range(*sides, limit, counted.mask, allowed, ids, n_threads))


def search_two_stage(
    short_queries: Codes,
    long_queries: Codes,
    short_gallery: Codes,
    long_gallery: Codes,
    w: int,
    k: int,
    ids: Ints | None = None,
    *,
    bits: Bools | None = None,
    rows: Bools | None = None,
    ties: Literal["cut", "keep"] = "cut",
    sweep: bool | None = None,
    n_threads: int = 1,
) -> Ranking:
    """Return the `k` nearest rows by the long code among the `w` nearest by the short code (AFR).

    Stage 1 keeps `w` rows: with `ties="cut"` exactly those, the first by (short distance, id); with `"keep"` also every
    row as near as the last of them. Stage 2 orders what is kept by (long distance, id). The distances returned are of
    the long code. `w` is clipped to the rows that may be found, and `k` to `w`, whatever the ties.

    `bits` choose among those of the long code. With `sweep` all queries visit one stretch of long codes before they go
    on to the next, which is faster for several queries with long short lists and changes no result; None chooses by the
    number of queries. The other arguments and the errors are those of this module's docstring.
    """
    check_sides(short_queries, long_queries, short_gallery, long_gallery)
    check_ties(ties)
    counted = counted_bits(long_queries.n_bits, bits)
    allowed, n_allowed = row_mask(rows, len(long_gallery))
    w = clipped("w", w, n_allowed)
    k = clipped("k", k, w)
    check_n_results(len(long_queries), k)
    ids, n_threads = checked_ids(ids, len(long_gallery)), checked_threads(n_threads)
    stages = (
        *(short_queries.packed, short_gallery.packed),
        *(counted.bytes_of(long_queries), counted.bytes_of(long_gallery), counted.mask),
    )
    sweeps = len(long_queries) >= _SWEEP_QUERIES if sweep is None else bool(sweep)
    return Ranking(*kernel.engine().two_stage(*stages, w, k, ties == "keep", sweeps, allowed, ids, n_threads))


def count_nearer(
    queries: Codes,
    gallery: Codes,
    thresholds: Ints32,
    *,
    bits: Bools | None = None,
    rows: Bools | None = None,
    n_threads: int = 1,
) -> tuple[Ints, Ints]:
    """Count the gallery rows that are strictly nearer than each given distance, and those exactly at it.

    `thresholds` is `(n_queries, m) int32`, in bits, in any order; both results are `(n_queries, m) int64`. `rows`
    leaves out the rows that count for no query. To leave out rows for single queries, take their distances
    (`distances_at`) off the results. The gallery has at most 2**32 - 2 rows.
    """
    check_lengths(queries, gallery)
    if thresholds.ndim != 2 or len(thresholds) != len(queries):
        raise CodesError(f"expected thresholds of shape ({len(queries)}, m), got {thresholds.shape}")
    lengths = (queries.n_bits,)
    masks: dict[str, Bools | None] = {"bits": bits, "rows": rows}
    nearer, at = count_nearer_prefixes(queries, gallery, lengths, thresholds[None], **masks, n_threads=n_threads)
    return nearer[0], at[0]


def count_nearer_prefixes(
    queries: Codes,
    gallery: Codes,
    lengths: Sequence[int],
    thresholds: Ints32,
    *,
    bits: Bools | None = None,
    rows: Bools | None = None,
    n_threads: int = 1,
) -> tuple[Ints, Ints]:
    """Count as `count_nearer` does, for prefixes of several `lengths` (see `prefix_distance_blocks`), in one pass.

    `thresholds` is `(n_lengths, n_queries, m) int32`; both results are `(n_lengths, n_queries, m) int64`.
    """
    check_lengths(queries, gallery)
    check_prefixes(lengths, queries.n_bits)
    if thresholds.ndim != 3 or thresholds.shape[:2] != (len(lengths), len(queries)):
        raise CodesError(f"expected thresholds of shape ({len(lengths)}, {len(queries)}, m), got {thresholds.shape}")
    if not np.can_cast(thresholds.dtype, np.int64):
        raise CodesError(f"expected thresholds that are whole numbers of bits, got {thresholds.dtype}")
    if len(gallery) > MOST_COUNTED_ROWS:
        raise CodesError(
            f"expected at most {MOST_COUNTED_ROWS} gallery rows to count, got {len(gallery)}; "
            "count parts of the gallery and add the results"
        )
    allowed, _ = row_mask(rows, len(gallery))
    n_bytes = [int(length) // 8 for length in lengths]
    whole = np.require(thresholds, np.int64, ["C", "A"])
    mask, n_threads = bit_mask(bits, queries.n_bits), checked_threads(n_threads)
    nearer, at = kernel.engine().count(queries.packed, gallery.packed, n_bytes, whole, mask, allowed, n_threads)
    return nearer, at


def distance_blocks(queries: Codes, gallery: Codes, *, n_threads: int = 1) -> Iterator[tuple[slice, Words32]]:
    """Yield runs of gallery rows in order, with the distances `(n_queries, rows)`, in bits, of all queries to them.

    Every block holds all the queries, and is a few MB: pass a few hundred at a time. The errors are those of this
    module's docstring.
    """
    check_lengths(queries, gallery)
    n_threads, engine = checked_threads(n_threads), kernel.engine()
    for rows in _row_blocks(queries, gallery, 1):
        yield rows, engine.distances(queries.packed, gallery.packed[rows], n_threads)


def prefix_distance_blocks(
    queries: Codes, gallery: Codes, lengths: Sequence[int], *, n_threads: int = 1
) -> Iterator[tuple[slice, Words32]]:
    """Yield runs of gallery rows in order, with the distances `(n_lengths, n_queries, rows)`, in bits, of prefixes.

    `lengths` are numbers of bits: multiples of 8, ascending, at most the codes' own. The bits that a longer prefix has
    beyond a shorter one are added to the shorter one's distances, so that all cost little more than the longest.
    """
    check_lengths(queries, gallery)
    check_prefixes(lengths, queries.n_bits)
    n_threads, engine = checked_threads(n_threads), kernel.engine()
    runs = [slice(start // 8, stop // 8) for start, stop in pairwise((0, *lengths))]
    for rows in _row_blocks(queries, gallery, len(lengths)):
        of_runs = [engine.distances(queries.packed[:, run], gallery.packed[rows, run], n_threads) for run in runs]
        yield rows, np.cumsum(of_runs, axis=0, dtype=np.uint32)


def distances_at(queries: Codes, gallery: Codes, positions: Ints, *, n_threads: int = 1) -> Ints32:
    """Return the Hamming distances `(n_queries, m)`, in bits, of each query to its gallery rows `positions`."""
    check_lengths(queries, gallery)
    places = checked_positions(positions, len(queries), len(gallery))
    found = kernel.engine().distances_at(queries.packed, gallery.packed, places, checked_threads(n_threads))
    return np.asarray(found).view(np.int32)


def asymmetric_distances_at(values: Ints8, gallery: Codes, positions: Ints, *, n_threads: int = 1) -> Ints32:
    """Return the asymmetric distances `(n_queries, m)` of each query's values to its gallery rows `positions`.

    `values` is `(n_queries, n_bits) int8`, a query's features before the sign (`rescoring.rounded`). The distance is
    the sum of |value| over the bits that differ from the value's sign: the Hamming distance where all are +-1. A value
    of 0 counts nothing. The order is that of the inner product of the values with the bits as +-1, largest first.
    """
    if values.ndim != 2 or values.dtype != np.int8 or values.shape[1] != gallery.n_bits:
        raise CodesError(
            f"expected values of shape (n_queries, {gallery.n_bits}) int8, one a bit of the codes, "
            f"got {values.shape} {values.dtype}"
        )
    check_lengths(gallery, gallery)
    places = checked_positions(positions, len(values), len(gallery))
    arrays = np.ascontiguousarray(values), gallery.packed, places
    return np.asarray(kernel.engine().asymmetric_at(*arrays, checked_threads(n_threads))).view(np.int32)


def pairwise_distances(codes: Codes, *, n_threads: int = 1) -> Ints32:
    """Return the Hamming distances `(n, n) int32`, in bits, of all rows to each other."""
    check_lengths(codes, codes)
    check_n_results(len(codes), len(codes))
    found = kernel.engine().distances(codes.packed, codes.packed, checked_threads(n_threads))
    return np.asarray(found).view(np.int32)


def _row_blocks(queries: Codes, gallery: Codes, n_lengths: int) -> Iterator[slice]:
    """Yield the gallery's rows, as many at a time as make a block of distances."""
    size = _BLOCK_BYTES // (4 * n_lengths * max(len(queries), 1))
    return blocks(len(gallery), max(size, _ROWS_IN_BLOCK))
