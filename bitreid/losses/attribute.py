"""Attribute loss: binary cross-entropy over the labels that are known."""

import torch
from torch import Tensor
from torch.nn import functional as F


def attribute_loss(logits: Tensor, labels: Tensor, positive_weights: Tensor | None = None) -> Tensor:
    """Return the mean binary cross-entropy over known labels, a scalar; 0 when none is known.

    logits            (N, A) float
    labels            (N, A) integer: 1, 0, or -1 for unknown, which changes nothing
    positive_weights  (A,) float, the weight of a bit's positive labels (rare bits weigh more), or None
    """
    known = labels >= 0
    targets = labels.clamp(min=0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=positive_weights, reduction="none")
    return torch.where(known, each, 0).sum() / known.sum().clamp(min=1)


def positive_weights(labels: Tensor, most: float = 5.0) -> Tensor:
    """Return weights `(A,)` for positive labels: the square root of negatives / positives, within 1 / `most` .. `most`.

    labels  (m, A) integer, one row a training picture: 1, 0, or -1 for unknown
    """
    positives = (labels == 1).sum(0).clamp(min=1).float()
    negatives = (labels == 0).sum(0).clamp(min=1).float()
    return (negatives / positives).sqrt().clamp(1 / most, most)
