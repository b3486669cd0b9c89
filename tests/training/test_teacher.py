"""Distillation from a trained model: what it sees, what it teaches, what the card says of it, and resuming."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bitreid.artifact import Artifact, InputSpec, fingerprint, save_artifact
from bitreid.errors import ArtifactError
from bitreid.models import ModelOutput, build_network
from bitreid.training.augment import Normalise
from bitreid.training.checkpoint import Position
from bitreid.training.export import deployed_weights, make_card, network_of
from bitreid.training.fit import Interrupted, step_losses
from bitreid.training.recipe import Recipe, make_recipe
from bitreid.training.run import train
from bitreid.training.teacher import TeacherModel
from tests.reference import losses as reference
from tests.training.runs import assert_equal_runs, log_of
from tests.training.tiny import Recorder, TinyBackbone, tiny_recipe, tiny_task, tiny_train

ITS_INPUT = InputSpec(64, 48, mean=(0.3, 0.4, 0.5), std=(0.2, 0.3, 0.4))


def larger_model(people: Path, folder: Path, seed: int = 0) -> Artifact:
    """An artifact of a ResNet-18 that sees pictures of another size, with a licence of its own."""
    recipe = tiny_recipe(name="larger", input=ITS_INPUT, network={"backbone": "resnet18", "n_bits": 32, "n_parts": 0})
    task = tiny_task(tiny_recipe(), people)
    torch.manual_seed(seed)
    network = build_network(recipe.network, len(task.schema) if task.schema else 0)
    # The means of the pictures go into its batch norms; else all pictures would be alike to it.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = 1.0
    pixels = torch.from_numpy(task.pictures[np.arange(24)]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        network(Normalise(ITS_INPUT)(F.interpolate(pixels, (64, 48))))
    card = replace(make_card(recipe, task, {}, {}), licence="research only")
    return save_artifact(folder, card, deployed_weights(network, half=True), "For research only.\n")


@pytest.fixture(scope="module")
def larger(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    folder = tmp_path_factory.mktemp("larger") / "artifact"
    return folder, larger_model(people, folder)


def short_recipe(**changes: object) -> Recipe:
    return tiny_recipe(epochs=2, validate_every=2, **changes)


def test_a_teacher_sees_the_same_pictures_at_its_own_size_and_normalised_its_own_way(
    larger: tuple[Path, Artifact],
) -> None:
    folder, artifact = larger
    own = InputSpec(96, 32)
    pixels = torch.rand(3, 3, 96, 32, generator=torch.Generator().manual_seed(0))
    found = TeacherModel(folder, own)(Normalise(own)(pixels))
    resized = F.interpolate(pixels, (64, 48), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (ITS_INPUT.mean, ITS_INPUT.std))
    with torch.no_grad():
        expected = network_of(artifact)((resized - mean) / std).student
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert not found.requires_grad


def test_all_descriptors_learn_the_similarities() -> None:
    recipe = make_recipe({"name": "x", "losses": {"distil_weight": 7, "ssr_weight": 0}})
    generator = torch.Generator().manual_seed(0)
    student, teacher, taught = (torch.randn(4, width, generator=generator) for width in (8, 8, 5))
    rest = ([torch.zeros(4, 3)], torch.tensor([0, 0, 1, 1]), torch.empty(0, 0), torch.empty(0), 1.0)
    with_it = step_losses(recipe, ModelOutput(student, teacher, None), *rest, taught)
    without = step_losses(recipe, ModelOutput(student, teacher, None), *rest)
    expected = [reference.distillation_loss(each.tolist(), taught.tolist()) for each in (student, teacher)]
    assert float(with_it["distil"]) == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert float(with_it["total"] - without["total"]) == pytest.approx(7 * sum(expected) / 2, rel=1e-4)
    assert "distil" not in without


def test_the_student_becomes_more_like_its_teacher(people: Path, tmp_path: Path, larger: tuple[Path, Artifact]) -> None:
    last = {}
    for weight in (1e-9, 100.0):
        run = tmp_path / str(weight)
        tiny_train(short_recipe(learning_rate=5e-3, losses={"distil_weight": weight}), people, run, teacher=larger[0])
        last[weight] = log_of(run)[-1]["distil"]
    assert last[100.0] < 0.97 * last[1e-9], "six steps from the same start"


def test_the_card_names_the_teacher_and_its_licence(
    people: Path, tmp_path: Path, larger: tuple[Path, Artifact]
) -> None:
    card = tiny_train(short_recipe(), people, tmp_path / "run", teacher=larger[0]).card
    origin = {"name": "larger", "licence": "research only", "fingerprint": fingerprint(larger[1].card)}
    assert card.training["teacher"] == origin
    assert card.licence == "Apache-2.0; distilled from larger: research only"
    text = (tmp_path / "run" / "artifact" / "LICENSE").read_text(encoding="utf-8")
    assert text == "For research only.\n"


def test_a_run_with_a_teacher_resumes_exactly_and_with_that_teacher_only(
    people: Path, tmp_path: Path, larger: tuple[Path, Artifact]
) -> None:
    recipe, run = short_recipe(), tmp_path / "run"
    tiny_train(recipe, people, tmp_path / "whole", teacher=larger[0])

    def stop(position: Position) -> None:
        if (position.epoch, position.step) == (1, 2):
            raise Interrupted

    with pytest.raises(Interrupted):
        tiny_train(recipe, people, run, Recorder(stop), teacher=larger[0])
    larger_model(people, tmp_path / "other", seed=1)
    for other in (None, tmp_path / "other"):
        with pytest.raises(ArtifactError, match="expected the teacher that"):
            tiny_train(recipe, people, run, teacher=other, resume=True)
    tiny_train(recipe, people, run, teacher=larger[0], resume=True)
    assert_equal_runs(tmp_path / "whole", run)


def test_a_folder_of_a_run_is_its_artifact(people: Path, tmp_path: Path, larger: tuple[Path, Artifact]) -> None:
    run = tmp_path / "larger-run"
    run.mkdir()
    (run / "artifact").symlink_to(larger[0])
    torch.manual_seed(0)
    recipe = short_recipe()
    card = train(
        recipe, tiny_task(recipe, people), tmp_path / "run", Recorder(), teacher=run, backbone=TinyBackbone()
    ).card
    assert card.training["teacher"]["fingerprint"] == fingerprint(larger[1].card)
