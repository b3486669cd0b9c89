"""Comparing two sides: codes by Hamming distance, features by cosine distance, or by distances that are given."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bitreid.arrays import AnyArray, Bools, Features, Floats, Ints, Numbers
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.evaluation.protocol import Relatives
from bitreid.evaluation.scores import MatchGroups
from bitreid.hamming import count_nearer_prefixes, distances_at, prefix_distance_blocks
from bitreid.hamming.inputs import check_lengths

_BLOCK_BYTES = 2**23  # of a block of gallery features in float64


class Comparison(ABC):
    """Distances of queries to gallery rows at one or more code lengths, and the tie groups of their matches."""

    @property
    def n_lengths(self) -> int:
        return 1

    @abstractmethod
    def of_gallery(self, rows: Ints) -> Self:
        """Return the comparison with a gallery of the given rows."""

    @abstractmethod
    def by_content(self) -> Ints:
        """Return the numbers of the gallery rows, sorted by the bytes in the rows."""

    @abstractmethod
    def distances(self, queries: slice) -> Numbers:
        """Return the distances `(n_lengths, n_queries, n_gallery)`."""

    @abstractmethod
    def bytes_of_distances(self) -> int:
        """Return the bytes that `distances` needs for one query."""

    def bytes_of_groups(self, n_relatives: int) -> int:
        """Return the bytes that `groups` needs for one query, at most."""
        return self.bytes_of_distances() + 64 * n_relatives

    def groups(self, queries: slice, relatives: Relatives) -> list[MatchGroups]:
        """Return the tie groups of the matches at each length."""
        (distances,) = self.distances(queries)
        of_relatives = np.take_along_axis(distances, relatives.rows, axis=1)
        beyond: float = np.inf
        if of_relatives.dtype.kind != "f":
            of_relatives, beyond = of_relatives.astype(np.int64), np.iinfo(np.int64).max - 1
        ordered, match, left_out = _in_order(of_relatives, relatives, beyond)
        nearer, at = np.empty(ordered.shape, np.int64), np.empty(ordered.shape, np.int64)
        for i, of_gallery in enumerate(distances):
            nearer[i], at[i] = nearer_and_at(of_gallery, ordered[i])
        return [MatchGroups.of(ordered, match, left_out, nearer, at)]


@dataclass(frozen=True)
class HammingComparison(Comparison):
    """Compare codes by the Hamming distance of their prefixes, whose `lengths` in bits ascend."""

    queries: Codes
    gallery: Codes
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        check_lengths(self.queries, self.gallery)
        if not self.lengths:
            raise CodesError("expected one or more lengths to evaluate, got none")

    @property
    def n_lengths(self) -> int:
        return len(self.lengths)

    def of_gallery(self, rows: Ints) -> Self:
        return replace(self, gallery=self.gallery[rows])

    def by_content(self) -> Ints:
        return order_of_content(self.gallery.packed)

    def distances(self, queries: slice) -> Numbers:
        n_queries = len(self.queries.packed[queries])
        distances = np.empty((self.n_lengths, n_queries, len(self.gallery)), np.uint32)
        for columns, block in prefix_distance_blocks(self.queries[queries], self.gallery, self.lengths):
            distances[:, :, columns] = block
        return distances

    def bytes_of_distances(self) -> int:
        return 4 * self.n_lengths * len(self.gallery)

    def bytes_of_groups(self, n_relatives: int) -> int:
        return n_relatives * (self.queries.n_bits // 4 + 64 * self.n_lengths)

    def groups(self, queries: slice, relatives: Relatives) -> list[MatchGroups]:
        of_queries = self.queries[queries]
        # Only these rows' prefixes are copied.
        rows = self.gallery[relatives.rows.ravel()]
        places = np.arange(relatives.rows.size).reshape(relatives.rows.shape)
        of_relatives = [distances_at(of_queries.prefix(n), rows.prefix(n), places) for n in self.lengths]
        ordered = [_in_order(each, relatives, of_queries.n_bits + 1) for each in of_relatives]
        thresholds = np.stack([distances for distances, _, _ in ordered])
        counts = count_nearer_prefixes(of_queries, self.gallery, self.lengths, thresholds)
        return [MatchGroups.of(*each, nearer, at) for each, nearer, at in zip(ordered, *counts, strict=True)]


@dataclass(frozen=True)
class CosineComparison(Comparison):
    """Compare features `(n, d)` by cosine distance, rounded to float32. `rows` are those that the gallery consists of.

    A feature of zeros is at distance 1 from everything. Only a block of the gallery at a time becomes float64.
    """

    queries: Features
    query_lengths: Floats
    gallery: Features
    gallery_lengths: Floats
    rows: Ints

    @classmethod
    def of(cls, queries: Features, gallery: Features) -> Self:
        """Return the comparison of features that `check_features` has checked."""
        return cls(queries, lengths_of(queries), gallery, lengths_of(gallery), np.arange(len(gallery)))

    def of_gallery(self, rows: Ints) -> Self:
        return replace(self, rows=self.rows[rows])

    def by_content(self) -> Ints:
        order = order_of_content(self.gallery)
        place = np.full(len(self.gallery), -1)
        place[self.rows] = np.arange(len(self.rows))
        places = place[order]
        return np.asarray(places[places >= 0])

    def distances(self, queries: slice) -> Numbers:
        units = self.queries[queries].astype(np.float64)
        units /= self.query_lengths[queries, None]
        distances = np.empty((1, len(units), len(self.rows)), np.float32)
        n_rows = max(_BLOCK_BYTES // (8 * units.shape[1]), 1)
        for start in range(0, len(self.rows), n_rows):
            rows = self.rows[start : start + n_rows]
            # Multiplied in float64, then rounded: a float32 product depends in its last bit on where a row lies in its
            # block, and that bit would make or break ties when the gallery's order changes. Rounded before the
            # subtraction, which would turn noise of 1e-16 about the cosine 1 into distances that differ.
            block = self.gallery[rows].astype(np.float64)
            block /= self.gallery_lengths[rows, None]
            distances[0, :, start : start + n_rows] = np.float32(1) - (units @ block.T).astype(np.float32)
        return distances

    def bytes_of_distances(self) -> int:
        width = int(self.queries.shape[1])
        return 4 * len(self.rows) + 12 * (width + _BLOCK_BYTES // (8 * width))


@dataclass(frozen=True)
class GivenDistances(Comparison):
    """Take distances `(n_queries, n_gallery)` as they are. `rows` are those of the gallery, None for all."""

    given: Numbers
    rows: Ints | None = None

    def of_gallery(self, rows: Ints) -> Self:
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def by_content(self) -> Ints:
        raise SettingsError("expected a protocol of the whole gallery for given distances, got single shots")

    def distances(self, queries: slice) -> Numbers:
        distances = self.given[None, queries]
        return distances if self.rows is None else distances[:, :, self.rows]

    def bytes_of_distances(self) -> int:
        return int(self.given.itemsize * self.given.shape[1])


def check_features(queries: Features, gallery: Features) -> None:
    """Check that both sides are finite features `(n, d)` of one width; else raise `CodesError`."""
    for side, features in (("query", queries), ("gallery", gallery)):
        if features.ndim != 2 or not features.shape[1] or not np.issubdtype(features.dtype, np.floating):
            raise CodesError(f"expected {side} features of shape (n, d) float, got {features.shape} {features.dtype}")
        n_rows = max(_BLOCK_BYTES // features.shape[1], 1)
        if not all(np.isfinite(features[i : i + n_rows]).all() for i in range(0, len(features), n_rows)):
            raise CodesError(f"expected finite {side} features, got NaN or infinity; check the model that made them")
    if queries.shape[1] != gallery.shape[1]:
        raise CodesError(f"expected features of one width, got {queries.shape[1]} and {gallery.shape[1]} numbers")


def nearer_and_at(distances: Numbers, thresholds: AnyArray) -> tuple[Ints, Ints]:
    """Return how many of the `distances (n,)` are below, and equal to, each of the `thresholds (m,)`.

    Unsigned distances below 65,536 are counted, others sorted.
    """
    if distances.dtype.kind == "u" and distances.max(initial=0) < 2**16:
        up_to = np.concatenate([[0], np.cumsum(np.bincount(distances))])
        low, high = (np.clip(each, 0, len(up_to) - 1) for each in (thresholds, thresholds + 1))
        return up_to[low], up_to[high] - up_to[low]
    ordered = np.sort(distances)
    nearer = np.searchsorted(ordered, thresholds, side="left")
    return nearer, np.searchsorted(ordered, thresholds, side="right") - nearer


def _in_order(of_relatives: AnyArray, relatives: Relatives, beyond: float) -> tuple[AnyArray, Bools, Bools]:
    """Return the relatives' distances, ascending, padded with `beyond`; which of them match, and which are left out."""
    shown = relatives.match | relatives.left_out
    distances = np.where(shown, of_relatives, of_relatives.dtype.type(beyond))
    order = np.argsort(distances, axis=1)
    ordered, match, left_out = (
        np.take_along_axis(each, order, axis=1) for each in (distances, relatives.match, relatives.left_out)
    )
    return ordered, match, left_out


def lengths_of(features: Features) -> Floats:
    """Return the Euclidean lengths `(n,)` of features in float64; 1 for a feature of zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", features, features, dtype=np.float64))
    lengths[lengths == 0] = 1  # a feature of zeros: cosine 0 with everything
    return np.asarray(lengths, np.float64)


def order_of_content(rows: AnyArray) -> Ints:
    """Return the rows `(n, m)` sorted by their bytes; equal rows in any order."""
    rows = np.ascontiguousarray(rows)
    as_bytes = rows.view(f"S{rows.itemsize * rows.shape[1]}")
    return np.argsort(as_bytes[:, 0], kind="stable")
