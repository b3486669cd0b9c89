"""The page on galleries: its commands are understood, and its Python runs."""

import re
import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from bitreid.artifact import load_artifact
from bitreid.commands.main import parser_of
from bitreid.gallery import Contract, parse_filter
from bitreid.gallery.description import Description
from bitreid.gallery.query import description_of
from tests.commands.words import Capture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "galleries.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_the_commands_are_understood() -> None:
    for line in "".join(blocks("bash")).splitlines():
        name, *words = shlex.split(line)
        assert name == "bitreid"
        arguments = parser_of(words).parse_args(words)
        assert words[0] == "calibrate" or arguments.place == "people.gallery"


def test_examples_of_filters_and_descriptions_work_on_the_model_that_bitreid_ships() -> None:
    contract = Contract.of(load_artifact(ROOT / "models" / "cuhk03-lite2").card)
    parser = parser_of(["gallery", "search"])
    with pytest.raises(SystemExit), redirect_stdout(StringIO()) as out:
        parser.parse_args(["gallery", "search", "--help"])
    text = " ".join(f"{PAGE} {(ROOT / 'README.md').read_text(encoding='utf-8')} {out.getvalue()}".split())
    filters = re.findall(r"""--where (?:FILTER e\.g\. )?["']([^"']+)["']""", text)
    assert len(filters) >= 4
    for each in [*filters, *re.findall(r"## Filters `([^`]+)`", text)]:
        parse_filter(each, contract)
    descriptions = re.findall(r"""["']([a-z_=]+(?:, [a-z_= ]+)+)["']""", text)
    assert len(descriptions) >= 3
    for each in descriptions:
        Description.of(description_of(each), contract)


def test_the_python_runs(capsys: Capture) -> None:
    for block in blocks("python"):
        exec(compile(block, "galleries.md", "exec"), {})
    assert capsys.readouterr().out == "7\n"
