"""The protocol of engines: torch and other runtimes implement it to run a network."""

from typing import NamedTuple, Protocol

import numpy as np

from bitreid.arrays import Floats32, Pixels


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

    def __call__(self, pictures: Pixels) -> EngineOutput: ...


MIRRORED = 256
"""Pictures of which mirror images are in memory together."""


class MirrorAveraged:
    """An engine that returns the means of another's outputs for each picture and for its mirror image."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, pictures: Pixels) -> EngineOutput:
        means: list[EngineOutput] = []
        for start in range(0, max(len(pictures), 1), MIRRORED):
            some = pictures[start : start + MIRRORED]
            seen, mirrored = self.engine(some), self.engine(np.ascontiguousarray(some[:, :, ::-1]))
            pairs = zip(seen, mirrored, strict=True)
            means.append(EngineOutput._make(None if a is None or b is None else (a + b) / 2 for a, b in pairs))
        columns = zip(*means, strict=True)
        return EngineOutput._make(None if each[0] is None else np.concatenate(each) for each in columns)
