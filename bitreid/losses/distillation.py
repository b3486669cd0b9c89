"""Distillation of similarities: a batch's pictures are to be as alike to the student as they are to a larger model.

After Tung and Mori, Similarity-Preserving Knowledge Distillation (ICCV 2019), with cosines.
"""

from torch import Tensor
from torch.nn import functional as F


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two descriptors' cosines over all pairs of a batch's pictures, a scalar.

    A picture with itself is a pair as well. No gradient reaches the teacher.

    student  (N, n_bits) float
    teacher  (N, d) float, of another model: d may differ
    """
    own, wanted = (F.normalize(each, dim=1) for each in (student, teacher.detach()))
    return (own @ own.T - wanted @ wanted.T).square().mean()
