"""Check the arguments of a search, and bring them into the form that the kernel and its numpy twin take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bitreid.arrays import Bools, Bytes, Ints
from bitreid.codes import Codes
from bitreid.errors import CodesError, SettingsError

LARGEST_DISTANCE = 2**23
"""A distance that is larger than any: codes have fewer bits, as the kernel sorts distances of 24 bits."""

MOST_RESULTS = 2**59
"""The most results of one call: the size in bytes of a larger array would not fit in 64 bits."""

MOST_COUNTED_ROWS = 2**32 - 2
"""The most gallery rows that `count_nearer` takes: the kernel counts them in 32 bits."""


@dataclass(frozen=True)
class CountedBits:
    """Which bits count in a distance: of the bytes `run` of each code those in `mask`, `(n_bytes of the run,)`; None:
    all of them."""

    run: slice
    mask: Bytes | None

    def bytes_of(self, codes: Codes) -> Bytes:
        """Return the bytes `(n, n_bytes of the run)` of packed codes."""
        return codes.packed[:, self.run]


def counted_bits(n_bits: int, bits: Bools | None) -> CountedBits:
    """Return which bits of codes of `n_bits` count, by a mask; None: all."""
    mask = bit_mask(bits, n_bits)
    if mask is None:
        return CountedBits(slice(None), None)
    read = np.flatnonzero(mask)
    run = slice(int(read[0]), int(read[-1]) + 1) if len(read) else slice(0, 1)
    mask = mask[run]
    return CountedBits(run, None if (mask == 255).all() else np.ascontiguousarray(mask))


def bit_mask(bits: Bools | None, n_bits: int) -> Bytes | None:
    """Return the mask of bits packed, `(n_bits / 8,)`; None where all bits count."""
    if bits is None:
        return None
    _check_mask("bits", bits, n_bits, "one a bit of the codes")
    return np.packbits(bits)


def row_mask(rows: Bools | None, n: int) -> tuple[Bytes | None, int]:
    """Return the mask of `n` gallery rows, a byte a row (None where all may be found), and how many may be found."""
    if rows is None:
        return None, n
    _check_mask("rows", rows, n, "one a gallery row")
    n_allowed = int(np.count_nonzero(rows))
    return (None if n_allowed == n else np.ascontiguousarray(rows).view(np.uint8)), n_allowed


def _check_mask(name: str, mask: Bools, n: int, meaning: str) -> None:
    if mask.shape != (n,) or mask.dtype != np.bool_:
        raise CodesError(f"expected {name} of shape ({n},) bool, {meaning}, got {mask.shape} {mask.dtype}")


def checked_ids(ids: Ints | None, n: int) -> Ints | None:
    """Return the ids of `n` gallery rows, aligned and contiguous; None where the row is the id."""
    if ids is None:
        return None
    if ids.shape != (n,) or ids.dtype != np.int64:
        raise CodesError(f"expected ids of shape ({n},) int64, one a gallery row, got {ids.shape} {ids.dtype}")
    return np.require(ids, requirements=["C", "A"])


def checked_positions(positions: Ints, n_queries: int, n_gallery: int) -> Ints:
    """Return rows of the gallery, as many for each query, aligned and contiguous."""
    if positions.ndim != 2 or len(positions) != n_queries or not np.can_cast(positions.dtype, np.int64):
        raise CodesError(
            f"expected positions of shape ({n_queries}, m), whole numbers, got {positions.shape} {positions.dtype}"
        )
    if positions.size and (positions.min() < 0 or positions.max() >= n_gallery):
        raise CodesError(
            f"expected positions from 0 up to the {n_gallery} rows of the gallery, "
            f"got {positions.min()} to {positions.max()}"
        )
    return np.require(positions, np.int64, ["C", "A"])


def clipped(name: str, value: int, limit: int) -> int:
    """Return a number of gallery rows, clipped to `limit`."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise SettingsError(f"expected {name} to be a number of gallery rows, at least 1, got {value}")
    return min(int(value), limit)


def checked_limit(max_distance: int) -> int:
    """Return a largest distance, at least -1 and at most what no distance exceeds."""
    if not isinstance(max_distance, int | np.integer):
        raise SettingsError(f"expected max_distance to be a whole number, got {max_distance}")
    return min(max(int(max_distance), -1), LARGEST_DISTANCE)


def checked_threads(n_threads: int) -> int:
    """Return a number of threads, at least 1."""
    if not isinstance(n_threads, int | np.integer) or n_threads < 1:
        raise SettingsError(f"expected n_threads to be a whole number, at least 1, got {n_threads}")
    return int(n_threads)


def check_lengths(queries: Codes, gallery: Codes) -> None:
    """Check that both sides have codes of one length, which the kernel can count; else `CodesError`."""
    if queries.n_bits != gallery.n_bits:
        raise CodesError(
            f"expected query and gallery codes of one length, got {queries.n_bits} and {gallery.n_bits} bits; "
            "take the prefix of the longer"
        )
    if queries.n_bits >= LARGEST_DISTANCE:
        raise CodesError(f"expected codes of fewer than {LARGEST_DISTANCE} bits, got {queries.n_bits}")


def check_sides(short_queries: Codes, long_queries: Codes, short_gallery: Codes, long_gallery: Codes) -> None:
    """Check that each stage has codes of one length, and both stages the same rows; else `CodesError`."""
    check_lengths(short_queries, short_gallery)
    check_lengths(long_queries, long_gallery)
    if len(short_queries) != len(long_queries) or len(short_gallery) != len(long_gallery):
        raise CodesError(
            f"expected short and long codes of the same rows, got {len(short_queries)} and {len(long_queries)} "
            f"queries, {len(short_gallery)} and {len(long_gallery)} gallery rows"
        )


def check_n_results(n_queries: int, n_each: int) -> None:
    """Check that an array can hold the results of all queries, `n_each` of each query; else `CodesError`."""
    if n_queries * n_each > MOST_RESULTS:
        raise CodesError(
            f"expected at most {MOST_RESULTS} results, got {n_queries} queries with {n_each} each; "
            "search fewer queries at a time"
        )


def check_ties(ties: str) -> None:
    """Check that `ties` is a way to treat rows that tie at the end of a short list; else `SettingsError`."""
    if ties not in ("cut", "keep"):
        raise SettingsError(f"expected ties to be 'cut' or 'keep', got {ties!r}")


def check_prefixes(lengths: Sequence[int], n_bits: int) -> None:
    """Check that codes of `n_bits` have prefixes of these lengths, in ascending order; else `CodesError`."""
    runs = list(pairwise((0, *lengths)))
    if not runs or any(stop % 8 or start >= stop for start, stop in runs) or lengths[-1] > n_bits:
        raise CodesError(
            f"expected ascending lengths, multiples of 8 up to the {n_bits} bits of the codes, got {list(lengths)}"
        )


def blocks(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `0 .. n` in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
