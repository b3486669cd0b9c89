"""Identity cross-entropy against its twin."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitreid.losses import identity_loss
from tests.losses.cases import TOLERANCES, generators, integers, normals, precisions
from tests.reference import losses as reference


@given(
    generators(),
    precisions(),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.1, 0.9]),
)
def test_equals_its_twin(
    generator: torch.Generator, dtype: torch.dtype, n_embeddings: int, n: int, n_identities: int, smoothing: float
) -> None:
    logits = [3 * normals(generator, n, n_identities, dtype=dtype) for _ in range(n_embeddings)]
    labels = integers(generator, 0, n_identities - 1, n)
    expected = reference.identity_loss([each.tolist() for each in logits], labels.tolist(), smoothing)
    tolerance = TOLERANCES[dtype]
    assert float(identity_loss(logits, labels, smoothing)) == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_smoothing_is_a_tenth_by_default() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = [normals(generator, 4, 5)], integers(generator, 0, 4, 4)
    assert identity_loss(logits, labels) == identity_loss(logits, labels, 0.1)
    assert identity_loss(logits, labels) != identity_loss(logits, labels, 0.0)


def test_smoothing_punishes_certainty() -> None:
    labels = torch.tensor([0])
    certain = [torch.tensor([[30.0, 0.0, 0.0]])]
    assert float(identity_loss(certain, labels, 0.0)) < 1e-6
    assert float(identity_loss(certain, labels, 0.1)) == pytest.approx(30 * 0.1 * 2 / 3, abs=1e-4)


def test_the_smoothed_minimum_is_the_softened_target() -> None:
    """No logits do better than those whose softmax is the target itself: the loss is then its entropy."""
    target = [0.9 + 0.1 / 4, *[0.1 / 4] * 3]
    best = torch.tensor([[math.log(share) for share in target]], dtype=torch.float64, requires_grad=True)
    loss = identity_loss([best], torch.tensor([0]), 0.1)
    (slope,) = torch.autograd.grad(loss, best)
    assert float(loss.detach()) == pytest.approx(-sum(share * math.log(share) for share in target))
    torch.testing.assert_close(slope, torch.zeros(1, 4, dtype=torch.float64))


def test_every_embedding_counts_the_same() -> None:
    right, wrong = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    labels = torch.tensor([0])
    apart = [float(identity_loss([each], labels)) for each in (right, wrong)]
    assert float(identity_loss([right, wrong], labels)) == pytest.approx(sum(apart) / 2)
