"""The command line as a whole: help, errors as exit codes, warnings in a line."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

import bitreid
from bitreid.commands.main import _EXTRAS, arguments_of, main, parser_of
from bitreid.errors import DataWarning
from bitreid.gallery import open_gallery
from tests.commands.words import Capture, done, queries, refusal
from tests.pages import ROOT

COMMANDS = (
    "train",
    "average",
    "evaluate",
    "compare",
    "encode",
    "crops",
    "import",
    "search",
    "gallery",
    "link",
    "calibrate",
    "draw",
    "convert",
    "demo",
    "info",
    "recipes",
    "models",
    "export",
    "serve",
    "keys",
    "completion",
)
OF_KEYS = ("create", "list", "revoke")
OF_GALLERY = (
    "create",
    "add",
    "search",
    "delete",
    "info",
    "calibrate",
    "cluster",
    "compact",
    "repair",
    "export",
    "import",
    "copy",
    "reencode",
    "backup",
    "restore",
    "audit",
    "confirm",
    "reject",
    "merge",
    "undo",
)


@pytest.mark.parametrize(
    "words",
    [
        [],
        *([command] for command in COMMANDS),
        *(["gallery", command] for command in OF_GALLERY),
        *(["keys", command] for command in OF_KEYS),
    ],
    ids=lambda words: " ".join(words) or "all",
)
def test_help(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["usage: bitreid", *words]))
    # Each argument is explained, and what a user puts in is written in capitals.
    assert re.findall(r"^  (?:-(?:(?!  ).)+|\S+)$(?!\n {4})", text, re.MULTILINE) == []
    positional = text.partition("positional arguments:\n")[2].partition("\n\n")[0]
    assert [name for name in re.findall(r"^  (\S+)", positional, re.MULTILINE) if name[0].islower()] == []
    # Help ends with examples, which are calls that the command line can read.
    *_, examples = re.split(r"^examples?:\n", text, flags=re.MULTILINE)
    assert examples != text
    for line in examples.splitlines():
        program, *example = shlex.split(line.partition(" > ")[0])
        assert program == "bitreid"
        assert example[: len(words)] == words
        if "--help" not in example:
            parser_of(example).parse_args(example)
    named = {"": COMMANDS, "gallery": OF_GALLERY, "keys": OF_KEYS}.get(" ".join(words), ())
    assert set(re.findall(r"^    ([a-z]+)\b", text, re.MULTILINE)) == set(named)


def test_version(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == bitreid.__version__


@pytest.mark.parametrize("words", [[], ["fly"], ["train"], ["search", "model", "--gallery", "g.npz"]])
def test_a_wrong_call_shows_the_usage(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage: bitreid" in capsys.readouterr().err


def test_without_words_the_help_is_shown(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "bitreid gallery --help" in capsys.readouterr().err


def test_options_may_stand_before_what_is_searched_for() -> None:
    words = ["gallery", "search", "people.gallery", "--model", "drawn", "a.jpg", "b.jpg", "-k", "3"]
    assert arguments_of(words).inputs == [Path("a.jpg"), Path("b.jpg")]
    with pytest.raises(SystemExit):
        arguments_of([*words, "--no-such"])


def test_a_warning_is_one_line(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    query = queries(people, 25)[0]
    (tmp_path / "table.csv").write_text(f"path,colour\n{query},red\n", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the command line shows them whatever the filter
        done("encode", artifact, tmp_path / "table.csv", "--out", tmp_path / "codes.npz")
    error = capsys.readouterr().err
    assert error.startswith("bitreid: warning: expected columns among ")
    assert error.endswith("passing over colour\n")
    assert error.count("\n") == 1


def test_other_warnings_look_as_usual(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def warn(_: object) -> int:
        warnings.simplefilter("always")
        warnings.warn("something else", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("bitreid.commands.info.run", warn)
    shown = warnings.showwarning
    assert main(["info", "model"]) == 0
    assert "UserWarning: something else" in capsys.readouterr().err
    assert warnings.showwarning is shown


EVIL = "\x1b]0;title\x07\x1b[2J\u202e"


def test_a_terminal_is_told_nothing_by_names_of_files(
    artifact: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / f"evil{EVIL}\n"
    folder.mkdir()
    for path in queries(people, 25):
        shutil.copy(path, folder / f"{EVIL}{path.name}")
    place, out = tmp_path / "evil.gallery", tmp_path / "hits.json"
    (tmp_path / "table.csv").write_text(f"path,{EVIL}\n{queries(people, 25)[0]},red\n", encoding="utf-8")
    done("gallery", "create", place, "--model", artifact)
    done("gallery", "add", place, folder, "--model", artifact)
    (first, *_) = folder.iterdir()
    with open_gallery(place) as gallery:
        (item, *_) = [item for batch in gallery.scan() for item in batch]
    done("gallery", "confirm", place, f"Ada{EVIL}", item.id)
    done("gallery", "search", place, first, "--model", artifact, "--json", out)
    assert main(["encode", str(artifact), str(tmp_path / "table.csv"), "--out", str(folder / "codes.npz")]) == 0
    assert main(["gallery", "delete", str(place), "--person", EVIL]) == 1
    assert main(["info", str(folder / "none")]) == 1
    assert (
        main(["gallery", "search", str(place), str(first), "--where", f"camera = {EVIL}", "--model", str(artifact)])
        == 1
    )
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert not set(text) & set("\x1b\x07\u202e")
        assert "\\x1b]0;title\\x07\\x1b[2J\\u202e" in text
    (found,) = json.loads(out.read_text(encoding="utf-8"))
    assert found["query"] == str(first), "JSON is exact"
    assert {hit["person"] for hit in found["hits"]} == {f"Ada{EVIL}", None}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "bitreid.training.recipe", None)
    assert "pip install 'bitreid[train]'" in refusal(capsys, "train", "drawn_tiny", "--data", "x", "--out", "y")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "bitreid.service.running", raising=False)
    assert "pip install 'bitreid[service]'" in refusal(capsys, "serve", "--port", "0")


def test_extras_that_bring_packages_exist() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(_EXTRAS.values()) <= set(extras)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["models", "nowhere"], "expected a folder to look for models in, got nowhere"),
        (["convert", "cuhk03", "nowhere.mat", "out"], "cuhk-03.mat (MATLAB 7.3, HDF5) at nowhere.mat, got nothing"),
        (
            ["crops", "a.mp4", "--boxes", "no.txt", "--out", "out"],
            "expected a readable file of boxes at no.txt, got nothing",
        ),
        (["demo", "--epochs", "3"], "expected --train with --epochs, got --epochs alone"),
    ],
)
def test_typical_mistakes_are_told_plainly(words: list[str], told: str, capsys: Capture) -> None:
    assert told in refusal(capsys, *words)


def test_ctrl_c_ends_a_command_quietly(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("bitreid.commands.info.run", interrupt)
    assert main(["info", "model"]) == 130
    assert capsys.readouterr().err == "bitreid: stopped\n"


@pytest.mark.parametrize("command", [[Path(sys.executable).with_name("bitreid")], [sys.executable, "-m", "bitreid"]])
def test_the_command_is_installed(command: list[str | Path]) -> None:
    run = subprocess.run([*command, "info", "nowhere"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("bitreid: expected a model's folder, or one of the models that come with bitreid")
    assert run.stderr.count("\n") == 1
