"""Descriptors trained on features of a backbone that stays as it is: a minute a run, without a GPU."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from bitreid.arrays import AnyArray, Floats, Floats32, Ints
from bitreid.data.samplers import pk_batches
from bitreid.encoding.imported.feature_map import Affine
from bitreid.models import HashingNetwork, ModelOutput, NetworkSettings
from bitreid.models.nested import SUMMARY, NestedMap
from bitreid.training.fit import Learner, make_optimiser, set_learning_rate, step_losses
from bitreid.training.nested import fit_nested
from bitreid.training.recipe import LossSettings, Recipe

_LEAST_STEPS, _LEAST_PASSES = 900, 8
_RATE = 5e-4


class Heads(HashingNetwork):
    """Descriptors alone: from pooled parts `(N, 1 + n_parts, C)` instead of pictures."""

    def forward(self, pooled: Tensor) -> ModelOutput:
        parts = pooled.unbind(1)
        student = self.student(parts) if self.nested is None else self.nested(self.student.values(parts))
        return ModelOutput(student, None if self.teacher is None else self.teacher(parts), None)


class NoBackbone(nn.Module):
    """Stands where a backbone would; says how many channels the pooled parts have."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels


def train_heads(recipe: Recipe, views: AnyArray, classes: Ints) -> Heads:
    """Return descriptors trained by a recipe on the pooled parts of pictures, of which `classes` (n,) says who is who.

    Losses, batches, optimiser and schedules are those of `bitreid train`; each picture shows one of its views, drawn
    anew at each step.
    """
    torch.manual_seed(recipe.seed)
    network = Heads(recipe.network, NoBackbone(views.shape[3]), 0)
    learner = Learner(network, int(classes.max()) + 1).train()
    optimiser = make_optimiser(recipe, learner)
    no_labels, no_weights = torch.empty(0, 0), torch.empty(0)
    rng = np.random.default_rng(recipe.seed)
    sizes = (recipe.identities_per_batch, recipe.pictures_per_identity)
    for epoch in range(recipe.epochs):
        batches = pk_batches(classes + 1, *sizes, recipe.seed, epoch)
        for step, rows in enumerate(batches):
            now = epoch + step / len(batches)
            set_learning_rate(optimiser, recipe, now)
            shown = views[rng.integers(len(views), size=len(rows)), rows]
            output, logits = learner(torch.from_numpy(shown.astype(np.float32)))
            losses = step_losses(recipe, output, logits, torch.from_numpy(classes[rows]), no_labels, no_weights, now)
            optimiser.zero_grad()
            torch.autograd.backward(losses["total"])
            optimiser.step()
    return network


@torch.inference_mode()
def described(heads: Heads, pooled: AnyArray) -> tuple[Floats32, Floats32 | None]:
    """Return the student's and the teacher's values of pooled parts `(n, 1 + n_parts, C)`, `(n, n_bits)` each."""
    heads.eval()
    chunks = [
        heads(torch.from_numpy(pooled[start : start + 1024].astype(np.float32)))
        for start in range(0, len(pooled), 1024)
    ]
    student = torch.cat([chunk.student for chunk in chunks]).numpy()
    teachers = [chunk.teacher for chunk in chunks if chunk.teacher is not None]
    return student, torch.cat(teachers).numpy() if teachers else None


def train_feature_head(x: Floats32, classes: Ints, n_bits: int, seed: int) -> Affine:
    """Return a head of SSR for features of another network, as one affine map; see `encoding.imported.fitting`.

    The student learns the signs of the teacher's mean over each person's pictures; from 256 bits on, a map to nested
    codes is fitted to it. Both are linear, and so is what follows the student, so that encoding needs no PyTorch.

    x        (n, d) features of unit length
    classes  (n,) who is on each: 0, 1, ...
    """
    mean, spread = x.mean(0, dtype=np.float64), float(x.std(0).mean()) or 1.0
    recipe = _recipe_of(classes, n_bits, seed)
    views = ((x - mean) / spread).astype(np.float32)[None, :, None]
    heads = train_heads(recipe, views, classes)
    nested = None
    if n_bits >= 2 * SUMMARY.n_bits:
        nested = NestedMap(heads.layout, 0)
        fit_nested(nested, described(heads, views[0])[0][None], classes, seed)
    matrix, offset = _composed(heads, nested, x.shape[1])
    matrix /= spread
    return Affine(matrix.astype(np.float32), (offset - mean @ matrix).astype(np.float32))


def _recipe_of(classes: Ints, n_bits: int, seed: int) -> Recipe:
    """Return the recipe of a head: the settings of the study on frozen features (docs/results.md), and as many passes
    as few pictures need."""
    people = min(16, int(classes.max()) + 1)
    n_batches = len(pk_batches(classes + 1, people, 4, seed, 0))
    return Recipe(
        name="head",
        network=NetworkSettings(
            backbone="custom", n_bits=n_bits, n_parts=0, relaxation="ssr", attributes=False, attention=False
        ),
        losses=LossSettings(ssr_consensus=True, ssr_warmup_epochs=3),
        epochs=max(_LEAST_PASSES, math.ceil(_LEAST_STEPS / n_batches)),
        identities_per_batch=people,
        learning_rate=_RATE,
        seed=seed,
    )


@torch.inference_mode()
def _composed(heads: Heads, nested: NestedMap | None, d: int) -> tuple[Floats, Floats]:
    """Return the matrix `(d, n_bits)` and the offset of a student, and of the nested map after it: both are affine."""
    student = heads.double().eval().student

    def values(x: Tensor) -> Tensor:
        found: Tensor = student([x])
        return found if nested is None else nested.double()(found)

    offset = values(torch.zeros(1, d, dtype=torch.float64))
    matrix = values(torch.eye(d, dtype=torch.float64)) - offset
    return matrix.numpy(), offset[0].numpy()
