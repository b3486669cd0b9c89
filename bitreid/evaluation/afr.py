"""Tie-aware evaluation of AFR, the two-stage search: short codes keep `w` rows, long codes rank them.

A query's score is its exact expectation over random order in both stages. Stage 1 keeps every row nearer than some
distance, the *certain* rows, and a random subset of the rows at that distance, the *boundary*: it draws `n_drawn` of
`n_boundary` rows. Each score depends on how many boundary rows of a few kinds were drawn. These counts have a
multivariate hypergeometric distribution, over which the formulas of `ties` are summed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bitreid.arrays import Bools, Floats, Ints, Words32
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.evaluation.comparison import nearer_and_at
from bitreid.evaluation.merging import Tracklets, merges
from bitreid.evaluation.protocol import Protocol, ProtocolSettings
from bitreid.evaluation.ranking import MARKET1501, check_settings, query_chunks
from bitreid.evaluation.scores import QueryScores, Scores
from bitreid.evaluation.ties import expected_inverse_last, expected_precision, first_match_found, log_factorials
from bitreid.hamming import distance_blocks

_BYTES_A_PAIR = 12  # of query and gallery row: two distances, two masks, and what makes them
_DRAWS_AT_ONCE = 2**17  # numbers of boundary rows of each kind: two large kinds have millions
_LOG_TAIL = 37.5  # ln(2 / 1e-16): counts in a tail lighter than double precision are not summed


@dataclass(frozen=True)
class AfrMetrics:
    """How well two-stage search ranks when stage 1 keeps `w` rows, `share` of the gallery.

    `expected` is the mean over all orders of equal distances in both stages. `kept` is the mean over queries of the
    expected share of their matches that stage 1 kept; mAP cannot be above it. `n_queries` counts all queries;
    `n_without_match` of them have no match in the gallery and are left out of the means.
    """

    w: int
    share: float
    expected: Scores
    kept: float
    n_queries: int
    n_without_match: int


def evaluate_afr(
    short_queries: Codes,
    long_queries: Codes,
    short_gallery: Codes,
    long_gallery: Codes,
    query_pids: Ints,
    query_camids: Ints,
    gallery_pids: Ints,
    gallery_camids: Ints,
    ws: Sequence[int],
    n_ranks: int = 50,
    *,
    protocol: ProtocolSettings = MARKET1501,
    tracklets: Tracklets | None = None,
    memory_mb: float = 512,
) -> list[AfrMetrics]:
    """Return the metrics of two-stage search for each `w` (a number of gallery rows, clipped to the gallery).

    A match that stage 1 drops is never found: it adds 0 to AP, and mINP of its query is 0. Rows that the protocol
    leaves out (junk, the query's own camera, see `Protocol`) take part in stage 1, as they would in use, and leave
    before the ranks are counted. Ties in both stages enter as the exact expectation over their random order. With `w`
    at the whole gallery the result is `evaluate_ranking` of the long codes; `protocol`, `tracklets` and `memory_mb` are
    as there.

    Raises `DataError` if no query has a match, `SettingsError` for an impossible `w` or a protocol of single shots,
    whose galleries are too small for a short list, `CodesError` if the codes do not fit together.
    """
    labels = Protocol(query_pids, query_camids, gallery_pids, gallery_camids)
    labels.check_rows(len(long_queries), len(long_gallery))
    if len(short_queries) != len(long_queries) or len(short_gallery) != len(long_gallery):
        raise CodesError("expected short and long codes of the same queries and the same gallery, got other numbers")
    if n_ranks < 1 or min(ws, default=1) < 1:
        raise SettingsError(f"expected w and n_ranks of at least 1, got w {list(ws)} and n_ranks {n_ranks}")
    check_settings(n_ranks, memory_mb)
    if protocol.single_shots:
        raise SettingsError("expected a protocol of the whole gallery for two-stage search, got single shots")
    of_queries, of_gallery, labels = merges(protocol, labels, tracklets)
    short_queries, long_queries = of_queries.codes(short_queries), of_queries.codes(long_queries)
    short_gallery, long_gallery = of_gallery.codes(short_gallery), of_gallery.codes(long_gallery)
    labels = labels if protocol.cameras else labels.without_cameras()
    n_gallery = len(long_gallery)
    ws = [min(w, n_gallery) for w in ws]
    chunks = [
        _scores_of_chunk(
            _all_distances(short_queries[rows], short_gallery),
            _all_distances(long_queries[rows], long_gallery),
            *labels.masks(rows),
            ws,
            n_ranks,
        )
        for rows in query_chunks(len(long_queries), _BYTES_A_PAIR * n_gallery, memory_mb * 2**20 / 2)
    ]
    metrics = []
    for w, per_chunk in zip(ws, zip(*chunks, strict=True), strict=True):
        scores = QueryScores.join([scores for scores, _ in per_chunk])
        kept = np.concatenate([kept for _, kept in per_chunk])
        n_without_match = int(np.isnan(kept).sum())
        mean = scores.mean()  # refuses queries without a single match, before the mean of nothing below
        metrics.append(AfrMetrics(w, w / n_gallery, mean, float(np.nanmean(kept)), len(kept), n_without_match))
    return metrics


def bytes_read(short_bits: int, long_bits: int, w: int, n_gallery: int) -> int:
    """Return the bytes of codes that a two-stage search reads: of every short code, and of `w` long ones.

    A search in one stage reads those of every long code.

    >>> bytes_read(32, 2048, 100, 10_000), bytes_read(0, 2048, 10_000, 10_000)
    (65600, 2560000)
    """
    return (n_gallery * short_bits + w * long_bits) // 8


def _all_distances(queries: Codes, gallery: Codes) -> Words32:
    distances = np.empty((len(queries), len(gallery)), np.uint32)
    for columns, block in distance_blocks(queries, gallery):
        distances[:, columns] = block
    return distances


def _scores_of_chunk(
    short: Words32,
    long: Words32,
    match: Bools,
    left_out: Bools,
    ws: Sequence[int],
    n_ranks: int,
) -> list[tuple[QueryScores, Floats]]:
    """Return, for each `w`, the scores of a chunk of queries and the share of their matches that stage 1 kept."""
    results = [(QueryScores.empty(len(match), n_ranks), np.full(len(match), np.nan)) for _ in ws]
    for i in np.flatnonzero(match.any(axis=1)):
        ordered = np.sort(short[i])
        for w, (scores, kept) in zip(ws, results, strict=True):
            short_list = _ShortList.of(short[i], int(ordered[w - 1]), long[i], match[i], left_out[i], w)
            kept[i] = short_list.kept()
            scores.ap[i] = short_list.ap()
            scores.inp[i] = short_list.inp()
            scores.cmc[i] = short_list.cmc(n_ranks)
    return results


@dataclass(frozen=True)
class _Counts:
    """At each level (long distance of a match): rows and matches nearer than it and at it, `(n_levels,)` each."""

    nearer: Ints
    at: Ints
    matches_nearer: Ints
    matches_at: Ints

    @classmethod
    def of(cls, levels: Words32, rows: Words32, matches: Words32) -> Self:
        """Count at `levels`, from the long distances of some `rows` and of the `matches` among them."""
        nearer, at = nearer_and_at(rows, levels)
        matches_nearer, matches_at = nearer_and_at(matches, levels)
        return cls(nearer, at, matches_nearer, matches_at)

    @property
    def n_matches(self) -> int:
        return int(self.matches_at.sum())


@dataclass(frozen=True)
class _ShortList:
    """What stage 1 may keep for one query, counted at the levels of the matches that it may keep."""

    n_matches: int
    n_boundary: int
    n_drawn: int
    certain: _Counts
    boundary: _Counts

    @classmethod
    def of(
        cls,
        short: Words32,
        cut: int,
        long: Words32,
        match: Bools,
        left_out: Bools,
        w: int,
    ) -> Self:
        """Return the short list of `w` rows of which the last is at the short distance `cut`."""
        certain, boundary = short < cut, short == cut
        n_boundary = int(boundary.sum())
        n_drawn = w - int(certain.sum())
        if n_drawn == n_boundary:
            certain, boundary = certain | boundary, np.zeros_like(boundary)
            n_boundary = n_drawn = 0
        levels = np.unique(long[match & (certain | boundary)])
        return cls(
            int(match.sum()),
            n_boundary,
            n_drawn,
            _Counts.of(levels, long[certain & ~left_out], long[certain & match]),
            _Counts.of(levels, long[boundary & ~left_out], long[boundary & match]),
        )

    def kept(self) -> float:
        """Return the expected share of the matches that stage 1 keeps."""
        drawn = self.boundary.n_matches * self.n_drawn / max(self.n_boundary, 1)
        return (self.certain.n_matches + drawn) / self.n_matches

    def ap(self) -> float:
        """Return the expected AP: the sum over matches of the expected precision at their rank, 0 where dropped.

        For one match, given how many boundary rows nearer than it and at its level were drawn, the matches among
        those are a share of them on average, and `expected_precision` is linear in the numbers of matches.
        """
        certain, boundary = self.certain, self.boundary
        total = 0.0
        for level, (n_certain, n_boundary) in enumerate(zip(certain.matches_at, boundary.matches_at, strict=True)):
            if n_certain:
                total += float(n_certain) * self._precision(level, 0)
            if n_boundary:
                total += float(n_boundary) * self._precision(level, 1)
        return total / self.n_matches

    def _precision(self, level: int, drawn: int) -> float:
        """Return the expected precision of a match at `level`: a certain one (drawn 0) or a boundary one (drawn 1)."""
        certain, boundary = self.certain, self.boundary
        n_nearer, n_at = int(boundary.nearer[level]), int(boundary.at[level]) - drawn
        rest = self.n_boundary - drawn - n_nearer - n_at
        share_nearer = boundary.matches_nearer[level] / max(n_nearer, 1)
        share_at = (boundary.matches_at[level] - drawn) / max(n_at, 1)
        expected = 0.0
        for weights, (nearer, at) in self._draws((n_nearer, n_at), rest, self.n_drawn - drawn):
            precision = expected_precision(
                certain.nearer[level] + nearer,
                certain.at[level] + drawn + at,
                certain.matches_nearer[level] + nearer * share_nearer,
                certain.matches_at[level] + drawn + at * share_at,
            )
            expected += float(weights @ precision)
        return expected

    def cmc(self, n_ranks: int) -> Floats:
        """Return the probability that a kept match is at rank 1, 2, ... `n_ranks` or before.

        Summed over the level of the first kept match: no boundary match of a nearer level was drawn.
        """
        certain, boundary = self.certain, self.boundary
        found = np.zeros(n_ranks)
        for level in range(len(certain.at)):
            n_matches_at = int(boundary.matches_at[level])
            sizes = (
                int(boundary.nearer[level] - boundary.matches_nearer[level]),
                int(boundary.at[level]) - n_matches_at,
                n_matches_at,
            )
            rest = self.n_boundary - int(boundary.nearer[level] + boundary.at[level])
            in_time = n_ranks - int(certain.nearer[level])
            for weights, (nearer, wrong_at, matches_at) in self._draws(sizes, rest, self.n_drawn, in_time):
                before = certain.nearer[level] + nearer
                matches = certain.matches_at[level] + matches_at
                counted = matches > 0
                size = certain.at[level] + wrong_at + matches_at
                found += weights[counted] @ first_match_found(before[counted], size[counted], matches[counted], n_ranks)
            if certain.matches_at[level] or in_time <= 0:
                break
        return np.minimum(found, 1)  # a sum of probabilities may pass 1 by its rounding

    def inp(self) -> float:
        """Return the expected (matches) / (rank of the last match), 0 where stage 1 drops any of the matches."""
        certain, boundary = self.certain, self.boundary
        if certain.n_matches + boundary.n_matches < self.n_matches:
            return 0.0
        n_nearer = int(boundary.nearer[-1] - boundary.matches_nearer[-1])
        n_at = int(boundary.at[-1] - boundary.matches_at[-1])
        rest = self.n_boundary - boundary.n_matches - n_nearer - n_at
        expected = 0.0
        for weights, (nearer, at) in self._draws((n_nearer, n_at), rest, self.n_drawn - boundary.n_matches):
            before = certain.nearer[-1] + boundary.matches_nearer[-1] + nearer
            matches = np.full_like(before, certain.matches_at[-1] + boundary.matches_at[-1])
            size = certain.at[-1] + boundary.matches_at[-1] + at
            expected += float(weights @ expected_inverse_last(before, size, matches))
        return self.n_matches * expected

    def _draws(
        self, sizes: tuple[int, ...], rest: int, n_drawn: int, most: int | None = None
    ) -> Iterator[tuple[Floats, list[Ints]]]:
        """Yield, in blocks, probabilities `(m,)` and, for each kind of row, how many of its `sizes` were drawn, `(m,)`.

        `n_drawn` rows come from these kinds and `rest` others. Boundary rows in neither are settled by the caller:
        each is certainly drawn, or certainly not, and the probabilities include that they are. Cases with `most` rows
        of the first kind or more are left out.
        """
        population = rest + sum(sizes)
        if not 0 <= n_drawn <= population:
            return
        first, *likely = [_likely_counts(size, population, n_drawn) for size in sizes]
        first = first if most is None else first[first < most]
        ln = log_factorials(self.n_boundary)
        step = max(_DRAWS_AT_ONCE // math.prod(map(len, likely)), 1)
        for start in range(0, len(first), step):
            counts = [grid.ravel() for grid in np.meshgrid(first[start : start + step], *likely, indexing="ij")]
            others = n_drawn - np.sum(counts, axis=0)
            possible = (others >= 0) & (others <= rest)
            counts = [count[possible] for count in counts]
            ways = _log_choose(ln, rest, others[possible]) - _log_choose(ln, self.n_boundary, np.array(self.n_drawn))
            for size, count in zip(sizes, counts, strict=True):
                ways = ways + _log_choose(ln, size, count)
            yield np.exp(ways), counts


def _likely_counts(size: int, population: int, n_drawn: int) -> Ints:
    """Return the counts of `size` rows among `n_drawn` of `population`, less a tail of probability 1e-16.

    The tail is Hoeffding's bound, 2 exp(-2 t^2 / n) for a count t from its mean, which holds for draws without
    replacement; by symmetry n is the least of the drawn, the undrawn, the counted and the others.
    """
    fewest = min(n_drawn, size, population - n_drawn, population - size)
    mean = n_drawn * size / max(population, 1)
    spread = (_LOG_TAIL / 2 * fewest) ** 0.5
    low = max(0, n_drawn - (population - size), math.floor(mean - spread))
    high = min(size, n_drawn, math.ceil(mean + spread))
    return np.arange(low, high + 1)


def _log_choose(ln: Floats, n: int, k: Ints) -> Floats:
    return np.asarray(ln[n] - ln[k] - ln[n - k])
