"""What a picture of round-ended rods shows, found pixel by pixel from many spheres lined up along each rod."""

import numpy as np
import numpy.typing as npt


def nearest_rod(
    rods: list[tuple[float, float, float, float, float, float]], shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """The rod seen at each pixel (height, width), -1 for none.

    A rod is x and y of its start, its depth, its radius, and x and y from start to end; the greatest depth is in front.
    """
    picture = np.full(shape, -1)
    for row in range(shape[0]):
        for column in range(shape[1]):
            best = -np.inf
            for i, (x, y, depth, radius, dx, dy) in enumerate(rods):
                for step in np.linspace(0, 1, 80):
                    away = np.hypot(column + 0.5 - x - step * dx, row + 0.5 - y - step * dy)
                    if away < radius and depth + radius * np.sin(np.arccos(away / radius)) > best:
                        best = depth + radius * np.sin(np.arccos(away / radius))
                        picture[row, column] = i
    return picture
