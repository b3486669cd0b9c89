"""Inverted lists of the record of a gallery on a Milvus server, of which a clustered search visits the nearest.

Milvus has one index a field, so lists take the place of the index of a scan, and an exact search visits all of them.
Each of the server's segments has lists of its own, as many as were asked for, or fewer where it is small; items that
are in no such segment yet are visited in any case. How many lists a recall takes is measured on items of the gallery
and kept with what the gallery is.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from bitreid.arrays import Floats
from bitreid.errors import BadRequest, GalleryBusy
from bitreid.gallery.milvus.rows import codes_of
from bitreid.gallery.milvus.server import ALL_LISTS, Near, Server

FEWEST = 32_768
"""Items from which on a gallery gets lists."""
_MOST = 1024  # unless more are asked for: Milvus learns centres on floats, which takes the square of their number
_ASKED = 128  # items whose neighbours are looked for
_NEAREST = (100, 1000)  # of them
_INDEXED = 1024  # rows of a segment from which on Milvus makes an index for it
_ROWS = 39  # of a list, at least
_LOOK_S = 0.1
_LOADED_S = 300.0  # until finished lists are searched


@dataclass(frozen=True)
class Lists:
    """How many lists a segment has, and how much of the nearest items the nearest lists hold.

    `recalls[j][i]` is the share of an item's `n_nearest[j]` nearest others that were found in `n_probed[i]` lists of
    each segment, the mean over a sample, and `visited[i]` the share of all items that lists of mean length hold then.
    Both numbers ascend; there are none before it was measured, and then a search visits all lists.
    """

    n_lists: int
    n_nearest: Sequence[int] = ()
    n_probed: Sequence[int] = ()
    visited: Sequence[float] = ()
    recalls: Sequence[Sequence[float]] = ()

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self | None:
        """Return the lists of a gallery from what is kept of it; None where it has none."""
        return cls(**about["lists"]) if "lists" in about else None

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON."""
        return asdict(self)

    def probed(self, recall: float, k: int, share: float) -> tuple[int, float]:
        """Return how many lists to visit to find, in the mean, this share of the `k` nearest items that pass a filter,
        and the share of the items in them.

        `share` is that of the items that pass: the 100 nearest of each tenth item are as far away as the 1000 nearest
        of all. All lists where no number of neighbours as large as that was measured.
        """
        measured = int(np.searchsorted(self.n_nearest, math.ceil(k / share))) if share > 0 else len(self.n_nearest)
        if recall < 1 and measured < len(self.n_nearest):
            at = int(np.searchsorted(self.recalls[measured], recall))
            if at < len(self.n_probed):
                return self.n_probed[at], self.visited[at]
        return ALL_LISTS, 1.0


def lists_for(n_lists: int | None, n: int) -> int:
    """Return how many lists a segment gets in a gallery of `n` items, by default the root of it; 0 for a few items.

    `BadRequest` for a number that Milvus does not take.
    """
    if n_lists is None:
        n_lists = min(max(round(math.sqrt(n)), 1), _MOST)
    if isinstance(n_lists, bool) or not isinstance(n_lists, int) or not 1 <= n_lists <= ALL_LISTS:
        raise BadRequest(f"expected a number of lists from 1 to {ALL_LISTS}, got {n_lists!r}; leave it out")
    return n_lists if n >= FEWEST else 0


def build(server: Server, collection: str, n_lists: int, progress: Callable[[float], object]) -> None:
    """Have the server make lists of what it has written out, and wait until they are searched.

    For a moment before that nobody can search or look. `progress` gets the share of the rows that are in lists.
    `GalleryBusy` where the server does not load them.
    """
    server.call("release_collection", collection)
    if server.call("list_indexes", collection):
        server.call("drop_index", collection, "code")
    server.index(collection, n_lists)
    while True:
        index = server.call("describe_index", collection, "code")
        progress(int(index["indexed_rows"]) / max(int(index["total_rows"]), 1))
        if not int(index["pending_index_rows"]):
            break
        time.sleep(_LOOK_S)
    until = time.monotonic() + _LOADED_S
    while any(rows >= _INDEXED and not has_lists for rows, has_lists in server.segments(collection)):
        if time.monotonic() > until:
            raise GalleryBusy(
                f"{server.address}: expected the server to search the lists that it made, got none of them in "
                f"{_LOADED_S:g} s; cluster the gallery again when the server has less to do"
            )
        time.sleep(_LOOK_S)


def measured(server: Server, collection: str, n_bits: int, n_lists: int) -> Lists:
    """Return what the lists of a collection hold: items of it are looked for in more and more of them.

    Looks at the keys of all items, which takes seconds a million.
    """
    keys = np.array([row["key"] for rows in server.rows(collection, "", []) for row in rows], np.int64)
    if len(keys) < 2:
        return Lists(n_lists)
    asked = np.sort(np.random.default_rng(0).permutation(keys)[:_ASKED])
    rows = server.of_keys(collection, asked.tolist(), ["code"])
    own, queries = np.array(list(rows), np.int64), codes_of(rows.values(), n_bits)
    n_nearest = np.unique(np.minimum(_NEAREST, min(len(keys), server.most_rows) - 1))

    def distances(n_probed: int) -> Floats:
        found = server.distances(collection, queries, int(n_nearest[-1]) + 1, n_probed)
        return np.stack([_others(near, key, int(n_nearest[-1])) for near, key in zip(found, own, strict=True)])

    limits = distances(ALL_LISTS)[:, n_nearest - 1]
    segments = server.segments(collection)
    n_probed: list[int] = []
    recalls: list[list[float]] = [[] for _ in n_nearest]
    for number in _numbers(n_lists):
        found = distances(number)
        n_probed.append(number)
        for j, n in enumerate(n_nearest):
            recalls[j].append(float(np.mean(found[:, :n] <= limits[:, j, None])))
        if min(each[-1] for each in recalls) == 1:
            break
    # More lists hold no less, whatever was written meanwhile.
    rising = [np.maximum.accumulate(each).tolist() for each in recalls]
    visited = [_visited(segments, n_lists, number) for number in n_probed]
    return Lists(n_lists, n_nearest.tolist(), n_probed, visited, rising)


def _others(near: Sequence[Near], key: int, n: int) -> Floats:
    """Return the distances of the `n` rows that are nearest to the row of a key; infinity where there are fewer."""
    away = [each.distance for each in near if each.key != key][:n]
    return np.array(away + [math.inf] * (n - len(away)))


def _numbers(n_lists: int) -> list[int]:
    """Return numbers of lists that rise by about the root of two, the last one all."""
    steps = range(2 * math.ceil(math.log2(n_lists)) + 1)
    return sorted({min(round(2 ** (step / 2)), n_lists) for step in steps} | {n_lists})


def _visited(segments: Sequence[tuple[int, bool]], n_lists: int, n_probed: int) -> float:
    """Return the share of the rows that are visited, in lists of mean length."""
    rows = np.array([n for n, _ in segments], np.float64)
    lists = np.array([min(n_lists, max(n // _ROWS, 1)) if has_lists else 1 for n, has_lists in segments])
    return float((rows * np.minimum(n_probed / lists, 1)).sum() / max(rows.sum(), 1))
