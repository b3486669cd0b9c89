"""Clustered search: each query is compared with the rows of its nearest lists only (see `clusters`).

What is found is exact among the rows that were visited, and the answer says how many these were. The gallery is sorted
by list: `codes[order]` of what `cluster` returned. Positions are rows of this sorted gallery; `ids`, such as `order`,
decide between rows of equal distance. Arguments that several functions share, beside those of `search`:

- `n_lists` lists are visited, or, where it is None, as many as find the share `recall` of the nearest rows in the mean.
  That was measured on rows of the gallery; queries that look unlike these find less.
- With a mask `rows`, more lists are visited for the same recall: the rows that may be found are farther apart. Where
  they are no more than the lists to visit hold, these rows are visited instead, and nothing is missed.
- With a mask `bits`, lists are ordered by the bits that count; the recall was measured by all bits.
"""

import numpy as np

from bitreid.arrays import Bools, Bytes, Ints
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import kernel
from bitreid.hamming.clusters import Clusters
from bitreid.hamming.inputs import (
    check_lengths,
    check_n_results,
    checked_ids,
    checked_limit,
    checked_threads,
    clipped,
    counted_bits,
    row_mask,
)
from bitreid.hamming.ranking import VisitedMatches, VisitedRanking
from bitreid.hamming.search import search_exact, search_range

RECALL = 0.95
"""The recall of a search that names neither a recall nor a number of lists."""
_IN_RANGE = 100  # neighbours whose recall stands for that of all rows up to a distance


def search_clustered(
    queries: Codes,
    gallery: Codes,
    clusters: Clusters,
    k: int,
    ids: Ints | None = None,
    *,
    n_lists: int | None = None,
    recall: float = RECALL,
    bits: Bools | None = None,
    rows: Bools | None = None,
    n_threads: int = 1,
) -> VisitedRanking:
    """Return the `k` nearest rows of each query's nearest lists, ordered by (distance, id).

    Further lists are visited until `k` rows that may be found are in them; `k` is clipped to the rows that may be
    found. The other arguments and the errors are those of this module's docstring.

    >>> from bitreid.hamming.clusters import cluster
    >>> codes = Codes(np.array([[0b0000_0000], [0b1111_0000], [0b0000_0001], [0b1111_0001]], np.uint8), 8)
    >>> clusters, order = cluster(codes, 2)
    >>> found = search_clustered(codes[:1], codes[order], clusters, 2, order, n_lists=1)
    >>> order[found.positions].tolist(), found.distances.tolist(), found.n_visited.tolist()
    ([[0, 2]], [[0, 1]], [2])
    """
    _check_clusters(gallery, clusters)
    check_lengths(queries, gallery)
    allowed, n_allowed = row_mask(rows, len(gallery))
    k = clipped("k", k, n_allowed)
    check_n_results(len(queries), k)
    n_visited = _n_visited(clusters, n_lists, recall, k, n_allowed)
    if n_visited is None:
        found = search_exact(queries, gallery, max(k, 1), ids, bits=bits, rows=rows, n_threads=n_threads)
        return VisitedRanking(found.positions, found.distances, np.full(len(queries), n_allowed))
    sides, settings = _prepared(queries, gallery, clusters, ids, bits, allowed, n_threads)
    return VisitedRanking(*kernel.engine().search_lists(*sides, clusters.offsets, n_visited, k, *settings))


def search_range_clustered(
    queries: Codes,
    gallery: Codes,
    clusters: Clusters,
    max_distance: int,
    ids: Ints | None = None,
    *,
    n_lists: int | None = None,
    recall: float = RECALL,
    bits: Bools | None = None,
    rows: Bools | None = None,
    n_threads: int = 1,
) -> VisitedMatches:
    """Return the rows of each query's nearest lists that are at most `max_distance` away, by (distance, id).

    `recall` is that of the 100 nearest rows: where many more are near enough, fewer of them are found. The other
    arguments and the errors are those of this module's docstring, and `max_distance` is that of `search_range`.
    """
    _check_clusters(gallery, clusters)
    check_lengths(queries, gallery)
    limit = checked_limit(max_distance)
    allowed, n_allowed = row_mask(rows, len(gallery))
    n_visited = _n_visited(clusters, n_lists, recall, _IN_RANGE, n_allowed)
    if n_visited is None:
        found = search_range(queries, gallery, limit, ids, bits=bits, rows=rows, n_threads=n_threads)
        return VisitedMatches(found.offsets, found.positions, found.distances, np.full(len(queries), n_allowed))
    sides, settings = _prepared(queries, gallery, clusters, ids, bits, allowed, n_threads)
    return VisitedMatches(*kernel.engine().range_lists(*sides, clusters.offsets, n_visited, limit, *settings))


def _prepared(
    queries: Codes,
    gallery: Codes,
    clusters: Clusters,
    ids: Ints | None,
    bits: Bools | None,
    allowed: Bytes | None,
    n_threads: int,
) -> tuple[tuple[Bytes, Bytes, Bytes], tuple[Bytes | None, Bytes | None, Ints | None, int]]:
    """Return what the kernel takes first, the bytes that are compared, and last: masks, ids and threads."""
    counted = counted_bits(queries.n_bits, bits)
    sides = (counted.bytes_of(queries), counted.bytes_of(gallery), counted.bytes_of(clusters.centres))
    return sides, (counted.mask, allowed, checked_ids(ids, len(gallery)), checked_threads(n_threads))


def _check_clusters(gallery: Codes, clusters: Clusters) -> None:
    check_lengths(clusters.centres, gallery)
    if clusters.n_rows != len(gallery):
        raise CodesError(
            f"expected clusters of the {len(gallery)} rows of the gallery, got clusters of {clusters.n_rows}; "
            "cluster them again"
        )


def _n_visited(clusters: Clusters, n_lists: int | None, recall: float, k: int, n_allowed: int) -> int | None:
    """Return how many lists to visit; None where they hold as many rows as may be found in all."""
    n_rows = clusters.n_rows
    if n_lists is None:
        n_lists = clusters.lists_for(recall, k, n_allowed / max(n_rows, 1))
    elif not isinstance(n_lists, int | np.integer) or n_lists < 1:
        raise SettingsError(f"expected n_lists to be a number of lists, at least 1, got {n_lists}")
    n_visited = min(int(n_lists), len(clusters))
    return None if n_allowed * len(clusters) <= n_visited * n_rows else n_visited
