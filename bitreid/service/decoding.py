"""Pictures that clients send, as pixels."""

import numpy as np

from bitreid.arrays import Pixels
from bitreid.data.decoding import open_picture


def decode(content: bytes) -> Pixels:
    """Return the pixels `(h, w, 3)` of a picture, RGB, turned as its EXIF says; `PictureError` if it cannot be read."""
    return np.array(open_picture(content).rgb)
