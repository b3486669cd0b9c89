"""Binary codes: packing, slicing, Hamming distance, statistics of bits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Bools, Bytes, Features, Floats, Ints32
from bitreid.errors import CodesError

SHORTEST = 32
"""The shortest prefix of a nested code, in bits."""
_STATISTICS_ROWS = 4096


@dataclass(frozen=True)
class Part:
    """A named run of bits, `start <= bit < stop`: the global descriptor or one stripe, or a piece of it."""

    name: str
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise CodesError(
                f"expected part {self.name!r} to hold at least one bit, got bits {self.start} to {self.stop}"
            )

    @property
    def n_bits(self) -> int:
        return self.stop - self.start


def check_layout(parts: tuple[Part, ...], n_bits: int) -> None:
    """Check that `parts` cover bits 0 to `n_bits` in order; else raise `CodesError`.

    A name may come several times: the bits of that part lie in several runs.
    """
    starts = [part.start for part in parts]
    stops = [part.stop for part in parts]
    if starts != [0, *stops[:-1]] or stops[-1:] != [n_bits]:
        raise CodesError(f"expected parts that cover bits 0 to {n_bits} in order, got {parts}")


def part_sizes(parts: tuple[Part, ...]) -> dict[str, int]:
    """Return the number of bits of each part, all its runs together, in the order of their first runs."""
    sizes: dict[str, int] = {}
    for part in parts:
        sizes[part.name] = sizes.get(part.name, 0) + part.n_bits
    return sizes


def part_mask(parts: tuple[Part, ...], names: Collection[str]) -> Bools:
    """Return which bits of a layout, `(n_bits,) bool`, belong to the parts of these names."""
    return np.repeat([part.name in names for part in parts], [part.n_bits for part in parts])


def prefix_parts(parts: tuple[Part, ...], n_bits: int) -> tuple[Part, ...]:
    """Return the layout of the first `n_bits` bits: the runs that begin within them, the last cut at their end."""
    return tuple(Part(part.name, part.start, min(part.stop, n_bits)) for part in parts if part.start < n_bits)


def nested_lengths(n_bits: int) -> tuple[int, ...]:
    """Return the lengths of a nested code's prefixes, in bits: powers of two from 32 up to `n_bits`."""
    powers = (SHORTEST << i for i in range(n_bits.bit_length()))
    return (*(length for length in powers if length < n_bits), n_bits)


@dataclass(frozen=True)
class Codes:
    """Packed binary codes.

    `packed` is `(n, n_bits / 8) uint8`, C-contiguous, the first bit of a code the highest bit of its
    first byte (`numpy.packbits` order). `n_bits` is a multiple of 8. `parts` names runs of bits in
    order, covering them all (a name may come several times), or is empty when the layout is unknown.
    """

    packed: Bytes
    n_bits: int
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if self.n_bits <= 0 or self.n_bits % 8:
            raise CodesError(f"expected n_bits to be a positive multiple of 8, got {self.n_bits}")
        if self.packed.dtype != np.uint8 or self.packed.ndim != 2 or self.packed.shape[1] != self.n_bits // 8:
            raise CodesError(
                f"expected packed codes of shape (n, {self.n_bits // 8}) uint8 for {self.n_bits} bits, "
                f"got {self.packed.shape} {self.packed.dtype}; pack them with codes.pack"
            )
        if self.parts:
            check_layout(self.parts, self.n_bits)
        if not self.packed.flags.c_contiguous:
            object.__setattr__(self, "packed", np.ascontiguousarray(self.packed))

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, rows: slice | npt.NDArray[np.intp] | Bools) -> Self:
        """Return the codes of the given rows."""
        return type(self)(self.packed[rows], self.n_bits, self.parts)

    def prefix(self, n_bits: int) -> "Codes":
        """Return the first `n_bits` bits of every code, with the parts of these bits.

        `n_bits` is a multiple of 8, at most `self.n_bits`. Of a model whose card names that length it is a code in its
        own right; of any other model it is whatever comes first (see `interleaved`).
        """
        if n_bits > self.n_bits:
            raise CodesError(f"expected a prefix of at most {self.n_bits} bits, got {n_bits}")
        return Codes(self.packed[:, : n_bits // 8], n_bits, prefix_parts(self.parts, n_bits))

    def part(self, *names: str) -> "Codes":
        """Return the bits of the named parts only, in the layout's order, zero-padded to whole bytes."""
        known = part_sizes(self.parts)
        missing = [name for name in names if name not in known]
        if missing or not names:
            raise CodesError(f"expected one or more of the parts {sorted(known)}, got {list(names)}")
        return pack_bits(unpack(self)[:, part_mask(self.parts, names)])

    def interleaved(self) -> "Codes":
        """Return the codes with their bits in an order in which every prefix has each part's share; the layout is lost.

        Shares are exact to less than one bit. A prefix is then a shorter code of the whole picture, though not one that
        was trained to be. Codes without parts stay as they are.
        """
        return pack_bits(unpack(self)[:, spread(self.parts)]) if self.parts else self


def concatenated(codes: Sequence[Codes]) -> Codes:
    """Return codes of one length and layout, one or more, one after the other."""
    return Codes(np.concatenate([each.packed for each in codes]), codes[0].n_bits, codes[0].parts)


def spread(parts: tuple[Part, ...]) -> list[int]:
    """Return the bits of parts in an order in which every part has its share of every prefix, to less than one bit.

    Of the parts that have less than their share, the one comes next that would first have a whole bit too few (Steiner
    and Yeomans, Level Schedules for Mixed-Model, Just-in-Time Processes, 1993).
    """
    bits_of = [np.flatnonzero(part_mask(parts, (name,))).tolist() for name in part_sizes(parts)]
    n_bits = parts[-1].stop
    taken = [0] * len(bits_of)
    order = []
    for length in range(1, n_bits + 1):
        ready = [i for i, bits in enumerate(bits_of) if taken[i] * n_bits < length * len(bits)]
        first = min(ready, key=lambda i: (taken[i] + 1) / len(bits_of[i]))
        order.append(bits_of[first][taken[first]])
        taken[first] += 1
    return order


def pack_bits(bits: Bools, parts: tuple[Part, ...] = ()) -> Codes:
    """Return the codes of booleans `(n, b)`; `b` is zero-padded to whole bytes."""
    if bits.ndim != 2 or bits.dtype != np.bool_:
        raise CodesError(f"expected bits of shape (n, b) bool, got {bits.shape} {bits.dtype}")
    packed = np.packbits(bits, axis=1)
    return Codes(packed, packed.shape[1] * 8, parts)


def pack(features: Features, parts: tuple[Part, ...] = ()) -> Codes:
    """Return the codes of real values `(n, n_bits)`: a bit is 1 where the value is above 0. NaN is an error."""
    if features.ndim != 2 or features.shape[1] % 8:
        raise CodesError(f"expected features of shape (n, multiple of 8), got {features.shape}")
    if np.isnan(features).any():
        # NaN > 0 is False: a network that diverged would give tidy codes of zeros, all alike.
        rows = np.flatnonzero(np.isnan(features).any(axis=1))
        raise CodesError(f"expected features without NaN, got NaN in {len(rows)} rows, first row {rows[0]}")
    return pack_bits(features > 0, parts)


def unpack(codes: Codes) -> Bools:
    """Return the bits of codes, booleans `(n, n_bits)`."""
    return np.unpackbits(codes.packed, axis=1).astype(np.bool_)


def hamming_distances(queries: Codes, gallery: Codes) -> Ints32:
    """Return the Hamming distances `(len(queries), len(gallery))`, in bits.

    Needs 4 bytes a bit of both sides for a moment: call it on blocks of a large gallery.
    """
    if queries.n_bits != gallery.n_bits:
        raise CodesError(f"expected codes of one length, got {queries.n_bits} and {gallery.n_bits} bits")
    # Distances as a matrix product: for signs +-1, <a, b> = n_bits - 2 * distance. Exact in float32
    # up to 2**24 bits, and far faster than a lookup of xor-ed bytes.
    a = unpack(queries).astype(np.float32) * 2 - 1
    b = unpack(gallery).astype(np.float32) * 2 - 1
    return ((queries.n_bits - a @ b.T) / 2).astype(np.int32)


@dataclass(frozen=True)
class BitStatistics:
    """How well a set of codes uses its bits.

    `balance` is the share of ones of each bit `(n_bits,)`; `mean_correlation` the mean absolute
    correlation between different bits (0 is ideal; constant bits left out; 0 if fewer than two remain);
    `distinct` the number of different codes. `entropy`, in bits, is that of the codes as they are shared
    out, -sum p log2 p over the different ones: n codes cannot show more than log2 n of it. `collisions`
    is the share of the pairs of rows that have one code; 0 for a single row.
    """

    balance: Floats
    mean_correlation: float
    distinct: int
    entropy: float
    collisions: float


def bit_statistics(codes: Codes) -> BitStatistics:
    """Return the statistics of the bits of `codes`; at least one code is needed.

    Memory is a few MB, n_bits^2 numbers and a copy or two of the codes, whatever their number.
    """
    n = len(codes)
    if not n:
        raise CodesError("expected at least 1 code for bit statistics, got none")
    ones, together = np.zeros(codes.n_bits), np.zeros((codes.n_bits, codes.n_bits))
    for start in range(0, n, _STATISTICS_ROWS):
        bits = np.unpackbits(codes.packed[start : start + _STATISTICS_ROWS], axis=1).astype(np.float32)
        ones += bits.sum(axis=0)
        together += bits.T @ bits  # exact: whole numbers far below 2**24
    live = (ones > 0) & (ones < n)
    balance = ones / n
    shares, n_live = balance[live], int(live.sum())
    correlation = 0.0
    if n_live > 1:
        covariance = together[np.ix_(live, live)] / n - np.outer(shares, shares)
        deviation = np.sqrt(shares * (1 - shares))
        absolute = np.abs(covariance) / np.outer(deviation, deviation)
        correlation = float((absolute.sum() - np.trace(absolute)) / (n_live * (n_live - 1)))
    _, counts = np.unique(codes.packed, axis=0, return_counts=True)
    entropy = max(0.0, float(np.log2(n) - counts @ np.log2(counts) / n))
    collisions = float(counts @ (counts - 1)) / max(n * (n - 1), 1)
    return BitStatistics(balance, correlation, len(counts), entropy, collisions)
