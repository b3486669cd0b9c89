"""The scores of queries, their means, and how they are computed from the tie groups of a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Bools, Floats, Ints, Numbers
from bitreid.errors import DataError
from bitreid.evaluation.ties import expected_inverse_last, expected_precision, first_match_found


@dataclass(frozen=True)
class Scores:
    """Means over queries, all between 0 and 1.

    cmc   `(n_ranks,)`; `cmc[k - 1]` is the share of queries whose first match is at rank k or before
    mAP   mean average precision: AP of a query is the mean, over its matches, of
          (matches up to and with this one) / (this match's rank)
    mINP  mean inverse negative penalty (Ye et al., 2020): (matches) / (rank of the last match)
    """

    cmc: Floats
    mAP: float
    mINP: float

    @property
    def rank1(self) -> float:
        """The share of queries that have a match at rank 1."""
        return float(self.cmc[0])


@dataclass(frozen=True)
class QueryScores:
    """Scores of each query, NaN where it has no match: `cmc (n, n_ranks)`, `ap (n,)`, `inp (n,)`, float64."""

    cmc: Floats
    ap: Floats
    inp: Floats

    @classmethod
    def empty(cls, n_queries: int, n_ranks: int) -> "QueryScores":
        """Return scores of queries without a match."""
        return cls(np.full((n_queries, n_ranks), np.nan), np.full(n_queries, np.nan), np.full(n_queries, np.nan))

    @classmethod
    def join(cls, chunks: Sequence["QueryScores"]) -> "QueryScores":
        """Return the scores of all chunks of queries, in order; at least one chunk."""
        return cls(
            np.concatenate([chunk.cmc for chunk in chunks]),
            np.concatenate([chunk.ap for chunk in chunks]),
            np.concatenate([chunk.inp for chunk in chunks]),
        )

    def mean_of_runs(self, n: int) -> "QueryScores":
        """Return the means of every `n` rows in a run."""
        n_ranks = self.cmc.shape[1]
        return QueryScores(
            self.cmc.reshape(-1, n, n_ranks).mean(axis=1),
            self.ap.reshape(-1, n).mean(axis=1),
            self.inp.reshape(-1, n).mean(axis=1),
        )

    def mean(self) -> Scores:
        """Return the means over the queries that have a match; `DataError` if none has."""
        scored = ~np.isnan(self.ap)
        if not scored.any():
            raise DataError(
                f"expected at least one query with a match in the gallery, got none among {len(self.ap)} queries; "
                "check that queries and gallery share identities and that cameras differ"
            )
        return Scores(self.cmc[scored].mean(axis=0), float(self.ap[scored].mean()), float(self.inp[scored].mean()))


@dataclass(frozen=True)
class MatchGroups:
    """The tie group of each match, per query in order of distance, padded at the end to `(n_queries, m)`.

    `valid` marks true entries. Of the group that a match is in, int64: `before` rows are nearer, `size` rows are in
    it, `matches_before` matches are nearer, `matches` are in it. In the padding size and matches are 1, not 0, because
    they are divided by.
    """

    valid: Bools
    before: Ints
    size: Ints
    matches_before: Ints
    matches: Ints

    @classmethod
    def of(cls, distances: Numbers, match: Bools, left_out: Bools, nearer: Ints, at: Ints) -> "MatchGroups":
        """Return the tie groups of the rows that `match`; rows that are `left_out` do not count in them.

        The relatives of each query are in order of their `distances (n_queries, w)`, and padding neither matches nor is
        left out; `nearer` and `at` are how many gallery rows are nearer than each of them, and as near.
        """
        column = np.arange(distances.shape[1])
        differs = distances[:, 1:] != distances[:, :-1]
        edge = np.ones((len(distances), 1), np.bool_)
        first = np.maximum.accumulate(np.where(np.hstack([edge, differs]), column, 0), axis=1)
        ends = np.where(np.hstack([differs, edge]), column + 1, distances.shape[1])
        end = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
        matches_before, matches = _counted(match, first, end)
        out_before, out = _counted(left_out, first, end)
        valid = column < match.sum(axis=1)[:, None]

        def of_matches(numbers: Ints, padding: int) -> Ints:
            packed = np.full(valid.shape, padding, np.int64)
            packed[valid] = numbers[match]  # row by row as many, in the same order
            return packed

        return cls(
            valid,
            of_matches(nearer - out_before, 0),
            of_matches(at - out, 1),
            of_matches(matches_before, 0),
            of_matches(matches, 1),
        )


@dataclass(frozen=True)
class TieScores:
    """Scores of queries: the mean over all tie orders (`expected`), and with matches first or last in every tie."""

    expected: QueryScores
    best: QueryScores
    worst: QueryScores

    def mean_of_runs(self, n: int) -> "TieScores":
        """Return the means of every `n` queries in a run."""
        return TieScores(*(each.mean_of_runs(n) for each in (self.expected, self.best, self.worst)))


def score_groups(groups: MatchGroups, n_ranks: int) -> TieScores:
    """Return the scores of each query from the tie groups of its matches."""
    n_queries, width = groups.valid.shape
    if not width:
        nothing = QueryScores.empty(n_queries, n_ranks)
        return TieScores(nothing, nothing, nothing)
    precision = expected_precision(groups.before, groups.size, groups.matches_before, groups.matches)
    found = first_match_found(groups.before[:, 0], groups.size[:, 0], groups.matches[:, 0], n_ranks)
    n_matches = groups.valid.sum(axis=1)
    final = np.arange(n_queries), np.maximum(n_matches - 1, 0)
    inverse_last = expected_inverse_last(groups.before[final], groups.size[final], groups.matches[final])
    expected = _query_scores(groups.valid, precision, found, inverse_last)

    place = np.arange(width) - groups.matches_before + 1
    best = groups.before + place
    return TieScores(
        expected,
        _scores_of_ranks(groups.valid, best, n_ranks),
        _scores_of_ranks(groups.valid, best + groups.size - groups.matches, n_ranks),
    )


def _counted(which: Bools, first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return how many columns `which` marks before column `first`, and from there to before column `end`."""
    marked = np.zeros((which.shape[0], which.shape[1] + 1), np.int64)
    np.cumsum(which, axis=1, out=marked[:, 1:])
    before = np.take_along_axis(marked, first, axis=1)
    return before, np.take_along_axis(marked, end, axis=1) - before


def _scores_of_ranks(valid: Bools, ranks: Ints, n_ranks: int) -> QueryScores:
    """Return the scores of matches at known `ranks (n_queries, m)`, counted from 1, ascending."""
    n_queries, width = ranks.shape
    found = ranks[:, :1] <= np.arange(1, n_ranks + 1)
    last = ranks[np.arange(n_queries), np.maximum(valid.sum(axis=1) - 1, 0)]
    return _query_scores(valid, np.arange(1, width + 1) / ranks, found.astype(np.float64), 1 / last)


def _query_scores(valid: Bools, precision: Floats, found: Floats, inverse_last: Floats) -> QueryScores:
    n_matches = np.where(valid.any(axis=1), valid.sum(axis=1), np.nan)
    ap = np.where(valid, precision, 0).sum(axis=1) / n_matches
    return QueryScores(np.where(np.isnan(n_matches)[:, None], np.nan, found), ap, n_matches * inverse_last)
