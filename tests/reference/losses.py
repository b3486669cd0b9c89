"""The losses in plain floats: loops over pictures, bits and pairs, from each loss's definition."""

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def identity_loss(logits: Sequence[Rows], labels: Sequence[int], smoothing: float) -> float:
    """Mean over embeddings and pictures of the cross-entropy between a softened one-hot target and the softmax."""
    losses = []
    for embedding in logits:
        for row, label in zip(embedding, labels, strict=True):
            total = sum(math.exp(value) for value in row)
            loss = 0.0
            for klass, value in enumerate(row):
                target = smoothing / len(row)
                if klass == label:
                    target += 1 - smoothing
                loss -= target * math.log(math.exp(value) / total)
            losses.append(loss)
    return mean(losses)


def triplet_loss(descriptors: Rows, labels: Sequence[int], margin: float) -> float:
    """Mean over anchors with both of max(0, furthest of the same identity - nearest of another + margin); else 0."""
    unit = []
    for row in descriptors:
        length = math.hypot(*row)
        unit.append([value / length for value in row])
    losses = []
    for anchor, label in enumerate(labels):
        furthest, nearest = None, None
        for other in range(len(labels)):
            distance = math.dist(unit[anchor], unit[other])
            if other == anchor:
                continue
            if labels[other] == label:
                furthest = distance if furthest is None else max(furthest, distance)
            else:
                nearest = distance if nearest is None else min(nearest, distance)
        if furthest is not None and nearest is not None:
            losses.append(max(0.0, furthest - nearest + margin))
    return mean(losses) if losses else 0.0


def attribute_loss(logits: Rows, labels: Sequence[Sequence[int]], weights: Sequence[float]) -> float:
    """Mean over known labels of -log of the probability given to the label, a positive one times its bit's weight."""
    losses = []
    for row, truth in zip(logits, labels, strict=True):
        for value, label, weight in zip(row, truth, weights, strict=True):
            probability = 1 / (1 + math.exp(-value))
            if label == 1:
                losses.append(-weight * math.log(probability))
            elif label == 0:
                losses.append(-math.log(1 - probability))
    return mean(losses) if losses else 0.0


def positive_weights(labels: Sequence[Sequence[int]], most: float) -> list[float]:
    """Per bit sqrt(zeros / ones), neither counted as less than 1, kept within 1 / most and most."""
    weights = []
    for bit in range(len(labels[0])):
        column = [row[bit] for row in labels]
        weight = math.sqrt(max(column.count(0), 1) / max(column.count(1), 1))
        weights.append(sorted((1 / most, weight, most))[1])
    return weights


def sign(value: float) -> float:
    return 1.0 if value > 0 else -1.0


def ssr_loss(student: Rows, teacher: Rows) -> float:
    """Mean over bits of |student - sign of the teacher|."""
    return mean([abs(s - sign(t)) for a, b in zip(student, teacher, strict=True) for s, t in zip(a, b, strict=True)])


def consensus(teacher: Rows, labels: Sequence[int]) -> list[list[float]]:
    """Each picture's row replaced by the mean row of its identity."""
    rows = []
    for label in labels:
        own = [row for row, other in zip(teacher, labels, strict=True) if other == label]
        rows.append([mean(column) for column in zip(*own, strict=True)])
    return rows


def bit_agreement(student: Rows, teacher: Rows) -> float:
    """How many of all bits have the same sign in both, as a share."""
    pairs = [(s, t) for a, b in zip(student, teacher, strict=True) for s, t in zip(a, b, strict=True)]
    return sum(1 for s, t in pairs if sign(s) == sign(t)) / len(pairs)


def binary_gap(student: Rows) -> float:
    """Mean distance from each value to the nearer of -1 and +1."""
    return mean([min(abs(value - 1), abs(value + 1)) for row in student for value in row])


def softmax(values: Sequence[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def distillation_loss(student: Rows, teacher: Rows) -> float:
    """Mean over pairs of pictures of (cosine of the student's - cosine of the teacher's) squared."""
    differences = [
        cosine(student[i], student[j]) - cosine(teacher[i], teacher[j])
        for i in range(len(student))
        for j in range(len(student))
    ]
    return mean([difference**2 for difference in differences])
