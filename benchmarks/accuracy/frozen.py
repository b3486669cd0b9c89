"""The features of a backbone that stays as it is, for descriptors that are trained on them (`training.heads`).

The backbone of an artifact sees each picture once (as it is, mirrored, and some times augmented), and what it pools of
the whole picture and of each stripe, after the attention block and before any descriptor, is kept in a file. It was
trained with the artifact's own relaxation, which may favour that one.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bitreid.arrays import AnyArray
from bitreid.artifact import fingerprint, load_artifact
from bitreid.data.files import new_file
from bitreid.data.manifest import Manifest
from bitreid.data.pictures import Progress, load_pictures
from bitreid.models import HashingNetwork
from bitreid.models.parts import pool_parts
from bitreid.training.augment import Augment, Normalise
from bitreid.training.export import network_of
from bitreid.training.recipe import AugmentationSettings

_BATCH = 64


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
