"""Metrics of open-set recognition: is the nearest picture near enough to show the same person?

All of them come from counts of pairs by distance: *genuine* pairs show one person, *impostor* pairs two. `verify`
scores thresholds on single pairs, `identify` on searches of a whole gallery. (`calibration` chooses the threshold that
an artifact stores, from training identities that were held out.)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Features, Floats, Ints, Numbers
from bitreid.codes import Codes
from bitreid.data.manifest import DISTRACTOR
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation.comparison import CosineComparison, check_features
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.ranking import query_chunks
from bitreid.hamming import distance_blocks

Blocks = Callable[[slice], Iterator[tuple[slice, npt.NDArray[np.integer]]]]

_COSINE_LEVELS = 4096
_GALLERY_BLOCK = 4096


@dataclass(frozen=True)
class PairCounts:
    """How many pairs of a query and a gallery row lie at each distance.

    genuine, impostor  (n_levels,) int64: pairs at the distances 0, 1, ... times `unit`. Pairs that the protocol leaves
                       out (junk, unknown identities, the query's own camera) are in neither; a distractor is an
                       impostor
    nearest_genuine    (n_searches,) int64, the level of the nearest match of each search; n_levels without one
    nearest_impostor   (n_searches,) int64, the same for the nearest impostor
    first_is_right     (n_searches,) float64, the chance that the first row of a search is a match: 1 if a match is
                       nearest, and the share of matches where matches and impostors tie
    n_gallery          rows of the gallery
    unit               distance of a level: 1 bit for codes; 1/4096 for features, whose cosine distances are rounded up
    """

    genuine: Ints
    impostor: Ints
    nearest_genuine: Ints
    nearest_impostor: Ints
    first_is_right: Floats
    n_gallery: int
    unit: float

    @property
    def rows(self) -> float:
        """Matches of a search for somebody who has any, on average; 1 without any."""
        n_present = int((self.nearest_genuine < len(self.genuine)).sum())
        return float(self.genuine.sum() / n_present) if n_present else 1.0


def count_pairs(queries: Codes | Features, gallery: Codes | Features, protocol: Protocol) -> PairCounts:
    """Count the pairs of queries and gallery rows at each distance, and find each query's nearest rows.

    Queries that are junk or of unknown identity are left out; a distractor as a query is a person who is not in the
    gallery.
    Codes by Hamming distance, features `(n, d)` by cosine distance. `DataError` if a side has another number of rows
    than the protocol, or there is no genuine or no impostor pair; `CodesError` if the sides do not fit together.
    """
    protocol.check_rows(len(queries), len(gallery))
    known = np.flatnonzero(protocol.query_pids >= DISTRACTOR)
    queries = queries[known]
    protocol = replace(protocol, query_pids=protocol.query_pids[known], query_camids=protocol.query_camids[known])
    blocks, n_levels, unit = _blocks_of(queries, gallery)
    outside = n_levels  # a level for what takes no part
    counts = np.zeros((2, n_levels + 1), np.int64)
    nearest = np.full((2, len(queries)), outside, np.int64)
    ties = np.zeros((2, len(queries)), np.int64)
    for rows in query_chunks(len(queries), len(gallery)):
        match, left_out = protocol.masks(rows)
        for columns, levels in blocks(rows):
            for kind, takes_part in enumerate((match[:, columns], ~match[:, columns] & ~left_out[:, columns])):
                found = np.where(takes_part, levels, outside)
                counts[kind] += np.bincount(found.ravel(), minlength=n_levels + 1)
                _keep_nearest(found, nearest[kind, rows], ties[kind, rows])
    genuine, impostor = counts[:, :-1]
    if not genuine.any() or not impostor.any():
        raise DataError(
            "expected pairs of one person and pairs of two people, "
            f"got {genuine.sum()} and {impostor.sum()}; check identities and cameras"
        )
    tied = ties[0] / np.maximum(ties.sum(axis=0), 1)
    first = np.where(nearest[0] == nearest[1], tied, nearest[0] < nearest[1])
    return PairCounts(genuine, impostor, nearest[0], nearest[1], first, len(gallery), unit)


def _blocks_of(queries: Codes | Features, gallery: Codes | Features) -> tuple[Blocks, int, float]:
    """Return blocks of levels for some queries, the number of levels, and the distance of one."""
    if isinstance(queries, Codes) and isinstance(gallery, Codes):
        return (lambda rows: distance_blocks(queries[rows], gallery)), queries.n_bits + 1, 1.0
    if isinstance(queries, Codes) or isinstance(gallery, Codes):
        raise CodesError("expected codes on both sides or features on both sides, got one of each")
    check_features(queries, gallery)
    cosine = CosineComparison.of(queries, gallery)
    return (lambda rows: _cosine_blocks(cosine.distances(rows)[0])), 2 * _COSINE_LEVELS + 1, 1 / _COSINE_LEVELS


def _cosine_blocks(distances: Numbers) -> Iterator[tuple[slice, npt.NDArray[np.integer]]]:
    """Yield runs of gallery rows, and the levels of the cosine `distances (n_queries, n_gallery)` to them."""
    for start in range(0, distances.shape[1], _GALLERY_BLOCK):
        columns = slice(start, start + _GALLERY_BLOCK)
        yield columns, np.ceil(distances[:, columns] * _COSINE_LEVELS).astype(np.int64)


def _keep_nearest(found: Ints, nearest: Ints, ties: Ints) -> None:
    """Update each query's nearest level, and how many rows are at it, from a block of levels; in place."""
    best = found.min(axis=1)
    at_best = (found == best[:, None]).sum(axis=1)
    ties[:] = np.where(best < nearest, at_best, np.where(best == nearest, ties + at_best, ties))
    nearest[:] = np.minimum(nearest, best)


@dataclass(frozen=True)
class Verification:
    """How well thresholds on single pairs tell pairs of one person from pairs of two.

    rates       the requested false positive rates
    tpr         for each, the share of genuine pairs within the largest distance at which the false positive rate is at
                most that; 0 if even the nearest impostors are too many
    thresholds  those distances; negative where there is none
    d_prime     difference of the two mean distances, in deviations: (mean impostor - mean genuine) / sqrt(mean of both
                variances); infinite if nothing varies
    fpr_curve, tpr_curve  (n_levels,) the ROC: both rates at the thresholds 0, 1, ... times the unit
    """

    rates: tuple[float, ...]
    tpr: tuple[float, ...]
    thresholds: tuple[float, ...]
    d_prime: float
    fpr_curve: Floats
    tpr_curve: Floats


def verify(pairs: PairCounts, rates: Sequence[float] = (1e-2, 1e-3, 1e-4)) -> Verification:
    """Return the ROC, the TPR at some false positive rates, and d'. `SettingsError` for a rate outside 0..1."""
    _check_rates(rates)
    fpr, tpr = (np.cumsum(counts) / counts.sum() for counts in (pairs.impostor, pairs.genuine))
    last = [int(np.searchsorted(fpr, rate, side="right")) - 1 for rate in rates]
    means, variances = zip(*(_moments(counts) for counts in (pairs.genuine, pairs.impostor)), strict=True)
    spread = np.sqrt(sum(variances) / 2)
    difference = means[1] - means[0]
    return Verification(
        tuple(rates),
        tuple(float(tpr[level]) if level >= 0 else 0.0 for level in last),
        tuple(level * pairs.unit for level in last),
        float(difference / spread) if spread else float(np.copysign(np.inf, difference)) if difference else 0.0,
        fpr,
        tpr,
    )


def _moments(counts: Ints) -> tuple[float, float]:
    levels = np.arange(len(counts))
    mean = float(np.average(levels, weights=counts))
    return mean, float(np.average((levels - mean) ** 2, weights=counts))


def _check_rates(rates: Sequence[float]) -> None:
    wrong = [rate for rate in rates if not 0 < rate < 1]
    if wrong:
        raise SettingsError(f"expected rates between 0 and 1, got {wrong[0]}")


@dataclass(frozen=True)
class Identification:
    """How well thresholds work in searches of `n_gallery` rows, for people who are in the gallery and who are not.

    Each query is searched twice: with its matches, and with its matches taken out of the gallery.

    fpir        the requested false positive identification rates: the share of searches for a person who is not in the
                gallery that give an answer
    dir         for each, the detection and identification rate: the share of searches for a person who is in the
                gallery whose first row is right and within the threshold (in ties, the expected share)
    thresholds  the largest distances at which the FPIR is at most the requested one; negative where there is none
    n_absent, n_present  the numbers of searches behind the two rates; n_present queries have a match
    fpir_curve, dir_curve  (n_levels,) both rates at the thresholds 0, 1, ... times the unit
    """

    n_gallery: int
    fpir: tuple[float, ...]
    dir: tuple[float, ...]
    thresholds: tuple[float, ...]
    n_absent: int
    n_present: int
    fpir_curve: Floats
    dir_curve: Floats


def identify(pairs: PairCounts, rates: Sequence[float] = (0.1, 0.01)) -> Identification:
    """Return the DIR at some FPIRs, for the gallery that the pairs come from. `SettingsError` for a rate outside 0..1.

    An FPIR can be measured in steps of one search.
    """
    _check_rates(rates)
    n_levels = len(pairs.genuine)
    fpir = np.cumsum(np.bincount(pairs.nearest_impostor, minlength=n_levels + 1)[:-1]) / len(pairs.nearest_impostor)
    present = pairs.nearest_genuine < n_levels
    found = np.bincount(pairs.nearest_genuine[present], weights=pairs.first_is_right[present], minlength=n_levels)
    dir_curve = np.cumsum(found) / present.sum()
    last = [int(np.searchsorted(fpir, rate, side="right")) - 1 for rate in rates]
    return Identification(
        pairs.n_gallery,
        tuple(rates),
        tuple(float(dir_curve[level]) if level >= 0 else 0.0 for level in last),
        tuple(level * pairs.unit for level in last),
        len(present),
        int(present.sum()),
        fpir,
        dir_curve,
    )
