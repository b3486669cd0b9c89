"""Scores of held-out training identities while a network trains, and at the end its calibration and coarse code."""

from dataclasses import replace

import numpy as np

from bitreid.arrays import Floats32, Ints, Labels
from bitreid.artifact import Card
from bitreid.codes import nested_lengths, pack
from bitreid.encoding.calibrating import MOST_OTHERS, calibrated_on, spaced
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.engine import Engine, MirrorAveraged
from bitreid.errors import DataError
from bitreid.evaluation.calibration.attribute_thresholds import (
    balanced_accuracies,
    cross_validated_thresholds,
    fit_attribute_thresholds,
)
from bitreid.evaluation.ranking import evaluate_ranking
from bitreid.models import HashingNetwork
from bitreid.training.engine import TorchEngine
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task


def validate(recipe: Recipe, task: Task, network: HashingNetwork) -> dict[str, float]:
    """Return scores on the held-out identities, by name, each starting with `val_`.

    rank1, mAP of the code and of the float feature; with a teacher its bit agreement with the student and the
    student's mean | |s| - 1 |; with attributes their balanced accuracy, the mean over bits that have both values
    (left out if no bit has).
    """
    rows = task.held_out
    features, logits, teacher = _engine_of(recipe, network)(task.pictures[rows])
    n = len(task.split.query)
    pids, camids = task.manifest.pids[rows], task.manifest.camids[rows]
    people = (pids[:n], camids[:n], pids[n:], camids[n:])
    code = evaluate_ranking(pack(features[:n]), pack(features[n:]), *people).expected
    floats = evaluate_ranking(features[:n], features[n:], *people).expected
    scores = {
        "val_rank1": code.rank1,
        "val_mAP": code.mAP,
        "val_float_rank1": floats.rank1,
        "val_float_mAP": floats.mAP,
    }
    if teacher is not None and network.nested is None:  # a nested code has other bits than the teacher's
        scores["val_agreement"] = float(((features > 0) == (teacher > 0)).mean())
        scores["val_gap"] = float(np.abs(np.abs(features) - 1).mean())
        scores["val_teacher_mAP"] = evaluate_ranking(pack(teacher[:n]), pack(teacher[n:]), *people).expected.mAP
    if logits is not None:
        accuracies = balanced_accuracies(logits, task.labels[rows], 0)
        if not np.isnan(accuracies).all():
            scores["val_attribute_accuracy"] = float(np.nanmean(accuracies))
    return scores


def validate_lengths(recipe: Recipe, task: Task, network: HashingNetwork) -> dict[str, dict[str, float]]:
    """Return rank1 and mAP of each of a nested code's prefixes on the held-out identities, by its number of bits.

    Without held-out identities the prefixes have no scores.
    """
    rows, n = task.held_out, len(task.split.query)
    lengths = nested_lengths(recipe.network.n_bits)
    if not n:
        return {str(length): {} for length in lengths}
    codes = pack(_engine_of(recipe, network)(task.pictures[rows]).features)
    pids, camids = task.manifest.pids[rows], task.manifest.camids[rows]
    scores = {}
    for length in lengths:
        query, gallery = codes[:n].prefix(length), codes[n:].prefix(length)
        found = evaluate_ranking(query, gallery, pids[:n], camids[:n], pids[n:], camids[n:]).expected
        scores[str(length)] = {"rank1": found.rank1, "mAP": found.mAP}
    return scores


def _engine_of(recipe: Recipe, network: HashingNetwork) -> Engine:
    """Return what runs the network as an encoder of its artifact will."""
    engine = TorchEngine(network, recipe.input)
    return MirrorAveraged(engine) if recipe.input.flip else engine


def calibrated(card: Card, task: Task, network: HashingNetwork) -> Card:
    """Return the card with what the held-out identities say: thresholds of attributes, and a calibration where they are
    enough.

    Pictures of the training identities are searched for them, at most `MOST_OTHERS`, evenly spaced.
    """
    rows = task.held_out
    if not len(rows):
        return card
    encoder = Encoder(card, TorchEngine(network, card.input))
    held_out = encoder.encode(task.pictures[rows])
    if held_out.attributes is not None:
        labels, pids = (task.labels[rows], task.labels[task.split.train]), task.manifest.pids[rows]
        card = with_attribute_thresholds(card, held_out.attributes, *labels, pids)
    train = task.split.train[spaced(len(task.split.train), MOST_OTHERS)]
    try:
        return calibrated_on(card, held_out, task.manifest.take(rows), encoder.encode(task.pictures[train]))
    except DataError:
        return card


def with_attribute_thresholds(
    card: Card, probabilities: Floats32, labels: Labels, train_labels: Labels, pids: Ints
) -> Card:
    """Return the card with a threshold for each attribute, above which a person is said to have it.

    The arguments are those of `fit_attribute_thresholds`; `pids (n,)` say whom the pictures show. The balanced accuracy
    in the card's metrics is cross-validated over people.
    """
    thresholds = fit_attribute_thresholds(probabilities, labels, train_labels)
    crossed = cross_validated_thresholds(probabilities, labels, train_labels, pids)
    accuracies = balanced_accuracies(probabilities, labels, crossed)
    metrics = card.metrics
    if not np.isnan(accuracies).all():
        metrics = metrics | {"val_attribute_accuracy": float(np.nanmean(accuracies))}
    return replace(card, attribute_thresholds=thresholds, metrics=metrics)
