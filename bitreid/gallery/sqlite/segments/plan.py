"""Which segments are to be written: of what came since, of what is missing, of neighbours, and anew what changed."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bitreid.arrays import Ints
from bitreid.gallery.sqlite.segments.listed import gaps
from bitreid.gallery.table.base import Base
from bitreid.gallery.table.segment import BLOCK, Segment

FEWEST = 8192
"""Items that a segment is written of on closing and compaction; fewer are read sooner than they are written."""
TAIL = 32_768
"""Items in memory of which a segment is written meanwhile."""
CLUSTERED = 32_768
"""Items from which on those of a segment are sorted by cluster."""
FANOUT = 8
"""Neighbours of about one size that become one segment."""
LARGEST = 2**22
"""Items of a segment, at most."""
ROUND = BLOCK
"""A segment of what came since has a multiple of so many items, so that it needs no padding."""
WASTE = 0.3
"""Share of a segment's items that were deleted from which on it is written anew."""


class New(NamedTuple):
    """A segment to be written: rows of the snapshot, the sequence numbers that it covers, and what it replaces."""

    rows: Ints
    first: int
    last: int
    replaces: tuple[Segment, ...] = ()


class Rows:
    """Rows as plans see them: those that are there, `alive`, and their sequence numbers `seqs`.

    `base` are the first of the rows; its segments of the numbers `touched` were changed since they were written.
    `listed` is the last sequence number of all listed segments, of those that are missing, too.
    """

    def __init__(self, base: Base, alive: Ints, seqs: Ints, touched: frozenset[int], listed: int) -> None:
        self.segments, self.touched, self.listed = base.segments, touched, listed
        ends = np.searchsorted(alive, [*base.starts, np.iinfo(np.int64).max])
        self._own = [alive[start:stop] for start, stop in pairwise(ends.tolist())]
        tail = self._own.pop()
        self._tail = tail[np.argsort(seqs[tail], kind="stable")]
        self._seqs = seqs[self._tail]

    def plan(self, least: int, everything: bool) -> Iterator[New]:
        """Yield the segments to be written; with `everything` also those of which anything changed, or that are large
        and were written without clusters.

        Of what came since none is written of fewer than `least` items.
        """
        yield from self._missing()
        yield from self._since(least)
        anew = {number for number in self.touched if everything or self._wasteful(number)}
        if everything:
            anew |= {number for number, own in enumerate(self._own) if self._lacks_clusters(number, len(own))}
        merged = () if everything else self._neighbours()
        for number in sorted(anew - set(merged)):
            segment = self.segments[number]
            yield New(self._own[number], segment.first, segment.last, (segment,))
        if merged:
            some = tuple(self.segments[number] for number in merged)
            rows = np.concatenate([self._own[number] for number in merged])
            yield New(rows, some[0].first, some[-1].last, some)

    def _missing(self) -> Iterator[New]:
        """What listed segments that are not there would hold."""
        for first, last in gaps([(each.first, each.last) for each in self.segments], self.listed):
            yield from self._stretches(first, last, 1)

    def _since(self, least: int) -> Iterator[New]:
        n = int(np.count_nonzero(self._seqs > self.listed))
        if n >= least and (rounded := n - n % ROUND):
            start = len(self._seqs) - n
            yield from self._stretches(self.listed + 1, int(self._seqs[start + rounded - 1]), 1)

    def _stretches(self, first: int, last: int, least: int) -> Iterator[New]:
        start, stop = np.searchsorted(self._seqs, [first, last + 1]).tolist()
        for at in range(start, stop if stop - start >= least else start, LARGEST):
            end = min(at + LARGEST, stop)
            covered = last if end == stop else int(self._seqs[end - 1])
            yield New(self._tail[at:end], first, covered)
            first = covered + 1

    def _lacks_clusters(self, number: int, n: int) -> bool:
        return n >= CLUSTERED and not self.segments[number].clustered

    def _wasteful(self, number: int) -> bool:
        n = self.segments[number].items
        return bool(len(self._own[number]) < (1 - WASTE) * n)

    def _neighbours(self) -> list[int]:
        """Return the numbers of the last segments, where there are enough of about one size to be one."""
        sizes = [max(int(math.log(max(len(own) / TAIL, 1), FANOUT)), 0) for own in self._own]
        for size in sorted(set(sizes)):
            run: list[int] = []
            n = 0
            for number in reversed(range(len(sizes))):
                n += len(self._own[number])
                apart = run and self.segments[number].last + 1 != self.segments[run[-1]].first
                if sizes[number] > size or n > LARGEST or apart:
                    break
                run.append(number)
            if len(run) >= FANOUT:
                return run[::-1]
        return []
