"""The attribute-guided attention block (AAB)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bitreid.models.parts import stripe_means


class AttributeBlock(nn.Module):
    """Attribute logits from the backbone's map, and the attention that they guide.

    A bottleneck block makes an attribute map of its own from the backbone's, because attributes and identity look at
    different grains. Attribute heads pool it, stripe by stripe, since shoes and hats have their places. With
    `attention`, a channel gate and a spatial gate made from the attribute map re-weight the identity map. A second
    head, `direct`, is fitted on the backbone's own map after training (`training.attributes`): logits are then means.
    """

    def __init__(self, n_channels: int, n_attributes: int, n_parts: int, attention: bool) -> None:
        super().__init__()
        width = 256
        self.bottleneck = nn.Sequential(
            nn.Conv2d(n_channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, n_channels, 1, bias=False),
            nn.BatchNorm2d(n_channels),
        )
        self.n_stripes = max(n_parts, 1)
        self.heads = nn.Linear(n_channels * self.n_stripes, n_attributes)
        self.direct: nn.Linear | None = None
        self.gates = AttributeGates(n_channels) if attention else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the identity map `(N, C, h, w)` and attribute logits `(N, A)` of the backbone's map `(N, C, h, w)`."""
        attribute_map = F.relu(x + self.bottleneck(x))  # (N, C, h, w)
        pooled = stripe_means(attribute_map, self.n_stripes).flatten(1)  # (N, C * stripes)
        logits: Tensor = self.heads(pooled)  # (N, A)
        if self.direct is not None:
            logits = (logits + self.direct(stripe_means(x, self.n_stripes).flatten(1))) / 2
        if self.gates is not None:
            x = x + x * self.gates(attribute_map)  # (N, C, h, w)
        return x, logits

    def new_head(self) -> nn.Linear:
        """Return a head of random values for this block: `direct` once it is fitted."""
        return nn.Linear(self.heads.in_features, self.heads.out_features).to(self.heads.weight.device)


class AttributeGates(nn.Module):
    """The product of a channel gate and a spatial gate, `(N, C, h, w)` in 0..1 (after CBAM, Woo et al., ECCV 2018)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        hidden = max(n_channels // 16, 1)
        self.channel = nn.Sequential(
            nn.Linear(n_channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, n_channels)
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, attribute_map: Tensor) -> Tensor:
        channel = torch.sigmoid(self.channel(attribute_map.mean(dim=(2, 3))))[:, :, None, None]  # (N, C, 1, 1)
        summary = torch.cat([attribute_map.mean(1, keepdim=True), attribute_map.amax(1, keepdim=True)], dim=1)
        spatial = torch.sigmoid(self.spatial(summary))  # (N, 1, h, w)
        return channel * spatial
