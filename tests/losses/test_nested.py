"""The losses of nested codes against their twins, and what no prefix loses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bitreid.losses import prefix_identity_loss, similarity_loss
from tests.losses.cases import generators, integers, normals
from tests.reference import losses as reference

LENGTHS, TEMPERATURES, WEIGHTS = (4, 8, 16), (0.3, 0.5, 1.0), (0.0, 2.0, 5.0)


def random_signs(generator: torch.Generator, n: int, n_bits: int = 16) -> torch.Tensor:
    return torch.where(normals(generator, n, n_bits, dtype=torch.float64) > 0, 1.0, -1.0).double()


@given(generators(), st.integers(2, 6))
def test_similarities_equal_their_twin(generator: torch.Generator, n: int) -> None:
    signs, unit = random_signs(generator, n), F.normalize(normals(generator, n, 5, dtype=torch.float64))
    scales = normals(generator, 3, dtype=torch.float64)
    similarities = unit @ unit.T
    found = similarity_loss(signs, similarities, LENGTHS, scales, TEMPERATURES, WEIGHTS)
    expected = reference.similarity_loss(
        signs.tolist(), similarities.tolist(), LENGTHS, scales.tolist(), TEMPERATURES, WEIGHTS
    )
    assert float(found) == pytest.approx(expected, rel=1e-9)


@given(generators(), st.integers(1, 5), st.integers(2, 4))
def test_identities_equal_their_twin(generator: torch.Generator, n: int, n_identities: int) -> None:
    signs = random_signs(generator, n)
    centres = normals(generator, n_identities, 16, dtype=torch.float64)
    labels = integers(generator, 0, n_identities - 1, n)
    found = prefix_identity_loss(signs, centres, labels, LENGTHS, WEIGHTS)
    expected = reference.prefix_identity_loss(signs.tolist(), centres.tolist(), labels.tolist(), LENGTHS, WEIGHTS)
    assert float(found) == pytest.approx(expected, rel=1e-9)


@given(generators())
def test_a_prefix_with_the_same_similarities_loses_least(generator: torch.Generator) -> None:
    """The cross-entropy is then the entropy, and the squared difference 0."""
    signs = random_signs(generator, 5)
    similarities = signs @ signs.T / 16
    settings = ([16], torch.zeros(1, dtype=torch.float64), [1.0], [3.0])
    least = similarity_loss(signs, similarities, *settings)
    other = similarity_loss(random_signs(generator, 5), similarities, *settings)
    assert least <= other + 1e-12


def test_only_a_prefix_gets_its_gradient() -> None:
    signs = random_signs(torch.Generator().manual_seed(0), 4).requires_grad_()
    centres, labels = torch.randn(3, 16).double(), torch.tensor([0, 1, 2, 0])
    torch.autograd.backward(prefix_identity_loss(signs, centres, labels, [8], [1.0]))
    assert signs.grad is not None
    assert signs.grad[:, :8].abs().min() > 0
    assert not signs.grad[:, 8:].any()
