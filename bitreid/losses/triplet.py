"""Batch-hard triplet loss (Hermans et al., "In Defense of the Triplet Loss", 2017)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def triplet_loss(descriptors: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    """Return the mean hinge over anchors of hardest positive minus hardest negative, a scalar.

    Distances are Euclidean between descriptors of unit length, so that `margin` means the same for every
    code length: for binary codes the squared distance is 4 * Hamming / n_bits. An anchor without another
    picture of its identity, or without one of another identity, is left out; with no anchor left the loss is 0.

    descriptors  (N, n_bits) float
    labels       (N,) int64
    """
    unit = F.normalize(descriptors.float(), dim=1)
    squared = (2 - 2 * unit @ unit.T).clamp(min=0)
    distances = (squared + 1e-12).sqrt()  # (N, N); the square root has no gradient at 0
    same = labels[:, None] == labels[None, :]
    other_same = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    hardest_positive = distances.masked_fill(~other_same, -torch.inf).amax(1)
    hardest_negative = distances.masked_fill(same, torch.inf).amin(1)
    valid = other_same.any(1) & (~same).any(1)
    hinge = F.relu(hardest_positive - hardest_negative + margin)[valid]
    return hinge.mean() if len(hinge) else distances.sum() * 0
