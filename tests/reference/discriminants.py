"""Linear discriminants, the slow way: least squares of stacked rows, and the densities of two normals."""

import numpy as np

from bitreid.arrays import Floats, Floats32, Labels


def log_odds(x: Floats32, labels: Labels, shrinkage: float, of: Floats32) -> Floats:
    """Return the log odds `(k, A)` of attributes for values `of (k, d)`, fitted on `x (n, d)` and `labels (n, A)`."""
    n, d = x.shape
    z, new = ((each - x.mean(0)) / (x.std(0) + 1e-6) for each in (x.astype(float), of.astype(float)))
    found = np.zeros((len(of), labels.shape[1]))
    for bit in range(labels.shape[1]):
        known = labels[labels[:, bit] >= 0, bit]
        targets = [0.0 if label < 0 else label - known.mean() for label in labels[:, bit]]
        rows = np.concatenate([z, np.sqrt(shrinkage * d * n) * np.eye(d)])
        direction = np.linalg.lstsq(rows, np.concatenate([targets, np.zeros(d)]), rcond=None)[0]
        own, others = (z[labels[:, bit] == label] @ direction for label in (1, 0))
        inside = np.concatenate([own - own.mean(), others - others.mean()])

        def density(mean: float, scores: Floats = new @ direction, variance: float = (inside**2).mean()) -> Floats:
            return np.asarray(-((scores - mean) ** 2) / (2 * variance))

        prior = np.log(len(own) + 0.5) - np.log(len(others) + 0.5)
        found[:, bit] = density(own.mean()) - density(others.mean()) + prior
    return found
