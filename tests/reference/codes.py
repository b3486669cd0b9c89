"""Codes as text of 0 and 1, and loops over it."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations


def packed_bytes(bits: str) -> list[int]:
    """The bytes of `bits`, the first bit the highest of its byte, zeros at the end."""
    padded = bits + "0" * (-len(bits) % 8)
    return [int(padded[i : i + 8], base=2) for i in range(0, len(padded), 8)]


def sign_bits(values: Sequence[float]) -> str:
    return "".join("1" if value > 0 else "0" for value in values)


def hamming_distance(a: str, b: str) -> int:
    """How many places differ, by walking along both."""
    different = 0
    for i in range(len(a)):
        if a[i] != b[i]:
            different += 1
    return different


def greatest_gap(parts: str) -> Fraction:
    """Each bit named by its part: how far, in bits, the count of any part in any prefix is from its share at most."""
    gaps = []
    for part in set(parts):
        count = 0
        for length, each in enumerate(parts, 1):
            count += each == part
            gaps.append(abs(count - Fraction(length * parts.count(part), len(parts))))
    return max(gaps)


def share_of_ones(codes: Sequence[str], bit: int) -> float:
    return sum(1 for code in codes if code[bit] == "1") / len(codes)


def phi(codes: Sequence[str], i: int, j: int) -> float | None:
    """Correlation of bits `i` and `j` from their 2 x 2 table of counts; None if one of them is constant."""
    table = {(x, y): 0 for x in "01" for y in "01"}
    for code in codes:
        table[code[i], code[j]] += 1
    n11, n10, n01, n00 = table["1", "1"], table["1", "0"], table["0", "1"], table["0", "0"]
    product = (n11 + n10) * (n01 + n00) * (n11 + n01) * (n10 + n00)
    return None if product == 0 else (n11 * n00 - n10 * n01) / float(product) ** 0.5


def mean_absolute_correlation(codes: Sequence[str]) -> float:
    """Mean of |phi| over pairs of different bits that both vary; 0 if there is no such pair."""
    found = [phi(codes, i, j) for i in range(len(codes[0])) for j in range(i)]
    live = [abs(value) for value in found if value is not None]
    return sum(live) / len(live) if live else 0.0


def entropy(codes: Sequence[str]) -> float:
    """The mean number of bits that it takes to say which code a row has, at -log2 of its share."""
    rows = Counter(codes)
    return sum(-math.log2(rows[code] / len(codes)) for code in codes) / len(codes)


def share_of_equal_pairs(codes: Sequence[str]) -> float:
    pairs = [a == b for a, b in combinations(codes, 2)]
    return sum(pairs) / len(pairs) if pairs else 0.0
