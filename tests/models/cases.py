"""Tiny backbones, and networks whose every number matters."""

import numpy as np
import torch
from torch import Tensor, nn

from bitreid.models import HashingNetwork, NetworkSettings, build_network
from tests.reference.networks import Map


class TinyBackbone(nn.Module):
    """One convolution that sees each 16x16 square of the picture alone."""

    n_channels = 8
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, self.n_channels, 16, stride=16)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


def tiny_network(n_attributes: int = 3, **settings: object) -> HashingNetwork:
    """A network on a `TinyBackbone`, weights from a seed."""
    torch.manual_seed(0)
    return build_network(
        NetworkSettings.model_validate({"backbone": "custom", **settings}), n_attributes, TinyBackbone()
    )


def pictures(n: int, height: int, width: int) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def scramble(module: nn.Module) -> None:
    """Put the module into evaluation and double precision, its batch norms' numbers no longer 0 and 1."""
    generator = torch.Generator().manual_seed(2)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low in (
                (each.running_mean, -0.2),
                (each.running_var, 0.5),
                (each.weight, 0.5),
                (each.bias, -0.2),
            ):
                assert tensor is not None
                tensor.data.copy_(low + torch.rand(tensor.shape, generator=generator))
    module.eval().double()


def arrays(state: dict[str, Tensor]) -> dict[str, Map]:
    return {name: np.asarray(value.numpy(), dtype=np.float64) for name, value in state.items()}


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
