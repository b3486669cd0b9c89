"""Twin of `bitreid.coarse` and of how it is fitted: one item, one bit and one pair at a time."""

import math
from collections.abc import Sequence
from fractions import Fraction


def coarse_bits(
    identity: Sequence[int], attributes: Sequence[int], identity_bits: Sequence[int], attribute_bits: Sequence[int]
) -> list[int]:
    """The coarse code of one item, bit by bit."""
    return [attributes[bit] for bit in attribute_bits] + [identity[bit] for bit in identity_bits]


def chosen_bits(
    of_one: Sequence[Sequence[bool]], of_two: Sequence[Sequence[bool]], pids: Sequence[int], n_bits: int
) -> list[int]:
    """The bits of a coarse code: from the distances of all pairs by each candidate set, as they are."""
    chosen: list[int] = []
    for _ in range(n_bits):
        best, found = -math.inf, -1
        for bit in range(len(of_one[0])):
            if bit in chosen:
                continue
            bits = [*chosen, bit]
            near = [sum(pair[i] for i in bits) for pair in of_one]
            far = [sum(pair[i] for i in bits) for pair in of_two]
            # Each person counts once, whatever the number of pairs.
            mean_one = sum(
                sum(d for d, pid in zip(near, pids, strict=True) if pid == person) / pids.count(person)
                for person in set(pids)
            ) / len(set(pids))
            variance_one = sum(
                sum((d - mean_one) ** 2 for d, pid in zip(near, pids, strict=True) if pid == person)
                / pids.count(person)
                for person in set(pids)
            ) / len(set(pids))
            mean_two = sum(far) / len(far)
            variance_two = sum((d - mean_two) ** 2 for d in far) / len(far)
            value = (mean_two - mean_one) / math.sqrt(max(variance_one + variance_two, 1e-12))
            if value > best + 1e-9:
                best, found = value, bit
        chosen.append(found)
    return sorted(chosen)


def place(distances: Sequence[int], match: int) -> Fraction:
    """The share of a gallery up to and with one of its rows, over all orders of equal distances."""
    orders = [sorted(range(len(distances)), key=lambda row: (distances[row], row != match, row))]
    orders.append(sorted(range(len(distances)), key=lambda row: (distances[row], row == match, row)))
    return Fraction(sum(order.index(match) + 1 for order in orders), 2 * len(distances))
