"""Clustered search of a snapshot: the nearest lists of each segment that has clusters, and all other rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bitreid.arrays import Bools, Ints
from bitreid.errors import GalleryDamaged
from bitreid.gallery.requests import Request
from bitreid.gallery.table.base import Unconfirmed
from bitreid.hamming import Clusters, Ranking, VisitedRanking, search_clustered, search_exact

if TYPE_CHECKING:
    from bitreid.gallery.table.snapshot import Snapshot


def search_lists(snapshot: "Snapshot", request: Request, rows: Bools | None, ids: Ints | None) -> VisitedRanking:
    """Return the nearest rows of each query, `request.n_short` at most, among those that were visited.

    Each segment is searched for as many of the nearest as are wanted in all, with the recall that is asked for: so
    those in all segments together are found with no less. `rows` may be found, `ids` decide between equal distances.
    """
    assert request.clustered is not None, "a clustered search has a recall"
    n_queries, k = len(request.queries), request.n_short
    positions, distances = [np.empty((n_queries, 0), np.int64)], [np.empty((n_queries, 0), np.int32)]
    n_visited = np.zeros(n_queries, np.int64)
    found: Ranking
    for part, clusters in _parts(snapshot):
        allowed = None if rows is None else rows[part]
        n_allowed = part.stop - part.start if allowed is None else int(np.count_nonzero(allowed))
        if not n_allowed:
            continue
        codes, own_ids = snapshot.codes[part], None if ids is None else ids[part]
        allowed = None if n_allowed == len(codes) else allowed
        common: dict[str, Any] = {"bits": request.mask, "rows": allowed, "n_threads": request.n_threads}
        if clusters is None:
            found = search_exact(request.queries, codes, k, own_ids, **common)
            n_visited += n_allowed
        else:
            recall = request.clustered
            found = in_lists = search_clustered(request.queries, codes, clusters, k, own_ids, recall=recall, **common)
            n_visited += in_lists.n_visited
        positions.append(found.positions + part.start)
        distances.append(found.distances)
    at, away = np.concatenate(positions, axis=1), np.concatenate(distances, axis=1)
    order = np.lexsort((at, at if ids is None else ids[at], away), axis=-1)[:, :k]
    return VisitedRanking(np.take_along_axis(at, order, axis=1), np.take_along_axis(away, order, axis=1), n_visited)


def _parts(snapshot: "Snapshot") -> Iterator[tuple[slice, Clusters | None]]:
    """Yield all rows in order: the items of each segment with its clusters, and what is between without."""
    start = 0
    for number, (segment, first) in enumerate(zip(snapshot.base.segments, snapshot.base.starts, strict=False)):
        try:
            clusters = segment.clusters
        except GalleryDamaged as error:
            raise Unconfirmed([number], "clusters that are none") from error
        if clusters is not None:
            if start < first:
                yield slice(start, first), None
            yield slice(first, first + segment.items), clusters
            start = first + segment.rows  # its padding is nothing to visit
    if start < len(snapshot):
        yield slice(start, len(snapshot)), None
