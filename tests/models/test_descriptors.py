"""Embeddings a part, and the relaxations, each quantised at 0."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitreid.codes import Part
from bitreid.models.descriptors import ACTIVATIONS, Descriptor, IdentityClassifiers
from bitreid.models.parts import code_layout
from tests.models.cases import arrays, scramble
from tests.reference import networks as reference

LAYOUT = (Part("global", 0, 4), Part("stripe1", 4, 7), Part("stripe2", 7, 9))
BY_HAND: dict[str, Callable[[float], float]] = {
    "none": lambda x: x,
    "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) - 0.5,
    "hardsigmoid": lambda x: min(max(x / 6 + 0.5, 0.0), 1.0) - 0.5,
    "ste": lambda x: 1.0 if x > 0 else -1.0,
}
BOUNDS = {"none": math.inf, "tanh": 1.0, "sigmoid": 0.5, "hardsigmoid": 0.5, "ste": 1.0}


def relax(name: str, values: list[float]) -> list[float]:
    return [float(value) for value in ACTIVATIONS[name](torch.tensor(values, dtype=torch.float64))]


def test_every_activation_is_tested() -> None:
    assert ACTIVATIONS.keys() == BY_HAND.keys() == BOUNDS.keys()


@given(st.sampled_from(sorted(BY_HAND)), st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_activations_equal_their_formulas(name: str, values: list[float]) -> None:
    found = relax(name, values)
    assert found == pytest.approx([BY_HAND[name](value) for value in values], abs=1e-12)
    assert max(abs(value) for value in found) <= BOUNDS[name]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_midpoint_of_every_relaxation_is_0(name: str) -> None:
    """A bit is 1 above 0: so it is 1 exactly where the value before the activation is above 0."""
    steps = [i / 16 for i in range(-160, 161)]
    assert [value > 0 for value in relax(name, steps)] == [step > 0 for step in steps]
    if name != "ste":
        assert relax(name, [0.0, -0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_straight_through_is_the_sign_forwards_and_the_clipped_identity_backwards(dtype: torch.dtype) -> None:
    x = torch.tensor([-3.0, -1.0, -0.3, -1e-9, 0.0, 1e-9, 0.7, 1.0, 1.01, 40.0], dtype=dtype, requires_grad=True)
    sign = ACTIVATIONS["ste"](x)
    assert sign.tolist() == [-1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    weights = torch.arange(1.0, 11.0, dtype=dtype)
    (slope,) = torch.autograd.grad((sign * weights).sum(), x)
    assert slope.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0, 0.0]


def embedding_by_hand(part: npt.NDArray[np.float64], tensors: reference.Tensors, name: str) -> list[float]:
    """Linear, batch norm, and with a hidden layer ReLU and both again."""
    x, layer = part, 0
    while f"{name}.{layer}.weight" in tensors:
        x = reference.relu(x) if layer else x
        x = tensors[f"{name}.{layer}.weight"] @ x
        x = reference.normalise(x[:, None, None], tensors, f"{name}.{layer + 1}")[:, 0, 0]
        layer += 3
    return [float(value) for value in x]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [0, 6])
def test_a_descriptor_embeds_each_part_apart_and_joins_them(activation: str, hidden: int) -> None:
    torch.manual_seed(0)
    descriptor = Descriptor(5, LAYOUT, activation, hidden)
    scramble(descriptor)
    tensors = arrays(descriptor.state_dict())
    parts = list(torch.randn(3, 2, 5, dtype=torch.float64).unbind(0))
    with torch.inference_mode():
        found = descriptor(parts)
    assert found.shape == (2, 9)
    for i in range(2):
        values = [v for p in range(3) for v in embedding_by_hand(parts[p][i].numpy(), tensors, f"embeddings.{p}")]
        np.testing.assert_allclose(found[i].numpy(), [BY_HAND[activation](v) for v in values], rtol=1e-9, atol=1e-12)


def test_a_hidden_layer_is_that_wide_for_each_part() -> None:
    shapes = {name: tuple(value.shape) for name, value in Descriptor(5, LAYOUT, hidden=6).named_parameters()}
    assert shapes["embeddings.1.0.weight"] == (6, 5)
    assert shapes["embeddings.1.3.weight"] == (3, 6)
    assert dict(Descriptor(5, LAYOUT).named_parameters())["embeddings.1.0.weight"].shape == (3, 5)


def test_a_descriptor_wants_every_part() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Descriptor(5, LAYOUT)([torch.zeros(2, 5)] * 2)


def test_each_classifier_sees_the_bits_of_its_part() -> None:
    torch.manual_seed(0)
    heads = IdentityClassifiers(LAYOUT, 7)
    descriptor = torch.randn(2, 9)
    logits = heads(descriptor)
    assert [each.shape for each in logits] == [(2, 7)] * 3
    for part, found in zip(LAYOUT, logits, strict=True):
        changed = descriptor.clone()
        changed[:, part.start : part.stop] += 1
        same = [torch.equal(a, b) for a, b in zip(logits, heads(changed), strict=True)]
        assert same == [other != part for other in LAYOUT]
        slices: Tensor = descriptor[:, part.start : part.stop]
        head = heads.classifiers[LAYOUT.index(part)]
        torch.testing.assert_close(found, slices @ head.get_parameter("weight").T + head.get_parameter("bias"))


def test_classifiers_start_almost_undecided() -> None:
    heads = IdentityClassifiers(code_layout(2048, 6), 700)
    logits = torch.cat(heads(torch.randn(4, 2048)))
    assert logits.softmax(dim=1).max() < 1.2 / 700
