"""Descriptors trained on the features of a backbone that stays as it is: a minute a run, without a GPU.

The backbone of an artifact sees each picture once (as it is, mirrored, and some times augmented), and what it pools of
the whole picture and of each stripe, after the attention block and before any descriptor, is kept in a file. It was
trained with the artifact's own relaxation, which may favour that one.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bitreid.arrays import AnyArray, Floats32, Ints
from bitreid.artifact import fingerprint, load_artifact
from bitreid.data.files import new_file
from bitreid.data.manifest import Manifest
from bitreid.data.pictures import Progress, load_pictures
from bitreid.data.samplers import pk_batches
from bitreid.models import HashingNetwork, ModelOutput
from bitreid.models.parts import pool_parts
from bitreid.training.augment import Augment, Normalise
from bitreid.training.export import network_of
from bitreid.training.fit import Learner, make_optimiser, set_learning_rate, step_losses
from bitreid.training.recipe import AugmentationSettings, Recipe

_BATCH = 64


class Heads(HashingNetwork):
    """Descriptors alone: from pooled parts `(N, 1 + n_parts, C)` instead of pictures."""

    def forward(self, pooled: Tensor) -> ModelOutput:
        parts = pooled.unbind(1)
        return ModelOutput(self.student(parts), None if self.teacher is None else self.teacher(parts), None)


class NoBackbone(nn.Module):
    """Stands where a backbone would; says how many channels the pooled parts have."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels


def pooled_features(
    artifact: Path,
    pictures: Manifest,
    augmentation: AugmentationSettings,
    n_views: int,
    cache: Path,
    progress: Progress,
) -> AnyArray:
    """Return the pooled parts of pictures `(n_views, n, 1 + n_parts, C) float16`, out of the folder `cache` if there.

    The first view is the picture as it is, the second its mirror image; the others are augmented.
    """
    loaded = load_artifact(artifact)
    names = "\n".join(path.name for path in pictures.paths)
    what = (fingerprint(loaded.card), names, n_views, augmentation.model_dump_json())
    file = cache / f"features-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}.npy"
    if not file.is_file():
        network, picture = network_of(loaded), loaded.card.input
        augment, normalise = Augment(augmentation, picture), Normalise(picture)
        torch.manual_seed(0)
        chunks = []
        for start in range(0, len(pictures), _BATCH):
            paths = pictures.paths[start : start + _BATCH]
            plain = torch.from_numpy(load_pictures(paths, picture.height, picture.width))
            shown = [normalise(each.permute(0, 3, 1, 2).float() / 255) for each in (plain, plain.flip(2))][:n_views]
            shown += [augment(plain) for _ in range(n_views - 2)]
            chunks.append(np.stack([_pooled(network, x).numpy().astype(np.float16) for x in shown]))
            progress(start + len(paths), len(pictures))
        with new_file(file) as unfinished, unfinished.open("wb") as opened:
            np.save(opened, np.concatenate(chunks, axis=1))
    views: AnyArray = np.load(file, mmap_mode="r")
    return views


@torch.inference_mode()
def _pooled(network: HashingNetwork, x: Tensor) -> Tensor:
    """Return what the network's descriptors see of normalised pictures: `(N, 1 + n_parts, C)`."""
    x = network.backbone(x.contiguous(memory_format=torch.channels_last))
    if network.attribute_block is not None:
        x, _ = network.attribute_block(x)
    return torch.stack(pool_parts(x, network.settings.n_parts, network.settings.pooling), dim=1)


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
