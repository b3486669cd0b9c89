"""Clusters of codes: gallery rows sorted into lists, so that a search visits the nearest lists only.

Each list has a centre, the majority of its rows bit by bit, and holds the rows that are nearer to it than to any other.
Centres are learned on a sample in turns (k-majority: Lloyd's algorithm for Hamming distances), and all rows are then
assigned. How many lists must be visited to find a wanted share of the nearest rows depends on the data: it is measured
on these when the clusters are made, and kept with them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Bools, Floats, Ints, Ints32
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import kernel
from bitreid.hamming.inputs import blocks, check_lengths, checked_threads, clipped, row_mask
from bitreid.hamming.search import search_exact

_LISTS = 4  # times the root of the rows
_ASKED = 256  # rows whose neighbours are looked for
_NEAREST = (100, 1000, 10_000)  # of them
_BLOCK = 2**17  # rows assigned between two reports


@dataclass(frozen=True)
class Clusters:
    """Lists of gallery rows that were sorted by list, and how much of the nearest rows the nearest lists hold.

    List `i` holds the rows `offsets[i]` to `offsets[i + 1]` of the sorted gallery and has the centre `centres[i]`.
    `offsets` is `(n_lists + 1,) int64`. `recalls[j, m]` is the share of a row's `n_nearest[j]` nearest other rows that
    its `m + 1` nearest lists hold, the mean over a sample: `n_nearest` is `(n,) int64`, ascending, and `recalls`
    `(n, n_lists) float64`.
    """

    centres: Codes
    offsets: Ints
    n_nearest: Ints
    recalls: Floats

    def __post_init__(self) -> None:
        n_lists = len(self.centres)
        if self.offsets.shape != (n_lists + 1,) or self.offsets.dtype != np.int64:
            raise CodesError(
                f"expected offsets of shape ({n_lists + 1},) int64, got {self.offsets.shape} {self.offsets.dtype}"
            )
        # Compared, not subtracted: a difference of numbers that are too large may have any sign.
        if self.offsets[0] != 0 or (self.offsets[1:] < self.offsets[:-1]).any():
            raise CodesError(f"expected offsets that rise from 0, got {self.offsets}")
        if self.recalls.shape != (len(self.n_nearest), n_lists):
            raise CodesError(f"expected recalls of shape ({len(self.n_nearest)}, {n_lists}), got {self.recalls.shape}")
        if (self.n_nearest[1:] <= self.n_nearest[:-1]).any() or (np.diff(self.recalls, axis=1) < 0).any():
            raise CodesError("expected n_nearest and each row of recalls to ascend, got others")

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def n_rows(self) -> int:
        """How many rows all lists hold."""
        return int(self.offsets[-1])

    def lists_for(self, recall: float, k: int = 100, share: float = 1.0) -> int:
        """Return how many lists to visit to find, in the mean, this share of the `k` nearest rows.

        `share` is that of the rows that may be found: the 100 nearest of each tenth row are as far away as the 1000
        nearest of all. All lists where no number of neighbours as large as that was measured.
        """
        if not 0 < recall <= 1:
            raise SettingsError(f"expected recall above 0 and at most 1, got {recall}")
        measured = int(np.searchsorted(self.n_nearest, math.ceil(k / share))) if share > 0 else len(self.n_nearest)
        if recall == 1 or measured == len(self.n_nearest):
            return len(self)
        return min(int(np.searchsorted(self.recalls[measured], recall)) + 1, len(self))


def assign(codes: Codes, centres: Codes, *, n_threads: int = 1) -> tuple[Ints, Ints32]:
    """Return for each row the number of its nearest centre, of several the first, and the distance in bits.

    Both are `(n,)`.
    """
    check_lengths(codes, centres)
    if len(codes) and not len(centres):
        raise CodesError("expected at least one centre to assign rows to, got none")
    lists, distances = kernel.engine().assign(codes.packed, centres.packed, checked_threads(n_threads))
    return lists, np.asarray(distances).view(np.int32)


def cluster(
    codes: Codes,
    n_lists: int | None = None,
    *,
    centres: Codes | None = None,
    rows: Bools | None = None,
    sampled: int = 40,
    rounds: int = 10,
    seed: int = 0,
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Clusters, Ints]:
    """Return clusters of the rows, and the order `(n,) int64` that sorts these by list: `codes[order]` is searched.

    Rows of a list stay in their order. There are `n_lists`, by default four times the root of the rows, at most one a
    row. `centres` that were learned before are taken as they are; others are learned in so many `rounds` on so many
    rows of each list, `sampled`, which `seed` draws. With a mask `rows` the others are as if they were not there.
    `progress` gets the rows assigned and the rows in all, none before each round of learning; what it raises ends the
    work. What is held in memory beside the codes is the sample and 32 bytes a row.

    >>> codes = Codes(np.array([[0b0000_0000], [0b1111_0000], [0b0000_0001], [0b1111_0001]], np.uint8), 8)
    >>> clusters, order = cluster(codes, 2)
    >>> sorted(order[clusters.offsets[0] : clusters.offsets[1]].tolist()) in ([0, 2], [1, 3])
    True
    """
    check_lengths(codes, codes)
    allowed, n = row_mask(rows, len(codes))
    there, n_threads = np.arange(n) if allowed is None else np.flatnonzero(allowed), checked_threads(n_threads)
    said = (lambda done, n: None) if progress is None else progress
    if centres is None:
        wanted = round(_LISTS * math.sqrt(n)) if n_lists is None else n_lists
        rng, n_lists = np.random.default_rng(seed), clipped("n_lists", wanted, n) if n else 0
        sample = codes[there[np.sort(rng.permutation(n)[: clipped("sampled", sampled, n) * n_lists])]] if n else codes
        centres = _learned(sample, n_lists, rounds, rng, n_threads, lambda: said(0, n))
    elif n_lists not in (None, len(centres)):
        raise SettingsError(f"expected as many lists as centres, {len(centres)}, got n_lists = {n_lists}")
    lists = np.empty(n, np.int64)
    for some in blocks(n, _BLOCK):
        block = codes[some] if allowed is None else codes[there[some]]
        lists[some] = assign(block, centres, n_threads=n_threads)[0]
        said(some.stop, n)
    order, offsets = _sorted(lists, len(centres))
    n_nearest = np.unique(np.minimum(_NEAREST, n - 1)) if n > 1 else np.empty(0, np.int64)
    if allowed is None:
        recalls = _measured(codes, centres, lists, rows, there, n_nearest, seed, n_threads)
    else:
        of_all = np.zeros(len(codes), np.int64)
        of_all[there] = lists
        recalls = _measured(codes, centres, of_all, rows, there, n_nearest, seed, n_threads)
    return Clusters(centres, offsets, n_nearest.astype(np.int64), recalls), order if allowed is None else there[order]


def remaining(codes: Codes, clusters: Clusters, rows: Bools, *, n_threads: int = 1) -> Clusters:
    """Return the clusters of the rows of a mask, of the sorted rows `codes` of clusters, without learning anew.

    A list that lost rows has the majority of the others as its centre, and one that has none left goes, so that nothing
    is kept of what was deleted. What was measured stays.
    """
    row_mask(rows, clusters.n_rows)
    kept = np.flatnonzero(rows)
    offsets = np.searchsorted(kept, clusters.offsets)
    sizes, before = np.diff(offsets), np.diff(clusters.offsets)
    packed, lost = clusters.centres.packed.copy(), sizes < before
    changed = np.concatenate([[0], np.cumsum(sizes[lost])])
    members = kept[np.repeat(lost, sizes)]
    packed[lost] = kernel.engine().majorities(codes.packed, members, changed, checked_threads(n_threads))
    left = sizes > 0
    offsets = np.concatenate([[0], np.cumsum(sizes[left])])
    centres = Codes(packed[left], codes.n_bits, codes.parts)
    return Clusters(centres, offsets, clusters.n_nearest, clusters.recalls[:, : len(centres)])


def _learned(
    sample: Codes, n_lists: int, rounds: int, rng: np.random.Generator, n_threads: int, going_on: Callable[[], None]
) -> Codes:
    """Return centres: the majority codes of a sample's clusters."""
    centres = sample[np.sort(rng.permutation(len(sample))[:n_lists])]
    for _ in range(rounds if n_lists else 0):
        going_on()
        lists, distances = assign(sample, centres, n_threads=n_threads)
        order, offsets = _sorted(lists, n_lists)
        packed = kernel.engine().majorities(sample.packed, order, offsets, n_threads)
        empty = np.flatnonzero(np.diff(offsets) == 0)
        # A list without rows begins anew at one of those that are farthest from their centres.
        packed[empty] = sample.packed[np.argsort(-distances, kind="stable")[: len(empty)]]
        if np.array_equal(packed, centres.packed):
            break
        centres = Codes(packed, sample.n_bits, sample.parts)
    return centres


def _sorted(lists: Ints, n_lists: int) -> tuple[Ints, Ints]:
    """Return the order that sorts rows by list, and where each list begins and ends in it."""
    # Numbers of 16 bits are sorted many times as fast.
    short = lists.astype(np.uint16) if n_lists <= 2**16 else lists
    offsets = np.zeros(n_lists + 1, np.int64)
    np.cumsum(np.bincount(lists, minlength=n_lists), out=offsets[1:])
    return np.argsort(short, kind="stable").astype(np.int64, copy=False), offsets


def _measured(
    codes: Codes,
    centres: Codes,
    lists: Ints,
    rows: Bools | None,
    there: Ints,
    n_nearest: Ints,
    seed: int,
    n_threads: int,
) -> Floats:
    """Return the recalls of a sample of the rows that are `there`, `(len(n_nearest), n_lists)`."""
    if not len(n_nearest):
        return np.empty((0, len(centres)))
    asked = there[np.sort(np.random.default_rng(seed).permutation(len(there))[:_ASKED])]
    queries, most = codes[asked], int(n_nearest[-1])
    found = search_exact(queries, codes, most + 1, rows=rows, n_threads=n_threads).positions
    # Without the row itself, or without the last one where the row itself is not among so many as near.
    others = np.argsort(found == asked[:, None], axis=1, kind="stable")[:, :most]
    found = np.take_along_axis(found, np.sort(others, axis=1), axis=1)
    by_distance = search_exact(queries, centres, len(centres), n_threads=n_threads).positions
    place = np.empty_like(by_distance)
    np.put_along_axis(place, by_distance, np.arange(len(centres))[None], axis=1)
    places = np.take_along_axis(place, lists[found], axis=1)
    counts = np.stack([np.bincount(places[:, :n].ravel(), minlength=len(centres)) for n in n_nearest])
    recalls: Floats = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
    return recalls
