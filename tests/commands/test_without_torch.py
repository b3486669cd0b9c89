"""Encoding, galleries, search and evaluation in an interpreter that has no PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.commands.words import queries

# Whatever asks for these is told that they are not installed.
WITHOUT = """
import json, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "kornia", "onnx", "cv2", "scipy", "yaml"}:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Without())
from bitreid.commands.main import main
for words in json.loads(sys.argv[1]):
    status = main(words)
    assert status == 0, (words, status)
print(len(sys.modules), len([name for name in sys.modules if name.startswith("bitreid.training")]))
"""

MOST_MODULES = 1200
"""Modules that encoding and searching may import, those of the standard library among them."""


def run(*commands: list[str]) -> str:
    words = [sys.executable, "-W", "error", "-c", WITHOUT, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_exported_model_needs_no_torch(artifact: Path, people: Path, tmp_path: Path) -> None:
    model, data, codes, place = str(artifact), str(people), str(tmp_path / "codes.npz"), str(tmp_path / "g.gallery")
    query = [str(path) for path in queries(people, 25)]
    said = run(
        ["encode", model, f"{data}/bounding_box_test", "--out", codes],
        ["search", model, "--query", *query, "--gallery", codes],
        ["gallery", "create", place, "--model", model],
        ["gallery", "add", place, codes],
        ["gallery", "search", place, *query, "--model", model],
        ["evaluate", model, "--data", data],
        ["info", model],
    )
    modules, of_training = map(int, said.splitlines()[-1].split())
    assert of_training == 0
    assert modules < MOST_MODULES


def test_without_torch_weights_alone_are_told(artifact: Path, people: Path, tmp_path: Path) -> None:
    words = ["encode", str(artifact), f"{people}/query", "--out", str(tmp_path / "c.npz"), "--engine", "torch"]
    program = [sys.executable, "-c", WITHOUT, json.dumps([words])]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert "expected PyTorch to run the weights" in done.stderr
