"""Identity cross-entropy with label smoothing (Szegedy et al., CVPR 2016)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def identity_loss(logits: Sequence[Tensor], labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Return the mean over embeddings of the smoothed cross-entropy, a scalar.

    logits     one `(N, n_identities)` for each embedding
    labels     (N,) int64 class of each picture
    smoothing  the share of the target spread evenly over all classes
    """
    return torch.stack([F.cross_entropy(each, labels, label_smoothing=smoothing) for each in logits]).mean()
