"""Check how well a calibration keeps its promises, on people whose identities are known.

Everything starts from `levels_of_queries`: how many rows of a query's own person, and of others, lie at each distance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bitreid.arrays import Floats, Ints
from bitreid.evaluation.ties import log_factorials
from bitreid.open_set import OpenSet

BINS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""Ends of the bins of `reliability`."""


@dataclass(frozen=True)
class PromiseKept:
    """What a promised threshold does in galleries of `n_gallery` rows of other people.

    promised    rate of searches for somebody absent that may give an answer (FPIR)
    threshold   the calibration's for that rate and gallery, in bits; -1 where every answer is "nobody"
    fpir        the rate that is observed, with the query's own person taken out of the gallery
    dir         of the searches for somebody present (all rows of that person added), the share whose first row is right
                and within the threshold; NaN where no query has a match
    """

    n_gallery: int
    promised: float
    threshold: int
    fpir: float
    dir: float


def promises_kept(
    genuine: Ints, impostor: Ints, open_set: OpenSet, sizes: Sequence[int], rates: Sequence[float] = (0.1, 0.01)
) -> list[PromiseKept]:
    """Return what each promised rate comes to in galleries of each size.

    `genuine` and `impostor`, `(n_queries, n_levels)`, are rows at each distance of each query. A gallery of n rows is
    any n of the query's impostors with equal probability (all of them, where it has no more), and the result is the
    exact expectation over all of those galleries and over the order of ties.
    """
    return [
        PromiseKept(
            n,
            rate,
            threshold := open_set.threshold(rate, n),
            float(false_alarms(impostor, threshold, n).mean()),
            float(_right_answers(genuine, impostor, threshold, n).mean()) if genuine.any() else float("nan"),
        )
        for n in sizes
        for rate in rates
    ]


def false_alarms(impostor: Ints, threshold: int, n: int) -> Floats:
    """Return, for each query, the probability that one of `n` of its impostors is within the threshold."""
    total, near = impostor.sum(axis=1), impostor[:, : threshold + 1].sum(axis=1)
    drawn = np.minimum(n, total)
    return np.asarray(1 - np.exp(_log_choose(total - near, drawn) - _log_choose(total, drawn)))


def _right_answers(genuine: Ints, impostor: Ints, threshold: int, n: int) -> Floats:
    """Return, for each query with a match, the probability that the first row is a match within the threshold."""
    present = genuine.any(axis=1)
    genuine, impostor = genuine[present], impostor[present]
    nearest = (genuine > 0).argmax(axis=1)
    each = np.arange(len(nearest))
    matches, ties = genuine[each, nearest], impostor[each, nearest]
    total, farther = impostor.sum(axis=1), impostor.sum(axis=1) - impostor.cumsum(axis=1)[each, nearest]
    drawn = np.minimum(n, total)
    first = np.zeros(len(nearest))
    # Of the impostors at the distance of the nearest match, `tied` are in the gallery, and of those before it, none.
    for tied in range(int(ties.max(initial=0)) + 1):
        ways = _log_choose(ties, np.full_like(ties, tied)) + _log_choose(farther, drawn - tied)
        first += np.exp(ways - _log_choose(total, drawn)) * matches / (matches + tied)
    return np.asarray(first * (nearest <= threshold))


def _log_choose(n: Ints, k: Ints) -> Floats:
    """Return ln of n over k; minus infinity where k is below 0 or above n."""
    possible = (k >= 0) & (k <= n)
    n, k = np.where(possible, n, 0), np.where(possible, k, 0)
    table = log_factorials(int(n.max(initial=0)))
    return np.where(possible, table[n] - table[k] - table[n - k], -np.inf)


@dataclass(frozen=True)
class Reliability:
    """Of the rows that are given a probability from `low` to `high`: their share of all rows, the mean of what they are
    given, and the share of them that do show the query's person."""

    low: float
    high: float
    share: float
    predicted: float
    observed: float


def reliability(
    genuine: Ints,
    impostor: Ints,
    open_set: OpenSet,
    n_gallery: int,
    present: float = 0.5,
    bins: Sequence[float] = BINS,
    rows: float = 1.0,
) -> list[Reliability]:
    """Return how well `OpenSet.probability` is kept, a line a bin; bins without rows are left out.

    `genuine` and `impostor`, `(n_levels,)`, are pairs at each distance. They are weighted as in a search of `n_gallery`
    rows that hold the person with probability `present`, in `rows` rows on average, or all of fewer.
    """
    prior = present * min(rows, n_gallery) / n_gallery
    of_one, of_two = prior * genuine / genuine.sum(), (1 - prior) * impostor / impostor.sum()
    p = open_set.probability(np.arange(len(genuine)), n_gallery, present)
    bin_of = np.digitize(p, bins[1:-1])
    lines = []
    for i, (low, high) in enumerate(pairwise(bins)):
        inside = bin_of == i
        share = float((of_one + of_two)[inside].sum())
        if share:
            predicted = float(((of_one + of_two) * p)[inside].sum() / share)
            lines.append(Reliability(low, high, share, predicted, float(of_one[inside].sum() / share)))
    return lines
