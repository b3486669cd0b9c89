"""Teacher and student descriptors: one embedding a part, each as long as the part's bits."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bitreid.codes import Part


def straight_through(x: Tensor) -> Tensor:
    """Return the sign of `x` as +-1, its gradient passed where |x| <= 1 (Bengio et al., 2013; Hubara et al., 2016)."""
    clipped = x.clamp(-1, 1)
    return clipped + (torch.where(x > 0, 1.0, -1.0).to(x.dtype) - clipped).detach()


# Each is centred, so that every relaxation is quantised at 0, its midpoint; a classifier's bias absorbs the shift.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": lambda x: torch.sigmoid(x) - 0.5,
    "hardsigmoid": lambda x: F.hardsigmoid(x) - 0.5,
    "ste": straight_through,
}


class Descriptor(nn.Module):
    """Pooled parts, each `(N, C)`, to a real-valued descriptor `(N, n_bits)`, one slice of it a part.

    `hidden` > 0 puts a hidden layer (that wide for each part) before the linear map: a student can only gather its
    values near +-1 without a squashing activation if its map is more than linear.
    """

    def __init__(self, n_channels: int, layout: Sequence[Part], activation: str = "none", hidden: int = 0) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(_embedding(n_channels, part.n_bits, hidden) for part in layout)
        self.activation = ACTIVATIONS[activation]

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        return self.activation(self.values(parts))

    def values(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the descriptor before its activation."""
        return torch.cat([embedding(part) for embedding, part in zip(self.embeddings, parts, strict=True)], dim=1)


def _embedding(n_channels: int, n_bits: int, hidden: int) -> nn.Sequential:
    if not hidden:
        return nn.Sequential(nn.Linear(n_channels, n_bits, bias=False), nn.BatchNorm1d(n_bits))
    return nn.Sequential(
        nn.Linear(n_channels, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, n_bits, bias=False),
        nn.BatchNorm1d(n_bits),
    )


class IdentityClassifiers(nn.Module):
    """One classifier a part over a descriptor `(N, n_bits)`: logits, one `(N, n_identities)` a part. Training only."""

    def __init__(self, layout: Sequence[Part], n_identities: int) -> None:
        super().__init__()
        self.sizes = [part.n_bits for part in layout]
        self.classifiers = nn.ModuleList(_classifier(n_bits, n_identities) for n_bits in self.sizes)

    def forward(self, descriptor: Tensor) -> list[Tensor]:
        slices = torch.split(descriptor, self.sizes, dim=1)
        return [classifier(values) for classifier, values in zip(self.classifiers, slices, strict=True)]


def _classifier(n_bits: int, n_identities: int) -> nn.Linear:
    classifier = nn.Linear(n_bits, n_identities)
    nn.init.normal_(classifier.weight, std=0.001)
    nn.init.zeros_(classifier.bias)
    return classifier
