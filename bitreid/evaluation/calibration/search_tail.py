"""Fit how near the nearest of many rows comes to somebody who is in none of them: the rate of false alarms of a search.

The rate of a search is modelled itself, not bounded from that of a pair: one person's rows are alike, and some people
have look-alikes while most have none, so that near pairs fall into few searches.
"""

from typing import NamedTuple

import numpy as np

from bitreid.arrays import Floats, Ints
from bitreid.errors import DataError
from bitreid.evaluation.calibration.promises import false_alarms
from bitreid.open_set import NODES, WEIGHTS, SearchTail, normal_share

MARGIN = 0.75
"""Standard errors, over the people searched for, by which the promise is made safer than the best fit.

Chosen by `benchmarks/accuracy/nobody.py` on held-out training identities of CUHK03-NP, fitted on one half of them and
looked at on the other: of 10 % and 1 % promised, false alarms were .7 to .8 and .7 to .95 of the promise with it, .9 to
1.1 and .9 to 1.4 without.
"""

LEAST_ROWS = 100
"""Rows of others that it takes to fit searches."""

MOST = 0.5
"""The largest rate that is fitted: in the tail, which decides, few searches give an answer."""

REFERENCE = 0.03
"""The rate at which the standard error is taken."""

_LEVELS = 64


class _Rates(NamedTuple):
    """Observed rates of false alarms: `(k,)` at distances `x = sqrt(d + 1/2)` in galleries of `n` rows."""

    x: Floats
    n: Floats
    rates: Floats


def fit_search_tail(impostor: Ints, people: Ints, margin: float = MARGIN) -> SearchTail:
    """Return the tail that fits searches for people who are in no row of the gallery.

    `impostor (n_queries, n_levels) int64` are the rows of others at each distance from each query, `people (n_queries,)
    int64` whom it shows. Rates are those of galleries of all rows and of random fractions of them, exact expectations
    over all such galleries; the fit is least squares of ln(-ln(1 - rate)), each weighted by its rate, so by how many
    searches it rests on. `margin` standard errors over people, by the infinitesimal jackknife, are added to the offset.

    `DataError` for fewer than 3 people or `LEAST_ROWS` rows, or where distances do not tell how the tail falls.
    """
    everybody, who = np.unique(people, return_inverse=True)
    n_rows = int(impostor.sum(axis=1).min()) if len(impostor) else 0
    if len(everybody) < 3 or n_rows < LEAST_ROWS:
        raise DataError(
            f"expected 3 people or more and {LEAST_ROWS} rows of others to calibrate with, got {len(everybody)} and "
            f"{n_rows}; hold out more identities"
        )
    sizes = [n_rows // divisor for divisor in (64, 16, 4, 1) if n_rows >= 10 * divisor]
    levels = _levels(impostor, sizes[0])
    each = np.stack([false_alarms(impostor, int(d), n) for n in sizes for d in levels], axis=1)
    mean = each.mean(axis=0)
    used = (mean >= 1 / len(impostor)) & (mean <= MOST)
    if len(np.unique(np.tile(levels, len(sizes))[used])) < 3:
        raise DataError(
            "expected false alarms at three distances or more to calibrate with; hold out more identities, "
            "or use longer codes"
        )
    grid = _Rates(
        np.sqrt(np.tile(levels, len(sizes))[used] + 0.5),
        np.repeat(np.asarray(sizes, np.float64), len(levels))[used],
        mean[used],
    )
    of_people = np.stack([np.bincount(who, column) for column in each[:, used].T], axis=1)
    n_queries = np.bincount(who)[:, None]
    without = (of_people.sum(axis=0) - of_people) / (len(people) - n_queries)
    return _safe(grid, without, _fit(grid), margin)


def _levels(impostor: Ints, fewest_rows: int) -> Ints:
    """Return at most `_LEVELS` distances, evenly spaced, from the nearest row to where the smallest gallery answers
    more than `MOST` of the searches."""
    counts = impostor.sum(axis=0)
    first = int((counts > 0).argmax())
    share = np.cumsum(counts) / counts.sum()
    last = int(np.searchsorted(share, 1 - (1 - MOST) ** (1 / fewest_rows)))
    return np.unique(np.linspace(first, max(last, first + 2), _LEVELS).round().astype(np.int64))


def _link(rate: Floats) -> Floats:
    return np.asarray(np.log(-np.log1p(-rate)))


def _model(grid: _Rates, tail: Floats) -> tuple[Floats, Floats]:
    """Return the link of the model's rates, `(k,)`, and its derivatives by ln slope, offset and ln spread, `(3, k)`."""
    slope, offset, spread = np.exp(tail[0]), tail[1], np.exp(tail[2])
    u = offset + slope * grid.x[:, None] + spread * NODES
    distances, places = np.unique(grid.x, return_inverse=True)
    p = normal_share(offset + slope * distances[:, None] + spread * NODES)[places].clip(1e-300, 1 - 1e-15)
    missed = np.exp(grid.n[:, None] * np.log1p(-p))
    rate = ((1 - missed) @ WEIGHTS).clip(1e-300, 1 - 1e-15)
    by_u = grid.n[:, None] * missed / (1 - p) * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) * WEIGHTS
    steps = np.stack([by_u.sum(axis=1) * slope * grid.x, by_u.sum(axis=1), by_u @ NODES * spread])
    return _link(rate), steps / ((1 - rate) * -np.log1p(-rate))


def _fit(grid: _Rates) -> Floats:
    """Return ln slope, offset and ln spread of the least squares, by Levenberg's and Marquardt's method."""
    wanted, weights = _link(grid.rates), np.sqrt(grid.rates)
    middle = float(np.average(grid.x, weights=grid.rates))
    slope = 8 / middle
    tail = np.array([np.log(slope), -3.5 - slope * middle, -0.7])

    def residuals(values: Floats) -> tuple[Floats, Floats]:
        found, steps = _model(grid, values)
        # Weak springs hold what the rates leave open: a spread that nobody sees.
        spring = 0.05 * (values[2] + 0.7)
        return np.append(weights * (found - wanted), spring), np.column_stack([weights * steps, [0, 0, 0.05]])

    damping, (error, steps) = 1e-2, residuals(tail)
    for _ in range(200):
        squares = steps @ steps.T
        step = -np.linalg.solve(squares + damping * np.diag(np.diag(squares) + 1e-12), steps @ error)
        tried = tail + step.clip(-2, 2)
        new_error, new_steps = residuals(tried)
        if new_error @ new_error < error @ error:
            done = abs(error @ error - new_error @ new_error) < 1e-12 * (error @ error)
            tail, error, steps, damping = tried, new_error, new_steps, damping / 3
            if done:
                break
        elif damping > 1e12:
            break
        else:
            damping *= 4
    return tail


def _safe(grid: _Rates, without: Floats, tail: Floats, margin: float) -> SearchTail:
    """Return the tail with `margin` standard errors added to its offset.

    `without (n_people, k)` are the rates without each person in turn. What each would change of the fit is taken in the
    first order; the error is that of the model's link where the whole gallery gives the `REFERENCE` rate.
    """
    _, steps = _model(grid, tail)
    weights = grid.rates
    squares = (weights * steps) @ steps.T + np.diag([0, 0, 0.05**2])
    change = (without - grid.rates) / ((1 - grid.rates) * -np.log1p(-grid.rates))
    moved = np.linalg.solve(squares, (weights * steps) @ change.T)
    whole = grid.n == grid.n.max()
    at = np.abs(_link(grid.rates[whole]) - _link(np.array(REFERENCE))).argmin()
    slopes = steps[:, whole][:, at]
    effect = slopes @ moved / slopes[1]
    error = np.sqrt((len(effect) - 1) * effect.var())
    return SearchTail(float(np.exp(tail[0])), float(tail[1] + margin * error), float(np.exp(tail[2])))
