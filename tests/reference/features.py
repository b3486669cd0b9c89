"""The slow twin of a map from features to codes: one number at a time."""

import math
from collections.abc import Sequence


def values_of(feature: Sequence[float], matrix: Sequence[Sequence[float]], offset: Sequence[float]) -> list[float]:
    """The values of one feature of any length, whose signs are its code."""
    length = math.sqrt(math.fsum(x * x for x in feature))
    return [
        math.fsum(feature[i] / length * matrix[i][bit] for i in range(len(feature))) + offset[bit]
        for bit in range(len(offset))
    ]
