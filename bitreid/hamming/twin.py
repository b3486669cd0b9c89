"""The numpy twin of the native kernel: its functions, arguments and results (see `_native.pyi`), many times slower.

It serves where no kernel was built, and the kernel is held to it bit by bit. Memory is bounded by blocks of queries and
of gallery rows; `n_threads` and `sweep`, which change no result, are ignored.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from bitreid.arrays import Bytes, Ints, Ints8, Ints32, Words, Words32
from bitreid.hamming.inputs import blocks

_QUERY_BLOCK = 256
_GALLERY_BLOCK = 8192
_LISTED_BLOCK = 1024  # rows whose bits become floats together
# Queries that meet a gallery block at once: xor, count and sum of one word then stay in the second-level cache.
_QUERIES_IN_CACHE = 8
# A byte holds the sum of the counts of three words (192), and bytes are what numpy adds fastest.
_WORDS_IN_A_BYTE = 3


def search(
    queries: Bytes,
    gallery: Bytes,
    k: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints32]:
    """Return the positions and distances `(n_queries, k)` of each query's nearest rows."""
    by_id, rank = _id_order(len(gallery), ids)
    keys = np.empty((len(queries), k), np.int64)
    for some in blocks(len(queries), _QUERY_BLOCK):
        best = np.empty((some.stop - some.start, 0), np.int64)
        for rows, codes in _gallery_blocks(gallery, allowed):
            # One number that orders by (distance, id) makes every key different, so a partition is unambiguous.
            found = _compare(queries[some], codes, mask).astype(np.int64) * len(gallery) + rank[rows]
            best = np.concatenate([best, found], axis=1)
            if best.shape[1] > k:
                best = np.partition(best, k - 1, axis=1)[:, :k]
        keys[some] = np.sort(best, axis=1)
    return _of_keys(keys, by_id)


def two_stage(
    short_queries: Bytes,
    short_gallery: Bytes,
    queries: Bytes,
    gallery: Bytes,
    mask: Bytes | None,
    w: int,
    k: int,
    ties: bool,
    sweep: bool,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints32]:
    """Return positions and distances `(n_queries, k)` of the nearest among the `w` nearest rows by the short code."""
    by_id, rank = _id_order(len(gallery), ids)
    keys = np.empty((len(queries), k), np.int64)
    for some in blocks(len(queries), _QUERY_BLOCK):
        lists, distances = search(short_queries[some], short_gallery, w, None, allowed, ids, 1)
        for i, kept in enumerate(lists, some.start):
            one = slice(i, i + 1)
            if ties and w:
                as_near = int(distances[i - some.start, -1])
                _, kept, _ = range(short_queries[one], short_gallery, as_near, None, allowed, ids, 1)
            found = _compare_listed(queries[one], gallery, kept, mask).astype(np.int64) * len(gallery) + rank[kept]
            keys[i] = np.sort(found)[:k]
    return _of_keys(keys, by_id)


def range(  # named as the kernel's: this module has no use for the built-in one
    queries: Bytes,
    gallery: Bytes,
    max_distance: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints, Ints32]:
    """Return offsets `(n_queries + 1,)`, positions and distances of the rows at most `max_distance` away."""
    by_id, rank = _id_order(len(gallery), ids)
    offsets = np.zeros(len(queries) + 1, np.int64)
    found = [np.empty(0, np.int64)]
    for i, query in enumerate(queries):
        keys = [np.empty(0, np.int64)]
        for rows, codes in _gallery_blocks(gallery, allowed):
            (distances,) = _compare(query[None], codes, mask).astype(np.int64)
            near = distances <= max_distance
            keys.append(distances[near] * len(gallery) + rank[rows][near])
        found.append(np.sort(np.concatenate(keys)))
        offsets[i + 1] = offsets[i] + len(found[-1])
    return offsets, *_of_keys(np.concatenate(found), by_id)


def count(
    queries: Bytes,
    gallery: Bytes,
    lengths: Sequence[int],
    thresholds: Ints,
    mask: Bytes | None,
    allowed: Bytes | None,
    n_threads: int,
) -> tuple[Ints, Ints]:
    """Count the rows nearer than, and at, `thresholds (n_lengths, n_queries, m)`, by prefixes of `lengths` bytes."""
    kept = np.full(lengths[-1], 255, np.uint8) if mask is None else mask
    nearer = np.empty(thresholds.shape, np.int64)
    at = np.empty(thresholds.shape, np.int64)
    most = 8 * lengths[-1] + 1
    for some in blocks(len(queries), max(_QUERY_BLOCK // len(lengths), 1)):
        # up_to[..., d] rows are nearer than d bits; the ends answer for thresholds that no distance can reach.
        up_to = np.zeros((len(lengths), some.stop - some.start, most + 1), np.int64)
        for _, codes in _gallery_blocks(gallery, allowed):
            distances = np.zeros((some.stop - some.start, len(codes)), np.uint32)
            for histograms, start, stop in zip(up_to[..., 1:], (0, *lengths), lengths, strict=False):
                kept_here = kept[start:stop]
                of_queries, of_rows = queries[some, start:stop] & kept_here, codes[:, start:stop] & kept_here
                _add_distances(distances, _words(of_queries), _words(of_rows))
                # One query at a time: its histogram stays in the first-level cache.
                for histogram, of_query in zip(histograms, distances, strict=True):
                    histogram += np.bincount(of_query, minlength=most)
        np.cumsum(up_to, axis=2, out=up_to)
        low = np.clip(thresholds[:, some], 0, most)
        high = np.clip(np.minimum(thresholds[:, some], most) + 1, 0, most)
        nearer[:, some] = np.take_along_axis(up_to, low, axis=2)
        at[:, some] = np.take_along_axis(up_to, high, axis=2) - nearer[:, some]
    return nearer, at


def distances(queries: Bytes, gallery: Bytes, n_threads: int) -> Words32:
    """Return all distances `(n_queries, n_gallery)`."""
    found = np.empty((len(queries), len(gallery)), np.uint32)
    for some in blocks(len(queries), _QUERY_BLOCK):
        for rows, codes in _gallery_blocks(gallery, None):
            found[some, rows] = _compare(queries[some], codes, None)
    return found


def distances_at(queries: Bytes, gallery: Bytes, positions: Ints, n_threads: int) -> Words32:
    """Return the distances of each query to its own rows `positions (n_queries, m)`."""
    found = np.empty(positions.shape, np.uint32)
    for i, rows in enumerate(positions):
        found[i] = _compare_listed(queries[i : i + 1], gallery, rows, None)
    return found


def asymmetric_at(values: Ints8, gallery: Bytes, positions: Ints, n_threads: int) -> Words32:
    """Return the asymmetric distances of each query's values, one a bit, to its own rows `positions (n_queries, m)`."""
    found = np.empty(positions.shape, np.uint32)
    for i, rows in enumerate(positions):
        # What a row in which every bit is right would have, less what this one has; exact in float64.
        most, of_ones = np.maximum(values[i], 0).sum(dtype=np.int64), values[i].astype(np.float64)
        for some in blocks(len(rows), _LISTED_BLOCK):
            found[i, some] = most - np.unpackbits(gallery[rows[some]], axis=1) @ of_ones
    return found


def assign(rows: Bytes, centres: Bytes, n_threads: int) -> tuple[Ints, Words32]:
    """Return the nearest of the centres of each row, of several the first, and its distance, both `(n,)`."""
    nearest, away = search(rows, centres, min(len(centres), 1), None, None, None, 1)
    return nearest.ravel(), away.ravel().view(np.uint32)


def majorities(rows: Bytes, order: Ints, offsets: Ints, n_threads: int) -> Bytes:
    """Return for each list the bits that more than half of its rows `order[offsets[i] : offsets[i + 1]]` have."""
    found = np.zeros((len(offsets) - 1, rows.shape[1]), np.uint8)
    for i, (start, stop) in enumerate(pairwise(offsets)):
        ones = np.zeros(8 * rows.shape[1], np.int64)
        for some in blocks(stop - start, _LISTED_BLOCK):
            ones += np.unpackbits(rows[order[start:stop][some]], axis=1).sum(axis=0, dtype=np.int64)
        found[i] = np.packbits(2 * ones > stop - start)
    return found


def search_lists(
    queries: Bytes,
    gallery: Bytes,
    centres: Bytes,
    offsets: Ints,
    n_visited: int,
    k: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints32, Ints]:
    """Return positions and distances `(n_queries, k)` of the nearest rows among those of each query's nearest lists.

    These are `n_visited`, and as many more as hold `k` rows that may be found. The third result is how many rows were
    visited, `(n_queries,)`.
    """
    by_id, rank = _id_order(len(gallery), ids)
    keys, visited = np.empty((len(queries), k), np.int64), np.empty(len(queries), np.int64)
    for i, rows in enumerate(_visited_rows(queries, centres, offsets, n_visited, k, mask, allowed)):
        found = _compare_listed(queries[i : i + 1], gallery, rows, mask).astype(np.int64) * len(gallery) + rank[rows]
        keys[i], visited[i] = np.sort(found)[:k], len(rows)
    return *_of_keys(keys, by_id), visited


def range_lists(
    queries: Bytes,
    gallery: Bytes,
    centres: Bytes,
    offsets: Ints,
    n_visited: int,
    max_distance: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints, Ints32, Ints]:
    """Return the rows at most `max_distance` away, as `range` does, of each query's `n_visited` nearest lists.

    The fourth result is how many rows were visited, `(n_queries,)`.
    """
    by_id, rank = _id_order(len(gallery), ids)
    starts, visited = np.zeros(len(queries) + 1, np.int64), np.empty(len(queries), np.int64)
    found = [np.empty(0, np.int64)]
    for i, rows in enumerate(_visited_rows(queries, centres, offsets, n_visited, 0, mask, allowed)):
        away = _compare_listed(queries[i : i + 1], gallery, rows, mask).astype(np.int64)
        near = away <= max_distance
        found.append(np.sort(away[near] * len(gallery) + rank[rows[near]]))
        starts[i + 1], visited[i] = starts[i] + len(found[-1]), len(rows)
    return starts, *_of_keys(np.concatenate(found), by_id), visited


def _visited_rows(
    queries: Bytes, centres: Bytes, offsets: Ints, n_visited: int, k: int, mask: Bytes | None, allowed: Bytes | None
) -> Iterator[Ints]:
    """Yield for each query the rows that may be found in its nearest lists, `n_visited` or until there are `k`."""
    rows = np.arange(offsets[-1])
    may = rows if allowed is None else np.flatnonzero(allowed)
    sizes = np.diff(np.searchsorted(may, offsets))
    for i, _ in enumerate(queries):
        nearest, _ = search(queries[i : i + 1], centres, len(centres), mask, None, None, 1)
        enough = np.searchsorted(np.cumsum(sizes[nearest[0]]), k) + 1
        kept = [rows[offsets[each] : offsets[each + 1]] for each in nearest[0, : max(n_visited, enough if k else 0)]]
        listed = np.concatenate([np.empty(0, np.int64), *kept])
        yield listed if allowed is None else listed[allowed[listed] != 0]


def _gallery_blocks(gallery: Bytes, allowed: Bytes | None) -> Iterator[tuple[slice | Ints, Bytes]]:
    """Yield the rows that may be found, in order, with their codes."""
    if allowed is None:
        yield from ((rows, gallery[rows]) for rows in blocks(len(gallery), _GALLERY_BLOCK))
        return
    for rows in blocks(len(gallery), _GALLERY_BLOCK):
        listed = rows.start + np.flatnonzero(allowed[rows])
        yield listed, gallery[listed]


def _compare(queries: Bytes, gallery: Bytes, mask: Bytes | None) -> Words32:
    """Return the distances `(n_queries, rows)`, by the bits in `mask`."""
    distances = np.zeros((len(queries), len(gallery)), np.uint32)
    if mask is not None:
        queries, gallery = queries & mask, gallery & mask
    _add_distances(distances, _words(queries), _words(gallery))
    return distances


def _compare_listed(query: Bytes, gallery: Bytes, rows: Ints, mask: Bytes | None) -> Words32:
    """Return the distances of one query `(1, n_bytes)` to listed rows."""
    found = np.empty(len(rows), np.uint32)
    for some in blocks(len(rows), _GALLERY_BLOCK):
        found[some] = _compare(query, gallery[rows[some]], mask)[0]
    return found


def _add_distances(distances: Words32, query_words: Words, gallery_words: Words) -> None:
    """Add the distances of words `(n_queries, n_words)` and `(rows, n_words)` to `distances (n_queries, rows)`."""
    # Word by word down the block: long runs of one word are what numpy's loops are fast at.
    columns = np.ascontiguousarray(gallery_words.T)
    for rows in blocks(len(query_words), _QUERIES_IN_CACHE):
        for words in blocks(len(columns), _WORDS_IN_A_BYTE):
            counts = np.zeros(distances[rows].shape, np.uint8)
            for of_queries, of_rows in zip(query_words[rows, words].T, columns[words], strict=True):
                counts += np.bitwise_count(of_queries[:, None] ^ of_rows)
            distances[rows] += counts


def _words(packed: Bytes) -> Words:
    """Return the codes as zero-padded 64-bit words; the order of their bytes does not matter, as all have the same."""
    missing = -packed.shape[1] % 8
    return (np.pad(packed, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(packed)).view(np.uint64)


def _id_order(n: int, ids: Ints | None) -> tuple[Ints, Ints]:
    """Return gallery rows in the order of their ids, and each row's rank in that order."""
    if ids is None:
        rows = np.arange(n, dtype=np.int64)
        return rows, rows
    by_id = np.argsort(ids, kind="stable").astype(np.int64)
    rank = np.empty_like(by_id)
    rank[by_id] = np.arange(n)
    return by_id, rank


def _of_keys(keys: Ints, by_id: Ints) -> tuple[Ints, Ints32]:
    """Return rows and distances of keys, each distance * rows of the gallery + rank."""
    distances, rank = np.divmod(keys, max(len(by_id), 1))
    return by_id[rank], distances.astype(np.int32)
