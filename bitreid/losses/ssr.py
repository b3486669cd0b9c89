"""Self-distilling smooth relaxation (SSR), the paper's loss: the student learns to be the teacher's signs."""

import torch
from torch import Tensor


def ssr_loss(student: Tensor, teacher: Tensor, detach_teacher: bool = True, labels: Tensor | None = None) -> Tensor:
    """Return the mean L1 distance between the student's real values and the teacher's signs, a scalar.

    The teacher is quantised without a relaxation, `b = +1 where t > 0 else -1`. It is zero when the student equals
    the teacher's signs. With `detach_teacher` no gradient reaches the teacher; otherwise it passes straight through
    the sign. With `labels` the target of a picture is the sign of the teacher's mean over all pictures of its identity
    in the batch (consensus): what differs between them, as cameras do, is not learned.

    student, teacher  (N, n_bits) float, global and local parts concatenated
    labels            (N,) int64, or None
    """
    if labels is not None:
        same = (labels[:, None] == labels[None, :]).to(teacher.dtype)
        teacher = (same / same.sum(1, keepdim=True)) @ teacher
    signs = torch.where(teacher > 0, 1.0, -1.0).to(teacher.dtype)
    if not detach_teacher:
        signs = teacher + (signs - teacher).detach()
    return (student - signs).abs().mean()


def bit_agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the share of bits on which the signs of student and teacher agree, a scalar in 0..1 (0.5: independent)."""
    return ((student > 0) == (teacher > 0)).float().mean()


def binary_gap(student: Tensor) -> Tensor:
    """Return the mean of | |s| - 1 |, a scalar: 0 for values of +-1, 0.54 for unit normals."""
    return (student.abs() - 1).abs().mean()
