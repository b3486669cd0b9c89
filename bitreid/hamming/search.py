"""Exact and two-stage Hamming search over arrays, and the counts that evaluation needs.

Plain functions over packed codes, in numpy, with memory bounded by blocks. Their results are exact and
fully ordered (distance, then id), so that any other kernel can be held to them bit by bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bitreid.codes import Bytes, Codes, unpack
from bitreid.errors import CodesError, SettingsError

Ints = npt.NDArray[np.int64]
Distances = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

_QUERY_BLOCK = 256
_GALLERY_BLOCK = 8192
_PAIRWISE_BLOCK = 64
# Queries that meet a gallery block at once: xor, count and sum of one word then stay in the second-level cache.
_QUERIES_IN_CACHE = 8
_LARGEST_SUM = 2**23  # of weights
# A byte holds the sum of the counts of three words (192), and bytes are what numpy adds fastest.
_WORDS_IN_A_BYTE = 3


@dataclass(frozen=True)
class Ranking:
    """Per query, gallery rows and their distances, nearest first, ordered by (distance, id).

    `positions` is `(n_queries, k) int64`, rows of the gallery; `distances` is `(n_queries, k) int32`, in bits (after a
    search with weights, their sum over the bits that differ).
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


def search_exact(
    queries: Codes, gallery: Codes, k: int, ids: Ints | None = None, weights: Sequence[int] | None = None
) -> Ranking:
    """The `k` nearest gallery rows of each query, ordered by (distance, id).

    `ids` is `(len(gallery),) int64`, by default the row; rows of equal distance and id keep the gallery's order.
    `weights` are as in `distance_blocks`. `k` is clipped to the gallery. Raises `SettingsError` if `k` is below 1 or a
    weight is impossible, `CodesError` if codes or ids do not fit.
    """
    _check_lengths(queries, gallery)
    k = _clip("k", k, len(gallery))
    by_id, rank = _id_order(len(gallery), ids)
    keys = np.empty((len(queries), k), np.int64)
    for rows in _blocks(len(queries), _QUERY_BLOCK):
        best = np.empty((rows.stop - rows.start, 0), np.int64)
        for columns, distances in distance_blocks(queries[rows], gallery, weights):
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
    *,
    short_weights: Sequence[int] | None = None,
) -> Ranking:
    """The `k` nearest rows by the long code among the `w` nearest by the short code (AFR).

    Stage 1 keeps exactly `w` rows, the first by (short distance, id); stage 2 orders those by (long distance, id).
    The distances returned are of the long code. `w` is a number of gallery rows; it is clipped to the gallery, and
    `k` to `w`. `short_weights` weigh the bits of the short code, as in `distance_blocks`. Raises `SettingsError` if `w`
    or `k` is below 1 or a weight is impossible, `CodesError` if the codes or ids do not fit.
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
        kept = search_exact(short_queries[rows], short_gallery, max(w, 1), ids, short_weights).positions
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


def pairwise_distances(codes: Codes) -> Distances:
    """Hamming distances `(n, n) int32`, in bits, of all rows to each other."""
    words = _words(codes.packed)
    distances = np.empty((len(codes), len(codes)), np.int32)
    for rows in _blocks(len(codes), _PAIRWISE_BLOCK):
        # Distances are symmetric: only rows from the block on are compared.
        block = np.zeros((rows.stop - rows.start, len(codes) - rows.start), np.uint32)
        _add_distances(block, words[rows], words[rows.start :])
        distances[rows, rows.start :] = block
        distances[rows.start :, rows] = block.T
    return distances


def count_nearer(queries: Codes, gallery: Codes, thresholds: Distances) -> tuple[Ints, Ints]:
    """How many gallery rows are strictly nearer than, and exactly at, each given distance.

    `thresholds` is `(n_queries, m) int32`, in bits, in any order; both results are `(n_queries, m) int64`. Rows that
    should not count are few and their distances known (`distances_at`): take them off the results.
    """
    _check_lengths(queries, gallery)
    if thresholds.ndim != 2 or len(thresholds) != len(queries):
        raise CodesError(f"expected thresholds of shape ({len(queries)}, m), got {thresholds.shape}")
    nearer, at = count_nearer_prefixes(queries, gallery, (queries.n_bits,), thresholds[None])
    return nearer[0], at[0]


def count_nearer_prefixes(
    queries: Codes, gallery: Codes, lengths: Sequence[int], thresholds: Distances
) -> tuple[Ints, Ints]:
    """`count_nearer` for the codes' prefixes of several `lengths` (see `prefix_distance_blocks`), in one pass.

    `thresholds` is `(n_lengths, n_queries, m) int32`; both results are `(n_lengths, n_queries, m) int64`.
    """
    if thresholds.ndim != 3 or thresholds.shape[:2] != (len(lengths), len(queries)):
        raise CodesError(f"expected thresholds of shape ({len(lengths)}, {len(queries)}, m), got {thresholds.shape}")
    nearer = np.empty(thresholds.shape, np.int64)
    at = np.empty(thresholds.shape, np.int64)
    for rows in _blocks(len(queries), max(_QUERY_BLOCK // max(len(lengths), 1), 1)):
        # up_to[..., d] rows are nearer than d bits; the ends answer for thresholds that no distance can reach.
        up_to = np.zeros((len(lengths), rows.stop - rows.start, queries.n_bits + 2), np.int64)
        for _, distances in prefix_distance_blocks(queries[rows], gallery, lengths):
            for histograms, of_length in zip(up_to[..., 1:], distances, strict=True):
                # One query at a time: its histogram stays in the first-level cache.
                for histogram, of_query in zip(histograms, of_length, strict=True):
                    histogram += np.bincount(of_query, minlength=len(histogram))
        np.cumsum(up_to, axis=2, out=up_to)
        low = np.clip(thresholds[:, rows], 0, queries.n_bits + 1)
        high = np.clip(thresholds[:, rows].astype(np.int64) + 1, 0, queries.n_bits + 1)
        nearer[:, rows] = np.take_along_axis(up_to, low, axis=2)
        at[:, rows] = np.take_along_axis(up_to, high, axis=2) - nearer[:, rows]
    return nearer, at


def distance_blocks(
    queries: Codes, gallery: Codes, weights: Sequence[int] | None = None
) -> Iterator[tuple[slice, npt.NDArray[np.uint32]]]:
    """Runs of gallery rows in order, and the distances `(n_queries, rows)`, in bits, of all the queries to them.

    Every block holds all the queries: pass a few hundred at a time. With `weights`, whole numbers from 0 for the bits
    in order, a distance is the sum of the weights of the bits that differ, exactly. Bits that fill the last byte need
    none. Raises `SettingsError` for weights below 0 or with a sum above 2**23, `CodesError` for another number of them.
    """
    if weights is None:
        for columns, distances in prefix_distance_blocks(queries, gallery, (queries.n_bits,)):
            yield columns, distances[0]
        return
    _check_lengths(queries, gallery)
    halves = _checked_weights(weights, queries.n_bits) / 2
    weighed = _signs(queries, len(halves)) * halves
    for rows in _blocks(len(gallery), _GALLERY_BLOCK):
        # To the product of signs a bit that agrees adds half its weight, and one that differs takes it off.
        agree = weighed @ _signs(gallery[rows], len(halves)).T
        yield rows, (halves.sum() - agree).astype(np.uint32)


def prefix_distance_blocks(
    queries: Codes, gallery: Codes, lengths: Sequence[int]
) -> Iterator[tuple[slice, npt.NDArray[np.uint32]]]:
    """Runs of gallery rows in order, and the distances `(n_lengths, n_queries, rows)` of the codes' prefixes, in bits.

    `lengths` are numbers of bits: multiples of 8, ascending, at most the codes' own. The bits that a longer prefix has
    beyond a shorter one are added to the shorter one's distances, so that all cost little more than the longest.
    """
    _check_lengths(queries, gallery)
    runs = list(pairwise((0, *lengths)))
    if not runs or any(n_bits % 8 or start >= n_bits for start, n_bits in runs) or lengths[-1] > queries.n_bits:
        raise CodesError(
            f"expected ascending lengths, multiples of 8 up to the {queries.n_bits} bits of the codes, "
            f"got {list(lengths)}"
        )
    query_words = [_words(queries.packed[:, start // 8 : stop // 8]) for start, stop in runs]
    for columns in _blocks(len(gallery), _GALLERY_BLOCK):
        distances = np.zeros((len(runs), len(queries), columns.stop - columns.start), np.uint32)
        for i, (start, stop) in enumerate(runs):
            if i:
                distances[i] = distances[i - 1]
            _add_distances(distances[i], query_words[i], _words(gallery.packed[columns, start // 8 : stop // 8]))
        yield columns, distances


def _checked_weights(weights: Sequence[int], n_bits: int) -> npt.NDArray[np.float32]:
    """The weights as the numbers of a matrix product, of whose halves float32 holds every sum exactly."""
    if not n_bits - 8 < len(weights) <= n_bits:
        raise CodesError(
            f"expected a weight for each bit of codes of {n_bits} bits, those that fill the last byte left out or not, "
            f"got {len(weights)}"
        )
    if min(weights) < 0 or sum(weights) > _LARGEST_SUM:
        raise SettingsError(f"expected weights from 0 with a sum of at most {_LARGEST_SUM}, got {list(weights)}")
    return np.asarray(weights, np.float32)


def _signs(codes: Codes, n_bits: int) -> npt.NDArray[np.float32]:
    """The first bits of codes, as +1 and -1."""
    return unpack(codes)[:, :n_bits].astype(np.float32) * 2 - 1


def _add_distances(distances: npt.NDArray[np.uint32], query_words: Words, gallery_words: Words) -> None:
    """Add the distances of words `(n_queries, n_words)` and `(rows, n_words)` to `distances (n_queries, rows)`."""
    # Word by word down the block: long runs of one word are what numpy's loops are fast at.
    columns = np.ascontiguousarray(gallery_words.T)
    for rows in _blocks(len(query_words), _QUERIES_IN_CACHE):
        for words in _blocks(len(columns), _WORDS_IN_A_BYTE):
            counts = np.bitwise_count(query_words[rows, words.start, None] ^ columns[words.start])
            for word in range(words.start + 1, words.stop):
                counts += np.bitwise_count(query_words[rows, word, None] ^ columns[word])
            distances[rows] += counts


def _words(packed: Bytes) -> Words:
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
