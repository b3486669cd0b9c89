"""What the report computes, by counting one thing at a time."""

from collections.abc import Sequence


def share_between(distances: Sequence[float], low: float, high: float) -> float:
    """The share of distances from `low` (with it) to `high` (without)."""
    inside = 0
    for distance in distances:
        if low <= distance < high:
            inside += 1
    return inside / len(distances)


def attribute_scores(told: Sequence[int], labels: Sequence[int]) -> tuple[float, float | None, int, int]:
    """Accuracy, balanced accuracy, positives and labelled pictures of one attribute; a label of -1 is unknown."""
    right = {0: 0, 1: 0}
    count = {0: 0, 1: 0}
    for answer, label in zip(told, labels, strict=True):
        if label == -1:
            continue
        count[label] += 1
        if answer == label:
            right[label] += 1
    n = count[0] + count[1]
    accuracy = (right[0] + right[1]) / n
    if count[0] == 0 or count[1] == 0:
        return accuracy, None, count[1], n
    return accuracy, (right[0] / count[0] + right[1] / count[1]) / 2, count[1], n
