"""Codes to search: made up, in clusters, or a model's own, repeated with noise."""

from dataclasses import dataclass

import numpy as np

from bitreid.arrays import Bytes, Floats, Ints
from bitreid.codes import Codes, unpack
from bitreid.errors import DataError
from bitreid.evaluation.side import Side

N_QUERIES = 256
SHORT_BITS = 64
PICTURES = 20  # of each person
NOISE = 0.2  # bits of a picture that are not its person's
_SMALLEST = 20_000  # rows that hold whole people, so that a small gallery is like a large one
_DIGITS = 8  # of a rate
_BLOCK = 8192


@dataclass(frozen=True)
class SearchSet:
    """Queries and the gallery that they are looked for in, of codes of one length."""

    queries: Codes
    gallery: Codes

    def rows(self, n: int) -> "SearchSet":
        """Return the same with the first `n` rows of the gallery."""
        return SearchSet(self.queries, self.gallery[:n])

    def prefix(self, n_bits: int) -> "SearchSet":
        return SearchSet(self.queries.prefix(n_bits), self.gallery.prefix(n_bits))


def flips(rng: np.random.Generator, n: int, rates: Floats) -> Bytes:
    """Return packed random bits `(n, n_bits / 8)`, each set at its own rate of `rates (n_bits,)`, to 1 / 256.

    A bit that is set at the rate r is set at r / 2 after "and" with a random bit, at (r + 1) / 2 after "or": the digits
    of a binary fraction, the last one first.
    """
    whole = np.round(rates * 2**_DIGITS).astype(np.int64).clip(0, 2**_DIGITS - 1)
    drawn = np.zeros((n, len(rates) // 8), np.uint8)
    for digit in range(_DIGITS):
        random = np.frombuffer(rng.bytes(drawn.size), np.uint8).reshape(drawn.shape)
        ones = np.packbits((whole >> digit & 1).astype(np.bool_))
        drawn = (drawn & random) | (ones & (drawn | random))
    return drawn


def noisy(rng: np.random.Generator, codes: Codes, rows: Ints, rates: Floats) -> Codes:
    """Return the codes of `rows`, bits flipped at the `rates (n_bits,)`."""
    packed = np.empty((len(rows), codes.n_bits // 8), np.uint8)
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        np.bitwise_xor(codes.packed[some], flips(rng, len(some), rates), out=packed[start : start + _BLOCK])
    return Codes(packed, codes.n_bits)


def clustered(n_rows: int, lengths: tuple[int, ...], seed: int = 0) -> dict[int, SearchSet]:
    """Return made-up codes of each length: people are random codes, a picture is its person's with bits flipped.

    Each `_SMALLEST` rows hold whole people, mixed; a query is another picture of somebody in the first ones.
    """
    rng = np.random.default_rng(seed)
    blocks = (np.arange(start, min(start + _SMALLEST, n_rows)) // PICTURES for start in range(0, n_rows, _SMALLEST))
    pids = np.concatenate([rng.permutation(block) for block in blocks])
    wanted = rng.choice(pids[:_SMALLEST], N_QUERIES)
    found = {}
    for n_bits in lengths:
        people = Codes(flips(rng, n_rows // PICTURES + 1, np.full(n_bits, 0.5)), n_bits)
        rates = np.full(n_bits, NOISE)
        found[n_bits] = SearchSet(noisy(rng, people, wanted, rates), noisy(rng, people, pids, rates))
    return found


def repeated(query: Side, gallery: Side, n_rows: int, noise: float | None, seed: int = 0) -> dict[str, SearchSet]:
    """Return a model's codes, `n_rows` of them: the long ones as "long", and short ones by their names.

    Each picture of the gallery is repeated, bits flipped at the rate `noise`; None: each bit as often as it differs
    between two pictures of one person from one camera. Queries are pictures, as they are. Short codes are attribute
    codes, if the sides have them, and a prefix of the long ones.
    """
    rng = np.random.default_rng(seed)
    wanted = rng.permutation(len(query))[:N_QUERIES]
    repeats = -(-n_rows // len(gallery))
    rows = np.concatenate([rng.permutation(len(gallery)) for _ in range(repeats)])[:n_rows]
    found = {}
    for name in ("codes", "attribute_codes"):
        ours, theirs = getattr(query, name), getattr(gallery, name)
        if ours is None or theirs is None:
            continue
        rates = difference_rates(theirs, gallery) if noise is None else np.full(theirs.n_bits, noise)
        found[name] = SearchSet(ours[wanted], noisy(rng, theirs, rows, rates))
    if "codes" not in found:
        raise DataError("expected codes in both files, got features alone; write them with bitreid encode")
    pairs = {"long": found["codes"], f"prefix, {SHORT_BITS} bits": found["codes"].prefix(SHORT_BITS)}
    if attributes := found.get("attribute_codes"):
        pairs[f"attributes, {attributes.gallery.n_bits} bits"] = attributes
    return pairs


def widened(side: Side, n_queries: int, n_rows: int = 0, seed: int = 0) -> tuple[Side, Side]:
    """Return pictures of known people as queries, and the others, repeated with noise up to `n_rows`, as a gallery.

    0 rows: the others as they are. Bits of what is repeated are flipped as often as they differ between two pictures of
    one person from one camera, each bit at its own rate.
    """
    if side.codes is None:
        raise DataError("expected codes, got features alone; write them with bitreid encode")
    rng = np.random.default_rng(seed)
    known = rng.permutation(np.flatnonzero(side.pids > 0))
    if len(known) < 2 * n_queries:
        raise DataError(f"expected {2 * n_queries} pictures of known people, got {len(known)}")
    asked = known[:n_queries]
    others = np.setdiff1d(np.arange(len(side)), asked)
    n_rows = n_rows or len(others)
    rows = np.concatenate([rng.permutation(others) for _ in range(-(-n_rows // len(others)))])[:n_rows]

    def gallery(codes: Codes | None) -> Codes | None:
        if codes is None:
            return None
        found = codes[rows]
        if n_rows > len(others):
            rates = difference_rates(codes, side)
            found.packed[len(others) :] = noisy(rng, codes, rows[len(others) :], rates).packed
        return found

    queries = Side(
        side.codes[asked],
        None,
        None if side.attribute_codes is None else side.attribute_codes[asked],
        side.pids[asked],
        side.camids[asked],
    )
    return queries, Side(gallery(side.codes), None, gallery(side.attribute_codes), side.pids[rows], side.camids[rows])


def difference_rates(codes: Codes, side: Side) -> Floats:
    """Return the share `(n_bits,)` of the pairs of pictures of one person from one camera in which a bit differs."""
    bits = unpack(codes)
    differing, pairs = np.zeros(codes.n_bits), 0.0
    known = side.pids > 0
    _, group = np.unique(np.stack([side.pids, side.camids])[:, known], axis=1, return_inverse=True)
    rows = np.flatnonzero(known)
    for members in np.split(rows[np.argsort(group, kind="stable")], np.cumsum(np.bincount(group))[:-1]):
        n, ones = len(members), bits[members].sum(axis=0)
        differing += ones * (n - ones)
        pairs += n * (n - 1) / 2
    if not pairs:
        raise DataError("expected two pictures of one person from one camera in the gallery, got none; state a --noise")
    return differing / pairs
