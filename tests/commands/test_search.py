"""`bitreid search`: what it shows and writes, and how it refuses."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.commands.left_out import LEFT_OUT
from bitreid.commands.main import main
from tests.commands.words import (
    Capture,
    done,
    pixels,
    queries,
    refusal,
)


def test_search_prints_draws_and_writes_hits(
    artifact: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture
) -> None:
    hits, sheet = tmp_path / "new" / "hits.json", tmp_path / "sheet.png"
    query = queries(people, 26)
    done("search", artifact, "--query", *query, "--gallery", gallery, "-k", 3, "--json", hits, "--sheet", sheet)
    record = json.loads(hits.read_text(encoding="utf-8"))
    ((name, n_gallery, found),) = [(each["query"], each["n_gallery"], each["hits"]) for each in record]
    assert (name, n_gallery, len(found)) == (str(query[0]), 28, 3)
    assert [hit["distance"] for hit in found] == sorted(hit["distance"] for hit in found)
    assert "3 of 28 items" in capsys.readouterr().out
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
    of_folder, of_pictures = (json.loads(path.read_text(encoding="utf-8")) for path in (one, other))
    assert of_folder[0]["hits"] == of_pictures[0]["hits"]


def test_a_two_stage_search_keeps_w_rows(artifact: Path, people: Path, gallery: Path, tmp_path: Path) -> None:
    words = ["search", artifact, "--query", queries(people, 25)[0], "--gallery", gallery, "-k", "100"]
    found = {}
    for w in ("2", "50%", "100%"):
        done(*words, "--w", w, "--json", tmp_path / "hits.json")
        (found[w],) = json.loads((tmp_path / "hits.json").read_text(encoding="utf-8"))
    assert [len(each["hits"]) for each in found.values()] == [2, 14, 28]
    done(*words, "--json", tmp_path / "hits.json")
    assert json.loads((tmp_path / "hits.json").read_text(encoding="utf-8")) == [found["100%"]]


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
    shown = "".join(line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines() if "│" in line)
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


def test_bad_pictures_of_the_gallery_are_told(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    folder, sheet, hits = tmp_path / "many", tmp_path / "sheet.png", tmp_path / "hits.json"
    shutil.copytree(people / "bounding_box_test", folder)
    (folder / "0000_c1s1_000000_00.jpg").write_text("no picture", encoding="utf-8")
    strange = Path(os.fsdecode(bytes(folder) + b"/0025_caf\xe9.jpg"))
    strange.write_bytes(queries(people, 25)[0].read_bytes())
    words = ["search", artifact, "--query", *queries(people, 26), "--gallery", *folder.iterdir()]
    assert main([*map(str, words), "--sheet", str(sheet), "--json", str(hits)]) == LEFT_OUT
    said = capsys.readouterr().err
    assert "bitreid: 2 pictures were left out:" in said
    assert "0025_caf\\xe9.jpg: a name that is not UTF-8" in said
    assert json.loads(hits.read_text(encoding="utf-8"))[0]["n_gallery"] == 28
    assert pixels(sheet).std() > 10

    # What is asked for is not left out.
    query = [queries(people, 26)[0], folder / "0000_c1s1_000000_00.jpg"]
    assert "0000_c1s1" in refusal(capsys, "search", artifact, "--query", *query, "--gallery", people / "query")


def test_a_query_may_have_a_name_that_is_not_utf8(artifact: Path, people: Path, gallery: Path, tmp_path: Path) -> None:
    strange = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jpg"))
    strange.write_bytes(queries(people, 25)[0].read_bytes())
    hits = []
    for query in (strange, queries(people, 25)[0]):
        out = tmp_path / "hits.json"
        done("search", artifact, "--query", query, "--gallery", gallery, "--json", out, "--sheet", tmp_path / "s.png")
        hits.append(json.loads(out.read_text(encoding="utf-8"))[0])
    assert hits[0]["query"] == str(strange)
    assert hits[0]["hits"] == hits[1]["hits"]
