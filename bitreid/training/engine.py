"""The torch engine: batches of pictures through the network, as arrays."""

import numpy as np
import torch

from bitreid.arrays import Floats32, Pixels
from bitreid.artifact import InputSpec
from bitreid.encoding.engine import EngineOutput
from bitreid.models import HashingNetwork
from bitreid.training.augment import Normalise


class TorchEngine:
    """Runs a network on pictures `(n, H, W, 3) uint8`, in its evaluation mode; the network is left as it was."""

    def __init__(self, network: HashingNetwork, picture: InputSpec, batch: int = 16) -> None:
        self.network = network
        self.normalise = Normalise(picture)
        self.batch = batch

    def __call__(self, pictures: Pixels) -> EngineOutput:
        device = next(self.network.parameters()).device
        self.normalise.to(device)
        was_training = self.network.training
        self.network.eval()
        columns: list[list[Floats32]] = [[], [], []]
        try:
            with torch.inference_mode():
                for start in range(0, max(len(pictures), 1), self.batch):
                    x = torch.from_numpy(pictures[start : start + self.batch]).to(device)
                    x = self.normalise(x.permute(0, 3, 1, 2).float() / 255)
                    output = self.network(x.contiguous(memory_format=torch.channels_last))
                    for column, value in zip(
                        columns, (output.student, output.teacher, output.attribute_logits), strict=True
                    ):
                        if value is not None:
                            column.append(value.float().cpu().numpy())
        finally:
            self.network.train(was_training)
        student, teacher, logits = (np.concatenate(column) if column else None for column in columns)
        assert student is not None, "a network always has a student"
        return EngineOutput(student, logits, teacher)
