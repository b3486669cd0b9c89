"""What a distance means: thresholds for a rate of false alarms, and probabilities that two pictures show one person."""

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Floats
from bitreid.errors import ArtifactError, SettingsError

NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
"""The mean of a function of a unit normal is that of its values at `NODES`, weighted by these, `(32,)` both."""


def normal_share(z: npt.ArrayLike) -> Floats:
    """Return the distribution function of the unit normal, element by element."""
    values = np.asarray(z, np.float64)
    return np.asarray([math.erfc(-each / math.sqrt(2)) / 2 for each in values.flat]).reshape(values.shape)


@dataclass(frozen=True)
class SearchTail:
    """How near the nearest of n rows comes to somebody who is in none of them.

    A row is within d bits of a query with probability p = Phi(offset + slope * sqrt(d + 1/2) + spread * z), Phi being
    the distribution function of the unit normal and sqrt(d) the Euclidean distance of codes. z, unit normal too, is the
    query's own: some have look-alikes, most have none. A search of n rows finds one with probability
    1 - (1 - p) ** n, averaged over queries. Without a spread, all rows would be strangers to each other.
    """

    slope: float
    offset: float
    spread: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.slope, self.offset, self.spread))):
            raise ArtifactError(f"expected finite numbers, got {self}; calibrate again")
        if not (self.slope > 0 and self.spread >= 0):
            raise ArtifactError(
                f"expected a slope above 0 and a spread of at least 0, got {self.slope} and {self.spread}; "
                "calibrate again"
            )

    def rate(self, distance: npt.ArrayLike, n_gallery: int) -> Floats:
        """Return the rate of searches for an absent person that find one of `n_gallery` rows within a distance."""
        d = np.asarray(distance, np.float64)
        near = self.offset + self.slope * np.sqrt(np.maximum(d + 0.5, 0))
        p = normal_share(near[..., None] + self.spread * NODES)
        with np.errstate(divide="ignore"):  # a row that is certainly near: ln 0
            rate = -np.expm1(n_gallery * np.log1p(-p)) @ WEIGHTS
        return np.asarray(np.where(d < 0, 0.0, rate))


@lru_cache(maxsize=1024)
def _search_threshold(tail: SearchTail, fpir: float, n_gallery: int) -> int:
    """Return the largest distance at which `tail` keeps the rate; -1 when there is none."""
    kept, broken = -1, 64
    while tail.rate(broken, n_gallery) <= fpir:
        kept, broken = broken, 2 * broken
    while broken - kept > 1:
        middle = (kept + broken) // 2
        kept, broken = (middle, broken) if tail.rate(middle, n_gallery) <= fpir else (kept, middle)
    return kept


@dataclass(frozen=True)
class RowOdds:
    """How many rows of a gallery show the query's person, and at which distances these are rather than others.

    ln(likelihood of a distance of d bits for a row of the query's person / of somebody else) = offset + slope * x +
    curvature * x ** 2, x = sqrt(d) being the Euclidean distance of codes, on the side of the parabola's turn where it
    falls, and what it is at the turn on the other side. A person who is in a gallery is there in `rows` rows, as
    the people who were fitted are.
    """

    slope: float
    offset: float
    curvature: float
    rows: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.slope, self.offset, self.curvature, self.rows))):
            raise ArtifactError(f"expected finite numbers, got {self}; calibrate again")
        if self.rows < 1 or (self.curvature == 0 and self.slope > 0):
            raise ArtifactError(
                f"expected a person in 1 row or more and odds that fall with the distance, got {self}; calibrate again"
            )


def _held(offset: float, slope: float, curvature: float, x: Floats) -> Floats:
    """Return a parabola at `x` where it falls, and its value at the turn on the other side."""
    if curvature:
        turn = min(max(-slope / (2 * curvature), -_FAR), _FAR)
        x = np.maximum(x, turn) if curvature < 0 else np.minimum(x, turn)
    return np.asarray(offset + (slope + curvature * x) * x)


_FAR = 1e12
"""Farther than any distance."""


@dataclass(frozen=True)
class OpenSet:
    """The tail of a model's impostor distances, and how likely a distance is for one person and for two.

    An impostor pair is within d bits with probability Phi(tail_offset + tail_slope * d), Phi being the distribution
    function of the unit normal: a normal distribution, but matched to the nearest impostors alone, which decide.
    `search` says how near the nearest of many rows comes; without it, that is bounded from the pairs.
    `odds` says which distances are one person's rather than two people's, and in how many rows a person is. Without it,
    as in older calibrations, ln(likelihood of d for one person / for two) = offset + slope * d + curvature * d ** 2 on
    the side of the parabola's turn where it falls, and what it is at the turn on the other side, and a person is in one
    row. Either way nobody becomes more probable farther away.
    """

    tail_slope: float
    tail_offset: float
    slope: float
    offset: float
    curvature: float = 0.0
    search: SearchTail | None = None
    odds: RowOdds | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.tail_slope, self.tail_offset, self.slope, self.offset, self.curvature))):
            raise ArtifactError(f"expected finite numbers, got {self}; calibrate again")
        if not self.tail_slope > 0:
            raise ArtifactError(
                f"expected a tail that rises with the distance, got tail_slope {self.tail_slope}; calibrate again"
            )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the calibration with these numbers, by name; `ArtifactError` for other names or values."""
        try:
            search, odds = values.get("search"), values.get("odds")
            tail = None if search is None else SearchTail(**_floats(search))
            numbers = {name: value for name, value in values.items() if name not in ("search", "odds")}
            row_odds = None if odds is None else RowOdds(**_floats(odds))
            return cls(**_floats(numbers), search=tail, odds=row_odds)
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise ArtifactError(
                f"expected the numbers of an open-set calibration, got {values!r:.80}; calibrate again"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return the numbers by name, for `from_json`; `odds`, which older bitreids do not know, only if fitted."""
        values = asdict(self)
        if self.odds is None:
            del values["odds"]
        return values

    def pair_rate(self, distance: npt.ArrayLike) -> Floats:
        """Return the probability that an impostor pair is within a distance (bits)."""
        return normal_share(self.tail_offset + self.tail_slope * np.asarray(distance, np.float64))

    def fpir(self, distance: npt.ArrayLike, n_gallery: int) -> Floats:
        """Return the rate of searches for a person who is not among `n_gallery` rows that find one within a distance.

        Without a `search` tail, 1 - (1 - p) ** n_gallery for the pair rate p, as if all rows were strangers to each
        other. It is an upper bound: some queries are near to everybody and most to nobody, and some people have many
        rows, so that the near pairs fall into fewer searches. This holds for rows that are drawn at random from many
        more.
        """
        if self.search is not None:
            return self.search.rate(distance, n_gallery)
        return np.asarray(-np.expm1(n_gallery * np.log1p(-self.pair_rate(distance))))

    def threshold(self, fpir: float, n_gallery: int) -> int:
        """Return the largest distance (bits) at which at most this share of searches for an absent person is answered.

        -1 when there is none: then every answer is "nobody".
        """
        if not 0 < fpir < 1 or n_gallery < 1:
            raise SettingsError(f"expected fpir between 0 and 1 and a gallery of rows, got {fpir} and {n_gallery}")
        if self.search is not None:
            return _search_threshold(self.search, fpir, n_gallery)
        pair_rate = -math.expm1(math.log1p(-fpir) / n_gallery)
        return max(math.floor((NormalDist().inv_cdf(pair_rate) - self.tail_offset) / self.tail_slope), -1)

    def probability(self, distance: npt.ArrayLike, n_gallery: int, present: float = 0.5) -> Floats:
        """Return the probability that a row at a distance (bits) shows the query's person.

        Before the search the person is in the gallery with probability `present`, in `odds.rows` of its rows (in one
        without `odds`, in all of a gallery of fewer). Of all rows that are given p, in many searches, a share of p
        shows the query's person. What the other rows show is not looked at: several near rows do not make each other
        less probable.

        The larger the gallery, the more this depends on the impostors that it was fitted to: 60 people make 1,770 pairs
        of people, which say little about look-alikes as rare as one in 1,000; with 700 others they make 42,000. Below
        the distance to which people tell, a nearer row is not more probable.
        """
        if not 0 < present < 1 or n_gallery < 1:
            raise SettingsError(f"expected present between 0 and 1 and a gallery of rows, got {present}, {n_gallery}")
        d = np.asarray(distance, np.float64)
        if self.odds is None:
            prior, ratio = present / n_gallery, _held(self.offset, self.slope, self.curvature, d)
        else:
            prior, odds = present * min(self.odds.rows, n_gallery) / n_gallery, self.odds
            ratio = _held(odds.offset, odds.slope, odds.curvature, np.sqrt(np.maximum(d, 0)))
        log_odds = ratio + math.log(prior / (1 - prior))
        return np.asarray(1 / (1 + np.exp(-log_odds.clip(-500, 500))))


def _floats(numbers: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}
