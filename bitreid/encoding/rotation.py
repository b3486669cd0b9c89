"""Iterative quantisation (ITQ): directions whose signs lose little of where features lie."""

from collections.abc import Sequence

import numpy as np

from bitreid.arrays import Floats

STEPS = 30
"""How often signs and rotation are fitted to each other."""


def rotated_directions(centred: Floats, ends: Sequence[int], rng: np.random.Generator, steps: int = STEPS) -> Floats:
    """Return orthogonal directions `(d, ends[-1])` of centred values `(n, d)`, block by block up to each of `ends`.

    A block's are chosen within as many principal directions as where it ends, so that their signs lose little.
    """
    values, vectors = np.linalg.eigh(centred.T @ centred)
    principal = vectors[:, np.argsort(values)[::-1]]
    blocks, start = [], 0
    for end in ends:
        directions = principal[:, :end]
        z = centred @ directions
        rotation = np.linalg.qr(rng.normal(size=(directions.shape[1], end - start)))[0]
        for _ in range(steps):
            left, _, right = np.linalg.svd(z.T @ np.where(z @ rotation > 0, 1.0, -1.0), full_matrices=False)
            rotation = left @ right
        blocks.append(directions @ rotation)
        start = end
    return np.concatenate(blocks, axis=1)
