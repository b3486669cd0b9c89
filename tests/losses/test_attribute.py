"""Attribute loss against its twin; unknown labels change nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitreid.losses import attribute_loss, positive_weights
from tests.losses.cases import TOLERANCES, generators, integers, normals, precisions
from tests.reference import losses as reference


@given(generators(), precisions(), st.integers(1, 6), st.integers(1, 8), st.booleans())
def test_equals_its_twin(
    generator: torch.Generator, dtype: torch.dtype, n: int, n_attributes: int, weighted: bool
) -> None:
    logits = 2 * normals(generator, n, n_attributes, dtype=dtype)
    labels = integers(generator, -1, 1, n, n_attributes).to(torch.int8)
    weights = 0.2 + 5 * torch.rand(n_attributes, generator=generator, dtype=dtype) if weighted else None
    expected = reference.attribute_loss(
        logits.tolist(), labels.tolist(), [1.0] * n_attributes if weights is None else weights.tolist()
    )
    tolerance = TOLERANCES[dtype]
    assert float(attribute_loss(logits, labels, weights)) == pytest.approx(expected, rel=tolerance, abs=tolerance)


@given(generators(), st.integers(2, 6), st.integers(1, 8))
def test_what_lies_under_an_unknown_label_changes_nothing(
    generator: torch.Generator, n: int, n_attributes: int
) -> None:
    logits = normals(generator, n, n_attributes)
    labels = integers(generator, -1, 1, n, n_attributes)
    labels[0] = -1
    weights = torch.rand(n_attributes, generator=generator)
    others = torch.where(labels == -1, 50 * normals(generator, n, n_attributes), logits)
    results = []
    for values in (logits, others):
        leaf = values.clone().requires_grad_()
        loss = attribute_loss(leaf, labels, weights)
        results.append((loss.detach(), *torch.autograd.grad(loss, leaf)))
    (loss, slope), (other_loss, other_slope) = results
    assert torch.equal(loss, other_loss)
    assert torch.equal(slope, other_slope)
    assert not slope[labels == -1].any()
    assert slope[labels != -1].all()


@pytest.mark.parametrize("logit", [0.3, 1e4, -1e4])
def test_all_unknown_gives_zero_and_no_gradient(logit: float) -> None:
    logits = torch.full((3, 4), logit, requires_grad=True)
    loss = attribute_loss(logits, torch.full((3, 4), -1, dtype=torch.int8), torch.full((4,), 5.0))
    (slope,) = torch.autograd.grad(loss, logits)
    assert loss == 0
    assert torch.equal(slope, torch.zeros(3, 4))


def test_sure_and_wrong_is_finite() -> None:
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = attribute_loss(logits, torch.tensor([[0, 1]]))
    (slope,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(1e4)
    torch.testing.assert_close(slope, torch.tensor([[0.5, -0.5]]))


@given(generators(), st.integers(1, 40), st.integers(1, 6), st.sampled_from([1.0, 2.0, 5.0]))
def test_weights_equal_their_twin(generator: torch.Generator, n: int, n_attributes: int, most: float) -> None:
    rare = torch.rand(n_attributes, generator=generator) ** 2
    labels = (torch.rand(n, n_attributes, generator=generator) < rare).to(torch.int8)
    labels[torch.rand(n, n_attributes, generator=generator) < 0.2] = -1
    torch.testing.assert_close(
        positive_weights(labels, most), torch.tensor(reference.positive_weights(labels.tolist(), most))
    )


def test_rare_bits_weigh_more() -> None:
    """36 rows: a bit in 4 of them, in 18, in 32, in one (held at 5), in none (held at 5), never known."""
    labels = torch.zeros(36, 6, dtype=torch.int8)
    for bit, count in enumerate((4, 18, 32, 1, 0)):
        labels[:count, bit] = 1
    labels[:, 5] = -1
    weights = positive_weights(labels)
    torch.testing.assert_close(weights, torch.tensor([8**0.5, 1.0, (1 / 8) ** 0.5, 5.0, 5.0, 1.0]))
    missed = [float(attribute_loss(torch.tensor([[-1.0]]), torch.tensor([[1]]), weights[i : i + 1])) for i in range(3)]
    assert missed[0] > missed[1] > missed[2]


def test_weights_change_positives_only() -> None:
    logits, labels, weights = torch.tensor([[0.5, 0.5]]), torch.tensor([[1, 0]]), torch.tensor([3.0, 7.0])
    plain = [float(attribute_loss(logits[:, [i]], labels[:, [i]])) for i in (0, 1)]
    assert float(attribute_loss(logits, labels, weights)) == pytest.approx((3 * plain[0] + plain[1]) / 2)


def test_no_attributes_have_no_weights() -> None:
    assert positive_weights(torch.zeros(5, 0, dtype=torch.int8)).shape == (0,)
