"""Thresholds for attributes: above which probability a person is said to have each, so that rare ones are told, too.

A network says of a rare attribute with little probability that a picture shows it, even where it does, and one
threshold of 1/2 for all misses most of them. The balanced accuracy of a calibrated probability is best at the
attribute's share of all pictures. Networks are not calibrated, and held-out people have few examples of each
attribute; so two numbers are fitted on them for all attributes together, which say how the threshold follows the share.
"""

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Floats, Floats32, Ints, Labels
from bitreid.data.attributes import UNKNOWN_LABEL
from bitreid.errors import DataError

_SLOPES = np.linspace(0, 2, 21)
_SHIFTS = np.linspace(-2, 2, 41)
_SURE = 0.002
"""Balanced accuracy by which one pair of numbers has to be better than another to count e times as much."""


def fit_attribute_thresholds(probabilities: Floats32, labels: Labels, train_labels: Labels) -> tuple[float, ...]:
    """Return a threshold between 0 and 1 for each attribute, at which held-out people's balanced accuracy is best.

    `probabilities (n, A)` and `labels (n, A) int8` (1, 0, or -1 for unknown, which changes nothing) are of pictures of
    people whom the model was not trained on, `train_labels (m, A)` of those that it was trained on. The logit of a
    threshold is slope * logit(share) + shift for the attribute's share among the training pictures; slope and shift are
    means over a grid, weighted by exp(mean balanced accuracy / `_SURE`). Without labels that differ, the threshold is
    the share. `DataError` for arrays that do not fit together.
    """
    if probabilities.shape != labels.shape or train_labels.shape[1:] != labels.shape[1:]:
        raise DataError(
            f"expected labels of shape {probabilities.shape} and training labels of as many attributes, "
            f"got {labels.shape} and {train_labels.shape}"
        )
    shares = ((train_labels == 1).sum(axis=0) + 0.5) / ((train_labels != UNKNOWN_LABEL).sum(axis=0) + 1)
    logits, usual = _logit(probabilities), _logit(shares)
    tried = (_SLOPES[:, None, None] * usual + _SHIFTS[:, None]).reshape(-1, len(usual))
    scores = [
        _balanced(logits[:, bit], labels[:, bit], tried[:, bit])
        for bit in range(len(usual))
        if {0, 1} <= set(labels[:, bit].tolist())
    ]
    mean = np.mean(scores, axis=0) if scores else np.zeros(len(tried))
    weights = np.exp((mean - mean.max()) / _SURE).reshape(len(_SLOPES), len(_SHIFTS))
    weights /= weights.sum()
    slope, shift = float(weights.sum(axis=1) @ _SLOPES), float(weights.sum(axis=0) @ _SHIFTS)
    return tuple((1 / (1 + np.exp(-(slope * usual + shift)))).clip(1e-6, 1 - 1e-6).tolist())


def balanced_accuracies(values: Floats32, labels: Labels, thresholds: npt.ArrayLike) -> Floats:
    """Return (recall of ones + recall of zeros) / 2 of each attribute, `(A,)`; NaN for one without both labels.

    `values (n, A)` are probabilities or logits: an attribute is told where they are above the threshold.
    `labels (n, A)` are 1, 0 or -1 for unknown, which changes nothing. `thresholds` are `(A,)`, one for all, or
    `(n, A)`.
    """
    told = values > np.asarray(thresholds)
    scores = np.full(labels.shape[1], np.nan)
    for bit in range(labels.shape[1]):
        ones, zeros = labels[:, bit] == 1, labels[:, bit] == 0
        if ones.any() and zeros.any():
            scores[bit] = (told[ones, bit].mean() + (~told[zeros, bit]).mean()) / 2
    return scores


def cross_validated_thresholds(
    probabilities: Floats32, labels: Labels, train_labels: Labels, pids: Ints, n_folds: int = 10, seed: int = 0
) -> Floats:
    """Return for each picture the thresholds `(n, A)` that were fitted on other people: each is in one of the folds."""
    people, who = np.unique(pids, return_inverse=True)
    folds = (np.random.default_rng(seed).permutation(len(people)) % n_folds)[who]
    thresholds = np.empty(labels.shape)
    for fold in np.unique(folds):
        others = folds != fold
        thresholds[~others] = fit_attribute_thresholds(probabilities[others], labels[others], train_labels)
    return thresholds


def _logit(p: Floats | Floats32) -> Floats:
    clipped = np.asarray(p, np.float64).clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _balanced(logits: Floats, labels: Labels, thresholds: Floats) -> Floats:
    """Return the balanced accuracy of one attribute at each of many thresholds."""
    ones, zeros = np.sort(logits[labels == 1]), np.sort(logits[labels == 0])
    missed = np.searchsorted(ones, thresholds, side="right") / len(ones)
    rejected = np.searchsorted(zeros, thresholds, side="right") / len(zeros)
    return np.asarray((1 - missed + rejected) / 2)
