"""`bitreid completion`: what bash offers where the cursor is."""

import subprocess
from pathlib import Path

import pytest

from tests.commands.words import Capture, done


@pytest.fixture
def script(tmp_path: Path, capsys: Capture) -> Path:
    done("completion", "bash")
    path = tmp_path / "bitreid.bash"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


def offered(script: Path, *words: str) -> list[str]:
    """What bash offers in the place of the last of these words."""
    program = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bitreid; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-uc", program, "bash", str(script), "bitreid", *words]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return run.stdout.split()


def test_commands(script: Path) -> None:
    assert offered(script, "e") == ["encode", "export", "evaluate"]
    assert {"train", "gallery", "completion"} <= set(offered(script, ""))
    assert offered(script, "--v") == ["--version"]
    assert offered(script, "gallery", "re") == ["repair", "reject", "reencode", "restore"]
    assert offered(script, "gallery", "search", "people.gallery", "add", "--li") == ["--like"], "add is a picture here"


def test_options(script: Path) -> None:
    assert offered(script, "train", "--li") == ["--licence", "--licence-file"]
    assert "--like" in offered(script, "gallery", "search", "people.gallery", "--")
    assert "--like" not in offered(script, "search", "--")


def test_choices(script: Path) -> None:
    assert offered(script, "encode", "drawn", "--engine", "") == ["onnx", "onnx-int8", "torch"]
    assert offered(script, "keys", "create", "k.json", "anna", "--scope", "a") == ["admin"]
    assert offered(script, "convert", "") == ["cuhk03"]


def test_else_the_shell_completes_files(script: Path) -> None:
    assert offered(script, "encode", "dr") == []
    assert offered(script, "train", "--out", "") == []


def test_zsh_runs_the_same_after_its_bashcompinit(script: Path, capsys: Capture) -> None:
    done("completion", "zsh")
    first, rest = capsys.readouterr().out.split("\n", 1)
    assert first == "autoload -U +X bashcompinit && bashcompinit"
    assert rest == script.read_text(encoding="utf-8")
