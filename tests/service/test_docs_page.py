"""The page on the service says what there is: its calls answer, and its commands are known."""

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bitreid import Client, create_gallery, open_gallery
from bitreid.commands import serve
from bitreid.commands.main import main, parser_of
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract
from bitreid.service.app import create_app
from bitreid.service.settings import ServiceSettings
from tests.pages import blocks, commands, text_of
from tests.service.cases import app_of, empty, serving

PAGE = text_of("docs/service.md")
USUAL = "http://127.0.0.1:8080"


@pytest.fixture
def address(encoder: Encoder, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service, and the pictures that the page names in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, path in zip(("0041_c1.jpg", "0041_c2.jpg"), pictures, strict=False):
        shutil.copy(path, name)
    with serving(app_of(empty(encoder), encoder)) as found:
        yield found


def ask(words: list[str], address: str) -> httpx.Response:
    """Ask what a call of curl with these options asks."""
    method, headers, files, content, url = None, {}, list[tuple[str, Any]](), None, ""
    rest = iter(words)
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case "-d":
                content = next(rest)
            case "-F":
                name, _, value = next(rest).partition("=")
                sent = (value[1:], Path(value[1:]).read_bytes()) if value.startswith("@") else (None, value)
                files.append((name, sent))
            case _:
                assert not word.startswith("-"), f"curl {word}"
                url = word.replace(USUAL, address)
    method = method or ("POST" if files or content else "GET")
    return httpx.request(method, url, headers=headers, files=files or None, content=content)


def test_every_call_by_curl_answers(address: str) -> None:
    calls = commands(blocks(PAGE, "bash"), "curl")
    for words in calls:
        answer = ask(words, address)
        assert answer.is_success, (words, answer.text)
    asked = {next(word for word in words if word.startswith("http")).removeprefix(USUAL) for words in calls}
    paths = create_app(ServiceSettings()).openapi()["paths"]
    for path in paths:
        pattern = re.escape(path).replace(r"\{id\}", "[^/]+") + r"(\?.*)?"
        told = any(re.fullmatch(pattern, each) for each in asked) or f"`{path}`" in PAGE
        assert told or path.endswith("/picture"), path


def test_the_python_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block.replace(USUAL, address), "service.md", "exec"), names)
    assert "17" in capsys.readouterr().out
    names["client"].close()


def test_a_backup_is_taken_while_the_service_runs_and_restored_while_it_does_not(
    encoder: Encoder, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backup, restore = (
        words for words in commands(blocks(PAGE, "bash"), "bitreid") if words[1:2] in (["backup"], ["restore"])
    )
    gallery = create_gallery("people.gallery", Contract.of(encoder.card))
    with serving(app_of(gallery, encoder)) as found, Client(found) as client:
        client.add(pictures[:2])
        assert main(backup) == 0
        client.add(pictures[2:3])
        assert main(restore) == 1
        assert client.info().items == 3
    assert main(restore) == 0
    with open_gallery("people.gallery") as restored:
        assert restored.count() == 2


def test_the_commands_are_known() -> None:
    called = commands(blocks(PAGE, "bash"), "bitreid")
    found = re.search(r"^CMD (\[.*\])$", PAGE, flags=re.MULTILINE)
    unit = re.search(r"^ExecStart=\S+/bitreid (.*)$", PAGE, flags=re.MULTILINE)
    assert found
    assert unit
    called += [re.findall(r'"([^"]+)"', found[1])[1:], unit[1].split()]
    for words in called:
        assert parser_of(words).parse_args(words)
    known = argparse.ArgumentParser()
    serve.add_arguments(known)
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert option in known.format_help(), option
