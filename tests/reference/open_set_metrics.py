"""Twin of `bitreid.evaluation.open_set_metrics`: lists of distances, and every threshold tried one after another."""

import math
from collections.abc import Sequence
from statistics import fmean, pvariance

from tests.reference.ranking import RIGHT, WRONG, verdicts


def split_pairs(
    distances: Sequence[Sequence[float]],
    query_pids: Sequence[int],
    query_camids: Sequence[int],
    gallery_pids: Sequence[int],
    gallery_camids: Sequence[int],
) -> list[tuple[list[float], list[float]]]:
    """For each query whose person is known: the distances of its matches, and of other people."""
    found = []
    for row, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        if pid >= 0:
            verdict = verdicts(pid, camid, gallery_pids, gallery_camids)
            right, wrong = (
                [d for d, each in zip(row, verdict, strict=True) if each == kind] for kind in (RIGHT, WRONG)
            )
            found.append((right, wrong))
    return found


def tpr_at(
    genuine: Sequence[float], impostor: Sequence[float], rate: float, levels: Sequence[float]
) -> tuple[float, float]:
    """True positive rate and threshold at the largest of the levels whose false positive rate is at most `rate`."""
    best = (0.0, -1.0)
    for level in levels:
        if fmean(float(d <= level) for d in impostor) <= rate:
            best = (fmean(float(d <= level) for d in genuine), level)
    return best


def d_prime(genuine: Sequence[float], impostor: Sequence[float]) -> float:
    """The distance of the means, in root-mean-square deviations."""
    spread = math.sqrt((pvariance(genuine) + pvariance(impostor)) / 2)
    return (fmean(impostor) - fmean(genuine)) / spread


def dir_at(
    searches: Sequence[tuple[list[float], list[float]]], rate: float, levels: Sequence[float]
) -> tuple[float, float]:
    """DIR and threshold at the largest of the levels at which at most `rate` of the searches for the absent answer."""
    best = (0.0, -1.0)
    for level in levels:
        alarms = fmean(float(any(d <= level for d in wrong)) for _, wrong in searches)
        if alarms <= rate:
            found = []
            for right, wrong in searches:
                if right:
                    nearest = min(right + wrong)
                    chance = right.count(nearest) / (right + wrong).count(nearest)
                    found.append(chance if nearest <= level else 0.0)
            best = (fmean(found), level)
    return best
