"""Fit the map to nested codes, on the features of a network that is trained already."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from bitreid.arrays import Floats, Floats32
from bitreid.losses.nested import nested_loss
from bitreid.models.descriptors import straight_through
from bitreid.models.nested import SUMMARY, NestedMap, nested_lengths

_PASSES, _BATCH, _RATE = 16, 1024, 1e-3
# By length from 32 bits on; the last goes for all longer ones. Chosen on held-out identities (docs/results.md).
_TEMPERATURES = (0.06, 0.1, 0.15, 0.2)
_COSINE_WEIGHTS = (0.0, 0.0, 20.0, 50.0)
_ITQ_STEPS = 30
_ROTATED = 512
"""Bits of the code that start as principal directions, rotated; the bits after them start as the network's own."""


def fit_nested(nested: NestedMap, views: Floats32, seed: int = 0) -> None:
    """Fit the map in place to features `(views, n, n_bits)`: of the same pictures, plain and mirrored, say.

    Nobody's name is needed: prefixes learn to keep the similarities of all the values.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    first_values(nested, views[0], rng)
    values = torch.from_numpy(views)
    lengths = nested_lengths(values.shape[2])
    temperatures, weights = (_by_length(each, len(lengths)) for each in (_TEMPERATURES, _COSINE_WEIGHTS))
    scales = torch.full((len(lengths),), float(np.log(8)), requires_grad=True)
    norm = nn.BatchNorm1d(lengths[-1])  # keeps bits balanced while they move; becomes part of the map at the end
    groups = [{"params": [*nested.parameters(), *norm.parameters()]}, {"params": [scales]}]
    optimiser = torch.optim.AdamW(groups, lr=_RATE, weight_decay=1e-4)
    n = values.shape[1]
    size = min(_BATCH, n)
    n_steps = _PASSES * (n // size)
    factor = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [_RATE, 4 * _RATE], total_steps=n_steps, pct_start=0.05, cycle_momentum=False, div_factor=20
    )
    for _ in range(_PASSES):
        order = rng.permutation(n)[: n // size * size]
        for rows in order.reshape(-1, size):
            x = values[torch.from_numpy(rng.integers(len(values), size=size)), torch.from_numpy(rows)]
            unit = F.normalize(x)
            signs = straight_through(torch.tanh(norm(nested(x))))
            loss = nested_loss(signs, unit @ unit.T, lengths, scales, temperatures, weights)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            factor.step()
    norm.eval()
    nested.scale(norm)


def _by_length(values: tuple[float, ...], n: int) -> list[float]:
    return [values[min(i, len(values) - 1)] for i in range(n)]


@torch.no_grad()
def first_values(nested: NestedMap, features: Floats32, rng: np.random.Generator) -> None:
    """Set the map to where it starts: principal directions, rotated length by length (ITQ), then the network's own bits.

    Iterative quantisation (Gong and Lazebnik, CVPR 2011) of the summary and of each part by itself: the bits that a
    prefix adds to the next shorter one are rotated directions of as much variance as the prefix has bits.
    """
    lengths = nested_lengths(features.shape[1])
    _start(nested.summary, features, [m for m in lengths if m <= SUMMARY.n_bits], rng)
    for part, where in zip(nested.parts, nested.slices, strict=True):
        share = part.out_features / (features.shape[1] - SUMMARY.n_bits)
        ends = [round(share * (m - SUMMARY.n_bits)) for m in lengths if SUMMARY.n_bits < m <= _ROTATED]
        _start(part, features[:, where], ends, rng)


def _start(linear: nn.Linear, features: Floats32, ends: list[int], rng: np.random.Generator) -> None:
    n_in, n_out = linear.in_features, linear.out_features
    mean = features.mean(0, dtype=np.float64)
    columns = itq_columns(features - mean, ends, rng)[:, :n_out]
    own = np.eye(n_in)[:, : n_out - columns.shape[1]]
    weights = np.concatenate([columns, own], axis=1)  # (n_in, n_out)
    weights /= (features @ weights).std(0) + 1e-6
    centre = np.where(np.arange(n_out) < columns.shape[1], mean @ weights, 0)
    linear.weight.copy_(torch.from_numpy(weights.T))
    linear.bias.copy_(torch.from_numpy(-centre))


def itq_columns(centred: Floats, ends: list[int], rng: np.random.Generator) -> Floats:
    """Return directions `(d, ends[-1])` of centred values `(n, d)`: block by block, each ending at one of `ends`."""
    values, vectors = np.linalg.eigh(centred.T @ centred)
    principal = vectors[:, np.argsort(values)[::-1]]
    blocks, start = [np.empty((centred.shape[1], 0))], 0
    for end in ends:
        directions = principal[:, :end]
        z = centred @ directions
        rotation = np.linalg.qr(rng.normal(size=(directions.shape[1], end - start)))[0]
        for _ in range(_ITQ_STEPS):
            left, _, right = np.linalg.svd(z.T @ np.where(z @ rotation > 0, 1.0, -1.0), full_matrices=False)
            rotation = left @ right
        blocks.append(directions @ rotation)
        start = end
    return np.concatenate(blocks, axis=1)
