"""How sure a score is: bootstrap intervals over identities, and the paired comparison of two models.

Queries of one person resemble each other, so that a hundred pictures of ten people say about as much as ten people do.
Therefore the bootstrap draws identities, and the test exchanges them, each with all of its queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from bitreid.arrays import Floats, Ints
from bitreid.errors import DataError, SettingsError

_DRAWS_AT_ONCE = 2**21
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """The mean of a score over queries, and the interval `low` to `high` that holds the true one at confidence `level`.

    `n_queries` have a match and count, of `n_identities` people. With one identity nothing is known of how people
    differ, and `low` and `high` are NaN.
    """

    mean: float
    low: float
    high: float
    level: float
    n_queries: int
    n_identities: int


@dataclass(frozen=True)
class PairedComparison:
    """The means of two models' scores, their `difference` a - b (above 0 where a is better), its interval, a p-value.

    `p_value`, two-sided, is how often a difference at least as large comes up when, for each identity, chance decides
    which model is called a. Other fields are `Interval`'s. With one identity `low` and `high` are NaN and `p_value` is
    1.
    """

    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    level: float
    n_queries: int
    n_identities: int


def bootstrap(values: Floats, pids: Ints, repeats: int = 2000, level: float = 0.95, seed: int = 0) -> Interval:
    """Return the mean of a score of each query, and its bootstrap interval over identities.

    `values` is `(n,)`: AP, INP, or whether (how probably) a match is at rank 1; NaN where the query has no match, which
    leaves it out. `pids` is `(n,)`, who is on each query. Details and errors are `bootstrap_columns`'.

    >>> interval = bootstrap(np.array([1, 1, 0, 0.5, np.nan]), np.array([7, 7, 8, 9, 9]))
    >>> interval.mean, interval.n_queries, interval.n_identities
    (0.625, 4, 3)
    """
    if values.ndim != 1:
        raise DataError(f"expected one value a query, got shape {values.shape}; see bootstrap_columns for several")
    return bootstrap_columns(values[:, None], pids, repeats, level, seed)[0]


def bootstrap_columns(
    values: Floats, pids: Ints, repeats: int = 2000, level: float = 0.95, seed: int = 0
) -> list[Interval]:
    """Return the intervals of several scores of each query, `values (n, m)`, one a column, from the same draws.

    Each of `repeats` times, as many identities as there are come with replacement, each with all its queries, and the
    mean is taken over the queries that came. The interval is BCa's (bias-corrected and accelerated; Efron, Better
    Bootstrap Confidence Intervals, JASA 1987), because scores near 1 are skewed: plain percentiles then lie too high,
    and the truth is below them several times more often than above. No method mends few identities: with ten, a 95 %
    interval holds the truth less often than it says, and with scores near 1 much less often.

    Where all values are equal the interval is that value. Memory does not grow with `repeats` x identities. Raises
    `DataError` if no query has a match, if a query has only some of its values, or if shapes do not fit;
    `SettingsError` for impossible `repeats` or `level`.
    """
    if repeats < 1 or not 0 < level < 1:
        raise SettingsError(f"expected repeats of at least 1 and a level between 0 and 1, got {repeats} and {level}")
    people = _Identities.of(values, pids)
    lowest, highest = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    total, n_queries = people.sums.sum(axis=0), people.counts.sum()
    # Clipped, so that rounding takes no mean past the values that it is the mean of.
    means = np.clip(total / n_queries, lowest, highest)
    ends = np.full((values.shape[1], 2), np.nan)
    if len(people.counts) > 1:
        without_one = (total - people.sums) / (n_queries - people.counts)[:, None]
        for column, resampled in enumerate(_resampled_means(people, repeats, seed).T):
            ends[column] = _bca_ends(resampled, means[column], without_one[:, column], level)
    ends = np.clip(ends, lowest[:, None], highest[:, None])
    size = int(n_queries), len(people.counts)
    return [
        Interval(float(mean), float(low), float(high), level, *size)
        for mean, (low, high) in zip(means, ends, strict=True)
    ]


def compare(
    values_a: Floats, values_b: Floats, pids: Ints, repeats: int = 10_000, level: float = 0.95, seed: int = 0
) -> PairedComparison:
    """Return the paired comparison of two models by a score that each gives to the same queries, `(n,)` both.

    The interval of the mean difference is `bootstrap`'s. The p-value is that of a permutation test: the difference of
    all queries of an identity changes its sign, or does not, by chance; all patterns of signs are tried if there are at
    most `repeats`, else `repeats` random ones, and the observed one with them (Phipson and Smyth, Permutation P-values
    Should Never Be Zero, 2010), so that no p-value is below 1 / (repeats + 1). Values are NaN for a query without a
    match, for both models or for neither. Raises as `bootstrap_columns` does, and `DataError` if the two do not pair.

    >>> a, b = np.array([0.9, 0.8, 0.7, 0.6, 0.9]), np.array([0.5, 0.6, 0.3, 0.5, 0.4])
    >>> comparison = compare(a, b, np.arange(5))
    >>> round(comparison.difference, 6), comparison.p_value  # of 32 patterns, only all + and all - reach it
    (0.32, 0.0625)
    """
    if values_a.shape != values_b.shape:
        raise DataError(f"expected values of the same queries, got shapes {values_a.shape} and {values_b.shape}")
    unpaired = int((np.isnan(values_a) != np.isnan(values_b)).sum())
    if unpaired:
        raise DataError(
            "expected both models scored on the same queries and gallery, "
            f"got {unpaired} queries with a match for one of them only"
        )
    differences = values_a - values_b
    interval = bootstrap(differences, pids, repeats, level, seed)
    p_value = _sign_flip_p_value(_Identities.of(differences[:, None], pids).sums[:, 0], repeats, seed)
    return PairedComparison(
        float(np.nanmean(values_a)),
        float(np.nanmean(values_b)),
        interval.mean,
        interval.low,
        interval.high,
        p_value,
        level,
        interval.n_queries,
        interval.n_identities,
    )


@dataclass(frozen=True)
class _Identities:
    """The sums `(n, m)` of the values of n people, and their numbers of queries `(n,)` that have a match."""

    sums: Floats
    counts: Ints

    @classmethod
    def of(cls, values: Floats, pids: Ints) -> "_Identities":
        if values.ndim != 2 or pids.shape != (len(values),):
            raise DataError(f"expected values (n, m) and pids (n,), got shapes {values.shape} and {pids.shape}")
        missing = np.isnan(values)
        if np.isinf(values).any() or (missing.any(axis=1) != missing.all(axis=1)).any():
            raise DataError("expected finite values, or NaN in all columns of a query without a match, got others")
        scored = ~missing.any(axis=1)
        if not scored.any():
            raise DataError(f"expected at least one query with a match, got none among {len(values)} queries")
        _, person = np.unique(pids[scored], return_inverse=True)
        counts = np.bincount(person)
        sums = np.zeros((len(counts), values.shape[1]))
        np.add.at(sums, person, values[scored])
        return cls(sums, counts)


def _resampled_means(people: _Identities, repeats: int, seed: int) -> Floats:
    """Return the means `(repeats, m)` over the queries of as many identities as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    n = len(people.counts)
    table = np.column_stack([people.sums, people.counts])
    totals = np.empty((repeats, table.shape[1]))
    for rows in _blocks(repeats, n):
        size = rows.stop - rows.start
        drawn = rng.integers(n, size=(size, n)) + np.arange(size)[:, None] * n
        times_drawn = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        totals[rows] = times_drawn @ table
    return totals[:, :-1] / totals[:, -1:]


def _bca_ends(resampled: Floats, mean: float, without_one: Floats, level: float) -> list[float]:
    """Return the ends of the BCa interval, from the `resampled` means and the means `without_one` identity each."""
    # Rounded, because a mean of the same identities summed in another order is the same mean; scores are of order 1.
    above = float(np.sign(np.round(resampled - mean, 12)).mean())
    # Kept off 0 and 1, whose normal quantiles are infinite, by half a draw.
    below = min(max((1 - above) / 2, 0.5 / len(resampled)), 1 - 0.5 / len(resampled))
    bias = _NORMAL.inv_cdf(below)
    deviation = without_one.mean() - without_one
    spread = float((deviation**2).sum()) ** 1.5
    acceleration = float((deviation**3).sum()) / (6 * spread) if spread > 0 else 0.0
    shares = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + _NORMAL.inv_cdf(tail)
        # Far out the denominator passes through 0; the share is 0 or 1 from there on.
        shares.append(_NORMAL.cdf(bias + z / max(1 - acceleration * z, 1e-9)))
    low, high = np.quantile(resampled, shares)
    return [float(low), float(high)]


def _sign_flip_p_value(sums: Floats, repeats: int, seed: int) -> float:
    """Return the share of sign patterns of the `sums (n,)` of identities whose total is at least as far from 0."""
    sums = sums[sums != 0]  # their signs change nothing, and without them all patterns can be tried more often
    n = len(sums)
    # A little less than the total, because equal totals may differ in their rounding.
    least = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    if 2**n <= repeats:
        flipped = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return float((np.abs(sums.sum() - 2 * flipped @ sums) >= least).mean())
    rng = np.random.default_rng(seed)
    reached = 0
    for rows in _blocks(repeats, n):
        flipped = rng.integers(2, size=(rows.stop - rows.start, n))
        reached += int((np.abs(sums.sum() - 2 * flipped @ sums) >= least).sum())
    return (reached + 1) / (repeats + 1)


def _blocks(repeats: int, n: int) -> Iterator[slice]:
    """Yield slices that cover the repeats, small enough to hold a number for each repeat and each of n identities."""
    size = max(_DRAWS_AT_ONCE // n, 1)
    return (slice(start, min(start + size, repeats)) for start in range(0, repeats, size))
