"""Validation on held-out training identities."""

import numpy as np
import numpy.typing as npt

from bitreid.codes import pack
from bitreid.evaluation.ranking import evaluate_ranking
from bitreid.models import HashingNetwork
from bitreid.training.engine import TorchEngine
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task


def validate(recipe: Recipe, task: Task, network: HashingNetwork) -> dict[str, float]:
    """Scores on the held-out identities, by name, each starting with `val_`.

    rank1, mAP of the code and of the float feature; with a teacher its bit agreement with the student and the
    student's mean | |s| - 1 |; with attributes their balanced accuracy, the mean over bits that have both values
    (left out if no bit has).
    """
    engine = TorchEngine(network, recipe.input)
    rows = np.concatenate([task.split.query, task.split.gallery])
    features, logits, teacher = engine(task.pictures[rows])
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
    if teacher is not None:
        scores["val_agreement"] = float(((features > 0) == (teacher > 0)).mean())
        scores["val_gap"] = float(np.abs(np.abs(features) - 1).mean())
        scores["val_teacher_mAP"] = evaluate_ranking(pack(teacher[:n]), pack(teacher[n:]), *people).expected.mAP
    if logits is not None:
        accuracy = balanced_accuracy(logits, task.labels[rows])
        scores |= {} if np.isnan(accuracy) else {"val_attribute_accuracy": accuracy}
    return scores


def balanced_accuracy(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int8]) -> float:
    """The mean over bits of (recall of ones + recall of zeros) / 2; bits without both values are left out.

    NaN if every bit is left out. logits (n, A); labels (n, A): 1, 0 or -1 for unknown, which changes nothing.
    """
    predicted = logits > 0
    ones, zeros = labels == 1, labels == 0
    live = (ones.sum(0) > 0) & (zeros.sum(0) > 0)
    recall = (predicted & ones).sum(0)[live] / ones.sum(0)[live]
    rejection = (~predicted & zeros).sum(0)[live] / zeros.sum(0)[live]
    return float(((recall + rejection) / 2).mean()) if live.any() else float("nan")
