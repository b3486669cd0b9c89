"""The page on keys and limits: its commands are understood, those on keys run, and its figures are the defaults."""

from pathlib import Path

import pytest

from bitreid.commands.main import main, parser_of
from bitreid.data.decoding import MAX_PIXELS
from bitreid.service import connections
from bitreid.service.keys import read_keys
from bitreid.service.limits import Limits
from bitreid.service.settings import RATE, ServiceSettings
from tests.pages import blocks, commands, text_of

PAGE = text_of("docs/security.md")


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(blocks(PAGE, "bash"), "bitreid"):
        if words[0] == "keys":
            assert main(words) == 0
        else:
            assert parser_of(words).parse_args(words).gallery == "people.gallery"
    assert [(key.name, key.scope) for key in read_keys(Path("keys.json"))] == [
        ("desk", "search"),
        ("importer", "write"),
        ("operator", "admin"),
    ]


def test_the_figures() -> None:
    settings, limits = ServiceSettings(), Limits()
    assert limits.body == settings.max_body
    assert settings.max_pixels < MAX_PIXELS
    for words in (
        f"`--max-body` | {limits.body >> 20} MiB",
        f"bytes of JSON | {limits.json >> 20} MiB",
        f"`--max-pixels` | {settings.max_pixels / 10**6:.1f} million",
        f"`--rate` | {RATE:g}; without keys any number",
        f"at once | {limits.at_once}, half",
        f"at once | {limits.held >> 20} MiB, half",
        f"{int(limits.least_rate) >> 10} KiB a second after {limits.start_s:g} s, {limits.body_s:g} s in all",
        f"the head of a request | {connections.HEAD_S:g} s",
        f"{connections.LEAST >> 10} KiB in {connections.LISTEN_S:g} s",
        f"connections | {connections.MOST};",
    ):
        assert words in PAGE
