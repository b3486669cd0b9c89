"""The loss of nested codes: every prefix keeps the similarities of the long code's real values."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def nested_loss(
    signs: Tensor,
    similarities: Tensor,
    lengths: Sequence[int],
    scales: Tensor,
    temperatures: Sequence[float],
    cosine_weights: Sequence[float],
) -> Tensor:
    """Return how much of a batch's similarities the prefixes of its codes lose, a scalar: the mean over prefixes.

    For each prefix, the cross-entropy from who is near whom by `similarities` (their softmax at the prefix's
    temperature) to who is near by the prefix (the softmax of its scaled cosines), and the weighted mean squared
    difference of the two. Long codes teach short ones (after Passalis and Tefas, Learning Deep Representations with
    Probabilistic Knowledge Transfer, ECCV 2018); a picture is never its own neighbour.

    signs           (N, n_bits) float: +-1, with a gradient that passes straight through
    similarities    (N, N) float: cosines of the real values
    lengths         ascending, in bits
    scales          (len(lengths),) float: learned, the logarithm of what multiplies a prefix's cosines
    temperatures    one a length; short prefixes look at the nearest few
    cosine_weights  one a length
    """
    own = torch.eye(len(signs), dtype=torch.bool, device=signs.device)
    total, dots, start = signs.new_zeros(()), signs.new_zeros(()), 0
    for i, (length, temperature, weight) in enumerate(zip(lengths, temperatures, cosine_weights, strict=True)):
        run = signs[:, start:length]
        dots, start = dots + run @ run.T, length
        cosines = dots / length
        near = F.softmax((similarities / temperature).masked_fill(own, -torch.inf), dim=1)
        found = F.log_softmax((scales[i].exp() * cosines).masked_fill(own, -torch.inf), dim=1)
        total = total - (near * found.masked_fill(own, 0)).sum(1).mean()
        if weight:
            total = total + weight * (cosines - similarities).square().mean()
    return total / len(lengths)
