"""Depthwise convolutions: what PyTorch's own do, forth and back."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bitreid.models.depthwise import depthwise_conv2d

SHAPES = [  # kernel, stride, padding, height, width
    ((3, 3), (1, 1), (1, 1), 12, 4),
    ((5, 5), (1, 1), (2, 2), 12, 4),
    ((5, 5), (2, 2), (0, 0), 15, 11),
    ((5, 5), (2, 2), (0, 0), 16, 12),  # the last column and row are never seen
    ((3, 3), (2, 2), (0, 0), 9, 7),
    ((7, 4), (1, 2), (3, 1), 10, 9),
    ((1, 6), (1, 1), (0, 0), 3, 6),
]


def gradients(out: Tensor, x: Tensor, weight: Tensor) -> list[Tensor]:
    torch.manual_seed(7)
    return list(torch.autograd.grad(out, [x, weight], torch.randn(out.shape).to(out.dtype)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), SHAPES)
def test_values_and_gradients_are_those_of_pytorch(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    height: int,
    width: int,
    dtype: torch.dtype,
) -> None:
    torch.manual_seed(0)
    exact = torch.randn(3, 20, height, width, dtype=torch.float64).requires_grad_()
    weights = torch.randn(20, 1, *kernel, dtype=torch.float64).requires_grad_()
    expected = F.conv2d(exact, weights, None, stride, padding, 1, 20)
    wanted = [expected, *gradients(expected, exact, weights)]

    x = exact.detach().to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = weights.detach().to(dtype).requires_grad_()
    out = depthwise_conv2d(x, weight, stride, padding)
    found = [out, *gradients(out, x, weight)]
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03}[dtype]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == dtype
        apart = (ours.detach().double() - theirs.detach()).abs().max()
        assert float(apart) <= tolerance * float(theirs.detach().abs().max())


def test_only_the_gradients_that_are_wanted_are_computed() -> None:
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(4, 1, 5, 5)
    torch.autograd.backward(depthwise_conv2d(x.requires_grad_(), weight, (1, 1), (2, 2)).sum())
    assert x.grad is not None
    assert weight.grad is None
    other = torch.randn(2, 4, 6, 6)
    torch.autograd.backward(depthwise_conv2d(other, weight.requires_grad_(), (1, 1), (2, 2)).sum())
    assert other.grad is None
    assert weight.grad is not None


def test_under_autocast_it_computes_as_pytorch_does() -> None:
    x, weight = torch.randn(2, 4, 6, 6, requires_grad=True), torch.randn(4, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise_conv2d(x, weight, (1, 1), (2, 2))
        assert torch.equal(out, F.conv2d(x, weight, None, 1, 2, 1, 4))
    assert out.dtype == torch.bfloat16
    assert [each.dtype for each in torch.autograd.grad(out.float().sum(), [x, weight])] == [torch.float32] * 2
