"""The page on galleries: its commands are understood, and its Python runs."""

import re
import shlex
from pathlib import Path

from bitreid.commands.main import parser_of
from tests.commands.words import Capture


def blocks(language: str) -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "galleries.md").read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_the_commands_are_understood() -> None:
    for line in "".join(blocks("bash")).splitlines():
        name, *words = shlex.split(line)
        assert name == "bitreid"
        assert parser_of(words).parse_args(words).place == "people.gallery"


def test_the_python_runs(capsys: Capture) -> None:
    for block in blocks("python"):
        exec(compile(block, "galleries.md", "exec"), {})
    assert capsys.readouterr().out == "7\n"
