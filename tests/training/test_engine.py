"""Pixels to the network's input: the torch engine, augmentation, validation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from bitreid.artifact import InputSpec
from bitreid.codes import pack
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation.ranking import evaluate_ranking
from bitreid.models import HashingNetwork, build_network
from bitreid.models.network import NetworkSettings
from bitreid.training.augment import Augment
from bitreid.training.engine import TorchEngine
from bitreid.training.recipe import AugmentationSettings
from bitreid.training.task import attributes_beside, prepare_task, task_from
from bitreid.training.validation import validate
from tests.training.tiny import TinyBackbone, tiny_recipe, tiny_task

Pixels = npt.NDArray[np.uint8]

PICTURE = InputSpec(height=96, width=32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))


def network(backbone: TinyBackbone | None = None, **settings: bool) -> HashingNetwork:
    torch.manual_seed(2)
    custom = NetworkSettings.model_validate({"backbone": "custom", "n_bits": 32} | settings)
    return build_network(custom, 3 if custom.attributes else 0, backbone or TinyBackbone())


def normalised(pictures: Pixels) -> Tensor:
    """Channel by channel, in float64."""
    planes = [(pictures[..., c] / 255 - PICTURE.mean[c]) / PICTURE.std[c] for c in range(3)]
    return torch.from_numpy(np.stack(planes, axis=1)).float()


@pytest.fixture
def pictures() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (5, 96, 32, 3), dtype=np.uint8)


def test_the_engine_normalises_and_uses_evaluation_mode(
    pictures: Pixels,
) -> None:
    model = network()
    model.train()
    output = TorchEngine(model, PICTURE, batch=2)(pictures)
    assert model.training, "left as it was"
    assert all(module.training for module in model.modules())
    model.eval()
    with torch.no_grad():
        expected = model(normalised(pictures))
    assert np.allclose(output.features, expected.student.numpy(), atol=1e-5)
    assert output.teacher is not None
    assert np.allclose(output.teacher, expected.teacher.numpy(), atol=1e-5)
    assert output.attribute_logits is not None
    assert np.allclose(output.attribute_logits, expected.attribute_logits.numpy(), atol=1e-5)


def test_a_deployed_network_has_no_teacher_and_maybe_no_attributes(
    pictures: Pixels,
) -> None:
    model = network(attributes=False, attention=False)
    model.teacher = None
    output = TorchEngine(model, PICTURE)(pictures)
    assert output.teacher is None
    assert output.attribute_logits is None
    assert output.features.dtype == np.float32


def test_an_error_leaves_the_network_as_it_was() -> None:
    class Broken(TinyBackbone):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("broken")

    model = network(Broken())
    model.train()
    with pytest.raises(RuntimeError, match="broken"):
        TorchEngine(model, PICTURE)(np.zeros((1, 96, 32, 3), np.uint8))
    assert model.training


# Augmentation


def test_without_changes_augmentation_only_normalises(
    pictures: Pixels,
) -> None:
    augment = Augment(AugmentationSettings(flip=0, pad=0, erase=0, colour=0), PICTURE)
    assert torch.allclose(augment(torch.from_numpy(pictures)), normalised(pictures), atol=1e-6)


def test_a_certain_flip_mirrors(pictures: Pixels) -> None:
    augment = Augment(AugmentationSettings(flip=1, pad=0, erase=0, colour=0), PICTURE)
    assert torch.allclose(augment(torch.from_numpy(pictures)), normalised(pictures).flip(3), atol=1e-6)


def test_the_crop_moves_each_picture_by_at_most_the_padding(
    pictures: Pixels,
) -> None:
    torch.manual_seed(0)
    moved = Augment(AugmentationSettings(flip=0, pad=3, erase=0, colour=0), PICTURE)(torch.from_numpy(pictures))
    expected = normalised(pictures)
    shifts = set()
    for got, whole in zip(moved, expected, strict=True):
        inner = got[:, 3:-3, 3:-3]
        found = [
            (dy, dx)
            for dy in range(7)
            for dx in range(7)
            if torch.allclose(inner, whole[:, dy : dy + 90, dx : dx + 26], atol=1e-5)
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert len(shifts) > 1, "each picture for itself"


def test_people_shrink_and_grow_around_the_middle() -> None:
    torch.manual_seed(0)
    pictures = torch.zeros(64, 96, 32, 3, dtype=torch.uint8)
    pictures[:, 28:68, 10:22] = 255  # 40 high, 12 wide
    settings = AugmentationSettings(flip=0, pad=0, erase=0, colour=0, scale=0.25)
    found = Augment(settings, InputSpec(96, 32, (0.0,) * 3, (1.0,) * 3))(pictures)[:, 0]
    heights, widths = found[:, :, 16].sum(1), found[:, 48].sum(1)
    for lengths, own in ((heights, 40), (widths, 12)):
        assert 0.7 * own < float(lengths.min()) < 0.85 * own
        assert 1.15 * own < float(lengths.max()) < 1.3 * own
    assert float(torch.corrcoef(torch.stack([heights, widths]))[0, 1]) < 0.5  # each for itself


def test_erasing_leaves_holes_of_the_mean_colour() -> None:
    torch.manual_seed(0)
    white = torch.full((8, 96, 32, 3), 255, dtype=torch.uint8)
    erased = Augment(AugmentationSettings(flip=0, pad=0, erase=1, colour=0), PICTURE)(white)
    holes = (erased == 0).all(dim=1)
    assert torch.equal((erased == 0).any(dim=1), holes)
    share = holes.float().mean(dim=(1, 2))
    assert share.min() > 0.01
    assert share.max() < 0.35


def test_colours_change_within_the_limits_and_each_picture_for_itself() -> None:
    torch.manual_seed(0)
    grey = torch.full((64, 16, 16, 3), 102, dtype=torch.uint8)  # 0.4
    plain = InputSpec(height=16, width=16, mean=(0, 0, 0), std=(1, 1, 1))
    levels = Augment(AugmentationSettings(flip=0, pad=0, erase=0, colour=0.2), plain)(grey).mean(dim=(1, 2, 3))
    # Brightness moves 0.4 by up to 0.2, contrast scales by 0.8 to 1.2, in either order; one in five stays.
    assert levels.min() >= min((0.4 - 0.2) * 0.8, 0.4 * 0.8 - 0.2) - 1e-3
    assert levels.max() <= max((0.4 + 0.2) * 1.2, 0.4 * 1.2 + 0.2) + 1e-3
    assert 2 < (levels - 0.4).abs().lt(1e-3).sum() < 30
    assert levels.std() > 0.05


# Validation


def test_validation_scores_the_held_out_identities(people: Path) -> None:
    recipe = tiny_recipe()
    task = tiny_task(recipe, people)
    model = build_network(recipe.network, task.labels.shape[1], TinyBackbone())
    scores = validate(recipe, task, model)
    rows = np.concatenate([task.split.query, task.split.gallery])
    output = TorchEngine(model, recipe.input)(task.pictures[rows])
    assert output.teacher is not None
    same = [(a > 0) == (b > 0) for a, b in zip(output.features.flat, output.teacher.flat, strict=True)]
    assert scores["val_agreement"] == pytest.approx(sum(same) / len(same))
    assert scores["val_gap"] == pytest.approx(np.mean([abs(abs(value) - 1) for value in output.features.flat]))
    assert all(0 <= value <= 1 for name, value in scores.items() if name != "val_gap")


def test_validation_averages_with_the_mirror_image_where_the_recipe_says_so(people: Path) -> None:
    recipe = tiny_recipe()
    task = tiny_task(recipe, people)
    model = build_network(recipe.network, task.labels.shape[1], TinyBackbone())
    flipped = recipe.model_copy(update={"input": replace(recipe.input, flip=True)})
    scores = validate(flipped, task, model)
    rows = np.concatenate([task.split.query, task.split.gallery])
    engine, pictures = TorchEngine(model, recipe.input), task.pictures[rows]
    seen, mirrored = engine(pictures), engine(pictures[:, :, ::-1].copy())
    assert seen.teacher is not None
    assert mirrored.teacher is not None
    student, teacher = (seen.features + mirrored.features) / 2, (seen.teacher + mirrored.teacher) / 2
    n, pids, camids = len(task.split.query), task.manifest.pids[rows], task.manifest.camids[rows]
    expected = evaluate_ranking(pack(student[:n]), pack(student[n:]), pids[:n], camids[:n], pids[n:], camids[n:])
    assert scores["val_mAP"] == pytest.approx(expected.expected.mAP)
    assert scores["val_agreement"] == pytest.approx(((student > 0) == (teacher > 0)).mean(), abs=1e-3)
    assert scores["val_gap"] != pytest.approx(validate(recipe, task, model)["val_gap"])


def test_attributes_that_nobody_held_out_tells_apart_have_no_score(people: Path) -> None:
    recipe = tiny_recipe()
    task = tiny_task(recipe, people)
    model = build_network(recipe.network, task.labels.shape[1], TinyBackbone())
    unknown = type(task)(
        task.manifest,
        task.pictures,
        task.split,
        task.identities,
        task.schema,
        np.full_like(task.labels, -1),
        task.source,
    )
    assert "val_attribute_accuracy" in validate(recipe, task, model)
    assert "val_attribute_accuracy" not in validate(recipe, unknown, model)


# The task


def test_a_task_holds_identities_out_and_numbers_the_others(people: Path) -> None:
    task = tiny_task(tiny_recipe(), people)
    pids = task.manifest.pids
    held = set(pids[np.concatenate([task.split.query, task.split.gallery])].tolist())
    assert len(held) == 6
    assert not held & set(task.identities.tolist())
    assert held | set(task.identities.tolist()) == set(range(1, 25))
    classes = task.classes_of(task.split.train)
    assert np.array_equal(task.identities[classes], pids[task.split.train])
    assert task.schema is not None
    assert task.labels.shape == (len(pids), len(task.schema))


def test_without_held_out_identities_all_train(people: Path) -> None:
    task = tiny_task(tiny_recipe(held_out_identities=0), people)
    assert len(task.identities) == 24
    assert (len(task.split.query), len(task.split.gallery)) == (0, 0)


def test_attributes_are_left_alone_by_a_network_without(people: Path) -> None:
    task = tiny_task(tiny_recipe(network={"attributes": False, "attention": False}), people)
    assert task.schema is None
    assert task.labels.shape == (len(task.manifest), 0)


def test_a_network_with_attributes_needs_labels(people: Path) -> None:
    recipe = tiny_recipe()
    with pytest.raises(SettingsError, match=r"expected attribute labels, got none; .* --attributes FILE"):
        prepare_task(recipe, tiny_task(recipe, people).manifest, None, "people")


def test_the_labels_beside_the_data_are_found(people: Path, tmp_path: Path) -> None:
    assert attributes_beside(people) == people / "attributes_train.csv"
    assert attributes_beside(people / "pictures.csv") == people / "attributes_train.csv"
    assert attributes_beside(tmp_path) is None
    (tmp_path / "market_attribute.mat").touch()
    assert attributes_beside(tmp_path) == tmp_path / "market_attribute.mat"


def test_data_without_a_training_split_is_refused(people: Path) -> None:
    with pytest.raises(DataError, match="split 'train'"):
        task_from(tiny_recipe(network={"attributes": False, "attention": False}), people / "query", None)


def test_the_fingerprint_tells_tasks_apart_and_does_not_mind_the_folder(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    task = tiny_task(recipe, people)
    moved = tmp_path / "elsewhere"
    moved.symlink_to(people)
    assert task_from(recipe, moved, None).fingerprint() == task.fingerprint()
    plain = tiny_task(tiny_recipe(network={"attributes": False, "attention": False}), people)
    assert plain.fingerprint() != task.fingerprint()
