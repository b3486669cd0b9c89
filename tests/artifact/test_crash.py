"""A save that is cut or killed leaves the old model or the new one."""

import itertools
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.artifact import Artifact, Card, InputSpec, load_artifact, save_artifact
from bitreid.errors import ArtifactError


def numbered_card(number: int) -> Card:
    """A card whose metrics hold `number`, which its weights repeat."""
    return Card(
        name="numbered",
        model={},
        input=InputSpec(height=96, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        n_bits=32,
        parts=(),
        n_features=32,
        attributes=None,
        thresholds={},
        training={},
        licence="Apache-2.0",
        metrics={"number": number},
    )


class PowerCut(BaseException):
    """Ends a save at a chosen step; nothing in the product catches it."""


def save_numbered(folder: Path, number: int) -> Artifact:
    return save_artifact(folder, numbered_card(number), {"number": np.full(1000, number, np.float32)})


def number_in(folder: Path) -> float:
    """The number of the model in `folder`, if its card and weights agree."""
    loaded = load_artifact(folder)
    assert np.all(loaded.weights["number"] == loaded.card.metrics["number"])
    return loaded.card.metrics["number"]


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Makes the `step`-th sync or rename from now on raise; returns how many have been asked for."""
    calls = 0

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise PowerCut
            return function(*args)

        return call

    monkeypatch.setattr(os, "fsync", counting(os.fsync))
    monkeypatch.setattr(Path, "replace", counting(Path.replace))
    return lambda: calls


def cut_save(folder: Path, number: int, step: int) -> bool:
    """Saves until the given step; whether the save got that far and was cut."""
    with pytest.MonkeyPatch.context() as patch:
        cut_at(step, patch)
        try:
            save_numbered(folder, number)
        except PowerCut:
            return True
    return False


def count_steps(folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        steps = cut_at(0, patch)
        save_numbered(folder, 1)
        return steps()


def test_a_save_cut_at_any_step_leaves_the_old_model_or_the_new(tmp_path: Path) -> None:
    outcomes = []
    for step in itertools.count(1):
        folder = tmp_path / str(step)
        save_numbered(folder, 1)
        cut = cut_save(folder, 2, step)
        outcomes.append(number_in(folder))
        if not cut:
            break
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {1, 2}


def test_a_save_cut_after_a_cut_save_loses_nothing(tmp_path: Path) -> None:
    for step, again in itertools.product(range(2, 8), range(1, 9)):
        folder = tmp_path / f"{step}-{again}"
        save_numbered(folder, 1)
        assert cut_save(folder, 2, step)
        left = number_in(folder)
        cut = cut_save(folder, 3, again)
        assert number_in(folder) in ((left, 3) if cut else (3,))


def test_a_save_over_a_damaged_artifact_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors.new").write_bytes(b"half")
    (tmp_path / "card.json").write_bytes(b"{")
    save_numbered(tmp_path, 1)
    assert number_in(tmp_path) == 1


def test_a_first_save_cut_at_any_step_leaves_no_model_or_the_new(tmp_path: Path) -> None:
    outcomes: set[float | None] = set()
    for step in range(1, count_steps(tmp_path / "count") + 1):
        assert cut_save(tmp_path / str(step), 1, step)
        try:
            outcomes.add(number_in(tmp_path / str(step)))
        except ArtifactError:
            outcomes.add(None)
    assert outcomes == {None, 1}


SAVER = """
import pickle, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from bitreid.artifact import save_artifact
folder, number, card = Path(sys.argv[1]), int(sys.argv[2]), pickle.loads(bytes.fromhex(sys.argv[3]))
print("ready", flush=True)
while True:
    number += 1
    weights = {"number": np.full(500_000, number, np.float32)}
    save_artifact(folder, replace(card, metrics={"number": number}), weights)
    print(number, flush=True)
"""


def test_a_killed_process_loses_no_acknowledged_save(tmp_path: Path) -> None:
    clock = random.Random(5)
    acknowledged = 0
    for attempt in range(10):
        arguments = [str(tmp_path / "model"), str(acknowledged), pickle.dumps(numbered_card(0)).hex()]
        saver = subprocess.Popen([sys.executable, "-c", SAVER, *arguments], stdout=subprocess.PIPE, text=True)
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
        # Every other process is left to finish a save, so that the next kill meets an old model.
        first = saver.stdout.readline() if attempt % 2 else ""
        time.sleep(clock.uniform(0, 0.03))
        saver.send_signal(signal.SIGKILL)
        lines = [*first.split(), *saver.communicate()[0].split()]
        before, acknowledged = acknowledged, max([acknowledged, *map(int, lines)])
        if (tmp_path / "model" / "card.json").exists():
            found = number_in(tmp_path / "model")
            assert acknowledged <= found <= acknowledged + 1
            acknowledged = int(found)
        else:
            assert acknowledged == before == 0
    assert acknowledged >= 5
