"""Twin of `bitreid.hamming`: one bit and one row at a time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.bool_]


def hamming(a: Bits, b: Bits) -> int:
    """How many bits of two codes `(n_bits,)` differ."""
    return sum(bool(x) != bool(y) for x, y in zip(a, b, strict=True))


def weighted(a: Bits, b: Bits, weights: Sequence[int]) -> int:
    """The weights of the bits that differ, added up; bits beyond the weights have none."""
    total = 0
    for bit, weight in enumerate(weights):
        if a[bit] != b[bit]:
            total += weight
    return total


def exact(
    query: Bits, gallery: Bits, k: int, ids: Sequence[int], weights: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """The first k (distance, row) of one query, by (distance, id)."""
    distances = [hamming(query, code) if weights is None else weighted(query, code, weights) for code in gallery]
    found = [(distance, ids[row], row) for row, distance in enumerate(distances)]
    return [(distance, row) for distance, _, row in sorted(found)][:k]


def two_stage(
    short_query: Bits,
    long_query: Bits,
    short_gallery: Bits,
    long_gallery: Bits,
    w: int,
    k: int,
    ids: Sequence[int],
    short_weights: Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """The first k (long distance, row) among the w rows that the short code keeps."""
    kept = [row for _, row in exact(short_query, short_gallery, w, ids, short_weights)]
    return [item for item in exact(long_query, long_gallery, len(long_gallery), ids) if item[1] in kept][:k]


def counts(query: Bits, gallery: Bits, threshold: int) -> tuple[int, int]:
    """How many rows are nearer than the threshold, and at it."""
    distances = [hamming(query, code) for code in gallery]
    return sum(distance < threshold for distance in distances), sum(distance == threshold for distance in distances)
