"""The attribute-guided attention block against its formula by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bitreid.models.attention import AttributeBlock, AttributeGates
from tests.models.cases import arrays, scramble
from tests.reference import networks as reference

N_CHANNELS, N_ATTRIBUTES, N_PARTS = 32, 5, 3


def block(attention: bool, n_parts: int = N_PARTS) -> AttributeBlock:
    torch.manual_seed(0)
    return AttributeBlock(N_CHANNELS, N_ATTRIBUTES, n_parts, attention)


def feature_map(n: int = 2, height: int = 6, width: int = 4) -> Tensor:
    """A map after ReLU, as backbones give it."""
    x = torch.randn(n, N_CHANNELS, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return x.relu()


def test_the_identity_map_is_x_plus_x_times_both_gates() -> None:
    module, x = block(attention=True), feature_map()
    scramble(module)
    tensors = arrays(module.state_dict())
    with torch.inference_mode():
        found, _ = module(x)
    for picture, result in zip(x.numpy(), found.numpy(), strict=True):
        channel, spatial = reference.gates(reference.attribute_map(picture, tensors), tensors)
        expected = np.empty_like(picture)
        for c in range(N_CHANNELS):
            for i in range(picture.shape[1]):
                for j in range(picture.shape[2]):
                    expected[c, i, j] = picture[c, i, j] + picture[c, i, j] * channel[c] * spatial[i, j]
        np.testing.assert_allclose(result, expected, rtol=1e-9)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("n_parts", [0, 1, 3])
def test_attributes_are_read_off_the_stripes_of_the_attribute_map(attention: bool, n_parts: int) -> None:
    module, x = block(attention, n_parts), feature_map()
    scramble(module)
    tensors = arrays(module.state_dict())
    with torch.inference_mode():
        _, logits = module(x)
    for picture, found in zip(x.numpy(), logits.numpy(), strict=True):
        stripes = reference.stripes(reference.attribute_map(picture, tensors), max(n_parts, 1))
        pooled = [stripes[s][c] for c in range(N_CHANNELS) for s in range(len(stripes))]
        np.testing.assert_allclose(found, tensors["heads.weight"] @ pooled + tensors["heads.bias"], rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_gates_lie_within_0_and_1(scale: float) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        gates = AttributeGates(N_CHANNELS)(scale * feature_map().float())
    assert gates.shape == (2, N_CHANNELS, 6, 4)
    assert gates.min() >= 0
    assert gates.max() <= 1
    assert gates.std() > 0


@pytest.mark.parametrize(("n_channels", "hidden"), [(1, 1), (8, 1), (15, 1), (32, 2), (2048, 128)])
def test_the_channel_gate_narrows_to_a_sixteenth_and_at_least_one(n_channels: int, hidden: int) -> None:
    assert AttributeGates(n_channels).get_parameter("channel.0.weight").shape == (hidden, n_channels)


def test_without_attention_the_identity_map_is_untouched() -> None:
    module, x = block(attention=False).double(), feature_map()
    before = x.clone()
    found, logits = module(x)
    assert torch.equal(found, before)
    assert torch.equal(x, before)
    assert logits.shape == (2, N_ATTRIBUTES)
    assert not any("gates" in name for name in module.state_dict())


def bottleneck_gradients(attention: bool) -> list[Tensor | None]:
    """What of the identity map's loss arrives at each of the bottleneck's parameters."""
    module, x = block(attention), feature_map().float().requires_grad_()
    identity, _ = module(x)
    return list(torch.autograd.grad(identity.square().sum(), list(module.bottleneck.parameters()), allow_unused=True))


def test_identity_teaches_the_attribute_map_through_attention() -> None:
    slopes = bottleneck_gradients(attention=True)
    assert len(slopes) == 9
    assert all(slope is not None and slope.abs().sum() > 0 for slope in slopes)


def test_identity_does_not_reach_the_attribute_map_without_attention() -> None:
    assert bottleneck_gradients(attention=False) == [None] * 9


@pytest.mark.parametrize("attention", [True, False])
def test_attributes_teach_the_bottleneck_and_the_backbone(attention: bool) -> None:
    module, x = block(attention), feature_map().float().requires_grad_()
    _, logits = module(x)
    for slope in torch.autograd.grad(logits.square().sum(), [x, *module.bottleneck.parameters()]):
        assert slope.abs().sum() > 0
