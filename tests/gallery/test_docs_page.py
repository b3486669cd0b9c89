"""The page on galleries: its commands are understood, and its Python runs."""

import re
from contextlib import redirect_stdout
from io import StringIO

import pytest

from bitreid.artifact import load_artifact
from bitreid.commands.main import parser_of
from bitreid.gallery import Contract, parse_filter
from bitreid.gallery.description import Description
from bitreid.gallery.query import description_of
from tests.commands.words import Capture
from tests.pages import ROOT, blocks, commands, run_python, text_of

PAGE = text_of("docs/galleries.md")


def test_the_commands_are_about_one_gallery() -> None:
    called = commands(blocks(PAGE, "bash"), "bitreid")
    assert called
    for words in called:
        arguments = parser_of(words).parse_args(words)
        assert words[0] == "calibrate" or arguments.place == "people.gallery"


def test_examples_of_filters_and_descriptions_work_on_the_model_that_bitreid_ships() -> None:
    contract = Contract.of(load_artifact(ROOT / "models" / "cuhk03-lite2").card)
    parser = parser_of(["gallery", "search"])
    with pytest.raises(SystemExit), redirect_stdout(StringIO()) as out:
        parser.parse_args(["gallery", "search", "--help"])
    text = " ".join(f"{PAGE} {text_of('README.md')} {out.getvalue()}".split())
    filters = re.findall(r"""--where (?:FILTER e\.g\. )?["']([^"']+)["']""", text)
    assert len(filters) >= 4
    for each in [*filters, *re.findall(r"## Filters `([^`]+)`", text)]:
        parse_filter(each, contract)
    descriptions = re.findall(r"""["']([a-z_=]+(?:, [a-z_= ]+)+)["']""", text)
    assert len(descriptions) >= 3
    for each in descriptions:
        Description.of(description_of(each), contract)


def test_the_python_runs(capsys: Capture) -> None:
    run_python(PAGE, "galleries.md")
    assert capsys.readouterr().out == "7\n"
