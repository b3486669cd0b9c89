"""Codes of many people, made up as a model's codes are: what people have in common is a few directions.

The figures are those of the model that comes with bitreid (`Encoder.open("drawn")`) on pictures that `bitreid draw`
drew, 5,100 of 2,100 people by six cameras: the variance of its features is spread over people as exp(-i / 10) over
directions i, 20 that count; 14 % of it lies between pictures of one person, four fifths of that in the same directions
and spread as exp(-i / 20). Two pictures of one person then differ in 16 % of the bits, those of others in 49 % with a
standard deviation of 8 %; and two people in five are near copies of another one, as far from them as pictures of one.
"""

from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Floats32, Ints
from bitreid.codes import Codes

DIRECTIONS = 64
PICTURES = 10  # of each person, in the mean
_WITHIN = 0.14  # of the variance, between pictures of one person
_ELSEWHERE = 0.2  # of that, not in the directions in which people differ
_COPIES = 0.4  # of the people
_BIAS = 0.15  # standard deviation of the bits' thresholds
_BLOCK = 8192
_POOL = 2**22  # numbers of which noise is cut


@dataclass(frozen=True)
class Population:
    """A gallery of many people and queries, other pictures of some of them; `pids` and `query_pids` say of whom."""

    gallery: Codes
    pids: Ints
    queries: Codes
    query_pids: Ints


def population(n_rows: int, n_queries: int, n_bits: int, seed: int = 0) -> Population:
    """Return made-up codes of pictures of `n_rows / PICTURES` people in random order, and of `n_queries` more."""
    rng = np.random.default_rng(seed)
    n_people = max(n_rows // PICTURES, 1)
    directions = np.arange(DIRECTIONS, dtype=np.float32)
    between, within = (_normed(np.exp(-directions / spread)) for spread in (10, 20))
    spread_within = np.sqrt(_WITHIN * (1 - _ELSEWHERE) * within)
    people = rng.standard_normal((n_people, DIRECTIONS), np.float32) * np.sqrt((1 - _WITHIN) * between)
    copies = np.flatnonzero(rng.random(n_people) < _COPIES)
    originals = people[rng.integers(0, n_people, len(copies))]
    people[copies] = originals + rng.standard_normal(originals.shape, np.float32) * spread_within
    projection = rng.standard_normal((DIRECTIONS, n_bits), np.float32)
    bias = (_BIAS * rng.standard_normal(n_bits)).astype(np.float32)
    pool = (np.sqrt(_WITHIN * _ELSEWHERE) * rng.standard_normal(_POOL, np.float32)).astype(np.float32)

    def pictures(pids: Ints) -> Codes:
        packed = np.empty((len(pids), n_bits // 8), np.uint8)
        for start in range(0, len(pids), _BLOCK):
            some = pids[start : start + _BLOCK]
            latent = people[some] + rng.standard_normal((len(some), DIRECTIONS), np.float32) * spread_within
            features = latent @ projection + bias
            for row, at in zip(features, rng.integers(0, _POOL - n_bits, len(some)), strict=True):
                row += pool[at : at + n_bits]
            packed[start : start + _BLOCK] = np.packbits(features > 0, axis=1)
        return Codes(packed, n_bits)

    pids, query_pids = rng.integers(0, n_people, n_rows), rng.integers(0, n_people, n_queries)
    return Population(pictures(pids), pids, pictures(query_pids), query_pids)


def _normed(values: Floats32) -> Floats32:
    shares: Floats32 = values / values.sum()
    return shares
