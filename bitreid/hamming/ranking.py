"""What a search returns."""

from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Ints, Ints32
from bitreid.errors import CodesError


@dataclass(frozen=True)
class Ranking:
    """Per query, gallery rows and their distances, nearest first, ordered by (distance, id).

    `positions` is `(n_queries, k) int64`, rows of the gallery; `distances` is `(n_queries, k) int32`, in bits. There is
    no padding: a `k` past the rows that may be found (or past the short list) is clipped to them, so `k` may be smaller
    than what was asked for, and is 0 for an empty gallery.
    """

    positions: Ints
    distances: Ints32

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.dtype != np.int64:
            raise CodesError(
                f"expected positions of shape (n_queries, k) int64, got {self.positions.shape} {self.positions.dtype}"
            )
        _check_distances(self.distances, self.positions)

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Matches:
    """Per query, all gallery rows up to a distance, nearest first, ordered by (distance, id).

    Query `i` has rows `positions[offsets[i] : offsets[i + 1]]` at the same places of `distances`. `offsets` is
    `(n_queries + 1,) int64`, `positions` `(n,) int64`, `distances` `(n,) int32`, in bits.
    """

    offsets: Ints
    positions: Ints
    distances: Ints32

    def __post_init__(self) -> None:
        if self.positions.ndim != 1 or self.positions.dtype != np.int64:
            raise CodesError(
                f"expected positions of shape (n,) int64, got {self.positions.shape} {self.positions.dtype}"
            )
        _check_distances(self.distances, self.positions)
        n = len(self.positions)
        if self.offsets.ndim != 1 or self.offsets.dtype != np.int64 or not len(self.offsets):
            raise CodesError(
                f"expected offsets of shape (n_queries + 1,) int64, got {self.offsets.shape} {self.offsets.dtype}"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != n or (np.diff(self.offsets) < 0).any():
            raise CodesError(f"expected offsets that rise from 0 to the {n} positions, got {self.offsets}")

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class VisitedRanking(Ranking):
    """A ranking of the rows that were visited, `n_visited (n_queries,) int64` of each query."""

    n_visited: Ints

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_visited(self.n_visited, len(self))


@dataclass(frozen=True)
class VisitedMatches(Matches):
    """Those of the rows that were visited, `n_visited (n_queries,) int64` of each query, that are near enough."""

    n_visited: Ints

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_visited(self.n_visited, len(self))


def _check_visited(n_visited: Ints, n_queries: int) -> None:
    if n_visited.shape != (n_queries,) or n_visited.dtype != np.int64:
        raise CodesError(f"expected n_visited of shape ({n_queries},) int64, got {n_visited.shape} {n_visited.dtype}")


def _check_distances(distances: Ints32, positions: Ints) -> None:
    if distances.shape != positions.shape or distances.dtype != np.int32:
        raise CodesError(
            f"expected distances of shape {positions.shape} int32, got {distances.shape} {distances.dtype}"
        )
