"""Twin of `bitreid.evaluation.calibration.attribute_weights`: every pair of pictures by itself."""

import math
from collections.abc import Sequence
from itertools import combinations

from tests.reference.ranking import RIGHT, WRONG, verdicts

Bits = Sequence[Sequence[bool]]


def pairs(pids: Sequence[int], camids: Sequence[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The pairs of rows that show one person, and two, by what a search with the one finds in the other."""
    one, two = [], []
    for a, b in combinations(range(len(pids)), 2):
        if min(pids[a], pids[b]) < 0 or pids[a] == pids[b] == 0:
            continue
        (verdict,) = verdicts(pids[a], camids[a], [pids[b]], [camids[b]])
        if verdict == RIGHT:
            one.append((a, b))
        elif verdict == WRONG:
            two.append((a, b))
    return one, two


def rate(bits: Bits, bit: int, of: Sequence[tuple[int, int]], least: float) -> float:
    """How often a bit differs in some pairs, at least and at most so often."""
    differ = sum(bool(bits[a][bit]) != bool(bits[b][bit]) for a, b in of)
    return min(max(differ / len(of), least), 1 - least)


def evidence(genuine: float, impostor: float) -> float:
    """How much likelier a difference makes "two people" than an agreement does, in natural logarithms; at least 0."""
    if_differs = math.log(impostor) - math.log(genuine)
    if_agrees = math.log1p(-impostor) - math.log1p(-genuine)
    return max(if_differs - if_agrees, 0.0)


def weights(bits: Bits, pids: Sequence[int], camids: Sequence[int], largest: int) -> list[float]:
    """The weight of each bit, before it is rounded."""
    one, two = pairs(pids, camids)
    least = 1 / (2 * min(len(one), len(two)))
    found = [evidence(rate(bits, i, one, least), rate(bits, i, two, least)) ** 0.5 for i in range(len(bits[0]))]
    best = max(found)
    return [largest * each / best for each in found] if best else [1.0] * len(found)
