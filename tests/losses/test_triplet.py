"""Batch-hard triplet loss against its twin, and the batches on which it could go wrong."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitreid.losses import triplet_loss
from tests.losses.cases import generators, integers, normals, precisions
from tests.reference import losses as reference

# Distances come from float32 dot products: near 0 they are off by the root of their rounding.
TOLERANCE = 1e-3


def gradient(descriptors: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the loss, which has to be finite."""
    leaf = descriptors.clone().requires_grad_()
    (slope,) = torch.autograd.grad(triplet_loss(leaf, labels), leaf)
    assert torch.isfinite(slope).all()
    return slope


@given(
    generators(),
    precisions(),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.3, 2.0]),
)
def test_equals_its_twin(
    generator: torch.Generator, dtype: torch.dtype, n: int, n_identities: int, n_bits: int, margin: float
) -> None:
    descriptors = normals(generator, n, n_bits, dtype=dtype)
    labels = integers(generator, 0, n_identities - 1, n)
    expected = reference.triplet_loss(descriptors.tolist(), labels.tolist(), margin)
    assert float(triplet_loss(descriptors, labels, margin)) == pytest.approx(expected, abs=TOLERANCE)
    gradient(descriptors, labels)


def test_the_hardest_pictures_count() -> None:
    """On the unit circle by hand: the positive at 90 degrees and not the one at 10, the negative at 60, not at 180."""
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 90.0, 60.0, 180.0]))
    descriptors = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([1, 1, 1, 2, 3])
    chord = {
        degrees: float(2 * torch.sin(torch.deg2rad(torch.tensor(degrees / 2)))) for degrees in (30, 50, 60, 80, 90)
    }
    by_hand = (chord[90] - chord[60]) + (chord[80] - chord[50]) + (chord[90] - chord[30]) + 3 * 0.5
    assert float(triplet_loss(descriptors, labels, margin=0.5)) == pytest.approx(by_hand / 3, abs=TOLERANCE)


def test_length_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    descriptors, labels = normals(generator, 8, 16), integers(generator, 0, 2, 8)
    lengths = torch.arange(1.0, 9.0)[:, None]
    torch.testing.assert_close(triplet_loss(descriptors, labels), triplet_loss(lengths * descriptors, labels))


def test_far_identities_cost_nothing() -> None:
    descriptors = torch.tensor([[1.0, 0.0], [1.0, 0.01], [-1.0, 0.0], [-1.0, 0.01]])
    labels = torch.tensor([0, 0, 1, 1])
    assert triplet_loss(descriptors, labels) == 0
    assert not gradient(descriptors, labels).any()


@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 0], [0, 1, 2, 3], [0]], ids=["one identity", "no two pictures of one", "a single picture"]
)
def test_is_zero_without_an_anchor(labels: list[int]) -> None:
    descriptors = normals(torch.Generator().manual_seed(0), len(labels), 8)
    assert triplet_loss(descriptors, torch.tensor(labels)) == 0
    assert not gradient(descriptors, torch.tensor(labels)).any()


def test_an_anchor_without_a_positive_is_left_out() -> None:
    """The lone picture is a negative for the other two, and adds no term of its own."""
    descriptors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    labels = torch.tensor([0, 0, 1])
    root = 2**0.5
    by_hand = ((root - 2 + 3) + (root - root + 3)) / 2
    assert float(triplet_loss(descriptors, labels, margin=3.0)) == pytest.approx(by_hand, abs=TOLERANCE)
    assert gradient(descriptors, labels).any()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_identical_vectors_cost_the_margin_and_have_a_finite_gradient(scale: float) -> None:
    descriptors = scale * normals(torch.Generator().manual_seed(0), 1, 64).repeat(6, 1)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    assert float(triplet_loss(descriptors, labels, 0.3)) == pytest.approx(0.3, abs=TOLERANCE)
    gradient(descriptors, labels)


def test_a_vector_of_zeros_has_a_finite_loss_and_gradient() -> None:
    descriptors = torch.zeros(4, 8)
    labels = torch.tensor([0, 0, 1, 1])
    assert float(triplet_loss(descriptors, labels, 0.3)) == pytest.approx(0.3, abs=TOLERANCE)
    gradient(descriptors, labels)


def test_a_step_down_the_gradient_lowers_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    descriptors, labels = normals(generator, 12, 16), torch.arange(12) // 4
    step = 0.1 * gradient(descriptors, labels)
    assert triplet_loss(descriptors - step, labels) < triplet_loss(descriptors, labels)
