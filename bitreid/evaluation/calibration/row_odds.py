"""Fit at which distances rows show the query's person: what the probability of a hit rests on."""

import numpy as np

from bitreid.arrays import Floats, Ints
from bitreid.open_set import RowOdds

SIZES = (10, 100, 1000)
"""Rows of the galleries whose log losses are added up.

Each has its say on other distances: in a small gallery the middling ones are in doubt, in a large one the near ones.
"""

_STIFF = 1e-4
"""Weight of the squares of slope and curvature, lest people who never overlap make them infinite."""


def rows_beside(pids: Ints, camids: Ints) -> float:
    """Return in how many rows a gallery of these people holds one of them, as seen from one camera by the others.

    One picture of each camera is what is searched for, the others are the gallery, as in Market-1501 and CUHK03-NP; a
    person of whom a camera has only one is there in that. The mean over pictures, at least 1.
    """
    places, counts = np.unique(np.stack([pids, camids]), axis=1, return_counts=True)
    held = np.maximum(counts - 1, 1)
    of_person = np.array([held[places[0] == pid].sum() for pid in places[0]])
    elsewhere = (of_person - held)[of_person > held]
    return max(float(np.average(elsewhere, weights=counts[of_person > held])), 1.0) if len(elsewhere) else 1.0


def fit_row_odds(genuine: Ints, impostor: Ints, rows: float) -> RowOdds:
    """Return the odds of rows that fit pairs of one person and of two, `(n_levels,) int64` at each distance in bits.

    A person who is in the gallery is there in `rows` rows. It is a logistic regression on sqrt(d) and d by Newton's
    method, the pairs weighted as each gallery of `SIZES` has them: one row of one person, and all others of strangers.
    Where it does not fall at the mean of the genuine pairs, distance tells nothing: all odds are even.

    Chosen by cross-validation, over 40 halves of the 60 held-out people of two models (CUHK03-NP and drawn people), in
    galleries of 100 to 5,000 rows: its log loss was below that of the ratio of two normal densities of d
    (`_likelihood_ratio` of `fit`; 3.66 and 3.81 among 270 rows on drawn people, 4.05 and 4.07 on CUHK03-NP), of a
    smoothed step function and of a line with a bend. Cubes and ln(d) changed it by less than 0.5 %. Normal densities of
    sqrt(d) were 4.06 on CUHK03-NP, but 3.73 on drawn people, with up to 9 points too little in the middle.
    """
    levels = np.flatnonzero(genuine + impostor)
    of_one, of_two = genuine[levels] / genuine.sum(), impostor[levels] / impostor.sum()
    x = np.sqrt(levels)
    mean = float(of_one @ x)
    # A bit at least, lest pairs that all lie at one distance make every other impossible.
    deviation = max(float(np.sqrt(of_one @ (x - mean) ** 2)), 1 / (2 * max(mean, 1.0)))
    offset, slope, curvature = _logistic((x - mean) / deviation, of_one, of_two)
    if slope >= 0:
        return RowOdds(0.0, 0.0, 0.0, rows)
    slope, curvature = slope / deviation, curvature / deviation**2
    return RowOdds(slope - 2 * curvature * mean, offset - (slope - curvature * mean) * mean, curvature, rows)


def _logistic(u: Floats, of_one: Floats, of_two: Floats) -> tuple[float, float, float]:
    """Return offset, slope and curvature of the log likelihood ratio of least loss, by `u`."""
    powers = np.stack([np.ones_like(u), u, u**2])
    stiff = np.array([0.0, _STIFF, _STIFF])

    def loss(found: Floats) -> float:
        ratio = found @ powers
        each = (
            of_one @ np.logaddexp(0, np.log(n) - ratio) + n * (of_two @ np.logaddexp(0, ratio - np.log(n)))
            for n in SIZES
        )
        return float(sum(each) + stiff @ found**2 / 2)

    found = np.array([1.0, -1.0, 0.0])
    for _ in range(200):
        ratio = found @ powers
        slopes, squares = stiff * found, np.diag(stiff + 1e-12)
        for n in SIZES:
            weights = of_one + n * of_two
            p = 1 / (1 + np.exp(np.clip(np.log(n) - ratio, -500, 500)))
            slopes = slopes + powers @ (weights * p - of_one)
            squares = squares + (weights * p * (1 - p) * powers) @ powers.T
        step, before = np.linalg.solve(squares, slopes), loss(found)
        while (after := loss(found - step)) > before and np.abs(step).max() > 1e-10:
            step = step / 2
        if not before - after > 1e-12 * before:
            break
        found = found - step
    return float(found[0]), float(found[1]), float(found[2])
