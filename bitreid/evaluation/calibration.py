"""What a distance means: a threshold for a wanted rate of false alarms, and the probability of one person.

Fitted once, on training identities that were held out, and stored in the artifact.
"""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
import numpy.typing as npt

from bitreid.errors import ArtifactError, DataError, SettingsError
from bitreid.evaluation.openset import PairCounts

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TAIL = (1e-5, 0.05)
"""Shares of the impostor pairs, the nearest, between which the tail is fitted."""


@dataclass(frozen=True)
class OpenSet:
    """The tail of a model's impostor distances, and how likely a distance is for one person and for two.

    An impostor pair is within d bits with probability Phi(tail_offset + tail_slope * d), Phi being the distribution
    function of the unit normal: a normal distribution, but matched to the nearest impostors alone, which decide.
    ln(likelihood of d for one person / for two) = offset + slope * d.
    """

    tail_slope: float
    tail_offset: float
    slope: float
    offset: float

    @classmethod
    def from_json(cls, values: dict[str, float]) -> Self:
        """From what `to_json` gave; `ArtifactError` for anything else."""
        try:
            return cls(**values)
        except TypeError as error:
            raise ArtifactError(f"expected the numbers of an open-set calibration, got {sorted(values)}") from error

    def to_json(self) -> dict[str, float]:
        """All numbers by name."""
        return asdict(self)

    def pair_rate(self, distance: npt.ArrayLike) -> Floats:
        """The probability that an impostor pair is within a distance (bits)."""
        z = self.tail_offset + self.tail_slope * np.asarray(distance, np.float64)
        return np.asarray([math.erfc(-each / math.sqrt(2)) / 2 for each in z.flat]).reshape(z.shape)

    def fpir(self, distance: npt.ArrayLike, n_gallery: int) -> Floats:
        """The rate of searches, for a person who is not among `n_gallery` rows, that find one within a distance (bits).

        1 - (1 - p) ** n_gallery for the pair rate p: an upper bound, since impostors that one query meets are alike.
        """
        return np.asarray(-np.expm1(n_gallery * np.log1p(-self.pair_rate(distance))))

    def threshold(self, fpir: float, n_gallery: int) -> int:
        """The largest distance (bits) at which at most this share of searches for an absent person gives an answer.

        -1 when there is none: then every answer is "nobody".
        """
        if not 0 < fpir < 1 or n_gallery < 1:
            raise SettingsError(f"expected fpir between 0 and 1 and a gallery of rows, got {fpir} and {n_gallery}")
        pair_rate = -math.expm1(math.log1p(-fpir) / n_gallery)
        return max(math.floor((NormalDist().inv_cdf(pair_rate) - self.tail_offset) / self.tail_slope), -1)

    def probability(self, distance: npt.ArrayLike, n_gallery: int, present: float = 0.5) -> Floats:
        """The probability that a row at a distance (bits) shows the query's person.

        Before the search the person is in the gallery with probability `present`, in any one of its rows.
        """
        if not 0 < present < 1 or n_gallery < 1:
            raise SettingsError(f"expected present between 0 and 1 and a gallery of rows, got {present}, {n_gallery}")
        prior = present / n_gallery
        log_odds = self.offset + self.slope * np.asarray(distance, np.float64) + np.log(prior / (1 - prior))
        return np.asarray(1 / (1 + np.exp(-log_odds.clip(-500, 500))))


def fit_open_set(pairs: PairCounts) -> OpenSet:
    """The calibration from pairs of codes of people that the model was not trained on.

    `DataError` with fewer than 1,000 impostor pairs or fewer than 10 genuine ones: too few for a tail.
    """
    if pairs.impostor.sum() < 1000 or pairs.genuine.sum() < 10:
        raise DataError(
            "expected at least 1,000 pairs of two people and 10 of one to calibrate with, "
            f"got {pairs.impostor.sum()} and {pairs.genuine.sum()}; hold out more identities"
        )
    return OpenSet(*_fit_tail(pairs.impostor), *_fit_logistic(pairs.genuine, pairs.impostor))


def _fit_tail(impostor: Ints) -> tuple[float, float]:
    """Slope and offset of a line through the probits of the shares of impostors within each distance of the tail.

    Least squares, each distance weighted by the inverse variance of its probit, n * phi(z) ** 2 / (p * (1 - p)).
    """
    share = np.cumsum(impostor) / impostor.sum()
    inside = np.flatnonzero((impostor > 0) & (share >= TAIL[0]) & (share <= TAIL[1]))
    if len(inside) < 2:
        raise DataError(
            f"expected impostors at two distances or more among the nearest {TAIL[1]:.0%}, got {len(inside)}; "
            "hold out more identities, or use longer codes"
        )
    p = share[inside]
    z = np.array([NormalDist().inv_cdf(each) for each in p])
    weights = np.exp(-(z**2)) / (p * (1 - p))
    x = inside - np.average(inside, weights=weights)
    slope = float(np.sum(weights * x * z) / np.sum(weights * x**2))
    return slope, float(np.average(z - slope * inside, weights=weights))


def _fit_logistic(genuine: Ints, impostor: Ints, steps: int = 100) -> tuple[float, float]:
    """Slope and offset of the logistic regression of "one person" on the distance, both kinds of pairs weighing alike.

    With equal weights the log-odds are the log of the likelihood ratio. Newton's method; a touch of ridge keeps the
    slope finite when the two kinds do not overlap.
    """
    levels = np.arange(len(genuine), dtype=np.float64)
    weights = np.stack([genuine / genuine.sum(), impostor / impostor.sum()])
    centre = float((weights.sum(axis=0) / 2) @ levels)
    spread = float(np.sqrt((weights.sum(axis=0) / 2) @ (levels - centre) ** 2)) or 1.0
    x = np.stack([(levels - centre) / spread, np.ones_like(levels)])
    beta = np.zeros(2)
    ridge = np.array([1e-6, 0.0])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(beta @ x).clip(-500, 500)))
        gradient = x @ (weights[0] * (1 - p) - weights[1] * p) - ridge * beta
        hessian = (x * (weights.sum(axis=0) * p * (1 - p))) @ x.T + np.diag(ridge)
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    slope = float(beta[0] / spread)
    return slope, float(beta[1] - slope * centre)
