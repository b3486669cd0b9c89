"""The README: short, its commands run, in order, in one folder, and its Python after them."""

import json
import re
from pathlib import Path

import pytest

from bitreid.commands.main import main
from tests.pages import ROOT, blocks, commands, expand, run_python, text_of

README = text_of("README.md")
PERSON = "0010"


def test_the_readmes_commands_and_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    called = commands(blocks(README, "bash"), "bitreid")
    assert [words[0] for words in called] == ["draw", "gallery", "gallery", "gallery"]
    for words in called:
        capsys.readouterr()
        assert main(expand(words)) == 0
    shown = capsys.readouterr().out.splitlines()
    hits = [line for line in shown if re.match(r"│ [1-5] ", line)]
    assert len(hits) == 5
    assert all(f"people/bounding_box_test/{PERSON}_c" in line for line in hits[:3]), hits
    assert Path("found.png").is_file()
    run_python(README, "README.md")
    assert "bits" in capsys.readouterr().out


def test_the_readme_is_a_screen_and_a_half() -> None:
    assert len(README.splitlines()) <= 90


def test_its_picture_is_small() -> None:
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    content = (ROOT / picture).read_bytes()
    assert content[:3] == b"\xff\xd8\xff"
    assert len(content) < 200_000


def test_the_readmes_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.MULTILINE)
    called = [words[0] for words in commands(blocks(README, "bash"), "make")]
    called += re.findall(r"`make ([a-z]+)", README)
    assert called
    assert set(called) <= set(targets)


def test_the_readmes_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_each_figure_names_what_makes_it() -> None:
    table = README.partition("## Figures\n")[2].partition("\n\nTables")[0]
    makers = [line.strip("|").split("|")[-1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert len(makers) >= 6
    for maker in makers:
        assert re.fullmatch(r"`[^`]+`|none here: see \[.+\]\(.+\)", maker), maker
        if script := re.match(r"`python (benchmarks/\w+)`", maker):
            assert (ROOT / script[1] / "__main__.py").is_file()
        if module := re.match(r"`python -m ([\w.]+) ", maker):
            assert (ROOT / f"{module[1].replace('.', '/')}.py").is_file()


def test_the_model_for_photographs_needs_no_pytorch() -> None:
    (model,) = set(re.findall(r"`(models/[^`]+)`", README.partition("## Figures")[0]))
    assert {path.suffix for path in (ROOT / model).iterdir()} >= {".onnx", ".json"}
    assert "onnx" in json.loads((ROOT / model / "card.json").read_text(encoding="utf-8"))["engines"]
