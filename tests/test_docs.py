"""The pages in docs/: the site builds, loads nothing from elsewhere and has every public name; what pages show runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bitreid
from bitreid.artifact.shipped import folder_of
from bitreid.commands.main import main, parser_of
from tests.data.videos import walk, write_mot, write_video
from tests.pages import ROOT, blocks, commands, run_commands, run_python, text_of

PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
SHELLS = ("bash", "text")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    out = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]* src=\"?(?:https?:)?//|<link[^>]* href=\"?(?:https?:)?//|url\(https?:"
    )
    assert [path.name for path in pages if loads.search(path.read_text(encoding="utf-8"))] == []


def test_search_knows_the_pages(site: Path) -> None:
    found = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    places = {entry["location"].partition("#")[0] for entry in found}
    assert {"tutorials/pictures.html", "models.html", "reference/galleries.html"} <= places


def test_every_public_name_is_on_an_api_page(site: Path) -> None:
    named = [name for page in PAGES for name in re.findall(r"^::: bitreid\.(\w+)$", text_of(page), flags=re.MULTILINE)]
    assert sorted(named) == sorted({*bitreid.__all__} - {"BitreidError"} | {"errors"})
    pages = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    for name in bitreid.__all__:
        assert re.search(rf'id="bitreid\.[\w.]*\b{name}"', pages), name


def test_shapes_in_docstrings_become_tables(site: Path) -> None:
    page = (site / "reference" / "models.html").read_text(encoding="utf-8")
    assert re.search(r"<td><code>attribute_codes</code></td>", page)
    assert "&gt;&gt;&gt;" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)


def test_each_model_has_a_card(site: Path) -> None:
    page = (site / "models.html").read_text(encoding="utf-8")
    cards = [*ROOT.glob("bitreid/shipped/*/card.json"), *ROOT.glob("models/*/card.json")]
    assert len(cards) >= 2
    for path in cards:
        card = json.loads(path.read_text(encoding="utf-8"))
        assert f'<h2 id="{card["name"]}">' in page
        assert card["licence"] in page


def test_examples_are_a_page(site: Path) -> None:
    page = (site / "examples.html").read_text(encoding="utf-8")
    for path in ROOT.glob("examples/*.py"):
        assert f'<h2 id="{path.stem}py">' in page
        assert f'href="#{path.stem}py"' in page


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_the_commands_of_a_page_are_understood(page: str) -> None:
    """Also those that no test runs: of a command, every option is one that it has."""
    text = text_of(page)
    shown = [block for language in SHELLS for block in blocks(text, language)]
    indented = re.findall(r"^    (bitreid (?:.*\\\n)*.*)$", text, flags=re.MULTILINE)
    for words in commands([*shown, *indented], "bitreid"):
        parser_of(words).parse_args(words)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the commands of the first tutorial were run; tests run in it."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_commands(text_of("docs/tutorials/pictures.md"))
        yield folder


def test_pictures_to_a_searchable_gallery(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_python(text_of("docs/tutorials/pictures.md"), "pictures.md")
    said, first, *_ = capsys.readouterr().out.splitlines()
    assert said.endswith("are certain")
    assert first.startswith("people/bounding_box_test/0010_c")
    assert (searched / "found.png").is_file()


def test_nobody(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of("docs/howto/nobody.md")
    run_commands(text)
    run_python(text, "nobody.md")
    assert capsys.readouterr().out.splitlines()[-1].startswith("people/bounding_box_test/0010_c")


def test_bits_and_w(searched: Path) -> None:
    run_commands(text_of("docs/howto/bits_and_w.md"))


def test_features_of_another_toolkit(searched: Path) -> None:
    rng = np.random.default_rng(0)
    pids, camids = np.repeat(np.arange(1, 9), 2), np.tile([1, 2], 8)
    features = (np.eye(8)[pids - 1] + rng.normal(scale=0.2, size=(16, 8))).astype(np.float32)
    np.savez("gallery.npz", features=features, pids=pids, camids=camids)
    text = text_of("docs/howto/moving.md")
    run_python(text, "moving.md", np=np, features=features, pids=pids, camids=camids)
    run_commands(text)
    assert json.loads((searched / "scores.json").read_text(encoding="utf-8"))["n_gallery"] == 16


def test_boxes_and_export(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (144, 256, 3), np.uint8)).save("frame.png")
    shutil.copy(next(searched.glob("people/query/*.jpg")), "person.png")
    shutil.copy(folder_of("drawn") / "model.onnx", "model.onnx")
    run_python(text_of("docs/howto/boxes.md"), "boxes.md")
    run_python(text_of("docs/howto/export.md"), "export.md")
    assert capsys.readouterr().out.splitlines() == ["(2, 128) [0 1]", "1.0"]


def test_a_video_and_two_cameras(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, n_frames in (("entrance", 8), ("yard", 6)):
        walked = walk(people, n_frames)
        write_video(Path(f"{name}.mkv"), walked.frames)
        write_mot(Path(f"{name}.txt"), walked)
    text = text_of("docs/tutorials/video.md")
    run_commands(text)
    capsys.readouterr()
    run_python(text, "video.md")
    pairs = capsys.readouterr().out.splitlines()
    assert any(line.startswith("entrance/3 is near yard/3 by ") for line in pairs)


def test_training_on_your_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer people and one pass instead of as many as learn something; that training learns is tested elsewhere."""
    monkeypatch.chdir(tmp_path)
    fewer = {
        "draw": ["--identities", "12", "--test-identities", "8", "--distractors", "4"],
        "train": ["--set", "epochs=1", "--set", "warmup_epochs=0", "--set", "held_out_identities=4"],
    }
    for words in commands(blocks(text_of("docs/tutorials/cameras.md"), "bash"), "bitreid"):
        words = [str(min(Path("people/query").iterdir())) if "*" in word else word for word in words]
        assert main([*words, *fewer.get(words[0], [])]) == 0, words
    assert {path.name for path in Path("runs").iterdir()} == {"people", "mine"}
    assert Path("report.html").is_file()
