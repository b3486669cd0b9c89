"""Twin of `bitreid.evaluation.confidence`: lists of queries drawn, left out and flipped one identity at a time."""

from collections.abc import Sequence
from itertools import product
from math import isnan
from statistics import NormalDist, fmean

import numpy as np


def by_person(values: Sequence[float], pids: Sequence[int]) -> list[list[float]]:
    """The values of each identity that has any, in the order of the identities."""
    people: dict[int, list[float]] = {}
    for value, pid in zip(values, pids, strict=True):
        if not isnan(value):
            people.setdefault(pid, []).append(value)
    return [people[pid] for pid in sorted(people)]


def mean_of(people: Sequence[Sequence[float]]) -> float:
    return fmean([value for person in people for value in person])


def resampled(people: Sequence[Sequence[float]], repeats: int, seed: int) -> list[float]:
    """Means over identities drawn with replacement, sorted; numpy draws, so that both sides see the same people."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(len(people), size=len(people)).tolist() for _ in range(repeats)]
    return sorted(mean_of([people[i] for i in draw]) for draw in draws)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value at a share of the way along a sorted list, on the line between its two neighbours."""
    place = share * (len(ordered) - 1)
    before = int(place)
    after = min(before + 1, len(ordered) - 1)
    return ordered[before] + (place - before) * (ordered[after] - ordered[before])


def interval(
    values: Sequence[float], pids: Sequence[int], repeats: int, level: float, seed: int
) -> tuple[float, float]:
    """The BCa interval, its terms as Efron (1987) names them."""
    people = by_person(values, pids)
    observed = mean_of(people)
    means = resampled(people, repeats, seed)
    less = sum(mean < observed - 1e-12 for mean in means)
    same = sum(abs(mean - observed) <= 1e-12 for mean in means)
    p = min(max((less + same / 2) / repeats, 0.5 / repeats), 1 - 0.5 / repeats)
    z0 = NormalDist().inv_cdf(p)
    jackknife = [mean_of([*people[:i], *people[i + 1 :]]) for i in range(len(people))]
    centre = fmean(jackknife)
    squares = sum((centre - each) ** 2 for each in jackknife)
    a = sum((centre - each) ** 3 for each in jackknife) / (6 * squares**1.5) if squares else 0.0
    ends = []
    for alpha in ((1 - level) / 2, 1 - (1 - level) / 2):
        z = z0 + NormalDist().inv_cdf(alpha)
        ends.append(quantile(means, NormalDist().cdf(z0 + z / (1 - a * z))))
    return ends[0], ends[1]


def p_value(values_a: Sequence[float], values_b: Sequence[float], pids: Sequence[int]) -> float:
    """The share of all 2^n ways to swap the models of n identities that differ at least as much as the observed one."""
    people = by_person([a - b for a, b in zip(values_a, values_b, strict=True)], pids)
    observed = abs(mean_of(people))
    swapped = [
        abs(mean_of([[sign * value for value in person] for sign, person in zip(signs, people, strict=True)]))
        for signs in product((1, -1), repeat=len(people))
    ]
    return fmean(mean >= observed - 1e-12 for mean in swapped)
