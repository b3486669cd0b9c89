"""The page on features of other toolkits: its commands run in order, and so does its Python."""

import re
from pathlib import Path

import pytest

from bitreid.commands.main import main
from tests.commands.words import Capture
from tests.encoding.imported.cases import features_of, written
from tests.pages import blocks, run_commands, text_of

PAGE = text_of("docs/import.md")


def test_the_pages_commands_and_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, (name, first) in enumerate({"train": 1, "query": 100, "gallery": 100}.items()):
        written(features_of(30, first, seed), Path(f"{name}.npy"))
    run_commands(PAGE)
    capsys.readouterr()
    python = [block for block in blocks(PAGE, "python") if "bitreid" in block]
    assert len(python) == 1
    exec(compile(python[0], "import.md", "exec"), {})
    assert capsys.readouterr().out.endswith("(240, 8)\n")


def test_the_pages_options_are_those_of_the_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    own = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    named = {"--names", "--side", "--pattern", "--from-zero", "--fit", "--source", "--held-out", "--licence", "--model"}
    assert named <= own
    assert named <= set(re.findall(r"--[a-z-]+", PAGE))
