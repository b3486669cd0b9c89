"""Fit a second attribute head, on the backbone's own map, once a network is trained.

The network knows the attributes of its training people by heart in the end, and its head no longer tells what carries
over to others. A linear discriminant whose covariance is shrunk this much cannot learn people by heart; the mean of
both heads is better than either on people who were held out (docs/lessons.md).
"""

import numpy as np
import torch
from torch import Tensor, nn

from bitreid.arrays import Floats32, Ints, Labels
from bitreid.encoding.encoder import CHUNK
from bitreid.evaluation.calibration.attribute_thresholds import balanced_accuracies, cross_validated_thresholds
from bitreid.models import HashingNetwork
from bitreid.models.attention import AttributeBlock
from bitreid.models.parts import stripe_means
from bitreid.training.engine import TorchEngine
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task

_SHRINKAGE = 1 / 128
"""This times d is added to the variance of each of d values, which is 1. Chosen on held-out people."""
_MOST_PICTURES = 30_000


def fit_attributes(recipe: Recipe, task: Task, network: HashingNetwork) -> bool:
    """Give a trained network's attribute block its `direct` head, fitted on training pictures, and return whether it
    has one now.

    It is left out where held-out people's attributes are told no better with it. Of more than 30,000 pictures it takes
    some at random; memory is 4 bytes for each of their values.
    """
    block, rows = network.attribute_block, task.split.train
    if block is None:
        return False
    if len(rows) > _MOST_PICTURES:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(rows, _MOST_PICTURES, replace=False))
    before = _told(recipe, task, network)
    weights, biases = discriminants(_pooled(recipe, task, network, block, rows), task.labels[rows])
    block.direct = block.new_head()
    with torch.no_grad():
        block.direct.weight.copy_(torch.from_numpy(weights))
        block.direct.bias.copy_(torch.from_numpy(biases))
    after = _told(recipe, task, network)
    if before is not None and after is not None and after <= before:
        block.direct = None
    return block.direct is not None


def discriminants(x: Floats32, labels: Labels) -> tuple[Floats32, Floats32]:
    """Return linear maps from values to the log odds of attributes: weights `(A, d)` and biases `(A,)`.

    x       (n, d) values of pictures
    labels  (n, A) 1, 0, or -1 for unknown

    The direction of each is ridge regression's on its labels, which is the discriminant's with a shrunk covariance
    (Friedman, JASA 1989); along it, those with the attribute and those without are two normals of one variance. An
    attribute without both labels gets weights of 0.
    """
    n, d = x.shape
    mean, spread = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / spread
    ones, zeros = labels == 1, labels == 0
    n_ones, n_zeros = ones.sum(0), zeros.sum(0)
    shares = n_ones / np.maximum(n_ones + n_zeros, 1)
    targets = np.where(labels >= 0, ones - shares, 0).astype(np.float32)
    ridge = np.float32(_SHRINKAGE * d * n)
    if n < d:
        directions = z.T @ np.linalg.solve(z @ z.T + ridge * np.eye(n, dtype=np.float32), targets)
    else:
        directions = np.linalg.solve(z.T @ z + ridge * np.eye(d, dtype=np.float32), z.T @ targets)
    scores = z @ directions  # (n, A)
    slopes, offsets = np.zeros(labels.shape[1]), np.log((n_ones + 0.5) / (n_zeros + 0.5))
    for bit in np.flatnonzero((n_ones > 0) & (n_zeros > 0)):
        own, others = scores[ones[:, bit], bit], scores[zeros[:, bit], bit]
        variance = (own.var() * len(own) + others.var() * len(others)) / (len(own) + len(others))
        slopes[bit] = (own.mean() - others.mean()) / (variance + 1e-9)
        offsets[bit] -= slopes[bit] * (own.mean() + others.mean()) / 2
    weights = (directions * slopes).T / spread
    return weights.astype(np.float32), (offsets - weights @ mean).astype(np.float32)


def _pooled(recipe: Recipe, task: Task, network: HashingNetwork, block: AttributeBlock, rows: Ints) -> Floats32:
    """Return what the `direct` head sees of pictures, `(n, C * stripes)`."""
    chunks: list[Floats32] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], feature_map: Tensor) -> None:
        chunks.append(stripe_means(feature_map, block.n_stripes).flatten(1).float().cpu().numpy())

    engine, handle = TorchEngine(network, recipe.input), network.backbone.register_forward_hook(keep)
    try:
        for start in range(0, len(rows), CHUNK):
            engine(task.pictures[rows[start : start + CHUNK]])
    finally:
        handle.remove()
    return np.concatenate(chunks)


def _told(recipe: Recipe, task: Task, network: HashingNetwork) -> float | None:
    """Return the balanced accuracy of held-out people's attributes, thresholds cross-validated; None without labels."""
    rows = task.held_out
    logits = TorchEngine(network, recipe.input)(task.pictures[rows]).attribute_logits
    assert logits is not None, "the network has attributes"
    probabilities, labels = 1 / (1 + np.exp(-logits.clip(-50, 50))), task.labels[rows]
    people = task.labels[task.split.train], task.manifest.pids[rows]
    scores = balanced_accuracies(probabilities, labels, cross_validated_thresholds(probabilities, labels, *people))
    return None if np.isnan(scores).all() else float(np.nanmean(scores))
