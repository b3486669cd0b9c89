"""The protocol of engines: torch and other runtimes implement it to run a network."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Floats32


class EngineOutput(NamedTuple):
    """What a network returns for n pictures, all float32.

    features          (n, n_bits): a bit of the identity code is 1 where it is above 0
    attribute_logits  (n, A), or None for a network without attributes
    teacher           (n, n_bits), or None: only training has one
    """

    features: Floats32
    attribute_logits: Floats32 | None
    teacher: Floats32 | None


class Engine(Protocol):
    """Runs a network on pictures `(n, H, W, 3) uint8`, red green blue, of the card's size; n may be 0."""

    def __call__(self, pictures: npt.NDArray[np.uint8]) -> EngineOutput: ...
