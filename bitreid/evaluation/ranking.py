"""Tie-aware evaluation of a full ranking: codes by Hamming distance, features by cosine distance."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.scores import MatchGroups, QueryScores, Scores, score_groups
from bitreid.hamming import count_nearer, distances_at

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Features = npt.NDArray[np.floating]

_PAIRS_AT_ONCE = 2**23
_QUERIES_AT_ONCE = 256
_GALLERY_BLOCK = 2048


@dataclass(frozen=True)
class RankingMetrics:
    """How well a gallery is ranked, over all orders of the rows at equal distance.

    `expected` is the mean over all tie orders, each equally likely; `best` and `worst` put matches first and last
    within every tie. `n_queries` counts all queries; `n_without_match` of them have no match in the gallery and are
    left out of the means. `average_precision` is `(n_queries,)`, the expected AP of each query, NaN without a match.
    """

    expected: Scores
    best: Scores
    worst: Scores
    n_queries: int
    n_without_match: int
    average_precision: Floats


def evaluate_ranking(
    queries: Codes | Features,
    gallery: Codes | Features,
    query_pids: Ints,
    query_camids: Ints,
    gallery_pids: Ints,
    gallery_camids: Ints,
    n_ranks: int = 50,
) -> RankingMetrics:
    """Tie-aware CMC (the first `n_ranks` ranks), mAP and mINP under Market-1501's protocol (see `Protocol`).

    Codes are compared by Hamming distance; features `(n, d)` by cosine distance, rounded to float32, ties by exact
    equality (a feature of zeros is at distance 1 from everything). The order of the gallery changes nothing, and
    memory does not grow with queries x gallery. A gallery smaller than `n_ranks` is no error: the CMC stays at its
    last value. Raises `DataError` if no query has a match, `CodesError` if the two sides do not fit together.

    Two gallery pictures at the same distance, one of them right: it comes first half of the time.

    >>> codes = Codes(np.zeros((2, 1), np.uint8), 8)
    >>> pids, camids = np.array([1, 2]), np.array([1, 1])
    >>> metrics = evaluate_ranking(codes[:1], codes, np.array([1]), np.array([2]), pids, camids)
    >>> metrics.expected.rank1, metrics.expected.mAP, metrics.best.rank1, metrics.worst.rank1
    (0.5, 0.75, 1.0, 0.0)
    """
    if n_ranks < 1:
        raise SettingsError(f"expected n_ranks of at least 1, got {n_ranks}")
    if isinstance(queries, Codes) and isinstance(gallery, Codes):
        groups_of = partial(_groups_by_hamming, queries, gallery)
    elif not isinstance(queries, Codes) and not isinstance(gallery, Codes):
        groups_of = partial(_groups_by_cosine, *_with_norms(queries, gallery))
    else:
        raise CodesError("expected codes on both sides or features on both sides, got one of each")
    protocol = Protocol(query_pids, query_camids, gallery_pids, gallery_camids)
    protocol.check_rows(len(queries), len(gallery))
    scores = [
        score_groups(groups_of(rows, *protocol.masks(rows)), n_ranks)
        for rows in query_chunks(len(queries), len(gallery))
    ]
    expected = QueryScores.join([score.expected for score in scores])
    return RankingMetrics(
        expected.mean(),
        QueryScores.join([score.best for score in scores]).mean(),
        QueryScores.join([score.worst for score in scores]).mean(),
        len(queries),
        int(np.isnan(expected.ap).sum()),
        expected.ap,
    )


def query_chunks(n_queries: int, n_gallery: int) -> Iterator[slice]:
    """Slices that cover the queries, small enough to hold a few numbers for each pair of query and gallery row.

    There is always one, so that no queries at all still make (empty) arrays.
    """
    size = min(max(_PAIRS_AT_ONCE // max(n_gallery, 1), 1), _QUERIES_AT_ONCE)
    return (slice(start, start + size) for start in range(0, max(n_queries, 1), size))


def _groups_by_hamming(queries: Codes, gallery: Codes, rows: slice, match: Mask, left_out: Mask) -> MatchGroups:
    positions, valid = _positions(match)
    distances = distances_at(queries[rows], gallery, positions)
    distances[~valid] = queries.n_bits + 1
    distances.sort(axis=1)
    return MatchGroups.of(distances, valid, *count_nearer(queries[rows], gallery, distances, left_out))


def _positions(match: Mask) -> tuple[Ints, Mask]:
    """The gallery rows of each query's matches, padded at the end with row 0, and which entries are true."""
    counts = match.sum(axis=1)
    valid = np.arange(counts.max(initial=0)) < counts[:, None]
    positions = np.zeros(valid.shape, np.int64)
    positions[valid] = np.nonzero(match)[1]
    return positions, valid


def _with_norms(queries: Features, gallery: Features) -> tuple[Features, Floats, Features, Floats]:
    """Both sides, checked, each followed by its rows' lengths in float64."""
    for side, features in (("query", queries), ("gallery", gallery)):
        if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
            raise CodesError(f"expected {side} features of shape (n, d) float, got {features.shape} {features.dtype}")
        if not np.isfinite(features).all():
            raise CodesError(f"expected finite {side} features, got NaN or infinity; check the model that made them")
    if queries.shape[1] != gallery.shape[1]:
        raise CodesError(f"expected features of one width, got {queries.shape[1]} and {gallery.shape[1]} numbers")
    return queries, _lengths(queries), gallery, _lengths(gallery)


def _lengths(features: Features) -> Floats:
    lengths = np.sqrt(np.einsum("ij,ij->i", features, features, dtype=np.float64))
    lengths[lengths == 0] = 1  # a feature of zeros: cosine 0 with everything
    return np.asarray(lengths, np.float64)


def _groups_by_cosine(
    queries: Features,
    query_lengths: Floats,
    gallery: Features,
    gallery_lengths: Floats,
    rows: slice,
    match: Mask,
    left_out: Mask,
) -> MatchGroups:
    distances = np.empty(match.shape, np.float32)
    units = queries[rows].astype(np.float64) / query_lengths[rows, None]
    for start in range(0, len(gallery), _GALLERY_BLOCK):
        block = slice(start, start + _GALLERY_BLOCK)
        # Multiplied in float64, then rounded: a float32 product depends in its last bit on where a row lies in its
        # block, and that bit would make or break ties when the gallery's order changes. Rounded before the
        # subtraction, which would turn noise of 1e-16 about the cosine 1 into distances that differ.
        cosine = units @ (gallery[block].astype(np.float64) / gallery_lengths[block, None]).T
        distances[:, block] = np.float32(1) - cosine.astype(np.float32)
    positions, valid = _positions(match)
    of_matches = np.where(valid, np.take_along_axis(distances, positions, axis=1), np.float32(np.inf))
    of_matches.sort(axis=1)
    distances[left_out] = np.inf
    distances.sort(axis=1)
    nearer = np.empty(valid.shape, np.int64)
    up_to = np.empty(valid.shape, np.int64)
    for query, (of_gallery, wanted) in enumerate(zip(distances, of_matches, strict=True)):
        nearer[query] = np.searchsorted(of_gallery, wanted, side="left")
        up_to[query] = np.searchsorted(of_gallery, wanted, side="right")
    return MatchGroups.of(of_matches, valid, nearer, up_to - nearer)
