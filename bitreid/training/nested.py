"""Fit the map to nested codes, on the features of a network that is trained already.

Nothing here learns the training people by heart (docs/lessons.md): features are told by the few directions in which
people differ more than pictures of one person do. The first bits are rotations of these; later ones compare rotations
with several levels, so that the Hamming distance counts the levels between two pictures and not only the sides of 0.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from bitreid.arrays import Floats, Floats32, Ints
from bitreid.codes import nested_lengths
from bitreid.encoding.encoder import CHUNK
from bitreid.encoding.rotation import rotated_directions
from bitreid.models import HashingNetwork
from bitreid.models.nested import DIRECTIONS, SUMMARY, NestedMap
from bitreid.training.engine import TorchEngine
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task

# Chosen on held-out identities, as `DIRECTIONS` is.
_MIXED = 64
"""Directions that bits with levels mix, at most."""
_SPREAD = 1.5
"""Where levels end, in standard deviations."""
_MOST_PICTURES = 30_000


def nest(recipe: Recipe, task: Task, network: HashingNetwork) -> NestedMap:
    """Return a map to nested codes for a trained network's student, fitted on its training pictures.

    Memory is 16 bytes for each bit and picture; of more than 30,000 pictures it takes some at random.
    """
    rows = task.split.train
    if len(rows) > _MOST_PICTURES:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(rows, _MOST_PICTURES, replace=False))
    network.nested = nn.Identity()
    views = np.stack([features_of(recipe, task, network, rows, mirrored) for mirrored in (False, True)])
    nested = network.new_nested()
    fit_nested(nested, views, task.classes_of(rows), recipe.seed)
    return nested.to(next(network.parameters()).device)


def features_of(recipe: Recipe, task: Task, network: HashingNetwork, rows: Ints, mirrored: bool) -> Floats32:
    """Return a network's features of a task's pictures, as they are or mirrored."""
    engine, features = TorchEngine(network, recipe.input), []
    for start in range(0, len(rows), CHUNK):
        pictures = task.pictures[rows[start : start + CHUNK]]
        features.append(engine(np.ascontiguousarray(pictures[:, :, ::-1]) if mirrored else pictures).features)
    return np.concatenate(features)


def fit_nested(nested: NestedMap, views: Floats32, classes: Ints, seed: int = 0) -> None:
    """Fit the map in place to a student's values of training pictures, before its activation; this takes seconds.

    views    (v, n, n_bits) float32: the same pictures v times, say plain and mirrored
    classes  (n,) the identity of each, 0, 1, ...
    """
    rng = np.random.default_rng(seed)
    features, people = views.reshape(-1, views.shape[2]), np.tile(classes, len(views))
    lengths, n_first = nested_lengths(features.shape[1]), SUMMARY.n_bits
    shares = [(length - n_first) / (lengths[-1] - n_first) for length in lengths if length > n_first]

    def later(told: "Directions", n_bits: int) -> tuple[Floats, Floats]:
        return levels(told, [round(share * n_bits) for share in shares], rng)

    told = person_directions(features, people, DIRECTIONS)
    # One spread for all of them suits half precision; the summary takes it back.
    spreads = np.sqrt(np.maximum(told.variances, max(1e-4 * told.variances[0], 1e-12)))
    _set(nested.directions, told.mean, (told.axes / spreads, np.zeros(DIRECTIONS)))
    values = (features - told.mean.astype(np.float32)) @ told.axes
    turns = rotated_directions(values, [length for length in lengths if length <= n_first], rng)
    first = turns / np.maximum((values @ turns).std(0), 1e-6)
    scaled = Directions(np.zeros(DIRECTIONS), np.diag(spreads), told.variances)
    more = later(scaled, nested.summary.out_features - n_first)
    _set(nested.summary, scaled.mean, (scaled.axes @ first, np.zeros(n_first)), more)
    for linear, where in zip(nested.linears, nested.slices, strict=True):
        told = person_directions(features[:, where], people, DIRECTIONS)
        _set(linear, told.mean, later(told, linear.out_features))


class Directions(NamedTuple):
    """Directions in which people differ, the most telling first."""

    mean: Floats
    """(d,) of the features."""
    axes: Floats
    """(d, k)."""
    variances: Floats
    """(k,) of the centred features along each."""


def person_directions(features: Floats32, people: Ints, most: int) -> Directions:
    """Return the directions in which people differ, of the `most` principal ones.

    A direction is the shorter the more pictures of one person differ in it: by the square root of the covariance within
    people, to which its mean variance is added (after Friedman, Regularized discriminant analysis, JASA 1989).

    features  (n, d)
    people    (n,) who is on each picture: 0, 1, ...
    """
    n, d = features.shape
    mean = features.mean(0, dtype=np.float64)
    covariance = np.asarray(features.T @ features, np.float64) / n - np.outer(mean, mean)
    principal = _principal(covariance, min(most, d))[1]
    values = (features - mean.astype(np.float32)) @ principal.astype(np.float32)
    means = np.zeros((int(people.max()) + 1, values.shape[1]))
    np.add.at(means, people, values)
    means /= np.maximum(np.bincount(people), 1)[:, None]
    deviations = values - means[people]
    within = deviations.T @ deviations / n
    variances, axes = np.linalg.eigh(within + max(np.trace(within) / len(within), 1e-12) * np.eye(len(within)))
    shortened = principal @ (axes / np.sqrt(variances)) @ axes.T
    variances, axes = _principal(shortened.T @ covariance @ shortened, len(within))
    return Directions(mean, shortened @ axes, variances)


def levels(told: Directions, ends: Sequence[int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return bits, block by block up to each of `ends`: what multiplies centred features, `(d, ends[-1])`, and what
    that is compared with, `(ends[-1],)`.

    The values of a block of n bits are random rotations of the first directions, of variance 1 in the mean. Each is
    compared with about sqrt(n) / 4 levels, evenly spaced.
    """
    weights, compared = [], []
    for start, end in pairwise(sorted({0, *ends})):
        n = end - start
        n_levels = max(1, round(math.sqrt(n) / 4))
        n_values = -(-n // n_levels)
        k = min(_MIXED, n_values, len(told.variances))
        turns = [np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(-(-n_values // k))]
        mixed = told.axes[:, :k] @ np.concatenate(turns, 1)[:, :n_values]
        mixed /= np.sqrt(max(told.variances[:k].mean(), 1e-12))
        places = _SPREAD * (1 - 1 / n_levels) * np.linspace(-1, 1, n_levels)
        weights.append(np.repeat(mixed, n_levels, axis=1)[:, :n])
        compared.append(np.tile(places, n_values)[:n])
    return np.concatenate(weights, 1), np.concatenate(compared)


def _principal(covariance: Floats, n: int) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues `(n,)` and their vectors `(d, n)`."""
    values, vectors = np.linalg.eigh(covariance)
    return values[::-1][:n], vectors[:, ::-1][:, :n]


@torch.no_grad()
def _set(linear: nn.Linear, mean: Floats, *bits: tuple[Floats, Floats]) -> None:
    """Set a linear map to bits: what multiplies centred features, and what that is compared with."""
    weights, compared = (np.concatenate(each, axis=-1) for each in zip(*bits, strict=True))
    linear.weight.copy_(torch.from_numpy(weights.T))
    linear.bias.copy_(torch.from_numpy(-(mean @ weights) - compared))
