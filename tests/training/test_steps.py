"""Schedules, the losses of a step, and the optimiser."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from bitreid.models import ModelOutput
from bitreid.training.fit import Learner, RunningMeans, make_optimiser, set_learning_rate, ssr_weight, step_losses
from bitreid.training.recipe import Recipe, make_recipe
from bitreid.training.run import first_network
from tests.training.tiny import TinyBackbone, tiny_recipe, tiny_task

# Schedules


@pytest.mark.parametrize(
    ("epoch", "rate"),
    # Up in a straight line for two passes (never quite from 0), then a cosine over eight.
    [(0, 5e-6), (1, 5.05e-4), (2, 1e-3), (4, 8.5355339e-4), (6, 5e-4), (8, 1.4644661e-4), (10, 0)],
)
def test_the_learning_rate_warms_up_and_follows_a_cosine(epoch: float, rate: float) -> None:
    recipe = make_recipe({"name": "x", "epochs": 10, "warmup_epochs": 2, "learning_rate": 1e-3})
    layer = nn.Linear(1, 1)
    groups = [{"params": [layer.weight], "factor": 1.0}, {"params": [layer.bias], "factor": 0.1}]
    optimiser = torch.optim.SGD(groups, lr=1.0)
    set_learning_rate(optimiser, recipe, epoch)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([rate, rate / 10], abs=1e-10)


def test_without_a_warm_up_the_full_rate_comes_first() -> None:
    recipe = make_recipe({"name": "x", "epochs": 2, "warmup_epochs": 0, "learning_rate": 0.5})
    optimiser = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "factor": 1.0}], lr=1.0)
    set_learning_rate(optimiser, recipe, 0)
    assert optimiser.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("warmup", "epoch", "weight"), [(3, 0, 0), (3, 1.5, 10), (3, 3, 20), (3, 50, 20), (0, 0, 20), (0, 7, 20)]
)
def test_the_ssr_weight_rises_in_a_straight_line(warmup: float, epoch: float, weight: float) -> None:
    recipe = make_recipe({"name": "x", "losses": {"ssr_weight": 20, "ssr_warmup_epochs": warmup}})
    assert ssr_weight(recipe, epoch) == pytest.approx(weight)


def test_running_means_weigh_by_pictures_and_go_on_from_their_state() -> None:
    sums = RunningMeans()
    sums.add({"total": 1.0, "id": 4.0}, 2, seconds=0.5)
    resumed = RunningMeans(sums.sums, sums.seconds)
    resumed.add({"total": 4.0, "id": 1.0}, 4, seconds=1.0)
    assert resumed.means() == pytest.approx({"total": 3.0, "id": 2.0})
    assert resumed.rate() == pytest.approx(4.0)
    assert sums.means() == {"total": 1.0, "id": 4.0}, "the state that was handed on is a copy"


# One step


def step(recipe: Recipe, output: ModelOutput, epoch: float = 1.0) -> dict[str, float]:
    logits = [torch.zeros(4, 3)]
    classes = torch.tensor([0, 0, 1, 1])
    losses = step_losses(recipe, output, logits, classes, torch.ones(4, 2), torch.ones(2), epoch)
    return {name: float(value) for name, value in losses.items()}


def test_the_total_is_the_weighted_sum_of_the_named_losses() -> None:
    recipe = make_recipe(
        {
            "name": "x",
            "losses": {"attribute_weight": 0.5, "ssr_weight": 8, "ssr_warmup_epochs": 2, "triplet_margin": 0.2},
        }
    )
    student = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    teacher = torch.tensor([[0.3, -2.0], [0.1, 0.4], [-1.0, 5.0], [0.2, 0.2]])
    losses = step(recipe, ModelOutput(student, teacher, torch.zeros(4, 2)))
    assert losses["id"] == pytest.approx(math.log(3)), "three classes, no opinion"
    assert losses["attr"] == pytest.approx(math.log(2)), "no opinion on yes or no"
    assert losses["ssr"] == pytest.approx(2 * 2 / 8), "two of eight bits are 2 away, the others 0"
    assert losses["agreement"] == pytest.approx(6 / 8)
    assert losses["gap"] == 0
    expected = losses["id"] + losses["tri"] + 0.5 * losses["attr"] + 4 * losses["ssr"]
    assert losses["total"] == pytest.approx(expected, rel=1e-6)


def test_ssr_by_consensus_has_one_target_an_identity() -> None:
    student = torch.ones(4, 1)
    teacher = torch.tensor([[0.9], [-0.1], [0.1], [0.1]])  # two identities, both above 0 in the mean
    for consensus, expected in ((False, 2 / 4), (True, 0)):
        recipe = make_recipe({"name": "x", "losses": {"ssr_consensus": consensus}})
        assert step(recipe, ModelOutput(student, teacher, None))["ssr"] == pytest.approx(expected)


def test_a_rival_without_attributes_has_two_losses() -> None:
    losses = step(make_recipe({"name": "x", "network": {"relaxation": "tanh"}}), ModelOutput(torch.eye(4), None, None))
    assert set(losses) == {"total", "id", "tri"}
    assert losses["total"] == pytest.approx(losses["id"] + losses["tri"])


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_the_optimiser_holds_each_parameter_once_and_spares_biases_and_norms(kind: str, people: Path) -> None:
    recipe = tiny_recipe(optimiser=kind, backbone_rate=0.1, weight_decay=0.01)
    task = tiny_task(recipe, people)
    learner = Learner(first_network(recipe, task, None, TinyBackbone()), len(task.identities))
    optimiser = make_optimiser(recipe, learner)
    assert type(optimiser).__name__.lower() == kind
    group_of = {id(each): group for group in optimiser.param_groups for each in group["params"]}
    assert len(group_of) == sum(len(group["params"]) for group in optimiser.param_groups)
    for name, parameter in learner.named_parameters():
        group = group_of.pop(id(parameter))
        assert group["factor"] == (0.1 if ".backbone." in name else 1.0), name
        assert group["weight_decay"] == (0.0 if parameter.ndim == 1 else 0.01), name
    assert not group_of
