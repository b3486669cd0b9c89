"""Depthwise convolutions that are fast to train on a CPU."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

_WIDEST = 3
"""Columns of a kernel for whose gradient oneDNN (3.11) has depthwise code. It takes wider ones for dense convolutions,
whose blocks of 16x16 channels are zeros but for the diagonal: several times the work."""


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """Return what `F.conv2d` with a group for each channel does; its gradients take less time on a CPU.

    Maps `(N, C, H, W)`, weights `(C, 1, K, L)`. Under autocast it computes in that type, as `F.conv2d` does.
    """
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(kind), weight.to(kind)
    return cast(Tensor, cast(Any, _Depthwise).apply(x, weight, stride, padding))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        given = gradients[0], x, weight, ctx.stride, ctx.padding
        return (
            _of_maps(*given) if ctx.needs_input_grad[0] else None,
            _of_weights(*given) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def _of_maps(gradient: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """Return the gradient of the maps."""
    if max(stride) > 1 and x.dtype == torch.bfloat16:  # oneDNN has no depthwise code for these
        shaped = torch.empty_like(x, dtype=torch.float32)  # of the maps, this gradient depends on the shape alone
        return _of_maps(gradient.float(), shaped, weight.float(), stride, padding).to(x.dtype)
    return _gradients(gradient, x, weight, stride, padding, of_weights=False)


def _of_weights(gradient: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """Return the gradient of the weights: of a few of their columns, then of the next."""
    n_columns = weight.shape[3]
    if n_columns <= _WIDEST:
        return _gradients(gradient, x, weight, stride, padding, of_weights=True)
    moved = (gradient.shape[3] - 1) * stride[1]  # columns of the map from the first place of the kernel to its last
    pieces = []
    for first in range(0, n_columns, _WIDEST):
        columns = weight[..., first : first + _WIDEST].contiguous()
        left = padding[1] - first
        right = moved + columns.shape[3] - left - x.shape[3]
        part = F.pad(x, (left, right))  # what these columns see of the map
        pieces.append(_gradients(gradient, part, columns, stride, (padding[0], 0), of_weights=True))
    return torch.cat(pieces, dim=3)


def _gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    of_weights: bool,
) -> Tensor:
    """Return what PyTorch computes: the gradient of the weights, or of the maps."""
    wanted = (not of_weights, of_weights, False)
    found: tuple[Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), wanted
    )
    return found[int(of_weights)]
