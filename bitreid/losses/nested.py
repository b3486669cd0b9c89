"""The losses of nested codes: every prefix keeps the similarities of the long code's real values, and who is who."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def similarity_loss(
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
    scales          (len(lengths),) float: the logarithm of what multiplies a prefix's cosines, learned
    temperatures    one a length; short prefixes look at the nearest few
    cosine_weights  one a length
    """
    own = torch.eye(len(signs), dtype=torch.bool, device=signs.device)
    losses, dots, start = [], signs.new_zeros(()), 0
    for i, (length, temperature, weight) in enumerate(zip(lengths, temperatures, cosine_weights, strict=True)):
        run = signs[:, start:length]
        dots, start = dots + run @ run.T, length
        cosines = dots / length
        near = F.softmax((similarities / temperature).masked_fill(own, -torch.inf), dim=1)
        found = F.log_softmax((scales[i].exp() * cosines).masked_fill(own, -torch.inf), dim=1)
        loss = -(near * found.masked_fill(own, 0)).sum(1).mean()
        losses.append(loss + weight * (cosines - similarities).square().mean())
    return torch.stack(losses).mean()


def prefix_identity_loss(
    signs: Tensor,
    centres: Tensor,
    labels: Tensor,
    lengths: Sequence[int],
    weights: Sequence[float],
    scale: float = 16.0,
    margin: float = 0.15,
) -> Tensor:
    """Return the weighted mean over prefixes of the cross-entropy of cosines with the identities' centres, a scalar.

    The cosine with the own centre is lowered by `margin` (Wang et al., CosFace, CVPR 2018), all are multiplied by
    `scale`, and a tenth of the target is spread over all identities.

    signs    (N, n_bits) float: +-1, with a gradient that passes straight through
    centres  (n_identities, n_bits) float: one matrix for all prefixes, each taking its first columns
    labels   (N,) int64 class of each picture
    lengths  ascending, in bits
    weights  one a length; the sum is divided by their number
    """
    own = margin * F.one_hot(labels, len(centres)).to(centres.dtype)
    losses = []
    for length, weight in zip(lengths, weights, strict=True):
        cosines = F.normalize(signs[:, :length]) @ F.normalize(centres[:, :length]).T
        losses.append(weight * F.cross_entropy(scale * (cosines - own), labels, label_smoothing=0.1))
    return torch.stack(losses).mean()
