"""Augmentation of whole batches (kornia)."""

from typing import cast

import kornia.augmentation
import torch
from torch import Tensor, nn

from bitreid.artifact import InputSpec
from bitreid.training.recipe import AugmentationSettings


class Augment(nn.Module):
    """Pictures `(N, H, W, 3) uint8` to what the network trains on: `(N, 3, H, W) float32`, changed and normalised."""

    def __init__(self, settings: AugmentationSettings, picture: InputSpec) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if settings.flip:
            steps.append(kornia.augmentation.RandomHorizontalFlip(p=settings.flip))
        if settings.pad:
            steps.append(kornia.augmentation.RandomCrop((picture.height, picture.width), padding=settings.pad))
        if settings.colour:
            c = settings.colour
            steps.append(kornia.augmentation.ColorJiggle(c, c, c, c / 10, p=0.8))
        self.steps = nn.Sequential(*steps)
        self.erase = (
            kornia.augmentation.RandomErasing(p=settings.erase, scale=(0.02, 0.3)) if settings.erase else nn.Identity()
        )
        self.normalise = Normalise(picture)

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures.permute(0, 3, 1, 2).contiguous().float() / 255
        # Erased after normalising: a hole is the mean colour, not black clothing.
        return cast(Tensor, self.erase(self.normalise(self.steps(x))))


class Normalise(nn.Module):
    """Pixels 0..1 `(N, 3, H, W)` to the network's input: less the mean, divided by the deviation of each channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, picture: InputSpec) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(picture.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(picture.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
