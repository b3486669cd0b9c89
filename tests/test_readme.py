"""The README's commands run, in order, in one folder; its Python runs after them."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import bitreid

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# As few passes as find the person, ten instead of twenty, and one for the second run, which only has to run.
QUICKER = {"runs/people": ["--set", "epochs=10"], "runs/mine": ["--set", "epochs=1", "--set", "warmup_epochs=0"]}
PERSON = "0057"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[list[str]]:
    """The arguments of each call of the program `name` in the README's shell blocks, comments left out."""
    lines = "\n".join(blocks("bash") + blocks("console")).replace("\\\n", " ").splitlines()
    split = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [words[1:] for words in split if words and words[0] == name]


def expand(words: list[str]) -> list[str]:
    """The words as a shell would pass them: a pattern becomes the files that it names."""
    expanded: list[str] = []
    for word in words:
        files = sorted(map(str, Path().glob(word))) if "*" in word else [word]
        assert files, f"expected files that fit {word}"
        expanded += files
    return expanded


def test_the_readmes_commands_and_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bitreid.commands.main import main

    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    called = commands("bitreid")
    assert {words[0] for words in called} >= {"draw", "train", "evaluate", "encode", "search", "gallery", "info"}
    searches = 0
    for words in called:
        capsys.readouterr()
        status = main([*expand(words), *(QUICKER[words[words.index("--out") + 1]] if words[0] == "train" else [])])
        captured = capsys.readouterr()
        assert status == 0, f"bitreid {shlex.join(words)}: {captured}"
        assert "Traceback" not in captured.err
        if "search" in words[:2]:
            searches += 1
            assert any(f"/{PERSON}_" in word for word in words), "the person who is asked for"
            first = next(line for line in captured.out.splitlines() if line.startswith("│ 1 "))
            assert f"people/bounding_box_test/{PERSON}_c" in first, captured.out
    assert searches == 2
    for named in re.findall(r"--(?:out|json|sheet|report) (\S+)", "\n".join(blocks("bash"))):
        assert Path(named).exists(), f"expected {named}, which a command in the README writes"
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "bits" in capsys.readouterr().out


def test_the_readmes_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    called = [words[0] for words in commands("make")]
    assert called
    assert set(called) <= set(targets)


def test_the_readmes_public_names_are_those_of_the_package() -> None:
    table = README.partition("| of `bitreid` | names |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(bitreid.__all__)


def test_the_readmes_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
