"""Twin of `bitreid.hamming`: one bit and one row at a time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.bool_]


def hamming(a: Bits, b: Bits) -> int:
    """How many bits of two codes `(n_bits,)` differ."""
    return sum(bool(x) != bool(y) for x, y in zip(a, b, strict=True))


def ordered(
    query: Bits,
    gallery: Bits,
    ids: Sequence[int],
    bits: Bits | None = None,
    rows: Bits | None = None,
) -> list[tuple[int, int]]:
    """All (distance, row) of one query that may be found, by (distance, id)."""
    kept = [True] * len(query) if bits is None else bits.tolist()
    found = []
    for row, code in enumerate(gallery):
        if rows is None or rows[row]:
            found.append((hamming(query[kept], code[kept]), ids[row], row))
    return [(distance, row) for distance, _, row in sorted(found)]


def two_stage(
    short_list: list[tuple[int, int]], long_list: list[tuple[int, int]], w: int, k: int, ties: str
) -> list[tuple[int, int]]:
    """The first k of `ordered` long codes among the w first of `ordered` short ones, or also those as near."""
    kept = [row for _, row in short_list[:w]]
    if ties == "keep":
        kept += [row for distance, row in short_list[w:] if distance == short_list[w - 1][0]]
    return [item for item in long_list if item[1] in kept][: min(k, w)]


def counts(query: Bits, gallery: Bits, threshold: int, rows: Bits | None = None) -> tuple[int, int]:
    """How many rows are nearer than the threshold, and at it."""
    distances = [hamming(query, code) for row, code in enumerate(gallery) if rows is None or rows[row]]
    return sum(distance < threshold for distance in distances), sum(distance == threshold for distance in distances)


def asymmetric(values: Sequence[int], code: Bits) -> int:
    """The sum of |value| over the bits `(n_bits,)` that are not the value's sign."""
    total = 0
    for value, bit in zip(values, code, strict=True):
        if (value > 0 and not bit) or (value < 0 and bit):
            total += abs(value)
    return total


def rescored(
    values: Sequence[int], gallery: Bits, rows: Sequence[int], ids: Sequence[int], k: int, bits: Bits | None = None
) -> list[int]:
    """The first k of some rows by (asymmetric distance, id, row); bits outside the mask do not count."""
    counted = [value if bits is None or bits[i] else 0 for i, value in enumerate(values)]
    return [row for _, _, row in sorted((asymmetric(counted, gallery[row]), ids[row], row) for row in rows)][:k]


def nearest_lists(query: Bits, centres: Bits, bits: Bits | None = None) -> list[int]:
    """The lists in the order in which a query visits them."""
    return [row for _, row in ordered(query, centres, range(len(centres)), bits)]


def visited(order: Sequence[int], offsets: Sequence[int], n_lists: int, k: int, rows: Bits | None = None) -> list[int]:
    """The rows that may be found in the first lists of an order: so many lists, and more until there are k rows."""
    found: list[int] = []
    for place, each in enumerate(order):
        if place >= n_lists and len(found) >= k:
            break
        found += [row for row in range(offsets[each], offsets[each + 1]) if rows is None or rows[row]]
    return found


def majority(codes: Bits) -> list[bool]:
    """Each bit as more than half of the codes have it."""
    return [sum(bool(code[bit]) for code in codes) * 2 > len(codes) for bit in range(codes.shape[1])]


def recall(gallery: Bits, centres: Bits, lists: Sequence[int], asked: Sequence[int], n_nearest: int, n: int) -> float:
    """The share of the nearest other rows of the rows asked for that are in the n nearest lists, the mean."""
    found = 0
    for row in asked:
        others = [place for _, place in ordered(gallery[row], gallery, range(len(gallery))) if place != row]
        near = nearest_lists(gallery[row], centres)[:n]
        found += sum(lists[place] in near for place in others[:n_nearest])
    return found / (len(asked) * n_nearest)
