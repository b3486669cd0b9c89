"""The suite itself: a test that does not run fails the run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BODIES = {
    "passes": ("def test_it(): pass", 0),
    "skips": ("import pytest\ndef test_it(): pytest.skip('no reason')", 1),
    "expects to fail": ("import pytest\n@pytest.mark.xfail\ndef test_it(): assert False", 1),
    "is deselected": ("import pytest\ndef test_it(): pass\n@pytest.mark.gpu\ndef test_that(): assert False", 0),
}
IN_PARALLEL = ("-n", "2", "--dist", "loadgroup")


@pytest.mark.parametrize(
    ("name", "workers"), [*((name, ()) for name in BODIES), ("skips", IN_PARALLEL), ("is deselected", IN_PARALLEL)]
)
def test_only_runs_without_left_out_tests_succeed(name: str, workers: tuple[str, ...], tmp_path: Path) -> None:
    body, status = BODIES[name]
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs one\n")
    (tmp_path / "test_one.py").write_text(body)
    command = [sys.executable, "-m", "pytest", "-m", "not gpu", "-p", "no:cacheprovider", "-q", *workers, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == status, run.stdout
    assert ("FAILED: expected every selected test" in run.stdout) == bool(status)
    assert f"lack): {int('deselected' in name)}" in run.stdout
