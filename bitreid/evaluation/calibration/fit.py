"""Fit an `OpenSet` to people whom a model was not trained on.

`calibrate` does it all, once, on held-out training identities; the artifact stores the result.
"""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from bitreid.arrays import Ints
from bitreid.artifact import Calibration
from bitreid.codes import Codes
from bitreid.data.manifest import DISTRACTOR, UNKNOWN
from bitreid.errors import DataError
from bitreid.evaluation.calibration.row_odds import fit_row_odds, rows_beside
from bitreid.evaluation.calibration.search_tail import LEAST_ROWS, fit_search_tail
from bitreid.evaluation.open_set_metrics import PairCounts, count_pairs
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.ranking import query_chunks
from bitreid.hamming import distance_blocks
from bitreid.open_set import OpenSet

TAIL = (1e-5, 0.05)
"""Shares of the impostor pairs, the nearest, between which the tail is fitted."""

MARGIN = 1.0
"""Standard errors of the tail by which the promise is made safer than the best fit.

Chosen on held-out training identities of CUHK03-NP, fitted on one half of the people and looked at on the other, over
random halves: for 1 % promised, false alarms were 2.1 to 2.6 % of the searches without a margin, 1.4 to 1.6 % with half
an error, 0.9 to 1.0 % with one (for 10 % promised: 8.8 to 10.6, 6.0 to 7.8, 4.3 to 5.8).
"""


def calibrate(codes: Codes, pids: Ints, camids: Ints, others: Codes | None = None) -> Calibration:
    """Return the calibration of a model, fitted to pictures of people whom it was not trained on.

    `pids` and `camids` are `(n,) int64`; pictures of nobody in particular (pid 0 and below) are left out. `others` are
    codes of pictures of people who are none of them, see `calibrate_open_set`.

    `DataError` for too few people or pictures, see `fit_open_set`.
    """
    people = pids > 0
    known = pids[people]
    open_set = calibrate_open_set(codes[people], known, camids[people], others)
    n_others = len(others) if others is not None and open_set.search is not None else 0
    return Calibration(open_set, len(np.unique(known)), len(known), others=n_others)


def calibrate_open_set(codes: Codes, pids: Ints, camids: Ints, others: Codes | None = None) -> OpenSet:
    """Return what distances of a model's codes mean, fitted to pictures of people whom it was not trained on.

    All pictures meet all others under Market-1501's rules. An unknown camera counts as one of its own for each picture,
    so that no picture meets itself. If there are `LEAST_ROWS` pictures of `others` or more, they are the impostors, far
    more than a few held-out people make, and false alarms are those of searches in them, see `fit_search_tail`. The
    people whom the model was trained on will do: on CUHK03-NP, distances from held-out people to them were those among
    held-out people (8.0e-5 of the pairs within 500 of 2,048 bits, 7.2e-5 with an error of 4.5e-5).
    """
    of_nobody = np.arange(len(pids)) + camids.max(initial=0) + 1
    cameras = np.where(camids == UNKNOWN, of_nobody, camids)
    protocol = Protocol(pids, cameras, pids, cameras)
    pairs = count_pairs(codes, codes, protocol)
    if others is None or len(others) < LEAST_ROWS:
        _, impostor = levels_of_queries(codes, codes, protocol)
        of_each = np.stack([impostor[pids == pid].sum(axis=0) for pid in np.unique(pids)])
        return fit_open_set(pairs, of_each, rows_beside(pids, cameras))
    _check_enough(pairs)  # a few people say little, however many pictures they are searched for in
    strangers = np.full(len(others), DISTRACTOR)
    _, impostor = levels_of_queries(codes, others, Protocol(pids, cameras, strangers, strangers))
    best = fit_open_set(replace(pairs, impostor=impostor.sum(axis=0)), rows=rows_beside(pids, cameras))
    return replace(best, search=fit_search_tail(impostor, pids))


def levels_of_queries(queries: Codes, gallery: Codes, protocol: Protocol) -> tuple[Ints, Ints]:
    """Count the gallery rows at each distance 0, 1, ... n_bits from each query: of its person, and of others.

    Both `(n_queries, n_bits + 1) int64`; rows that the protocol leaves out are in neither. 16 bytes a query and bit.
    `DataError` if a side has another number of rows than the protocol.
    """
    protocol.check_rows(len(queries), len(gallery))
    n_levels = queries.n_bits + 1
    counts = np.zeros((2, len(queries), n_levels), np.int64)
    for rows in query_chunks(len(queries), len(gallery)):
        match, left_out = protocol.masks(rows)
        first_levels = np.arange(len(match))[:, None] * n_levels
        for columns, distances in distance_blocks(queries[rows], gallery):
            for kind, takes_part in enumerate((match[:, columns], ~(match | left_out)[:, columns])):
                found = np.bincount((first_levels + distances)[takes_part], minlength=len(match) * n_levels)
                counts[kind, rows] += found.reshape(-1, n_levels)
    return counts[0], counts[1]


def fit_open_set(pairs: PairCounts, of_each: Ints | None = None, rows: float | None = None) -> OpenSet:
    """Return the open-set calibration that fits pairs of codes of people whom the model was not trained on.

    `of_each (n_people, n_levels) int64` are each person's impostor pairs, all against all, so that each pair is counted
    under both its people and they sum to `pairs.impostor`. With them the tail is `MARGIN` standard errors on the safe
    side: the few people that it is fitted on may be unlike each other by luck. Without, it is the best fit, as it
    always is for the probability, which is to be right rather than safe. A person who is in a gallery is there in
    `rows` rows; None: in as many as the searches had matches.

    `DataError` with fewer than 1,000 impostor pairs or fewer than 10 genuine ones, or people too few or too different
    to tell how the tail falls.
    """
    _check_enough(pairs)
    best = _fit_tail(pairs.impostor)
    tail = best if of_each is None else _fit_safe_tail(pairs.impostor, of_each)
    odds = fit_row_odds(pairs.genuine, pairs.impostor, pairs.rows if rows is None else rows)
    return OpenSet(*tail, *_likelihood_ratio(pairs.genuine, *best), odds=odds)


def _check_enough(pairs: PairCounts) -> None:
    if pairs.impostor.sum() < 1000 or pairs.genuine.sum() < 10:
        raise DataError(
            "expected at least 1,000 pairs of two people and 10 of one to calibrate with, "
            f"got {pairs.impostor.sum()} and {pairs.genuine.sum()}; hold out more identities"
        )


def _fit_safe_tail(impostor: Ints, of_each: Ints) -> tuple[float, float]:
    """Return the line of `_fit_tail`, moved by `MARGIN` standard errors of height and slope so that it promises less.

    Pairs of two look-alikes come in dozens, so the errors are not those of independent pairs but those of people, by
    the jackknife: each person left out in turn. At the pivot, the errors of height and slope are uncorrelated.
    """
    if len(of_each) < 3:
        raise DataError(f"expected 3 people or more to calibrate with, got {len(of_each)}; hold out more identities")
    slope, offset = _fit_tail(impostor)
    without = np.array([_fit_tail(impostor - 2 * own) for own in of_each])
    covariance = (len(without) - 1) * np.cov(without.T, bias=True)
    pivot = -covariance[0, 1] / covariance[0, 0] if covariance[0, 0] else 0.0
    height_variance = covariance[1, 1] + pivot * covariance[0, 1]
    height = offset + slope * pivot + MARGIN * math.sqrt(max(height_variance, 0.0))
    slope -= MARGIN * math.sqrt(covariance[0, 0])
    if not slope > 0:
        raise DataError(
            f"expected people enough to tell how rare near impostors are, got {len(of_each)} who differ too much; "
            "hold out more identities"
        )
    return slope, float(height - slope * pivot)


def _fit_tail(impostor: Ints) -> tuple[float, float]:
    """Return slope and offset of a line through the probits of the impostors' shares within each distance of the tail.

    Least squares, each distance weighted by the inverse variance of its probit, n * phi(z) ** 2 / (p * (1 - p)).
    """
    share = np.cumsum(impostor) / impostor.sum()
    inside = np.flatnonzero((impostor > 0) & (share >= TAIL[0]) & (share <= TAIL[1]))
    if len(inside) < 2:
        raise DataError(
            f"expected impostors at two distances or more among the nearest {TAIL[1]:.0%}, got {len(inside)}; "
            "hold out more identities, or use longer codes"
        )
    p = share[inside]
    z = np.array([NormalDist().inv_cdf(each) for each in p])
    weights = np.exp(-(z**2)) / (p * (1 - p))
    x = inside - np.average(inside, weights=weights)
    slope = float(np.sum(weights * x * z) / np.sum(weights * x**2))
    return slope, float(np.average(z - slope * inside, weights=weights))


def _likelihood_ratio(genuine: Ints, tail_slope: float, tail_offset: float) -> tuple[float, float, float]:
    """Return slope, offset and curvature of ln(normal density of genuine pairs / density of the impostors' tail), for
    bitreids that do not know `RowOdds`.

    The ratio of two normal densities is a parabola. It rests on the tail, not on all impostors: look-alikes are far
    more frequent than the bulk of the impostors says, and they are what a search of many rows meets.

    Chosen on 60 held-out training identities of CUHK03-NP, fitted on one half of the people and judged on the other,
    over 200 random halves, the person being in one of 1,000 rows every second time. Log loss, as a share of that of the
    prior: 0.544; 0.550 for a straight line (logistic regression), 0.97 for the normal density of all impostors, 0.547
    for the tail with its `MARGIN`. A line gives a half or more to 1.7 times as many rows, and is as wrong about them on
    the very people it was fitted on: 3 in 10 show the person. Here that is only so for other people, who are few in a
    half and have other look-alikes. With one row nothing differs (0.224, the line 0.221).
    """
    levels = np.arange(len(genuine))
    mean = float(np.average(levels, weights=genuine))
    # A bit at least, lest pairs that all lie at one distance make every other impossible.
    deviation = max(math.sqrt(np.average((levels - mean) ** 2, weights=genuine)), 1.0)
    # The tail tells of shares up to and with a distance, whose own pairs lie half a bit before the end of that.
    tail_offset -= tail_slope / 2
    if tail_offset + tail_slope * mean >= 0:
        return 0.0, 0.0, 0.0  # half of the impostors are nearer than one person's pictures: distance tells nothing
    return (
        tail_slope * tail_offset + mean / deviation**2,
        tail_offset**2 / 2 - (mean / deviation) ** 2 / 2 - math.log(tail_slope * deviation),
        tail_slope**2 / 2 - 1 / (2 * deviation**2),
    )
