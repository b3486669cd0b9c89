"""A trained model that another one learns from: the teacher of distillation."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bitreid.artifact import InputSpec, fingerprint, load_artifact
from bitreid.training.augment import Normalise
from bitreid.training.export import network_of


class TeacherModel(nn.Module):
    """An artifact's network, which says how alike the pictures of a batch are. It does not learn.

    Its `fingerprint` is that of the artifact.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, artifact: Path, picture: InputSpec) -> None:
        """Load the artifact; `picture` is how the student's pictures are prepared."""
        super().__init__()
        loaded = load_artifact(artifact)
        self.fingerprint = fingerprint(loaded.card)
        self.network = network_of(loaded).requires_grad_(False)
        self.network.nested = None  # similarities are those of the floats before it
        self.size = (loaded.card.input.height, loaded.card.input.width)
        self.normalise = Normalise(loaded.card.input)
        students = Normalise(picture)
        self.register_buffer("mean", students.mean)
        self.register_buffer("std", students.std)

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Return the features `(N, d)` of pictures `(N, 3, H, W)` that are prepared for the student.

        They are the same augmented pictures, resized to the teacher's input and normalised as its card says.
        """
        x = pictures * self.std + self.mean
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True)
        x = self.normalise(x).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.network(x).student
        return features
