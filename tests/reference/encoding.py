"""Encoding one step after the other: each chunk is decoded, picture by picture, before it is encoded."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bitreid.data.pictures import load_picture
from bitreid.encoding.encoder import Encoded, Encoder
from bitreid.errors import PictureError


def encoded_one_after_the_other(encoder: Encoder, paths: Sequence[Path], size: int) -> list[tuple[list[int], Encoded]]:
    """Return of each chunk of `size` paths the rows that can be read, and what they are."""
    height, width = encoder.card.input.height, encoder.card.input.width
    found = []
    for start in range(0, len(paths), size):
        rows, pictures = [], np.empty((0, height, width, 3), np.uint8)
        for row in range(start, min(start + size, len(paths))):
            try:
                picture = load_picture(paths[row], height, width)
            except PictureError:
                continue
            rows.append(row)
            pictures = np.concatenate([pictures, picture[None]])
        found.append((rows, encoder.encode(pictures)))
    return found
