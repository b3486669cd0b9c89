"""A next stage of training starts from all that a run has learned."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bitreid.artifact import fingerprint
from bitreid.data.about import Facts
from bitreid.drawn.data_set import ABOUT
from bitreid.errors import ArtifactError, DataWarning, SettingsError
from bitreid.training import export
from bitreid.training.checkpoint import load_learner
from bitreid.training.export import UNTOLD
from bitreid.training.run import train
from bitreid.training.task import task_from
from tests.training.tiny import Recorder, TinyBackbone, tiny_recipe, tiny_task, tiny_train


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


def test_other_people_leave_classifiers_and_attribute_heads_at_their_first_values(people: Path, tmp_path: Path) -> None:
    tiny_train(tiny_recipe(epochs=2), people, tmp_path / "first")
    file, learner = tmp_path / "first" / "checkpoint.pt", _learner(tmp_path / "first")
    assert load_learner(file, "custom", tiny_task(tiny_recipe(), people).fingerprint()).keys() == learner.keys()
    left_out = learner.keys() - load_learner(file, "custom", "other people").keys()
    assert {name.split(".")[0] for name in left_out} == {"classifiers", "network"}
    assert all(name.startswith(("classifiers.", "network.attribute_block.heads.")) for name in left_out)


def test_the_card_says_what_a_run_started_from_and_under_which_licence(people: Path, tmp_path: Path) -> None:
    first, second = tiny_recipe(name="first", epochs=2), tiny_recipe(epochs=2)
    told = replace(tiny_task(first, people), about=Facts("research only", "For research only.\n"))
    torch.manual_seed(0)
    card = train(first, told, tmp_path / "first", Recorder(), backbone=TinyBackbone()).card
    assert card.licence == "research only"
    assert (tmp_path / "first" / "artifact" / "LICENSE").read_text(encoding="utf-8") == "For research only.\n"
    assert "init" not in card.training
    origin = {"name": "first", "licence": "research only", "fingerprint": fingerprint(card)}
    for init, run in ((tmp_path / "first", "from-run"), (tmp_path / "first" / "artifact", "from-artifact")):
        card = tiny_train(second, people, tmp_path / run, init=init).card
        assert card.training["init"] == origin
        assert card.licence == "Apache-2.0; started from first: research only"
        text = (tmp_path / run / "artifact" / "LICENSE").read_text(encoding="utf-8")
        assert text == "For research only.\n", "which its start is still under"


def test_the_recipe_of_a_stopped_run_is_checked(people: Path, tmp_path: Path) -> None:
    recipe, first = tiny_recipe(name="first", epochs=2), tmp_path / "first"
    tiny_train(recipe, people, first)
    shutil.rmtree(first / "artifact")
    card = tiny_train(recipe, people, tmp_path / "second", init=first).card
    assert card.training["init"] == {"name": "first", "licence": ABOUT.licence}
    (first / "recipe.yaml").write_text("name: " + "[" * 1000, encoding="utf-8")
    with pytest.raises(SettingsError, match="expected a recipe in YAML at"):
        tiny_train(recipe, people, tmp_path / "third", init=first)


def test_what_an_artifact_has_not_is_said_to_be_random(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=1, warmup_epochs=0)
    tiny_train(recipe, people, tmp_path / "first")
    longer = recipe.model_copy(
        update={"network": recipe.network.model_copy(update={"n_bits": 2 * recipe.network.n_bits})}
    )
    with pytest.warns(DataWarning, match=r"\d+ tensors of the network start with random values, .* student, teacher$"):
        tiny_train(longer, people, tmp_path / "second", init=tmp_path / "first" / "artifact")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("environment.json", b"[1, 2]", "expected the record of a run at"),
        ("environment.json", b"[" * 100_000, "expected the record of a run at"),
        ("environment.json", b"\xff", "expected a text of at most"),
        ("environment.json", b" " * 2_000_000, "expected a text of at most"),
        ("environment.json", None, "expected a text of at most"),
        ("LICENSE", b"\xff", "expected a text of at most"),
    ],
)
def test_what_a_stopped_run_tells_of_itself_is_checked(
    people: Path, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    recipe, first = tiny_recipe(name="first", epochs=1, warmup_epochs=0), tmp_path / "first"
    tiny_train(recipe, people, first)
    shutil.rmtree(first / "artifact")
    (first / name).unlink(missing_ok=True)
    if content is not None:
        (first / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=words):
        tiny_train(recipe, people, tmp_path / "second", init=first)


def test_a_card_says_what_is_told_of_the_data_and_of_the_recipe(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=2, notes="Tiny.")
    card = tiny_train(recipe, people, tmp_path / "drawn").card
    assert (card.licence, card.notes) == (ABOUT.licence, f"Tiny. {ABOUT.notes}")
    assert not card.training.keys() & {"licence", "notes"}
    torch.manual_seed(0)
    untold = replace(tiny_task(recipe, people), about=Facts())
    card = train(recipe, untold, tmp_path / "untold", Recorder(), backbone=TinyBackbone()).card
    assert (card.licence, card.notes) == (UNTOLD, "Tiny.")
    assert not (tmp_path / "untold" / "artifact" / "LICENSE").exists()
    # A resumed run keeps what it began with.
    card = tiny_train(recipe, people, tmp_path / "untold", resume=True).card
    assert card.licence == UNTOLD


def test_the_record_of_a_run_is_that_of_its_start(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(epochs=2)
    tiny_train(recipe, people, tmp_path / "run")
    monkeypatch.setattr(export, "_commit", lambda: "a later commit")
    card = tiny_train(recipe, people, tmp_path / "run", resume=True).card
    assert card.training["commit"] != "a later commit"


def test_a_folder_of_pictures_trains_by_the_names_in_a_pattern(people: Path) -> None:
    recipe = tiny_recipe(network={"attributes": False, "attention": False})
    layout = task_from(recipe, people, None)
    folder = task_from(recipe, people / "bounding_box_train", None, pattern="^(?P<pid>[0-9]+)_c(?P<camid>[0-9])")
    assert folder.fingerprint() == layout.fingerprint()
