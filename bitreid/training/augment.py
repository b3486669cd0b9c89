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
        if settings.scale:
            sizes = (1 - settings.scale, 1 + settings.scale) * 2  # of the width, of the height
            steps.append(kornia.augmentation.RandomAffine(0.0, scale=sizes, p=0.5))
        if settings.colour:
            c = settings.colour
            steps.append(kornia.augmentation.ColorJiggle(c, c, c, c / 10, p=0.8))
        if settings.grey:
            steps.append(GreyPatches(settings.grey))
        self.steps = nn.Sequential(*steps)
        self.erase = (
            kornia.augmentation.RandomErasing(p=settings.erase, scale=(0.02, 0.3)) if settings.erase else nn.Identity()
        )
        self.normalise = Normalise(picture)

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures.permute(0, 3, 1, 2).contiguous().float() / 255
        # Erased after normalising: a hole is the mean colour, not black clothing.
        return cast(Tensor, self.erase(self.normalise(self.steps(x))))


class GreyPatches(nn.Module):
    """Pictures `(N, 3, H, W)`, each with probability `p` without colour in a random rectangle.

    The rectangle has 2 to 40 % of the picture's area, less where it would be longer than the picture.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        chosen, share, shape, down, right = torch.rand(5, n, 1, device=x.device)
        area, ratio = (0.02 + 0.38 * share) * height * width, (2.4 * shape - 1.2).exp()  # ratios 0.3 to 3.3
        rows = _within((area * ratio).sqrt(), down, height)  # (N, H)
        columns = _within((area / ratio).sqrt(), right, width)  # (N, W)
        patch = ((chosen < self.p) & rows)[:, None, :, None] & columns[:, None, None, :]
        red, green, blue = torch.split(x, 1, dim=1)
        return torch.where(patch, 0.299 * red + 0.587 * green + 0.114 * blue, x)


def _within(length: Tensor, place: Tensor, size: int) -> Tensor:
    """Return which of `size` pixels `(N, size)` lie in a stretch of `length`, `place` (0..1) on the way to the end."""
    length = length.clamp(max=size)
    start = place * (size - length)
    pixels = torch.arange(size, device=length.device) + 0.5
    return (start <= pixels) & (pixels < start + length)


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
