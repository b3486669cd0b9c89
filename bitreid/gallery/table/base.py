"""The segments that a table begins with."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bitreid.arrays import Bools, Ints
from bitreid.gallery.table.segment import Segment
from bitreid.gallery.table.stitched import Piece


class Unconfirmed(Exception):
    """Segments, `numbers` of these, hold other rows than the record, or `what` cannot be."""

    def __init__(self, numbers: Sequence[int], what: str = "other codes than the gallery's file") -> None:
        super().__init__(f"segments {numbers}: {what}")
        self.numbers, self.what = numbers, what


class Base:
    """Segments whose rows are the first of a table, in this order."""

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self.segments = tuple(segments)
        self.starts = np.cumsum([0, *(segment.rows for segment in segments)]).tolist()
        self.n: int = self.starts[-1]
        """Rows, those of padding among them."""
        self.n_items = sum(segment.items for segment in segments)
        self._starts = np.array(self.starts)
        self._firsts = np.array([segment.first for segment in segments], np.int64)
        self._lasts = np.array([segment.last for segment in segments], np.int64)

    @property
    def ascending(self) -> bool:
        """Whether the keys ascend."""
        keys = [(each.arrays["key"][0], each.arrays["key"][-1]) for each in self.segments]
        return all(each.ascending for each in self.segments) and all(a[1] < b[0] for a, b in pairwise(keys))

    def pieces(self, name: str) -> list[Piece]:
        """Return the pieces of an array of all segments."""
        return [segment.piece(name) for segment in self.segments]

    def number_of(self, row: int) -> int:
        """Return which segment a row is in; their number, for a row after them."""
        return bisect_right(self.starts, row) - 1

    def numbers_of(self, rows: Ints) -> Ints:
        """Return `number_of` of each row."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def covered(self, numbers: Ints, seqs: Ints) -> Bools:
        """Return whether an item of each sequence number belongs in the segment of the number beside it."""
        return (self._firsts[numbers] <= seqs) & (seqs <= self._lasts[numbers])

    def slices(self, n: int) -> list[slice]:
        """Return the rows of each segment, and then those after them, up to `n`."""
        return [slice(*each) for each in zip(self.starts, [*self.starts[1:], n], strict=True)]

    def items(self) -> Bools:
        """Return which of its rows are items, not padding."""
        found = np.ones(self.n, np.bool_)
        for segment, start in zip(self.segments, self.starts, strict=False):
            found[start + segment.items : start + segment.rows] = False
        return found
