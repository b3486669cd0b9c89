"""SSR distils: the student of the tiny recipe learns the teacher's signs, on people that it has never seen."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.training.recipe import load_recipe
from bitreid.training.run import train
from bitreid.training.task import task_from
from tests.training.tiny import Recorder

# Fewer people, bits and pictures a batch, a higher rate for the fewer steps, and a backbone of four layers, so that
# the test takes seconds; descriptors, losses, their weights and schedules, and augmentation are the recipe's.
SHORTER = [
    "network.backbone=custom",
    "network.n_bits=128",
    "int8=false",
    "identities_per_batch=8",
    "pictures_per_identity=2",
    "learning_rate=5e-3",
    "held_out_identities=4",
]


class FourLayers(nn.Module):
    """`(N, 3, H, W)` to a map `(N, 128, H / 16, W / 16)`."""

    n_channels = 128
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
                for before, after in itertools.pairwise(widths)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(x))


def last_record(people: Path, run: Path, *changes: str) -> dict[str, float]:
    """What the log says of the last pass."""
    recipe = load_recipe("drawn_tiny", [*SHORTER, *changes])
    recorder = Recorder()
    torch.manual_seed(0)
    train(recipe, task_from(recipe, people, None), run, recorder, backbone=FourLayers())
    return recorder.records[-1]


def test_the_tiny_recipe_distils_as_it_is(tmp_path: Path) -> None:
    """Most of a minute: the one test that trains a shipped recipe to its end."""
    draw_people(tmp_path / "people", DrawnSettings(n_train=60, n_test=2, n_distractors=0, n_junk=0))
    recipe, recorder = load_recipe("drawn_tiny"), Recorder()
    train(recipe, task_from(recipe, tmp_path / "people", None), tmp_path / "run", recorder)
    assert recorder.records[-1]["val_agreement"] > 0.8


def test_the_student_learns_the_signs_of_the_teacher(people: Path, tmp_path: Path) -> None:
    scores = last_record(people, tmp_path / "run", "epochs=22", "validate_every=22")
    assert scores["val_agreement"] > 0.8
    assert scores["agreement"] > 0.8
    assert scores["id"] < 2.95, "it learns identities too, which at first are a guess among 20: ln 20 = 3.0"


def test_without_ssr_the_student_goes_its_own_way(people: Path, tmp_path: Path) -> None:
    scores = last_record(people, tmp_path / "run", "epochs=6", "validate_every=6", "losses.ssr_weight=0")
    assert scores["val_agreement"] < 0.7
    assert scores["agreement"] == pytest.approx(0.5, abs=0.1)
