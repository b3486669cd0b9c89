"""What is asked of a search: checked, and in the form that the kernel and its twin take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bitreid.arrays import Bools, Bytes, Ints
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError

LARGEST_DISTANCE = 2**23
"""No code has so many bits, and no weights a larger sum: the kernel orders by distances of 24 bits."""


@dataclass(frozen=True)
class Counted:
    """Which bits of packed codes count, and how much.

    Only the bytes `run` of each code are read. A distance is the sum over `planes`, `(n_planes, n_bytes of the run)`,
    of the bits that differ among those of plane p, times 2**p; without planes it is the number of bits that differ.
    """

    run: slice
    planes: Bytes | None

    def bytes_of(self, codes: Codes) -> Bytes:
        return codes.packed[:, self.run]


def counted(n_bits: int, bits: Bools | None, weights: Sequence[int] | None) -> Counted:
    """What counts of codes of `n_bits`, by a mask of bits and by weights, either or both or none."""
    if bits is None and weights is None:
        return Counted(slice(None), None)
    each = np.ones(n_bits, np.int64) if weights is None else _checked_weights(weights, n_bits)
    if bits is not None:
        _check_mask("bits", bits, n_bits, "one a bit of the codes")
        each = each * bits
    n_planes = max(int(each.max()).bit_length(), 1)
    planes = np.packbits(each >> np.arange(n_planes)[:, None] & 1, axis=1)
    read = np.flatnonzero(planes.any(axis=0))
    run = slice(int(read[0]), int(read[-1]) + 1) if len(read) else slice(0, 1)
    planes = np.ascontiguousarray(planes[:, run])
    return Counted(run, None if n_planes == 1 and (planes == 255).all() else planes)


def bit_mask(bits: Bools | None, n_bits: int) -> Bytes | None:
    """Which bits count, packed `(n_bits / 8,)`; None: all."""
    if bits is None:
        return None
    _check_mask("bits", bits, n_bits, "one a bit of the codes")
    return np.packbits(bits)


def _checked_weights(weights: Sequence[int], n_bits: int) -> Ints:
    """A weight for each of `n_bits` bits."""
    if not n_bits - 8 < len(weights) <= n_bits:
        raise CodesError(
            f"expected a weight for each bit of codes of {n_bits} bits, those that fill the last byte left out or not, "
            f"got {len(weights)}"
        )
    whole = all(isinstance(weight, int | np.integer) for weight in weights)
    if not whole or min(weights) < 0 or sum(map(int, weights)) > LARGEST_DISTANCE:
        raise SettingsError(
            f"expected weights from 0 with a sum of at most {LARGEST_DISTANCE}, whole numbers, "
            f"got {min(weights)} to {max(weights)} with a sum of {sum(weights)}"
        )
    return np.pad(np.asarray(weights, np.int64), (0, n_bits - len(weights)))


def findable(rows: Bools | None, n: int) -> tuple[Bytes | None, int]:
    """Which of `n` gallery rows may be found, a byte a row (None: all), and how many."""
    if rows is None:
        return None, n
    _check_mask("rows", rows, n, "one a gallery row")
    n_findable = int(np.count_nonzero(rows))
    return (None if n_findable == n else np.ascontiguousarray(rows).view(np.uint8)), n_findable


def _check_mask(name: str, mask: Bools, n: int, meaning: str) -> None:
    if mask.shape != (n,) or mask.dtype != np.bool_:
        raise CodesError(f"expected {name} of shape ({n},) bool, {meaning}, got {mask.shape} {mask.dtype}")


def checked_ids(ids: Ints | None, n: int) -> Ints | None:
    """The ids of `n` gallery rows, aligned and without gaps; None where the row is the id."""
    if ids is None:
        return None
    if ids.shape != (n,) or ids.dtype != np.int64:
        raise CodesError(f"expected ids of shape ({n},) int64, one a gallery row, got {ids.shape} {ids.dtype}")
    return np.require(ids, requirements=["C", "A"])


def clipped(name: str, value: int, limit: int) -> int:
    """A number of gallery rows, at most `limit`."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise SettingsError(f"expected {name} to be a number of gallery rows, at least 1, got {value}")
    return min(int(value), limit)


def checked_threads(n_threads: int) -> int:
    """A number of threads."""
    if not isinstance(n_threads, int | np.integer) or n_threads < 1:
        raise SettingsError(f"expected n_threads to be a whole number, at least 1, got {n_threads}")
    return int(n_threads)


def check_lengths(queries: Codes, gallery: Codes) -> None:
    """Nothing, if both sides have codes of one length that can be counted; else `CodesError`."""
    if queries.n_bits != gallery.n_bits:
        raise CodesError(
            f"expected query and gallery codes of one length, got {queries.n_bits} and {gallery.n_bits} bits; "
            "take the prefix of the longer"
        )
    if queries.n_bits >= LARGEST_DISTANCE:
        raise CodesError(f"expected codes of fewer than {LARGEST_DISTANCE} bits, got {queries.n_bits}")


def check_sides(short_queries: Codes, long_queries: Codes, short_gallery: Codes, long_gallery: Codes) -> None:
    check_lengths(short_queries, short_gallery)
    check_lengths(long_queries, long_gallery)
    if len(short_queries) != len(long_queries) or len(short_gallery) != len(long_gallery):
        raise CodesError(
            f"expected short and long codes of the same rows, got {len(short_queries)} and {len(long_queries)} "
            f"queries, {len(short_gallery)} and {len(long_gallery)} gallery rows"
        )


def check_ties(ties: str) -> None:
    if ties not in ("cut", "keep"):
        raise SettingsError(f"expected ties to be 'cut' or 'keep', got {ties!r}")


def check_prefixes(lengths: Sequence[int], n_bits: int) -> None:
    """Nothing, if codes of `n_bits` have prefixes of these lengths, in ascending order; else `CodesError`."""
    runs = list(pairwise((0, *lengths)))
    if not runs or any(stop % 8 or start >= stop for start, stop in runs) or lengths[-1] > n_bits:
        raise CodesError(
            f"expected ascending lengths, multiples of 8 up to the {n_bits} bits of the codes, got {list(lengths)}"
        )


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover `0 .. n` in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
