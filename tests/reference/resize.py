"""Resizing by the textbook: each output pixel is a weighted mean of input pixels under a triangle."""

import numpy as np
import numpy.typing as npt


def resize_rows(picture: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """The picture with `size` rows. The triangle is as wide as the output pixel (antialiasing), never less than one."""
    scale = len(picture) / size
    reach = max(scale, 1.0)
    out = []
    for row in range(size):
        centre = (row + 0.5) * scale
        weights = [max(0.0, 1 - abs((i + 0.5 - centre) / reach)) for i in range(len(picture))]
        out.append(sum(weight * line for weight, line in zip(weights, picture, strict=True)) / sum(weights))
    return np.array(out)


def resize_bilinear(picture: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.float64]:
    """The picture `(height, width, 3)`, not rounded."""
    narrow = resize_rows(picture.astype(np.float64).transpose(1, 0, 2), width).transpose(1, 0, 2)
    return resize_rows(narrow, height)
