"""Codes as text of 0 and 1, and loops over it."""

from collections.abc import Sequence


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
