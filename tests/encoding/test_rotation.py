"""Iterative quantisation: which directions it finds, and that their signs are worth more than principal ones'."""

import numpy as np

from bitreid.encoding.rotation import rotated_directions


def test_directions_are_orthogonal_and_each_block_stays_within_its_principal_ones() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 10)) * np.linspace(3, 0.1, 10)
    z -= z.mean(0)
    found = rotated_directions(z, [2, 5], rng)
    assert found.shape == (10, 5)
    for block in (found[:, :2], found[:, 2:]):
        np.testing.assert_allclose(block.T @ block, np.eye(block.shape[1]), atol=1e-9)
    _, vectors = np.linalg.eigh(z.T @ z)
    least = vectors[:, :5]
    np.testing.assert_allclose(least.T @ found, 0, atol=1e-9)
    np.testing.assert_allclose(vectors[:, :8].T @ found[:, :2], 0, atol=1e-9)


def test_its_signs_are_nearer_to_the_values_than_those_of_principal_directions() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 6)) * np.linspace(3, 1, 6)
    z -= z.mean(0)
    found = rotated_directions(z, [6], rng)
    principal = np.linalg.eigh(z.T @ z)[1]

    def loss(directions: np.ndarray) -> float:
        values = z @ directions
        scale = np.abs(values).mean()
        return float(np.square(values - scale * np.where(values > 0, 1, -1)).mean())

    assert loss(found) < 0.8 * loss(principal)
