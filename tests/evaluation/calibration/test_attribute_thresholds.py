"""Thresholds of attributes: by hand, against every one tried, and on people who were not fitted."""

import numpy as np
import pytest

from bitreid.arrays import Floats32, Ints, Labels
from bitreid.errors import DataError
from bitreid.evaluation.calibration.attribute_thresholds import (
    balanced_accuracies,
    cross_validated_thresholds,
    fit_attribute_thresholds,
)
from tests.reference import calibration as twin


def pictures(seed: int, n_people: int = 40, n_each: int = 5) -> tuple[Floats32, Labels, Ints]:
    """Probabilities, labels and people: of five attributes the last are ever rarer, and told ever less surely."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.2, 0.1, 0.05])
    pids = np.repeat(np.arange(n_people) + 1, n_each)
    labels = (rng.random((n_people, 5)) < shares).astype(np.int8)[pids - 1]
    logits = np.where(labels == 1, 1.5, -1.5) + np.log(shares / (1 - shares)) + rng.normal(0, 1.2, labels.shape)
    labels[rng.random(labels.shape) < 0.05] = -1
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels, pids


def test_balanced_accuracies_by_hand() -> None:
    logits = np.array([[1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1]], np.float32)
    labels = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, -1, 1]], np.int8)
    # Bit 0: 2 of 3 ones, 1 of 1 zeros. Bit 1: 1 of 2 ones, 1 of 1 zeros. Bit 2 has no zeros.
    expected = [(2 / 3 + 1) / 2, (1 / 2 + 1) / 2, np.nan]
    assert balanced_accuracies(logits, labels, 0) == pytest.approx(expected, nan_ok=True)
    logits[3, 1] = -5
    assert balanced_accuracies(logits, labels, 0) == pytest.approx(expected, nan_ok=True), "unknown"
    assert balanced_accuracies(logits, labels, np.array([-2, 2, 0]))[:2].tolist() == [0.5, 0.5], "all told, none told"


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_are_the_mean_of_all_that_were_tried(seed: int) -> None:
    probabilities, labels, _ = pictures(seed, 12, 3)
    training = pictures(seed + 10)[1]
    shares = [((column == 1).sum() + 0.5) / ((column >= 0).sum() + 1) for column in training.T]
    expected = twin.attribute_threshold(probabilities.tolist(), labels.tolist(), shares, 0.002)
    assert fit_attribute_thresholds(probabilities, labels, training) == pytest.approx(expected, rel=1e-4)


def test_rare_attributes_are_told_on_other_people() -> None:
    """One threshold of a half for all tells few of them."""
    (fitted, labels, _), training, (others, truth, _) = pictures(0), pictures(1, 400)[1], pictures(2, 400)
    thresholds = fit_attribute_thresholds(fitted, labels, training)
    assert list(thresholds) == sorted(thresholds, reverse=True), "the rarer, the lower"
    usual, own = (float(balanced_accuracies(others, truth, each).mean()) for each in (0.5, thresholds))
    assert own > usual + 0.05


def test_without_labels_the_share_decides() -> None:
    probabilities, labels, _ = pictures(0)
    training = np.array([[1, 0], [1, 0], [1, 1], [0, -1]], np.int8)
    nothing = np.full_like(labels[:, :2], -1)
    expected = (3.5 / 5, 1.5 / 4)
    assert fit_attribute_thresholds(probabilities[:, :2], nothing, training) == pytest.approx(expected, abs=1e-6)
    assert fit_attribute_thresholds(probabilities[:0, :2], nothing[:0], training) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(DataError, match=r"expected labels of shape \(200, 2\)"):
        fit_attribute_thresholds(probabilities[:, :2], labels, training)


def test_nobody_is_judged_by_thresholds_fitted_on_him() -> None:
    probabilities, labels, pids = pictures(0, 6)
    training = pictures(1)[1]
    crossed = cross_validated_thresholds(probabilities, labels, training, pids, n_folds=6)
    for pid in np.unique(pids):
        others = pids != pid
        expected = fit_attribute_thresholds(probabilities[others], labels[others], training)
        assert crossed[~others].tolist() == [list(expected)] * 5
