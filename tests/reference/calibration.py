"""Twins of `evaluation.calibration.fit` and `promises`: lists of distances, every gallery, one after another."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import NormalDist, fmean, pstdev

import numpy as np

Pair = tuple[str, str]
Line = tuple[float, float]


def tail_line(distances: Sequence[int], low: float, high: float) -> Line:
    """Slope and offset of numpy's weighted line through the probits of the shares of distances up to each one."""
    unit, n = NormalDist(), len(distances)
    x, z, weights = [], [], []
    for level in sorted(set(distances)):
        share = sum(d <= level for d in distances) / n
        if low <= share <= high:
            x.append(level)
            z.append(unit.inv_cdf(share))
            # polyfit takes the inverse of the deviation: that of a share, carried to its probit.
            weights.append(unit.pdf(z[-1]) / math.sqrt(share * (1 - share)))
    slope, offset = np.polyfit(x, z, 1, w=weights)
    return float(slope), float(offset)


def safe_tail_line(distances: Mapping[Pair, Sequence[int]], low: float, high: float, errors: float) -> Line:
    """The line raised by its standard error at the distance where that is least, and flatter by that of its slope.

    People are left out one at a time, by leaving out all pairs that they are in.
    """
    everybody = sorted({person for pair in distances for person in pair})
    slope, offset = tail_line([d for each in distances.values() for d in each], low, high)
    lines = [
        tail_line([d for pair, each in distances.items() if person not in pair for d in each], low, high)
        for person in everybody
    ]

    def error(values: Sequence[float]) -> float:
        return math.sqrt((len(values) - 1) / len(values) * sum((value - fmean(values)) ** 2 for value in values))

    places = np.arange(0, 200, 0.001)
    at_places = np.array([line[0] * places + line[1] for line in lines])
    pivot = float(places[at_places.var(axis=0).argmin()])
    height = slope * pivot + offset + errors * error([line[0] * pivot + line[1] for line in lines])
    flatter = slope - errors * error([line[0] for line in lines])
    return flatter, height - flatter * pivot


def log_likelihood_ratio(genuine: Sequence[int], tail: Line, distance: float) -> float:
    """ln of how much more frequent a distance is for one person than for two: the densities of two normals.

    A line through probits is a normal distribution; up to a whole number of bits is up to a half above it.
    """
    slope, offset = tail
    impostors = NormalDist(-offset / slope + 0.5, 1 / slope)
    return math.log(NormalDist(fmean(genuine), pstdev(genuine)).pdf(distance) / impostors.pdf(distance))


def searches(right: Sequence[int], wrong: Sequence[int], threshold: int, n_gallery: int) -> tuple[float, float]:
    """The share of galleries of `n_gallery` of the wrong rows with a row within the threshold, and the mean chance,
    over those galleries with the right rows added, that the first row is right and within it."""
    alarms, found = [], []
    for chosen in combinations(range(len(wrong)), min(n_gallery, len(wrong))):
        gallery = [wrong[row] for row in chosen]
        alarms.append(float(any(d <= threshold for d in gallery)))
        if right:
            nearest = min([*right, *gallery])
            chance = right.count(nearest) / (right.count(nearest) + gallery.count(nearest))
            found.append(chance if nearest <= threshold else 0.0)
    return fmean(alarms), fmean(found) if found else math.nan


def search_rate(slope: float, offset: float, spread: float, distance: int, n_gallery: int) -> float:
    """The mean over 20,000 kinds of queries, equally frequent, of the chance that one of the rows is near."""
    unit, n = NormalDist(), 20_000
    near = offset + slope * math.sqrt(distance + 0.5)
    kinds = (unit.inv_cdf((i + 0.5) / n) for i in range(n))
    return fmean(1 - unit.cdf(-(near + spread * kind)) ** n_gallery for kind in kinds)


def odds_loss(
    genuine: Sequence[int], impostor: Sequence[int], sizes: Sequence[int], parabola: Sequence[float], stiff: float
) -> float:
    """The log loss of every pair in each gallery, and the springs; the parabola is of the standardised sqrt(d)."""
    x = [math.sqrt(d) for d in genuine]
    mean, deviation = fmean(x), pstdev(x)

    def ratio(d: int) -> float:
        u = (math.sqrt(d) - mean) / deviation
        return parabola[0] + parabola[1] * u + parabola[2] * u**2

    loss = stiff * (parabola[1] ** 2 + parabola[2] ** 2) / 2
    for n in sizes:
        loss += fmean(math.log1p(n * math.exp(-ratio(d))) for d in genuine)
        loss += n * fmean(math.log1p(math.exp(ratio(d)) / n) for d in impostor)
    return loss


def row_probability(
    parabola: Sequence[float], rows: float, distance: int, n_gallery: int, present: float, farthest: int
) -> float:
    """Bayes, with the ratio that keeps every farther row from being more probable: a parabola that falls at last is
    replaced by the most of it from here on, one that falls at first by the least of it so far."""
    offset, slope, curvature = parabola
    places = [i / 1000 for i in range(1000 * farthest)]
    here = math.sqrt(distance)
    beyond = [x for x in [here, *places] if (x >= here if curvature < 0 else x <= here)]
    values = [offset + slope * x + curvature * x**2 for x in beyond]
    ratio = math.exp(max(values) if curvature < 0 else min(values))
    expected = present * min(rows, n_gallery)  # rows of the person; the others are strangers'
    return expected * ratio / (expected * ratio + n_gallery - expected)


def attribute_threshold(
    probabilities: Sequence[Sequence[float]], labels: Sequence[Sequence[int]], shares: Sequence[float], sure: float
) -> list[float]:
    """Every pair of a slope and a shift is tried on every picture, and counts by how well it does."""

    def logit(p: float) -> float:
        return math.log(p / (1 - p))

    tried = [(slope / 10, shift / 10) for slope in range(21) for shift in range(-20, 21)]
    scores = []
    for slope, shift in tried:
        each = []
        for bit, share in enumerate(shares):
            limit = slope * logit(share) + shift
            right: dict[int, list[bool]] = {0: [], 1: []}
            for row, known in zip(probabilities, labels, strict=True):
                if known[bit] >= 0:
                    right[known[bit]].append((logit(row[bit]) > limit) == (known[bit] == 1))
            if right[0] and right[1]:
                each.append((fmean(right[0]) + fmean(right[1])) / 2)
        scores.append(fmean(each) if each else 0.0)
    weights = [math.exp((score - max(scores)) / sure) for score in scores]
    slope, shift = (sum(w * pair[i] for w, pair in zip(weights, tried, strict=True)) / sum(weights) for i in (0, 1))
    return [1 / (1 + math.exp(-(slope * logit(share) + shift))) for share in shares]
