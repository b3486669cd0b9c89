"""Exact expectations over the random order of rows at equal distance.

A tie group is the rows at one distance. All functions take arrays of groups, of one shape: `before` rows are nearer
than the group, which has `size` rows, `matches` of them matches; every order of the group is equally likely.
"""

import math
from functools import lru_cache

import numpy as np

from bitreid.arrays import Floats, Ints

_PLACES_AT_ONCE = 2**15  # of all groups together: the second-level cache holds a few numbers of each


def expected_precision(before: Ints, size: Ints, matches_before: Ints | Floats, matches: Ints | Floats) -> Floats:
    """Return the expected precision at the rank of one match of each group; `matches_before` matches are nearer.

    With a = before, b = matches_before, g = size, r = matches: the match is at place k of the group with probability
    1/g, and each of the other r - 1 is ahead of it with probability (k - 1) / (g - 1). So the expectation is

        1/g * sum over k = 1..g of (b + 1 + (k - 1) (r - 1) / (g - 1)) / (a + k)
      = 1/g * ((b + 1) S + (r - 1) / (g - 1) * (g - (a + 1) S)),   S = 1/(a + 1) + ... + 1/(a + g)

    (McSherry and Najork, Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied
    Scores, 2008). It is linear in b and in r, so both may be expectations themselves.

    >>> float(expected_precision(np.array(0), np.array(2), np.array(0), np.array(1)))  # half 1/1, half 1/2
    0.75
    """
    harmonic = _harmonic(_table_size(before + size))
    total = harmonic[before + size] - harmonic[before]
    others_ahead = (matches - 1) / np.maximum(size - 1, 1)
    return np.asarray(((matches_before + 1) * total + others_ahead * (size - (before + 1) * total)) / size)


def first_match_found(before: Ints, size: Ints, matches: Ints, n_ranks: int) -> Floats:
    """Return the probability `(..., n_ranks)` that a match of the group is at rank 1, 2, ... `n_ranks` or before.

    >>> first_match_found(np.array(1), np.array(2), np.array(1), 4).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    seen = np.arange(n_ranks) - before[..., None]  # rows of the group ahead of a rank, negative before it begins
    size, wrong = size[..., None], (size - matches)[..., None]
    wrong_next = np.where(seen < 0, 1.0, np.maximum(wrong - seen, 0) / np.maximum(size - seen, 1))
    return np.asarray(1 - np.cumprod(wrong_next, axis=-1))


def expected_inverse_last(before: Ints, size: Ints, matches: Ints) -> Floats:
    """Return the expectation of 1 / rank of the group's last match.

    The last of r matches is at place t of g with probability C(t - 1, r - 1) / C(g, r), for t from r to g.

    >>> round(float(expected_inverse_last(np.array(0), np.array(3), np.array(2))), 6)  # 1/2 a third, 1/3 two thirds
    0.388889
    """
    # By recurrence from the last place down, from a place past it, many places at once.
    probability = matches / (size - matches + 1)
    total = np.zeros(size.shape)
    step = max(_PLACES_AT_ONCE // max(size.size, 1), 1)
    for start in range(0, int((size - matches).max(initial=-1)) + 1, step):
        place = size - np.arange(start, start + step).reshape(-1, *[1] * size.ndim)
        ratio = np.maximum(place - matches + 1, 0) / np.maximum(place, 1)
        ratio[0] *= probability
        chances = np.cumprod(ratio, axis=0)
        terms = chances / np.maximum(before + place, 1)
        # Summed place by place, so that the result does not depend on how many are taken at once.
        terms[0] += total
        total, probability = np.cumsum(terms, axis=0)[-1], chances[-1]
    return np.asarray(total)


def log_factorials(n: int) -> Floats:
    """Return ln 0!, ln 1!, ... at least up to ln n!."""
    return _log_factorials(_table_size(np.asarray(n)))


def _table_size(largest: Ints) -> int:
    # Powers of two, so that growing galleries share few tables.
    return 1 << int(largest.max(initial=1)).bit_length()


@lru_cache(maxsize=32)
def _harmonic(n: int) -> Floats:
    terms = 1 / np.arange(1, n + 1, dtype=np.longdouble)  # long: a sum of a million terms keeps its last bits
    return np.concatenate([[0.0], np.cumsum(terms)]).astype(np.float64)


@lru_cache(maxsize=32)
def _log_factorials(n: int) -> Floats:
    return np.array([math.lgamma(i + 1) for i in range(n + 1)])
