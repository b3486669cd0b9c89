"""Fit the map to nested codes, on the features of a network that is trained already."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bitreid.arrays import Floats32, Ints
from bitreid.codes import nested_lengths
from bitreid.encoding.encoder import CHUNK
from bitreid.encoding.rotation import rotated_directions
from bitreid.losses import prefix_identity_loss, similarity_loss, triplet_loss
from bitreid.models import HashingNetwork
from bitreid.models.descriptors import straight_through
from bitreid.models.nested import LEARNED, SUMMARY, NestedMap
from bitreid.training.engine import TorchEngine
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task

_PASSES, _BATCH, _RATE = 16, 1024, 1e-3
# By length from 32 to 512 bits. Chosen on held-out identities (docs/lessons.md).
_TEMPERATURES = (0.06, 0.1, 0.15, 0.2, 0.2)
_COSINE_WEIGHTS = (0.0, 0.0, 20.0, 50.0, 50.0)
_FITTED_IDENTITY_WEIGHTS = (0.1, 0.1, 0.1, 0.1, 0.1)
# Where the network learns, too: short prefixes would rather learn the training people by heart.
_IDENTITY_WEIGHTS = (0.2, 0.4, 0.7, 1.0, 1.0)
_MOST_PICTURES = 30_000


class NestedHead(nn.Module):
    """A map to nested codes with what only its training needs: `(N, n_bits)` values to +-1, `(N, LEARNED)` or fewer.

    The gradient of the signs passes straight through.
    """

    def __init__(self, nested: NestedMap, n_identities: int) -> None:
        super().__init__()
        self.map = nested
        self.lengths = [length for length in nested_lengths(nested.runs[-1].stop) if length <= LEARNED]
        self.norm = nn.BatchNorm1d(self.lengths[-1])  # keeps bits balanced while they move; part of the map in the end
        self.centres = nn.Parameter(0.02 * torch.randn(n_identities, self.lengths[-1]))
        self.scales = nn.Parameter(torch.full((len(self.lengths),), float(np.log(8))))

    def forward(self, values: Tensor) -> Tensor:
        return straight_through(torch.tanh(self.norm(self.map.learned(values))))

    def similarity(self, signs: Tensor, features: Tensor) -> Tensor:
        """Return how much of the similarities of features `(N, n_bits)` the prefixes lose, see `similarity_loss`."""
        unit, n = F.normalize(features), len(self.lengths)
        weights = _TEMPERATURES[:n], _COSINE_WEIGHTS[:n]
        return similarity_loss(signs, unit @ unit.T, self.lengths, self.scales, *weights)

    def identity(self, signs: Tensor, classes: Tensor, weights: Sequence[float] = _IDENTITY_WEIGHTS) -> Tensor:
        """Return the prefixes' loss of who is who, see `prefix_identity_loss`."""
        return prefix_identity_loss(signs, self.centres, classes, self.lengths, weights[: len(self.lengths)])

    def triplet(self, signs: Tensor, classes: Tensor, margin: float) -> Tensor:
        """Return the mean over prefixes of the batch-hard triplet loss."""
        return torch.stack([triplet_loss(signs[:, :length], classes, margin) for length in self.lengths]).mean()

    def finish(self) -> NestedMap:
        """Return the map, whose signs are now the code's: it takes over the batch norm."""
        self.map.absorb(self.norm)
        return self.map


def nest(recipe: Recipe, task: Task, network: HashingNetwork) -> NestedMap:
    """Return a map to nested codes for a trained network's student, fitted on its training pictures.

    Memory is 16 bytes for each bit and picture; of more than 30,000 pictures it takes some at random.
    """
    rows = task.split.train
    if len(rows) > _MOST_PICTURES:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(rows, _MOST_PICTURES, replace=False))
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
    """Fit the map in place to the features of training pictures: a minute of one core for 7,000 of 2048 bits.

    views    (v, n, n_bits) float32: the same pictures v times, say plain and mirrored
    classes  (n,) the identity of each, 0, 1, ...
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    start_nested(nested, views[0], rng)
    values, labels = torch.from_numpy(views), torch.from_numpy(classes)
    n_views, n, _ = views.shape
    head = NestedHead(nested, int(classes.max()) + 1)
    groups = [{"params": [*nested.parameters(), *head.norm.parameters()]}, {"params": [head.centres, head.scales]}]
    optimiser = torch.optim.AdamW(groups, lr=_RATE, weight_decay=1e-4)
    size = min(_BATCH, n)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [_RATE, 4 * _RATE],
        total_steps=_PASSES * (n // size),
        pct_start=0.05,
        div_factor=20,
        cycle_momentum=False,
    )
    for _ in range(_PASSES):
        for rows in rng.permutation(n)[: n // size * size].reshape(-1, size):
            x = values[torch.from_numpy(rng.integers(n_views, size=size)), torch.from_numpy(rows)]
            signs = head(x)
            loss = head.similarity(signs, x) + head.identity(signs, labels[rows], _FITTED_IDENTITY_WEIGHTS)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    head.finish()


@torch.no_grad()
def start_nested(nested: NestedMap, features: Floats32, rng: np.random.Generator) -> None:
    """Set the map to where it starts: principal directions, rotated length by length, of the summary and of each part.

    Iterative quantisation (Gong and Lazebnik, CVPR 2011): the bits that a prefix adds to the next shorter one are
    rotated directions, of as many principal ones as the prefix has bits.
    """
    n_bits = features.shape[1]
    lengths = [length for length in nested_lengths(n_bits) if length <= LEARNED]
    _start(nested.summary, features, [length for length in lengths if length <= SUMMARY.n_bits], rng)
    for linear, where in zip(nested.linears, nested.slices, strict=True):
        shares = [(length - SUMMARY.n_bits) / (lengths[-1] - SUMMARY.n_bits) for length in lengths]
        ends = [round(share * linear.out_features) for share in shares if share > 0]
        _start(linear, features[:, where], ends, rng)


def _start(linear: nn.Linear, features: Floats32, ends: list[int], rng: np.random.Generator) -> None:
    mean = features.mean(0, dtype=np.float64)
    weights = rotated_directions(features - mean, ends, rng)
    weights /= ((features - mean) @ weights).std(0) + 1e-6
    linear.weight.copy_(torch.from_numpy(weights.T))
    linear.bias.copy_(torch.from_numpy(-(mean @ weights)))
