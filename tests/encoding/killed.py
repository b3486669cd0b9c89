"""A process that encodes pictures to a folder of shards, slowly, so that it can be killed in the middle.

It is run with the folder of the pictures, the folder of shards and a file in which it notes the pictures that it
encodes.
"""

import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from bitreid.arrays import Pixels
from bitreid.artifact import Card, InputSpec
from bitreid.data.manifest import Manifest
from bitreid.encoding import shards
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.engine import EngineOutput

CHUNK, SHARD = 4, 8
SLOW_S = 0.05

CARD = Card(
    name="fake",
    model={},
    input=InputSpec(4, 2, (0, 0, 0), (1, 1, 1)),
    n_bits=16,
    parts=(),
    n_features=16,
    attributes=None,
    thresholds={},
    training={},
    licence="none",
    metrics={},
    weights_sha256="0" * 64,
)


def engine(pictures: Pixels) -> EngineOutput:
    """Features are a picture's first sixteen values less 100."""
    return EngineOutput(pictures.reshape(len(pictures), 24)[:, :16].astype(np.float32) - 100, None, None)


def manifest(folder: Path) -> Manifest:
    """The pictures of a folder, with a person, a camera, a tracklet and a date each."""
    paths = tuple(sorted(folder.iterdir()))
    rows = np.arange(len(paths))
    return Manifest(paths, rows // 3, rows % 2, ("gallery",) * len(paths), rows * 1_000_000, rows // 2, dated=True)


def main() -> None:
    """Encode until done, or killed."""
    folder, out, log = map(Path, sys.argv[1:])

    def slow(pictures: Pixels) -> EngineOutput:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{len(pictures)}\n")
        time.sleep(SLOW_S)
        return engine(pictures)

    with mock.patch.object(shards, "CHUNK", CHUNK):
        shards.encode_to_shards(Encoder(CARD, slow), manifest(folder), out, size=SHARD)


if __name__ == "__main__":
    main()
