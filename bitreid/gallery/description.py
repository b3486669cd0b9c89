"""A description of a person as a query: attributes without a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Self

import numpy as np

from bitreid.arrays import Bools, Bytes, Ints
from bitreid.errors import BadRequest
from bitreid.gallery.contract import Contract

UNIT = 64
"""Weight of an attribute that is certain: distances are rounded to one in so many."""


@dataclass(frozen=True)
class Description:
    """What the attributes of a person should be, in whole numbers.

    bits     (n_attributes,) bool, the likelier value of each attribute
    weights  (n_attributes,) whole numbers, 0 where it does not count: what it costs to have it wrong rather than right,
             in 1 / UNIT of an attribute
    base     expected number of attributes that even the best item has wrong
    """

    bits: Bools
    weights: tuple[int, ...]
    base: float

    @classmethod
    def of(cls, attributes: Mapping[str, float], contract: Contract) -> Self:
        """Return the description that gives for each attribute the probability that the person has it.

        With p the probability and b the item's bit, the attribute is wrong with probability b (1 - p) + (1 - b) p: at
        least min(p, 1 - p), and |2 p - 1| more if b is the unlikelier value. `BadRequest` for a name that the codes do
        not tell, a number that is no probability, or no attribute at all.
        """
        unknown = [name for name in attributes if name not in contract.attributes]
        if unknown or not attributes:
            known = ", ".join(contract.attributes) or "none at all"
            near = [close for name in unknown for close in get_close_matches(name, contract.attributes, 1)]
            hint = f" (did you mean {', '.join(near)}?)" if near else ""
            raise BadRequest(f"expected attributes among {known}, got {', '.join(unknown) or 'none'}{hint}")
        wrong = {name: p for name, p in attributes.items() if not (isinstance(p, Real) and 0 <= p <= 1)}
        if wrong:
            raise BadRequest(f"expected probabilities from 0 to 1, got {wrong}")
        likely = np.array([float(attributes.get(name, 0.5)) for name in contract.attributes])
        weights = tuple(round(float(each) * UNIT) for each in np.abs(2 * likely - 1))
        base = sum(min(float(p), 1 - float(p)) for p in attributes.values())
        return cls(likely > 0.5, weights, base)

    def wrong(self, codes: Bytes) -> Ints:
        """Return what the wrong bits of each of the attribute codes `(n, n_bytes)` weigh, `(n,)`."""
        unlike = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)  # the bits of each byte, (256, 8)
        total = np.zeros(len(codes), np.int64)
        for first in range(0, len(self.weights), 8):
            bits, weights = self.bits[first : first + 8], self.weights[first : first + 8]
            of_bytes = (unlike[:, : len(bits)] != bits) @ np.array(weights, np.int64)
            total += of_bytes[codes[:, first // 8]]
        return total

    def distance(self, weighted: int) -> float:
        """Return the expected number of wrong attributes, of an item whose wrong bits weigh so much."""
        return self.base + weighted / UNIT
