"""A next stage of training starts from all that a run has learned."""

from pathlib import Path

import torch

from tests.training.tiny import tiny_recipe, tiny_train


def _learner(run: Path) -> dict[str, torch.Tensor]:
    learner: dict[str, torch.Tensor] = torch.load(run / "checkpoint.pt", weights_only=True)["states"]["learner"]
    return learner


def test_a_stage_starts_from_the_teacher_and_classifiers_of_the_run_before(people: Path, tmp_path: Path) -> None:
    first = tiny_recipe()
    tiny_train(first, people, tmp_path / "first")
    # A rate so small that the second stage stays where it starts; batch norms' means and counters move all the same.
    second = tiny_recipe(
        epochs=1, warmup_epochs=0, learning_rate=1e-12, weight_decay=0, input={"height": 192, "width": 64}
    )
    tiny_train(second, people, tmp_path / "second", init=tmp_path / "first")
    tiny_train(second, people, tmp_path / "alone")
    start, staged, alone = (_learner(tmp_path / run) for run in ("first", "second", "alone"))
    trained = [name for name, value in start.items() if name.endswith((".weight", ".bias"))]
    assert any(name.startswith("network.teacher.") for name in trained)
    assert any(name.startswith("classifiers.teacher.") for name in trained)
    assert all(torch.allclose(start[name], staged[name], atol=1e-6) for name in trained)
    assert not all(torch.allclose(start[name], alone[name], atol=1e-6) for name in trained)


def test_tensors_of_another_shape_keep_their_first_values(people: Path, tmp_path: Path) -> None:
    tiny_train(tiny_recipe(epochs=2), people, tmp_path / "first")
    longer = tiny_recipe(epochs=1, warmup_epochs=0, learning_rate=1e-12, weight_decay=0, network={"n_bits": 128})
    tiny_train(longer, people, tmp_path / "second", init=tmp_path / "first")
    start, staged = _learner(tmp_path / "first"), _learner(tmp_path / "second")
    backbone = "network.backbone.patches.weight"
    assert torch.allclose(start[backbone], staged[backbone], atol=1e-6)
    assert staged["network.student.embeddings.0.0.weight"].shape[0] == 32
