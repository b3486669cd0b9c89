"""The command line, end to end on drawn people: what it writes, and how it refuses."""

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bitreid
from bitreid.artifact import load_artifact
from bitreid.commands.main import main
from bitreid.errors import DataWarning
from tests.commands.words import Capture, done, pixels, queries, refusal

COMMANDS = (
    "train",
    "evaluate",
    "compare",
    "encode",
    "search",
    "gallery",
    "calibrate",
    "draw",
    "convert",
    "demo",
    "info",
)


@pytest.fixture(scope="module")
def artifact(trained: Path) -> Path:
    return trained / "artifact"


@pytest.fixture(scope="module")
def gallery(artifact: Path, people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codes") / "gallery.npz"
    done("encode", artifact, people / "bounding_box_test", "--out", out, "--features")
    return out


# Help


@pytest.mark.parametrize(
    "words", [[], *([command] for command in COMMANDS)], ids=lambda words: " ".join(words) or "all"
)
def test_help(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "usage: bitreid" in text
    assert words or all(re.search(rf"^    {command}\b", text, re.MULTILINE) for command in COMMANDS)


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


# train


def test_train_writes_a_run(trained: Path, people: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "artifact",
        "checkpoint.pt",
        "environment.json",
        "log.jsonl",
        "recipe.yaml",
    }
    card = load_artifact(trained / "artifact").card
    assert (card.name, card.n_bits, card.training["data"]) == ("drawn-tiny", 128, people.name)


def quick(*changes: str) -> list[str]:
    """Options that make a pass of two steps with a small model."""
    settings = ["epochs=1", "warmup_epochs=0", "network.n_bits=32", "identities_per_batch=10", *changes]
    settings += ["pictures_per_identity=6", "held_out_identities=4"]
    return [word for setting in settings for word in ("--set", setting)]


def test_train_starts_from_another_model_and_resumes(artifact: Path, people: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "drawn_tiny", "--data", people, "--out", run, "--init", artifact, *quick("learning_rate=1e-12")]
    done(*words)
    old, new = load_artifact(artifact).weights, load_artifact(run / "artifact").weights
    # With next to no learning, what fits the new code length is what it was.
    assert np.array_equal(new["backbone.conv1.weight"], old["backbone.conv1.weight"])
    assert new["student.embeddings.0.0.weight"].shape != old["student.embeddings.0.0.weight"].shape
    before = (run / "artifact" / "weights.safetensors").read_bytes()
    done(*words, "--resume")
    assert (run / "artifact" / "weights.safetensors").read_bytes() == before


def test_train_takes_attributes_of_another_file_or_none(people: Path, tmp_path: Path, capsys: Capture) -> None:
    data = tmp_path / "people"
    shutil.copytree(people, data)
    (data / "attributes_train.csv").rename(tmp_path / "labels.csv")
    words = ["train", "drawn_tiny", "--data", data, "--out", tmp_path / "run", *quick()]
    assert "expected attribute labels, got none; give them with --attributes FILE" in refusal(capsys, *words)
    done(*words, "--attributes", tmp_path / "labels.csv")
    assert load_artifact(tmp_path / "run" / "artifact").card.attributes is not None
    without = ["--set", "network.attributes=false", "--set", "network.attention=false"]
    done(*words, "--out", tmp_path / "plain", *without)
    assert load_artifact(tmp_path / "plain" / "artifact").card.attributes is None
    # A model without attributes has no codes for a first stage.
    query = queries(people, 25)[0]
    words = ["search", tmp_path / "plain" / "artifact", "--query", query, "--gallery", people / "query"]
    assert "expected attribute codes for a two-stage search, got none" in refusal(capsys, *words, "--w", "5")
    done(*words)
    done("evaluate", tmp_path / "plain" / "artifact", "--data", people)
    done("info", tmp_path / "plain" / "artifact")
    assert "attribute code" in capsys.readouterr().out


def test_train_refuses(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["train", "drawn_tiny", "--out", tmp_path / "run"]
    assert "at nowhere, got nothing" in refusal(capsys, *words, "--data", "nowhere")
    words += ["--data", people]
    assert "no such setting" in refusal(capsys, *words, "--set", "speed=3")
    assert "one of drawn_tiny" in refusal(capsys, "train", "mine", *words[2:])
    assert "no checkpoint" in refusal(capsys, *words, "--resume")
    assert "holds one; continue it with --resume" in refusal(capsys, *words, "--out", trained)
    assert "a folder with card.json" in refusal(capsys, *words, *quick(), "--init", tmp_path / "none")
    assert "got resnet18" in refusal(
        capsys, *words, *quick("network.backbone=efficientnet_lite0"), "--init", trained / "artifact"
    )
    assert "hold out 0 to 23 of 24" in refusal(capsys, *words, "--set", "held_out_identities=24")
    assert "height is a multiple of 96" in refusal(capsys, *words, *quick("input.height=128"))
    file = tmp_path / "file"
    file.touch()
    assert f"{file}" in refusal(capsys, *words, *quick(), "--out", file / "run")


# encode


def test_encode_writes_codes(gallery: Path, people: Path) -> None:
    names = sorted(path for path in (people / "bounding_box_test").iterdir())
    with np.load(gallery) as file:
        assert file["paths"].tolist() == [str(path) for path in names]
        assert file["codes"].shape == (len(names), 16)
        assert int(file["n_bits"]) == 128
        assert len(file["attribute_codes"]) == len(names)
        assert np.array_equal(np.packbits(file["features"] > 0, axis=1), file["codes"])


def test_encode_takes_files_folders_and_tables(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    one, two = queries(people, 25)[:2]
    (tmp_path / "table.csv").write_text(f"path,pid\n{two},25\n", encoding="utf-8")
    done("encode", artifact, one, people / "query", tmp_path / "table.csv", "--out", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as file:
        paths, pids, codes = file["paths"].tolist(), file["pids"], file["codes"]
        assert "features" not in file
    assert (paths[0], paths[-1], len(paths)) == (str(one), str(two), 20)
    assert pids[-1] == 25
    assert np.array_equal(codes[0], codes[1 + paths[1:].index(str(one))]), "the same picture, the same code"
    assert "20 codes of 128 bits: " in capsys.readouterr().out


def test_encode_refuses(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    out = ["--out", tmp_path / "codes.npz"]
    assert "at gone.jpg, got nothing" in refusal(capsys, "encode", artifact, "gone.jpg", *out)
    (tmp_path / "notes.jpg").write_text("no picture", encoding="utf-8")
    assert "notes.jpg" in refusal(capsys, "encode", artifact, tmp_path / "notes.jpg", *out)
    (tmp_path / "empty").mkdir()
    assert "got none" in refusal(capsys, "encode", artifact, tmp_path / "empty", *out)
    assert "a file to write, got the folder" in refusal(
        capsys, "encode", artifact, people / "query", "--out", tmp_path / "empty"
    )
    assert not (tmp_path / "codes.npz").exists()


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

    monkeypatch.setattr("bitreid.commands.main._info", warn)
    shown = warnings.showwarning
    assert main(["info", "model"]) == 0
    assert "UserWarning: something else" in capsys.readouterr().err
    assert warnings.showwarning is shown


# search


def test_search_prints_draws_and_writes_hits(
    artifact: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture
) -> None:
    hits, sheet = tmp_path / "new" / "hits.json", tmp_path / "sheet.png"
    query = queries(people, 26)
    done("search", artifact, "--query", *query, "--gallery", gallery, "-k", 3, "--json", hits, "--sheet", sheet)
    record = json.loads(hits.read_text(encoding="utf-8"))
    assert len(record) == 3
    assert [hit["distance"] for hit in record] == sorted(hit["distance"] for hit in record)
    out = capsys.readouterr().out.replace("\n", "")
    assert "distance (bits)" in out
    assert pixels(sheet).std() > 10

    # The same from pictures, without a file of codes.
    done("search", artifact, "--query", *query, "--gallery", people / "bounding_box_test", "-k", 3, "--json", hits)
    assert json.loads(hits.read_text(encoding="utf-8")) == record


def test_a_folder_is_a_query_too(artifact: Path, people: Path, gallery: Path, tmp_path: Path) -> None:
    folder = tmp_path / "person"
    folder.mkdir()
    for path in queries(people, 27):
        shutil.copy(path, folder)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    words = ["search", artifact, "--gallery", gallery, "--sheet", tmp_path / "sheet.png", "--query"]
    done(*words, folder, "--json", one)
    done(*words, *queries(people, 27), "--json", other)
    assert one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")


def test_a_two_stage_search_keeps_w_rows(artifact: Path, people: Path, gallery: Path, tmp_path: Path) -> None:
    words = ["search", artifact, "--query", queries(people, 25)[0], "--gallery", gallery, "-k", "100"]
    found = {}
    for w in ("2", "50%", "100%"):
        done(*words, "--w", w, "--json", tmp_path / "hits.json")
        found[w] = json.loads((tmp_path / "hits.json").read_text(encoding="utf-8"))
    assert [len(hits) for hits in found.values()] == [2, 14, 28]
    done(*words, "--json", tmp_path / "hits.json")
    assert json.loads((tmp_path / "hits.json").read_text(encoding="utf-8")) == found["100%"]


def test_paths_are_shown_whole_and_as_they_are(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "[red]a folder with a very long name, long enough for two lines of a narrow table :smile:"
    folder.mkdir()
    for path in queries(people, 25):
        shutil.copy(path, folder)
    capsys.readouterr()
    out = folder / "codes.npz"
    done("encode", artifact, folder, "--out", out)
    assert f"3 codes of 128 bits: {out}\n" in capsys.readouterr().out
    done("search", artifact, "--query", *queries(people, 25), "--gallery", out, "-k", 1)
    shown = "".join(line.split("│")[-2].strip() for line in capsys.readouterr().out.splitlines() if "│" in line)
    assert "…" not in shown
    assert folder.name.replace(" ", "") in shown.replace(" ", "")


def test_search_refuses(artifact: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture) -> None:
    query = queries(people, 25)[0]
    words = ["search", artifact, "--query", query, "--gallery"]
    assert "gone.npz" in refusal(capsys, *words, "gone.npz")
    assert "at nowhere, got nothing" in refusal(capsys, *words, "nowhere")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(gallery.read_bytes()[:200])
    assert "encode the pictures again" in refusal(capsys, *words, broken)
    assert "at gone.jpg, got nothing" in refusal(
        capsys, "search", artifact, "--query", "gone.jpg", "--gallery", gallery
    )
    words.append(gallery)
    for w in ("0", "200%"):
        assert f"such as 1%, above 0, got '{w}'" in refusal(capsys, *words, "--w", w)
    assert "expected k" in refusal(capsys, *words, "-k", "0")
    with np.load(gallery) as file:
        arrays: dict[str, Any] = dict(file)
    np.savez(broken, allow_pickle=True, **(arrays | {"model": np.array("0123456789abcdef")}))
    assert "got codes of 0123456789abcdef" in refusal(capsys, *words[:-1], broken)


# draw, info, the whole


def test_draw_makes_a_data_set(tmp_path: Path, capsys: Capture) -> None:
    words = ["draw", tmp_path / "people", "--identities", 1, "--test-identities", 1, "--height", 48, "--width", 24]
    done(*words, "--seed", 5)
    assert f"data set: {tmp_path / 'people'}\n" in capsys.readouterr().out
    pictures = list((tmp_path / "people" / "bounding_box_train").iterdir())
    assert len(pictures) == 6 * 2
    with Image.open(pictures[0]) as picture:
        assert picture.size == (24, 48)
    assert "new or empty folder" in refusal(capsys, *words)
    assert "n_train to be at least 1, got 0" in refusal(capsys, "draw", tmp_path / "none", "--identities", 0)


def test_info_shows_the_card(artifact: Path, capsys: Capture) -> None:
    done("info", artifact)
    out = capsys.readouterr().out
    for word in ("fingerprint", "96x32 RGB, bilinear", "global 32", "stripe6 16", "Apache-2.0", "val_agreement"):
        assert word in out
    assert "card.json" in refusal(capsys, "info", artifact.parent)


def test_info_says_how_it_searches(artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("bitreid.hamming.kernel.available_paths", lambda: ("avx2", "scalar", "numpy"))
    monkeypatch.setattr("bitreid.hamming.kernel.path", lambda: "scalar")
    for words in ((), (artifact,)):
        done("info", *words)
        assert "search: scalar (available: avx2, scalar, numpy)\n" in capsys.readouterr().out
    monkeypatch.setattr("bitreid.hamming.kernel.available_paths", lambda: ("numpy",))
    monkeypatch.setattr("bitreid.hamming.kernel.why_not", "was not built: install a C++ compiler")
    done("info")
    assert capsys.readouterr().out == "search: numpy (the native kernel was not built: install a C++ compiler)\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "bitreid.training.recipe", None)
    assert "pip install 'bitreid[train]'" in refusal(capsys, "train", "drawn_tiny", "--data", "x", "--out", "y")


def test_ctrl_c_ends_a_command_quietly(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("bitreid.commands.main._info", interrupt)
    assert main(["info", "model"]) == 130
    assert capsys.readouterr().err == "bitreid: stopped\n"


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("bitreid")
    run = subprocess.run([command, "info", "nowhere"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("bitreid: expected a folder with card.json")
    assert run.stderr.count("\n") == 1
