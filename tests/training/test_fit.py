"""The training loop: logs, and runs that are stopped, resumed and refused."""

import json
import math
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import bitreid
from bitreid.errors import ArtifactError, DataError, SettingsError
from bitreid.training.checkpoint import Position
from bitreid.training.fit import Interrupted
from bitreid.training.recipe import make_recipe
from bitreid.training.run import train
from tests.training.runs import assert_equal_runs, log_of, states_of
from tests.training.tiny import Recorder, TinyBackbone, tiny_recipe, tiny_task, tiny_train

LOSSES = {"total", "id", "tri", "attr", "ssr", "agreement", "gap"}
SCORES = {"val_rank1", "val_mAP", "val_float_rank1", "val_float_mAP", "val_agreement", "val_gap", "val_teacher_mAP"}


@pytest.fixture(scope="module")
def whole(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny recipe that nobody interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    tiny_train(tiny_recipe(), people, run)
    return run


def test_the_log_has_a_line_a_pass_with_named_losses_and_scores(whole: Path) -> None:
    records = [json.loads(line) for line in (whole / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    always = {"epoch", "pictures_per_s", *LOSSES}
    assert set(records[0]) == always
    for record in records[1:]:  # the second, because every second pass is validated, and the last
        assert always | SCORES <= set(record) <= always | SCORES | {"val_attribute_accuracy"}
        assert all(0 <= record[name] <= 1 for name in ("agreement", "val_agreement", "val_mAP"))


def test_the_folder_says_how_the_run_was_made(whole: Path) -> None:
    recipe = make_recipe(yaml.safe_load((whole / "recipe.yaml").read_text(encoding="utf-8")))
    assert recipe == tiny_recipe()
    environment = json.loads((whole / "environment.json").read_text(encoding="utf-8"))
    assert environment["bitreid"] == bitreid.__version__
    assert torch.__version__.startswith(environment["versions"]["torch"].partition("+")[0])
    assert environment["python"]
    assert environment["commit"]


def test_the_network_learns(whole: Path) -> None:
    first, *_, last = log_of(whole)
    assert last["id"] < first["id"]


def test_the_seed_decides_everything(whole: Path, people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    tiny_train(recipe, people, tmp_path / "again")
    assert_equal_runs(tmp_path / "again", whole)
    tiny_train(tiny_recipe(seed=1, epochs=1, warmup_epochs=0), people, tmp_path / "other")
    assert log_of(tmp_path / "other")[0] != log_of(whole)[0]


@pytest.mark.parametrize(
    ("at", "number"),
    [((0, 1), signal.SIGTERM), ((1, 2), signal.SIGINT), ((1, 3), signal.SIGINT)],
    ids=["first step", "middle of a pass", "end of a pass"],
)
def test_a_stopped_run_resumes_exactly(
    at: tuple[int, int], number: signal.Signals, whole: Path, people: Path, tmp_path: Path
) -> None:
    recipe, run = tiny_recipe(), tmp_path / "run"

    def stop(position: Position) -> None:
        if (position.epoch, position.step) == at:
            os.kill(os.getpid(), number)

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    recorder = Recorder(stop)
    with pytest.raises(Interrupted):
        tiny_train(recipe, people, run, recorder)
    epoch, step, n_steps = recorder.steps[-1]
    assert ((epoch, step), n_steps) == (at, 3), "stopped after the step that the signal came in"
    assert states_of(run)["position"] == (epoch, step)
    assert not (run / "artifact").exists()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    tiny_train(recipe, people, run, resume=True)
    assert_equal_runs(run, whole)


class Killed(Exception):
    """Stands for a process that ends without a chance to save."""


def kill_if(when: bool) -> None:
    if when:
        raise Killed


def test_a_run_that_died_resumes_from_its_last_whole_pass(whole: Path, people: Path, tmp_path: Path) -> None:
    recipe, run = tiny_recipe(), tmp_path / "run"
    with pytest.raises(Killed):
        tiny_train(recipe, people, run, Recorder(lambda position: kill_if((position.epoch, position.step) == (1, 2))))
    assert states_of(run)["position"] == (1, 0)
    tiny_train(recipe, people, run, resume=True)
    assert_equal_runs(run, whole)


def test_a_run_that_died_between_its_log_and_its_checkpoint_logs_each_pass_once(
    whole: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run, recorder = tiny_recipe(), tmp_path / "run", Recorder()
    monkeypatch.setattr(recorder, "on_epoch", lambda record: kill_if(record["epoch"] == 2))
    with pytest.raises(Killed):
        tiny_train(recipe, people, run, recorder)
    assert [record["epoch"] for record in log_of(run)] == [1, 2]
    assert states_of(run)["position"] == (1, 0)
    tiny_train(recipe, people, run, resume=True)
    assert_equal_runs(run, whole)


def test_a_finished_run_resumes_to_the_same_artifact(whole: Path, people: Path) -> None:
    before = (whole / "artifact" / "weights.safetensors").read_bytes()
    metrics = tiny_train(tiny_recipe(), people, whole, resume=True).card.metrics
    assert (whole / "artifact" / "weights.safetensors").read_bytes() == before
    assert set(metrics) >= SCORES
    assert len(log_of(whole)) == 3


def test_a_run_in_another_thread_trains_without_signals(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=1, warmup_epochs=0)
    thread = threading.Thread(target=tiny_train, args=(recipe, people, tmp_path / "run"))
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "artifact" / "card.json").is_file()


def test_the_precision_is_the_recipes(people: Path, tmp_path: Path) -> None:
    losses = {}
    for precision in ("auto", "fp32", "bf16"):
        recipe = tiny_recipe(epochs=1, warmup_epochs=0, held_out_identities=0, precision=precision)
        tiny_train(recipe, people, tmp_path / precision)
        losses[precision] = log_of(tmp_path / precision)[0]["total"]
    assert losses["auto"] == losses["bf16" if torch.cuda.is_available() else "fp32"]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


# Refusals


def test_another_recipe_is_not_resumed(whole: Path, people: Path) -> None:
    with pytest.raises(ArtifactError, match=r"other values of epochs, losses; resume with the old recipe"):
        tiny_train(tiny_recipe(epochs=4, losses={"ssr_weight": 3}), people, whole, resume=True)


def test_other_data_is_not_resumed(whole: Path, people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    task = tiny_task(recipe, people)
    labels = task.labels.copy()
    labels[0, 0] = 1 - labels[0, 0]
    changed = type(task)(task.manifest, task.pictures, task.split, task.identities, task.schema, labels, task.source)
    with pytest.raises(ArtifactError, match=r"pictures and labels that .* was made with, got others"):
        train(recipe, changed, whole, Recorder(), resume=True, backbone=TinyBackbone())


def test_a_folder_with_a_run_is_refused_without_resume(whole: Path, people: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"empty folder for the run, .* holds one; continue it with --resume"):
        tiny_train(tiny_recipe(), people, whole)
    (tmp_path / "artifact").mkdir()
    with pytest.raises(SettingsError, match="holds one"):
        tiny_train(tiny_recipe(), people, tmp_path)


def test_nothing_is_not_resumed(people: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="found no checkpoint; start without --resume"):
        tiny_train(tiny_recipe(), people, tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"no archive"],
    ids=["a changed bit", "cut off", "empty", "something else"],
)
def test_a_damaged_checkpoint_is_refused(damage: Any, whole: Path, people: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(damage((whole / "checkpoint.pt").read_bytes()))
    with pytest.raises(ArtifactError, match=r"expected a whole checkpoint at .*; start a new run") as error:
        tiny_train(tiny_recipe(), people, tmp_path, resume=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [torch.zeros(3), {"epoch": 1}])
def test_a_file_of_other_tensors_is_no_checkpoint(content: object, people: Path, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(ArtifactError, match="expected a whole checkpoint"):
        tiny_train(tiny_recipe(), people, tmp_path, resume=True)


def test_a_newer_checkpoint_is_refused(whole: Path, people: Path, tmp_path: Path) -> None:
    saved = torch.load(whole / "checkpoint.pt", weights_only=True)
    torch.save(saved | {"format": 2}, tmp_path / "checkpoint.pt")
    with pytest.raises(ArtifactError, match=r"format 1 or older at .*, got 2; update bitreid"):
        tiny_train(tiny_recipe(), people, tmp_path, resume=True)


def test_a_log_that_somebody_spoiled_is_refused_by_line(whole: Path, people: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes((whole / "checkpoint.pt").read_bytes())
    (tmp_path / "log.jsonl").write_text('{"epoch": 1}\n{"ep\n', encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"log.jsonl, line 2, got"):
        tiny_train(tiny_recipe(), people, tmp_path, resume=True)


def test_a_run_with_another_backbone_starts_nothing(whole: Path, people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(network={"backbone": "resnet18"})
    with pytest.raises(SettingsError, match=r"run with the backbone resnet18 at .*, got custom; set network.backbone"):
        tiny_train(recipe, people, tmp_path / "run", init=whole)
    assert not (tmp_path / "run").exists()


def test_blocks_that_cannot_be_skipped_are_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected drop_path=0 with custom, got 0\.1"):
        tiny_train(tiny_recipe(drop_path=0.1), people, tmp_path / "run")


def test_a_picture_size_that_stripes_cannot_cut_is_refused(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(input={"height": 128, "width": 32})
    with pytest.raises(SettingsError, match="height is a multiple of 96"):
        tiny_train(recipe, people, tmp_path / "run")


def test_more_identities_a_batch_than_there_are_is_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 19 identities"):
        tiny_train(tiny_recipe(identities_per_batch=19), people, tmp_path / "run")


class Exploding(TinyBackbone):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * math.inf


def test_a_run_whose_loss_is_no_longer_finite_stops(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    with pytest.raises(SettingsError, match=r"finite loss, got nan in pass 1, step 1; lower learning_rate"):
        train(recipe, tiny_task(recipe, people), tmp_path / "run", Recorder(), backbone=Exploding())
