"""Exact and two-stage Hamming search over arrays, and the counts that evaluation needs.

Plain functions over packed codes, in numpy, with memory bounded by blocks. Their results are exact and
fully ordered (distance, then id), so that any other kernel can be held to them bit by bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitreid.codes import Bytes, Codes
from bitreid.errors import CodesError, SettingsError

Ints = npt.NDArray[np.int64]
Distances = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

_QUERY_BLOCK = 256
_GALLERY_BLOCK = 8192
# Queries that meet a gallery block at once: xor, count and sum of one word then stay in the second-level cache.
_QUERIES_IN_CACHE = 4


@dataclass(frozen=True)
class Ranking:
    """Per query, gallery rows and their distances, nearest first, ordered by (distance, id).

    `positions` is `(n_queries, k) int64`, rows of the gallery; `distances` is `(n_queries, k) int32`, in bits.
    There is no padding: a `k` past the gallery (or past the short list) is clipped to it, so `k` may be
    smaller than what was asked for, and is 0 for an empty gallery.
    """

    positions: Ints
    distances: Distances

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.dtype != np.int64:
            raise CodesError(
                f"expected positions of shape (n_queries, k) int64, got {self.positions.shape} {self.positions.dtype}"
            )
        if self.distances.shape != self.positions.shape or self.distances.dtype != np.int32:
            raise CodesError(
                f"expected distances of shape {self.positions.shape} int32, "
                f"got {self.distances.shape} {self.distances.dtype}"
            )

    def __len__(self) -> int:
        return len(self.positions)


def search_exact(queries: Codes, gallery: Codes, k: int, ids: Ints | None = None) -> Ranking:
    """The `k` nearest gallery rows of each query, ordered by (distance, id).

    `ids` is `(len(gallery),) int64`, by default the row; rows of equal distance and id keep the gallery's order.
    `k` is clipped to the gallery. Raises `SettingsError` if `k` is below 1, `CodesError` if codes or ids do not fit.
    """
    _check_lengths(queries, gallery)
    k = _clip("k", k, len(gallery))
    by_id, rank = _id_order(len(gallery), ids)
    keys = np.empty((len(queries), k), np.int64)
    for rows in _blocks(len(queries), _QUERY_BLOCK):
        best = np.empty((rows.stop - rows.start, 0), np.int64)
        for columns, distances in distance_blocks(queries[rows], gallery):
            # One number that orders by (distance, id) makes every key different, so a partition is unambiguous.
            found = distances.astype(np.int64) * len(gallery) + rank[columns]
            best = np.concatenate([best, found], axis=1)
            if best.shape[1] > k:
                best = np.partition(best, k - 1, axis=1)[:, :k]
        keys[rows] = np.sort(best, axis=1)
    return _ranking_of_keys(keys, by_id)


def search_two_stage(
    short_queries: Codes,
    long_queries: Codes,
    short_gallery: Codes,
    long_gallery: Codes,
    w: int,
    k: int,
    ids: Ints | None = None,
) -> Ranking:
    """The `k` nearest rows by the long code among the `w` nearest by the short code (AFR).

    Stage 1 keeps exactly `w` rows, the first by (short distance, id); stage 2 orders those by (long distance, id).
    The distances returned are of the long code. `w` is a number of gallery rows; it is clipped to the gallery, and
    `k` to `w`. Raises `SettingsError` if `w` or `k` is below 1, `CodesError` if the codes or ids do not fit.
    """
    _check_lengths(long_queries, long_gallery)
    if len(short_queries) != len(long_queries) or len(short_gallery) != len(long_gallery):
        raise CodesError(
            f"expected short and long codes of the same rows, got {len(short_queries)} and {len(long_queries)} "
            f"queries, {len(short_gallery)} and {len(long_gallery)} gallery rows"
        )
    w = _clip("w", w, len(long_gallery))
    k = _clip("k", k, w)
    by_id, rank = _id_order(len(long_gallery), ids)
    keys = np.empty((len(long_queries), k), np.int64)
    for rows in _blocks(len(long_queries), _QUERY_BLOCK):
        kept = search_exact(short_queries[rows], short_gallery, max(w, 1), ids).positions
        distances = distances_at(long_queries[rows], long_gallery, kept)
        keys[rows] = np.sort(distances.astype(np.int64) * len(long_gallery) + rank[kept], axis=1)[:, :k]
    return _ranking_of_keys(keys, by_id)


def distances_at(queries: Codes, gallery: Codes, positions: Ints) -> Distances:
    """Hamming distances `(n_queries, m)`, in bits, of each query to its own gallery rows `positions (n_queries, m)`."""
    _check_lengths(queries, gallery)
    if positions.ndim != 2 or len(positions) != len(queries):
        raise CodesError(f"expected positions of shape ({len(queries)}, m), got {positions.shape}")
    query_words, gallery_words = _words(queries.packed), _words(gallery.packed)
    distances = np.empty(positions.shape, np.int32)
    for i, rows in enumerate(positions):
        distances[i] = np.bitwise_count(gallery_words[rows] ^ query_words[i]).sum(axis=1, dtype=np.int32)
    return distances


def count_nearer(
    queries: Codes, gallery: Codes, thresholds: Distances, left_out: Mask | None = None
) -> tuple[Ints, Ints]:
    """How many gallery rows are strictly nearer than, and exactly at, each given distance.

    `thresholds` is `(n_queries, m) int32`, in bits, in any order; both results are `(n_queries, m) int64`.
    Rows where `left_out (n_queries, len(gallery))` is true are not counted for that query.
    """
    _check_lengths(queries, gallery)
    if thresholds.ndim != 2 or len(thresholds) != len(queries):
        raise CodesError(f"expected thresholds of shape ({len(queries)}, m), got {thresholds.shape}")
    if left_out is not None and left_out.shape != (len(queries), len(gallery)):
        raise CodesError(f"expected left_out of shape ({len(queries)}, {len(gallery)}), got {left_out.shape}")
    nearer = np.empty(thresholds.shape, np.int64)
    at = np.empty(thresholds.shape, np.int64)
    for rows in _blocks(len(queries), _QUERY_BLOCK):
        histogram = _histogram(queries[rows], gallery, None if left_out is None else left_out[rows])
        # up_to[:, d] rows are nearer than d bits; the ends answer for thresholds that no distance can reach.
        up_to = np.concatenate([np.zeros((len(histogram), 1), np.int64), np.cumsum(histogram, axis=1)], axis=1)
        low = np.clip(thresholds[rows], 0, queries.n_bits + 1)
        high = np.clip(thresholds[rows].astype(np.int64) + 1, 0, queries.n_bits + 1)
        nearer[rows] = np.take_along_axis(up_to, low, axis=1)
        at[rows] = np.take_along_axis(up_to, high, axis=1) - nearer[rows]
    return nearer, at


def distance_blocks(queries: Codes, gallery: Codes) -> Iterator[tuple[slice, npt.NDArray[np.uint32]]]:
    """Runs of gallery rows in order, and the distances `(n_queries, rows)`, in bits, of all the queries to them.

    Every block holds all the queries: pass a few hundred at a time.
    """
    _check_lengths(queries, gallery)
    query_words = _words(queries.packed)
    for columns in _blocks(len(gallery), _GALLERY_BLOCK):
        # Word by word down the block: long runs of one word are what numpy's loops are fast at.
        gallery_words = np.ascontiguousarray(_words(gallery.packed[columns]).T)
        distances = np.zeros((len(queries), gallery_words.shape[1]), np.uint32)
        for rows in _blocks(len(queries), _QUERIES_IN_CACHE):
            for word, of_gallery in enumerate(gallery_words):
                distances[rows] += np.bitwise_count(query_words[rows, word, None] ^ of_gallery)
        yield columns, distances


def _histogram(queries: Codes, gallery: Codes, left_out: Mask | None) -> Ints:
    """Rows at each distance, `(n_queries, n_bits + 1)`."""
    width = queries.n_bits + 2  # the last column collects what is left out
    counts = np.zeros(len(queries) * width, np.int64)
    offsets = np.arange(len(queries), dtype=np.int64)[:, None] * width
    for columns, distances in distance_blocks(queries, gallery):
        bins = distances + offsets
        if left_out is not None:
            bins = np.where(left_out[:, columns], offsets + width - 1, bins)
        counts += np.bincount(bins.ravel(), minlength=len(counts))
    return counts.reshape(len(queries), width)[:, :-1]


def _words(packed: Bytes) -> npt.NDArray[np.uint64]:
    """The codes as 64-bit words, zero-padded; only ever compared with words made here, so byte order is no matter."""
    missing = -packed.shape[1] % 8
    return (np.pad(packed, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(packed)).view(np.uint64)


def _blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover `0 .. n` in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _id_order(n: int, ids: Ints | None) -> tuple[Ints, Ints]:
    """Gallery rows in the order of their ids, and each row's rank in that order."""
    if ids is None:
        rows = np.arange(n, dtype=np.int64)
        return rows, rows
    if ids.shape != (n,) or ids.dtype != np.int64:
        raise CodesError(f"expected ids of shape ({n},) int64, one a gallery row, got {ids.shape} {ids.dtype}")
    by_id = np.argsort(ids, kind="stable").astype(np.int64)
    rank = np.empty_like(by_id)
    rank[by_id] = np.arange(n)
    return by_id, rank


def _ranking_of_keys(keys: Ints, by_id: Ints) -> Ranking:
    distances, rank = np.divmod(keys, max(len(by_id), 1))
    return Ranking(by_id[rank], distances.astype(np.int32))


def _clip(name: str, value: int, limit: int) -> int:
    if value < 1:
        raise SettingsError(f"expected {name} to be a number of gallery rows, at least 1, got {value}")
    return min(value, limit)


def _check_lengths(queries: Codes, gallery: Codes) -> None:
    if queries.n_bits != gallery.n_bits:
        raise CodesError(
            f"expected query and gallery codes of one length, got {queries.n_bits} and {gallery.n_bits} bits; "
            "take the prefix of the longer"
        )
