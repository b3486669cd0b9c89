"""`bitreid train` in a process of its own: Ctrl-C and a kill in the middle, then resumed exactly."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bitreid.commands.main import main
from bitreid.drawn.data_set import DrawnSettings, draw_people
from tests.training.runs import assert_equal_runs, states_of

PATIENCE_S = 240

# 6 small steps a pass, so that a signal that comes when a pass has begun comes before its end.
CHANGES = (
    "epochs=3",
    "network.n_bits=32",
    "int8=false",
    "identities_per_batch=2",
    "pictures_per_identity=2",
    "held_out_identities=2",
    "validate_every=3",
)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("few") / "people"
    settings = DrawnSettings(
        n_train=8, n_test=1, n_cameras=2, n_distractors=0, n_junk=0, height=96, width=32, lookalikes=0
    )
    draw_people(data, settings)
    return data


def words(data: Path, run: Path, *more: str) -> list[str]:
    changes = [word for change in CHANGES for word in ("--set", change)]
    return ["train", "drawn_tiny", "--data", str(data), "--out", str(run), *changes, *more]


def signalled(command: list[str], when: Callable[[], object], number: signal.Signals) -> tuple[int, str]:
    """Runs the command in a process, sends the signal as soon as `when` is true; its exit code and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bitreid", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and not when():
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


def test_a_run_that_is_interrupted_and_then_killed_ends_as_one_that_is_not(few: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main(words(few, whole)) == 0
    checkpoint = run / "checkpoint.pt"

    code, output = signalled(words(few, run), checkpoint.exists, signal.SIGINT)
    assert code == 130, output
    assert f"stopped and saved; continue with: bitreid train --resume --out {run}" in output
    assert "Traceback" not in output
    epoch, step = states_of(run)["position"]
    assert epoch == 1
    assert 0 < step < 6, "in the middle of the second pass"
    assert not (run / "artifact").exists()

    interrupted = checkpoint.stat().st_mtime_ns
    code, output = signalled(
        words(few, run, "--resume"), lambda: checkpoint.stat().st_mtime_ns != interrupted, signal.SIGKILL
    )
    assert code == -signal.SIGKILL, output
    assert states_of(run)["position"] == (2, 0), "what the third pass had done is lost"
    assert not (run / "artifact").exists()

    assert main(words(few, run, "--resume")) == 0
    assert_equal_runs(run, whole)
