"""The coarse code: a short code for the first stage of a search, made of bits of the attribute and identity codes."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from bitreid.arrays import Bytes
from bitreid.codes import Codes
from bitreid.errors import ArtifactError, CodesError, SettingsError

RECALLS = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Shares of the matches for which a model's table says how much of a gallery stage 1 has to keep."""


@dataclass(frozen=True)
class CoarseCode:
    """Which bits make the coarse code, and how much of a gallery a search by it has to keep.

    A bit may come several times, as it weighs: the code is compared by plain Hamming distance. It has the attribute
    bits first, then those of the identity code.
    """

    attribute_bits: tuple[int, ...]
    """Bits of the attribute code, from 0."""
    identity_bits: tuple[int, ...]
    """Bits of the identity code, from 0."""
    recall: tuple[tuple[float, float], ...]
    """Wanted share of the matches, and the share of the gallery that keeps it on held-out people; both ascending."""

    def __post_init__(self) -> None:
        if min((*self.attribute_bits, *self.identity_bits), default=0) < 0:
            raise ArtifactError("expected bits of codes from 0, got a negative one")
        if not self.n_bits or self.n_bits % 8:
            raise ArtifactError(f"expected a coarse code of a positive multiple of 8 bits, got {self.n_bits}")
        ascend = all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(self.recall))
        if not self.recall or not ascend or not all(0 < wanted < 1 and 0 < share <= 1 for wanted, share in self.recall):
            raise ArtifactError(
                f"expected shares of matches and of the gallery that ascend between 0 and 1, got {self.recall}"
            )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the coarse code of the values of `dataclasses.asdict` that JSON gave back."""
        recall = tuple((float(wanted), float(share)) for wanted, share in values["recall"])
        return cls(tuple(values["attribute_bits"]), tuple(values["identity_bits"]), recall)

    @property
    def n_bits(self) -> int:
        """Length of the code."""
        return len(self.attribute_bits) + len(self.identity_bits)

    def fits(self, n_bits: int, n_attribute_bits: int) -> bool:
        """Return whether identity codes of `n_bits` and attribute codes of so many bits have all bits of this code."""
        identity, attributes = max(self.identity_bits, default=-1), max(self.attribute_bits, default=-1)
        return identity < n_bits and attributes < n_attribute_bits

    def of(self, codes: Codes, attribute_codes: Codes | None) -> Codes:
        """Return the coarse codes of items; `CodesError` where attribute codes are missing or codes are too short."""
        n_attribute_bits = 0 if attribute_codes is None else attribute_codes.n_bits
        if not self.fits(codes.n_bits, n_attribute_bits):
            raise CodesError(
                f"expected codes with attribute bit {max(self.attribute_bits, default=-1)} and identity bit "
                f"{max(self.identity_bits, default=-1)}, got {n_attribute_bits} and {codes.n_bits} bits"
            )
        sides = [_columns(codes.packed, self.identity_bits)]
        if attribute_codes is not None:
            sides.insert(0, _columns(attribute_codes.packed, self.attribute_bits))
        return Codes(np.packbits(np.concatenate(sides), axis=0).T, self.n_bits)

    def share(self, recall: float) -> float:
        """Return the share of a gallery to keep for this share of the matches.

        Between the wanted shares of the table it lies on a straight line; below the first it is that of the first, and
        from the last on the line goes to the whole gallery. `SettingsError` for a share that is none.

        >>> CoarseCode((), tuple(range(8)), ((0.5, 0.01), (0.9, 0.09))).share(0.8)
        0.07
        """
        if not (math.isfinite(recall) and 0 < recall <= 1):
            raise SettingsError(f"expected a share of the matches above 0 and up to 1, got {recall}")
        wanted, shares = zip(*self.recall, strict=True)
        return round(float(np.interp(recall, (*wanted, 1.0), (*shares, 1.0))), 12)


def _columns(packed: Bytes, bits: tuple[int, ...]) -> Bytes:
    """Return chosen bits of packed codes `(n, n_bytes)`, `(len(bits), n)`, each 0 or 1."""
    at = np.array(bits, np.intp)
    shifted: Bytes = packed.T[at // 8] >> (7 - at % 8).astype(np.uint8)[:, None]
    return shifted & np.uint8(1)
