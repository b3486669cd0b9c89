"""Distillation against its twin: what it sees of a larger model, and whom it teaches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitreid.losses import distillation_loss
from tests.losses.cases import TOLERANCES, generators, normals, precisions
from tests.reference import losses as reference


@given(generators(), st.integers(1, 6), st.integers(1, 9), precisions())
def test_it_equals_its_twin(generator: torch.Generator, n: int, width: int, precision: torch.dtype) -> None:
    student, teacher = normals(generator, n, 8, dtype=precision), normals(generator, n, width, dtype=precision)
    expected = reference.distillation_loss(student.tolist(), teacher.tolist())
    tolerance = TOLERANCES[precision]
    assert float(distillation_loss(student, teacher)) == pytest.approx(expected, rel=tolerance, abs=tolerance)


@given(generators())
def test_turned_and_scaled_features_teach_nothing_new(generator: torch.Generator) -> None:
    student = normals(generator, 5, 8, dtype=torch.float64)
    rotation = torch.linalg.qr(normals(generator, 8, 8, dtype=torch.float64))[0]
    assert float(distillation_loss(student, 3 * student @ rotation)) == pytest.approx(0, abs=1e-12)


def test_only_the_student_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = normals(generator, 4, 8).requires_grad_(), normals(generator, 4, 6).requires_grad_()
    torch.autograd.backward(distillation_loss(student, teacher))
    assert student.grad is not None
    assert student.grad.abs().min() > 0
    assert teacher.grad is None


def test_who_follows_its_gradient_finds_the_similarities() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = normals(generator, 6, 8).requires_grad_(), normals(generator, 6, 4)
    optimiser = torch.optim.Adam([student], lr=0.1)
    first = float(distillation_loss(student, teacher).detach())
    for _ in range(100):
        optimiser.zero_grad()
        torch.autograd.backward(distillation_loss(student, teacher))
        optimiser.step()
    assert first > 0.1
    assert float(distillation_loss(student, teacher).detach()) < 1e-3
