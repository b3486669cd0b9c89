"""Tie-aware evaluation of full rankings: of codes by Hamming distance, of features by cosine distance."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np

from bitreid.arrays import Features, Floats, Ints, Numbers
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.evaluation.comparison import (
    Comparison,
    CosineComparison,
    GivenDistances,
    HammingComparison,
    check_features,
)
from bitreid.evaluation.merging import Tracklets, merges
from bitreid.evaluation.protocol import PROTOCOLS, Protocol, ProtocolSettings
from bitreid.evaluation.scores import QueryScores, Scores, TieScores, score_groups
from bitreid.evaluation.single_shot import SingleShots
from bitreid.hamming.threads import default_threads

MARKET1501 = PROTOCOLS["market1501"]

_PAIRS_AT_ONCE = 2**23
_QUERIES_AT_ONCE = 512
_LEAST_QUERIES = 32  # of a thread: they share a pass over the gallery
_LEAST_MB = 64  # of a thread: what the blocks inside the comparisons need, and a few queries


@dataclass(frozen=True)
class RankingMetrics:
    """How well a gallery is ranked, over all orders of the rows at equal distance.

    `expected` is the mean over all tie orders, each equally likely; `best` and `worst` put matches first and last
    within every tie. `n_queries` counts all queries; `n_without_match` of them have no match in the gallery and are
    left out of the means. Of each query, `(n_queries,)` and NaN without a match, over all tie orders: the expected
    `average_precision`, the chance `first_right` that the first row is a match, and the expected `inverse_penalty`, of
    which mINP is the mean.
    """

    expected: Scores
    best: Scores
    worst: Scores
    n_queries: int
    n_without_match: int
    average_precision: Floats
    first_right: Floats
    inverse_penalty: Floats

    @classmethod
    def of(cls, chunks: Sequence[TieScores]) -> Self:
        """Return the metrics of chunks of queries; `DataError` if no query has a match."""
        expected = QueryScores.join([scores.expected for scores in chunks])
        return cls(
            expected.mean(),
            QueryScores.join([scores.best for scores in chunks]).mean(),
            QueryScores.join([scores.worst for scores in chunks]).mean(),
            len(expected.ap),
            int(np.isnan(expected.ap).sum()),
            expected.ap,
            expected.cmc[:, 0].copy(),
            expected.inp,
        )


def evaluate_ranking(
    queries: Codes | Features,
    gallery: Codes | Features,
    query_pids: Ints,
    query_camids: Ints,
    gallery_pids: Ints,
    gallery_camids: Ints,
    n_ranks: int = 50,
    *,
    protocol: ProtocolSettings = MARKET1501,
    tracklets: Tracklets | None = None,
    memory_mb: float = 512,
    n_threads: int | None = None,
) -> RankingMetrics:
    """Return the tie-aware CMC (the first `n_ranks` ranks), mAP and mINP of a gallery ranked for each query.

    Codes are compared by Hamming distance; features `(n, d)` by cosine distance, rounded to float32, ties by exact
    equality (a feature of zeros is at distance 1 from everything). `Protocol` says which rows are right and which are
    left out; `protocol`, one of `PROTOCOLS` or your own, changes the rules. Merged pictures have the mean of their
    features, or the majority of their codes (`Merge`); to merge by tracklet, pass the numbers of both sides as
    `tracklets`. Neither the order of the gallery nor the number of threads (None: `default_threads`) changes the
    result.

    Beyond its arguments, the merged sides and the codes of a gallery without its junk, this needs at most `memory_mb`
    MiB, unless a single query needs more (about 4 bytes a gallery row with features or single shots), the scores do (48
    bytes a query and rank), or the galleries of single shots do (about 40 bytes a person and draw).

    Corner cases: queries without a match are counted and left out of the means; distractors (pid 0), junk (-1) and
    unknown people (-2) as queries have none. A gallery smaller than `n_ranks` is no error: the CMC stays at its last
    value; one right picture in a gallery of one is perfect. A gallery at one distance is one tie: `expected` says what
    chance gives, `best` and `worst` the limits. Raises `DataError` if no query has a match (no queries, no gallery,
    only junk), `SettingsError` for an impossible setting, `CodesError` if the two sides do not fit together.

    Two gallery pictures at the same distance, one of them right: it comes first half of the time.

    >>> codes = Codes(np.zeros((2, 1), np.uint8), 8)
    >>> pids, camids = np.array([1, 2]), np.array([1, 1])
    >>> metrics = evaluate_ranking(codes[:1], codes, np.array([1]), np.array([2]), pids, camids)
    >>> metrics.expected.rank1, metrics.expected.mAP, metrics.best.rank1, metrics.worst.rank1
    (0.5, 0.75, 1.0, 0.0)
    """
    labels = Protocol(query_pids, query_camids, gallery_pids, gallery_camids)
    comparison, labels = _compared(queries, gallery, None, labels, protocol, tracklets)
    return _evaluate(comparison, labels, protocol, n_ranks, memory_mb, n_threads)[0]


def evaluate_lengths(
    queries: Codes,
    gallery: Codes,
    query_pids: Ints,
    query_camids: Ints,
    gallery_pids: Ints,
    gallery_camids: Ints,
    lengths: Sequence[int],
    n_ranks: int = 50,
    *,
    protocol: ProtocolSettings = MARKET1501,
    tracklets: Tracklets | None = None,
    memory_mb: float = 512,
    n_threads: int | None = None,
) -> dict[int, RankingMetrics]:
    """Return the metrics of `evaluate_ranking` for prefixes of the codes, by length.

    All lengths together cost little more than the longest alone. `lengths` are numbers of bits, multiples of 8, in any
    order. Each is scored as `evaluate_ranking` scores `Codes.prefix`. That a prefix is a code of its own is up to the
    model: where the bits are laid out part after part, the first bits are the first part's, not a shorter code of the
    whole. Raises `CodesError` for impossible lengths.
    """
    labels = Protocol(query_pids, query_camids, gallery_pids, gallery_camids)
    ascending = tuple(sorted(set(lengths)))
    comparison, labels = _compared(queries, gallery, ascending, labels, protocol, tracklets)
    return dict(zip(ascending, _evaluate(comparison, labels, protocol, n_ranks, memory_mb, n_threads), strict=True))


def evaluate_distances(
    distances: Numbers,
    query_pids: Ints,
    query_camids: Ints,
    gallery_pids: Ints,
    gallery_camids: Ints,
    n_ranks: int = 50,
    *,
    protocol: ProtocolSettings = MARKET1501,
    memory_mb: float = 512,
    n_threads: int | None = None,
) -> RankingMetrics:
    """Return the metrics of `evaluate_ranking` from distances `(n_queries, n_gallery)` of any kind, smaller is nearer.

    Quickest with uint8 or uint16. Raises `CodesError` for another shape or NaN, `SettingsError` for a protocol that
    merges pictures or draws single shots, for which distances do not suffice.
    """
    if distances.ndim != 2 or distances.dtype.kind not in "uif" or np.isnan(distances.min(initial=0)):
        raise CodesError(
            f"expected distances (n_queries, n_gallery) without NaN, got {distances.dtype} of shape {distances.shape}"
        )
    if protocol != protocol.after_merging():
        raise SettingsError("expected a protocol of single pictures for given distances, got one that merges pictures")
    labels = Protocol(query_pids, query_camids, gallery_pids, gallery_camids)
    labels.check_rows(*distances.shape)
    return _evaluate(GivenDistances(distances), labels, protocol, n_ranks, memory_mb, n_threads)[0]


def query_chunks(n_queries: int, cost: int, budget: float = _PAIRS_AT_ONCE, n_threads: int = 1) -> Iterator[slice]:
    """Return slices that cover the queries, each within the `budget` if a query costs `cost`; equally many a thread.

    By default small enough to hold a few numbers for each pair of query and gallery row, with the gallery's rows as the
    cost. There is always one slice, so that no queries at all still make (empty) arrays.
    """
    most = min(max(budget // max(cost, 1), 1), _QUERIES_AT_ONCE)
    # Slices of one size: where the last one is small, its thread waits for the others.
    n_rounds = max(math.ceil(n_queries / (most * n_threads)), 1)
    size = max(math.ceil(n_queries / (n_rounds * n_threads)), 1)
    return (slice(start, min(start + size, n_queries)) for start in range(0, max(n_queries, 1), size))


def check_settings(n_ranks: int, memory_mb: float) -> None:
    """Check that a ranking can be evaluated with these settings; else raise `SettingsError`."""
    if n_ranks < 1:
        raise SettingsError(f"expected n_ranks of at least 1, got {n_ranks}")
    if not _LEAST_MB <= memory_mb < np.inf:
        raise SettingsError(f"expected a finite memory_mb of at least {_LEAST_MB}, got {memory_mb}")


def _compared(
    queries: Codes | Features,
    gallery: Codes | Features,
    lengths: tuple[int, ...] | None,
    labels: Protocol,
    protocol: ProtocolSettings,
    tracklets: Tracklets | None,
) -> tuple[Comparison, Protocol]:
    """Return the comparison of the merged sides, of codes at some lengths or the whole, and the labels of the items."""
    if isinstance(queries, Codes) and isinstance(gallery, Codes):
        labels.check_rows(len(queries), len(gallery))
        of_queries, of_gallery, labels = merges(protocol, labels, tracklets)
        lengths = (queries.n_bits,) if lengths is None else lengths
        return HammingComparison(of_queries.codes(queries), of_gallery.codes(gallery), lengths), labels
    if isinstance(queries, Codes) or isinstance(gallery, Codes):
        raise CodesError("expected codes on both sides or features on both sides, got one of each")
    check_features(queries, gallery)
    labels.check_rows(len(queries), len(gallery))
    of_queries, of_gallery, labels = merges(protocol, labels, tracklets)
    return CosineComparison.of(of_queries.features(queries), of_gallery.features(gallery)), labels


def _evaluate(
    comparison: Comparison,
    labels: Protocol,
    protocol: ProtocolSettings,
    n_ranks: int,
    memory_mb: float,
    n_threads: int | None,
) -> list[RankingMetrics]:
    """Return the metrics at each length of the comparison, for labels of items that are merged already."""
    check_settings(n_ranks, memory_mb)
    if labels.never_ranked.any():
        rows = np.flatnonzero(~labels.never_ranked)
        labels, comparison = labels.of_gallery(rows), comparison.of_gallery(rows)
    labels = labels if protocol.cameras else labels.without_cameras()
    n_queries, n_draws = len(labels.query_pids), protocol.single_shots
    shots = SingleShots.draw(labels, comparison.by_content(), n_draws, protocol.seed) if n_draws else None

    def score(rows: slice) -> list[TieScores]:
        relatives = labels.relatives(rows)
        if shots is None:
            return [score_groups(groups, n_ranks) for groups in comparison.groups(rows, relatives)]
        return [
            score_groups(shots.groups(distances, labels.query_pids[rows], relatives), n_ranks).mean_of_runs(n_draws)
            for distances in comparison.distances(rows)
        ]

    cost = _bytes_of_query(comparison, labels.most_relatives, n_draws, n_ranks)
    kept = 48 * n_ranks * n_queries * comparison.n_lengths
    chunks = _map_queries(score, n_queries, cost, memory_mb * 2**20 - kept, n_threads)
    return [RankingMetrics.of(of_length) for of_length in zip(*chunks, strict=True)]


def _bytes_of_query(comparison: Comparison, n_relatives: int, n_draws: int, n_ranks: int) -> int:
    """Return the bytes that a query needs at most while it is scored."""
    if n_draws:
        return comparison.bytes_of_distances() + n_draws * (300 + 100 * n_ranks)
    return comparison.bytes_of_groups(n_relatives) + 400 * n_relatives + 100 * n_ranks


def _map_queries(
    score: Callable[[slice], list[TieScores]], n_queries: int, cost: int, budget: float, n_threads: int | None
) -> list[list[TieScores]]:
    """Return the scores of chunks of queries, in order, within a budget of bytes for all threads."""
    least = _LEAST_MB * 2**20
    n_threads = int(max(min(n_threads or default_threads(), budget // least, n_queries // _LEAST_QUERIES), 1))
    # Half of a thread's least is for blocks inside the comparison, whatever the number of queries.
    chunks = list(query_chunks(n_queries, cost, budget / n_threads - least / 2, n_threads))
    if n_threads == 1 or len(chunks) == 1:
        return [score(chunk) for chunk in chunks]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(score, chunks))
