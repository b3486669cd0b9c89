"""SSR against its twin: what is zero, and where its gradient goes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitreid.losses import binary_gap, bit_agreement, ssr_loss
from tests.losses.cases import TOLERANCES, generators, integers, normals, precisions
from tests.reference import losses as reference


@given(generators(), precisions(), st.integers(1, 5), st.integers(1, 40), st.booleans())
def test_equals_its_twin(generator: torch.Generator, dtype: torch.dtype, n: int, n_bits: int, detach: bool) -> None:
    student, teacher = (normals(generator, n, n_bits, dtype=dtype) for _ in range(2))
    teacher[:, 0] = 0
    rows = student.tolist(), teacher.tolist()
    tolerance = TOLERANCES[dtype]
    assert float(ssr_loss(student, teacher, detach)) == pytest.approx(reference.ssr_loss(*rows), rel=tolerance)
    assert float(bit_agreement(student, teacher)) == pytest.approx(reference.bit_agreement(*rows))
    assert float(binary_gap(student)) == pytest.approx(reference.binary_gap(rows[0]), rel=tolerance)


@given(generators(), st.integers(1, 8), st.booleans())
def test_the_target_by_consensus_equals_its_twin(generator: torch.Generator, n: int, detach: bool) -> None:
    student, teacher = (normals(generator, n, 9, dtype=torch.float64) for _ in range(2))
    labels = integers(generator, 0, 2, n)
    expected = reference.ssr_loss(student.tolist(), reference.consensus(teacher.tolist(), labels.tolist()))
    assert float(ssr_loss(student, teacher, detach, labels)) == pytest.approx(expected, rel=1e-9)


def test_the_gradient_of_a_consensus_is_shared_by_the_pictures_of_an_identity() -> None:
    student, labels = torch.zeros(3, 1), torch.tensor([4, 4, 7])
    teacher = torch.tensor([[0.5], [-0.1], [-1.0]], requires_grad=True)
    torch.autograd.backward(ssr_loss(student, teacher, False, labels))
    # Targets are +1, +1 and -1, each a third of the mean; the first two are half of two targets each.
    torch.testing.assert_close(teacher.grad, torch.tensor([[1 / 3], [1 / 3], [-1 / 3]]))


@given(generators(), precisions(), st.booleans())
def test_is_zero_when_the_student_equals_the_teachers_signs(
    generator: torch.Generator, dtype: torch.dtype, detach: bool
) -> None:
    teacher = 3 * normals(generator, 4, 32, dtype=dtype)
    student = torch.tensor([[reference.sign(value) for value in row] for row in teacher.tolist()], dtype=dtype)
    assert ssr_loss(student, teacher, detach) == 0
    assert ssr_loss(-student, teacher, detach) == 2
    assert bit_agreement(student, teacher) == 1
    assert bit_agreement(-student, teacher) == 0
    assert binary_gap(student) == 0


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("detach", [True, False])
def test_the_sign_of_zero_is_minus_one(zero: float, detach: bool) -> None:
    """As in the packed code, where a bit is 1 only above 0."""
    teacher = torch.tensor([[zero]])
    assert ssr_loss(torch.tensor([[-1.0]]), teacher, detach) == 0
    assert ssr_loss(torch.tensor([[1.0]]), teacher, detach) == 2
    assert bit_agreement(torch.tensor([[zero]]), torch.tensor([[-1.0]])) == 1
    assert bit_agreement(torch.tensor([[zero]]), torch.tensor([[1.0]])) == 0


def gradients(detach: bool | None = None) -> tuple[Tensor | None, ...]:
    """The gradients at the student and at the teacher, None where none arrives."""
    student = torch.tensor([[0.5, -2.0, 3.0, -0.5]], requires_grad=True)
    teacher = torch.tensor([[0.1, -0.1, -4.0, 5.0]], requires_grad=True)
    loss = ssr_loss(student, teacher) if detach is None else ssr_loss(student, teacher, detach)
    return torch.autograd.grad(loss, [student, teacher], allow_unused=True)


# Of the student above: .5 is below +1, -2 below -1, 3 above -1, -.5 below +1; a quarter each, the mean of four.
STUDENT_SLOPE = torch.tensor([[-0.25, -0.25, 0.25, -0.25]])


@pytest.mark.parametrize("settings", [(), (True,)], ids=["by default", "detached"])
def test_no_gradient_reaches_a_detached_teacher(settings: tuple[bool, ...]) -> None:
    student, teacher = gradients(*settings)
    assert teacher is None
    torch.testing.assert_close(student, STUDENT_SLOPE)


def test_the_gradient_passes_straight_through_the_sign_of_an_attached_teacher() -> None:
    student, teacher = gradients(False)
    torch.testing.assert_close(student, STUDENT_SLOPE)
    torch.testing.assert_close(teacher, -STUDENT_SLOPE)


def test_the_gap_of_unit_normals_is_known() -> None:
    """The integral of | |x| - 1 | times the normal density, by the midpoint rule, and the figure in the docstring."""
    steps = [(i + 0.5) / 1000 for i in range(-8000, 8000)]
    integral = sum(abs(abs(x) - 1) * math.exp(-x * x / 2) for x in steps) / 1000 / math.sqrt(2 * math.pi)
    sample = binary_gap(normals(torch.Generator().manual_seed(0), 1000, 1000))
    assert float(sample) == pytest.approx(integral, abs=2e-3)
    assert f"{integral:.2f} for unit normals" in (binary_gap.__doc__ or "")


def test_independent_signs_agree_on_half_the_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = normals(generator, 100, 1000), normals(generator, 100, 1000)
    assert float(bit_agreement(student, teacher)) == pytest.approx(0.5, abs=0.01)
