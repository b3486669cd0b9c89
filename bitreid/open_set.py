"""What a distance means: thresholds for a rate of false alarms, and probabilities that two pictures show one person."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Floats
from bitreid.errors import ArtifactError, SettingsError


@dataclass(frozen=True)
class OpenSet:
    """The tail of a model's impostor distances, and how likely a distance is for one person and for two.

    An impostor pair is within d bits with probability Phi(tail_offset + tail_slope * d), Phi being the distribution
    function of the unit normal: a normal distribution, but matched to the nearest impostors alone, which decide.
    ln(likelihood of d for one person / for two) = offset + slope * d + curvature * d ** 2 on the side of the parabola's
    turn where it falls, and what it is at the turn on the other side: nobody becomes more probable farther away.
    """

    tail_slope: float
    tail_offset: float
    slope: float
    offset: float
    curvature: float = 0.0

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
            return cls(**{name: float(value) for name, value in values.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"expected the numbers of an open-set calibration, got {values!r:.80}; calibrate again"
            ) from error

    def pair_rate(self, distance: npt.ArrayLike) -> Floats:
        """Return the probability that an impostor pair is within a distance (bits)."""
        z = self.tail_offset + self.tail_slope * np.asarray(distance, np.float64)
        return np.asarray([math.erfc(-each / math.sqrt(2)) / 2 for each in z.flat]).reshape(z.shape)

    def fpir(self, distance: npt.ArrayLike, n_gallery: int) -> Floats:
        """Return the rate of searches for a person who is not among `n_gallery` rows that find one within a distance.

        1 - (1 - p) ** n_gallery for the pair rate p, as if all rows were strangers to each other. It is an upper bound:
        some queries are near to everybody and most to nobody, and some people have many rows, so that the near pairs
        fall into fewer searches. This holds for rows that are drawn at random from many more.
        """
        return np.asarray(-np.expm1(n_gallery * np.log1p(-self.pair_rate(distance))))

    def threshold(self, fpir: float, n_gallery: int) -> int:
        """Return the largest distance (bits) at which at most this share of searches for an absent person is answered.

        -1 when there is none: then every answer is "nobody".
        """
        if not 0 < fpir < 1 or n_gallery < 1:
            raise SettingsError(f"expected fpir between 0 and 1 and a gallery of rows, got {fpir} and {n_gallery}")
        pair_rate = -math.expm1(math.log1p(-fpir) / n_gallery)
        return max(math.floor((NormalDist().inv_cdf(pair_rate) - self.tail_offset) / self.tail_slope), -1)

    def probability(self, distance: npt.ArrayLike, n_gallery: int, present: float = 0.5) -> Floats:
        """Return the probability that a row at a distance (bits) shows the query's person.

        Before the search the person is in the gallery with probability `present`, in any one of its rows. What the
        other rows show is not looked at: several near rows do not make each other less probable.

        The larger the gallery, the more this depends on the people that it was fitted to: 60 people make 1,770 pairs of
        people, which say little about look-alikes as rare as one in 1,000.
        """
        if not 0 < present < 1 or n_gallery < 1:
            raise SettingsError(f"expected present between 0 and 1 and a gallery of rows, got {present}, {n_gallery}")
        prior = present / n_gallery
        d = np.asarray(distance, np.float64)
        if self.curvature:
            turn = -self.slope / (2 * self.curvature)
            d = np.maximum(d, turn) if self.curvature < 0 else np.minimum(d, turn)
        log_odds = self.offset + (self.slope + self.curvature * d) * d + np.log(prior / (1 - prior))
        return np.asarray(1 / (1 + np.exp(-log_odds.clip(-500, 500))))
