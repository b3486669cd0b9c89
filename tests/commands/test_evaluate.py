"""`bitreid evaluate`: what it prints and writes, of models and of anybody's features."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitreid.artifact import load_artifact, save_artifact
from bitreid.coarse import CoarseCode
from bitreid.evaluation import PROTOCOLS, evaluate_ranking
from tests.commands.words import Capture, done, features, pixels, queries, read_json, refusal


def test_evaluate_prints_and_writes_all_scores(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    scores, sheet = tmp_path / "new" / "scores.json", tmp_path / "sheet.png"
    done("evaluate", artifact, "--data", people, "--w", "3,50%,1000", "--json", scores, "--sheet", sheet)
    out = capsys.readouterr().out
    assert "ssr-tiny: 18 queries, gallery of 28" in out
    assert [
        word for word in ("float", "128 bits", "AFR, w = 3 ", "AFR, w = 14 (50 %)", "w = 28") if word not in out
    ] == []
    assert f"ranked sheet: {sheet}\n" in out

    record = read_json(scores)
    assert [afr["w"] for afr in record["afr"]] == [3, 14, 28]
    # A short list of everything is an exact search.
    assert record["afr"][-1]["expected"]["mAP"] == pytest.approx(record["codes"]["expected"]["mAP"])
    picture = pixels(sheet)
    assert picture.shape[0] > 8 * 192, "eight queries"
    assert picture.std() > 10


def test_evaluate_warns_of_a_query_that_is_in_the_gallery_too(
    artifact: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = tmp_path / "people"
    shutil.copytree(people, data)
    with Image.open(queries(data, 25)[0]) as picture:
        picture.save(data / "bounding_box_test" / "0026_c2s1_999999_00.png")
    done("evaluate", artifact, "--data", people)
    assert capsys.readouterr().err == ""
    done("evaluate", artifact, "--data", data)
    error = capsys.readouterr().err
    assert error.startswith(
        "bitreid: warning: 1 pairs of a query and a gallery picture have the same content, which infl"
    )
    assert error.endswith(f"first: {queries(data, 25)[0]} and {data}/bounding_box_test/0026_c2s1_999999_00.png\n")


def test_evaluate_writes_a_report(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    report = tmp_path / "new" / "report.html"
    words = ["evaluate", artifact, "--data", people, "--w", "50%", "--report", report]
    done(*words)
    assert f"report: {report}\n" in capsys.readouterr().out
    page = report.read_text(encoding="utf-8")
    assert "<h1>ssr-tiny on people</h1>" in page
    headings = (
        "Summary",
        "Ranks",
        "Length of the code",
        "Two-stage search",
        "Distances",
        "Queries",
        "Attributes",
        "Bits",
    )
    assert [heading for heading in headings if f">{heading}</h2>" not in page] == []
    assert page.count("data:image/jpeg") > 50
    assert f"--report {report}" in page
    done(*words, "--no-pictures")
    page = report.read_text(encoding="utf-8")
    assert "data:image" not in page
    assert [path.name for path in people.glob("*/*.jpg") if path.stem in page] == []
    assert str(tmp_path) not in page


def test_evaluate_refuses(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["evaluate", artifact, "--data"]
    assert "at nowhere, got nothing" in refusal(capsys, *words, "nowhere")
    assert "in the split 'gallery', got none" in refusal(capsys, *words, people / "query")
    assert "a folder with card.json" in refusal(capsys, "evaluate", people / "README.md", "--data", people)
    assert "card.json" in refusal(capsys, "evaluate", people, "--data", people)
    # Nonsense is refused before a model is looked for.
    words[1] = tmp_path / "none"
    assert "got '0'" in refusal(capsys, *words, people, "--w", "1%,0")
    assert "between 0 and 1, got 'few'" in refusal(capsys, *words, people, "--fpir", "few")
    assert "memory_mb of at least 64, got 63.5" in refusal(capsys, *words, people, "--memory-mb", "63.5")
    assert "at least one thread, got 0; leave it out" in refusal(capsys, *words, people, "--threads", "0")
    assert "tracklets, got 'mars1501'" in refusal(capsys, *words, people, "--protocol", "mars1501")
    words[1] = artifact
    for given in ([artifact], ["--data", people], [], [artifact, "--data", people, "--features", "q.npz", "g.npz"]):
        assert "expected a model and --data, or --features QUERY.npz" in refusal(capsys, "evaluate", *given)
    assert "a model with a coarse code for a wanted recall, got none" in refusal(
        capsys, *words, people, "--recall", "0.9"
    )
    assert "expected the tracklet of each query" in refusal(capsys, *words, people, "--protocol", "tracklets")
    file = tmp_path / "file"
    file.touch()
    assert "a folder that can be written to" in refusal(capsys, *words, people, "--json", file / "scores.json")


def test_recall_stands_for_w(artifact: Path, people: Path, tmp_path: Path) -> None:
    folder, scores = tmp_path / "model", tmp_path / "scores.json"
    saved = load_artifact(artifact)
    coarse = CoarseCode((), tuple(range(64)), ((0.5, 0.1), (0.9, 0.25)))
    save_artifact(folder, replace(saved.card, coarse=coarse), saved.weights)
    found = {}
    for words in (("--recall", "50%,0.7"), ("--w", "10%,17.5%"), ()):
        done("evaluate", folder, "--data", people, *words, "--json", scores)
        found[words] = read_json(scores)
    by_recall, by_w, usual = found.values()
    assert [each["share"] for each in by_w["coarse_afr"]] == pytest.approx([0.1, 0.175], abs=0.04)
    assert by_recall["coarse_afr"] == by_w["coarse_afr"]
    assert by_recall["afr"] == by_w["afr"]
    assert len(usual["coarse_afr"]) == len(usual["afr"]) == 5


def test_a_changed_model_is_refused(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    changed = tmp_path / "artifact"
    shutil.copytree(artifact, changed)
    for name, engine in (("model.onnx", "onnx"), ("weights.safetensors", "torch")):
        content = bytearray((changed / name).read_bytes())
        content[len(content) // 2] ^= 4
        (changed / name).write_bytes(content)
        words = ("evaluate", changed, "--data", people, "--engine", engine)
        assert "changed bytes (checksum)" in refusal(capsys, *words)
    assert "changed bytes (checksum)" in refusal(capsys, "evaluate", changed, "--data", people)


def test_a_model_gives_what_its_encoded_pictures_give(
    artifact: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    files = [tmp_path / f"{split}.npz" for split in ("query", "gallery")]
    for file in files:
        done("encode", artifact, people, "--split", file.stem, "--features", "--out", file)
    assert "18 codes" in capsys.readouterr().out
    words = ["--w", "3,50%", "--rerank", "50%", "--json"]
    for protocol in ("no_cameras", "multi_query"):
        sheets = tmp_path / "model.png", tmp_path / "files.png"
        more = ["--protocol", protocol, "--sheet"]
        done("evaluate", artifact, "--data", people, *words, tmp_path / "model.json", *more, sheets[0])
        done("evaluate", "--features", *files, *words, tmp_path / "files.json", *more, sheets[1])
        of_model, of_files = read_json(tmp_path / "model.json"), read_json(tmp_path / "files.json")
        assert (of_model.pop("name"), of_model.pop("data")) == ("ssr-tiny", "people")
        assert (of_files.pop("name"), of_files.pop("data")) == ("query", "gallery")
        assert of_files == of_model
        assert set(of_files["reranked"]) == {"k-reciprocal, w = 14", "query expansion, w = 14"}
        below_title = slice(60, None)
        assert np.array_equal(pixels(sheets[0])[below_title], pixels(sheets[1])[below_title])
    assert len(of_files["query_pids"]) == len(of_files["codes"]["average_precision"]) == 18


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_scores_features(name: str, files: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    report = tmp_path / "report.html"
    words = ["evaluate", "--features", *files, "--protocol", name, "--threads", "1"]
    done(*words, "--json", tmp_path / "scores.json", "--report", report)
    with np.load(files[0]) as query, np.load(files[1]) as gallery:
        wanted = evaluate_ranking(
            query["features"],
            gallery["features"],
            *(side[column].astype(np.int64) for side in (query, gallery) for column in ("pids", "camids")),
            protocol=PROTOCOLS[name],
            tracklets=(query["tracklets"], gallery["tracklets"]),
        )
    record = read_json(tmp_path / "scores.json")
    assert record["floats"]["expected"]["mAP"] == wanted.expected.mAP
    assert record["floats"]["expected"]["cmc"] == wanted.expected.cmc.tolist()
    assert (record["protocol"], record["codes"], record["n_features"]) == (name, None, 12)
    assert len(record["query_pids"]) == wanted.n_queries
    captured = capsys.readouterr()
    assert f"query: {wanted.n_queries} queries, gallery of {record['n_gallery']}" in captured.out
    assert f"{100 * wanted.expected.mAP:.1f}" in captured.out
    assert captured.err == ""
    page = report.read_text(encoding="utf-8")
    assert "<h1>query on gallery</h1>" in page
    assert (f"--protocol {name}" in page) == (name != "market1501")


def test_many_half_precision_features_without_cameras(tmp_path: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    pids = rng.integers(0, 500, 10_000)
    people = rng.normal(size=(500, 32))
    values = (people[pids] + rng.normal(size=(10_000, 32))).astype(np.float16)
    gone = np.array([f"/elsewhere/{i}.jpg" for i in range(10_000)])
    sides = {"query": slice(0, 300), "gallery": slice(300, None)}
    for name, rows in sides.items():
        np.savez(tmp_path / f"{name}.npz", features=values[rows], pids=pids[rows].astype(np.uint16), paths=gone[rows])
    words = ["evaluate", "--features", tmp_path / "query.npz", tmp_path / "gallery.npz"]
    done(*words, "--memory-mb", "64")
    assert "query: 300 queries, gallery of 9700" in capsys.readouterr().out
    assert "to know the pictures' files for a ranked sheet, got none" in refusal(
        capsys, *words, "--sheet", tmp_path / "sheet.png"
    )


def test_a_picture_that_is_in_both_files_is_warned_of(files: tuple[Path, Path], capsys: Capture) -> None:
    done("evaluate", "--features", files[1], files[1])  # each leaves its own ranking: by the same camera
    assert capsys.readouterr().err == ""
    done("evaluate", "--features", files[1], files[1], "--protocol", "no_cameras")
    error = capsys.readouterr().err
    assert error.startswith(
        "bitreid: warning: 120 pairs of a query and a gallery picture have the same features, which"
    )
    assert error.endswith("first: row 0 and row 0\n")
    assert error.count("\n") == 1


def test_features_that_cannot_be_scored_are_refused(tmp_path: Path, capsys: Capture) -> None:
    good = features(tmp_path / "good.npz", 40, 1)

    def said(*more: object, **changes: Any) -> str:
        return refusal(capsys, "evaluate", "--features", good, features(tmp_path / "bad.npz", 90, 2, **changes), *more)

    values = np.ones((90, 12))
    codes = np.full((90, 2), 7, np.uint8)
    assert "features of one width in both files, got 12 and 13" in said(features=np.ones((90, 13)))
    assert "got features in one and codes in one" in said(features=None, codes=codes)
    assert "expected pids and features or codes, got features, camids, tracklets" in said(pids=None)
    assert "got NaN or infinity, first in row 89" in said(
        features=np.where(np.arange(90)[:, None] == 89, np.nan, values)
    )
    assert "Python objects, which are never loaded" in said(pids=np.array([{}] * 90, dtype=object))
    assert "the tracklet of each query and gallery picture, got none" in said("--protocol", "tracklets", tracklets=None)
    assert "for two-stage search, got none; leave out w" in said("--w", "5")
    assert "whole gallery for short lists (w, recall, rerank, rescore), got single shots" in said(
        "--protocol", "single_shot", "--rerank", "5"
    )
    assert "at least one query with a match in the gallery, got none" in said(pids=np.arange(90) + 100)
    np.save(tmp_path / "array.npy", values)
    assert "got: a single array, of np.save; np.savez writes" in refusal(
        capsys, "evaluate", "--features", good, tmp_path / "array.npy"
    )
    (tmp_path / "half.npz").write_bytes(good.read_bytes()[:999])
    assert "expected an .npz file of features or codes at" in refusal(
        capsys, "evaluate", "--features", good, tmp_path / "half.npz"
    )


def test_nothing_is_written_over_what_is_read(
    files: tuple[Path, Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files[1].read_bytes()
    words = ["evaluate", "--features", *files]
    for option in ("--json", "--report", "--sheet"):
        assert "got gallery.npz; choose another name" in refusal(capsys, *words, option, files[1]).replace(
            f"{tmp_path}/", ""
        )
        assert "got the folder" in refusal(capsys, *words, option, tmp_path)
    assert files[1].read_bytes() == before
    scores = tmp_path / "scores.json"
    done(*words, "--json", scores)
    assert "choose another name" in refusal(capsys, "compare", scores, scores, "--json", scores)
    for command in (["encode", tmp_path, files[0], "--out"], ["search", tmp_path, "--gallery", files[0], "--query"]):
        more = [files[0]] if command[0] == "encode" else [files[1], "--json", files[1]]
        assert "choose another name" in refusal(capsys, *command, *more)


def test_a_first_person_of_number_0_is_warned_of(files: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    for file in files:
        with np.load(file) as arrays:
            np.savez(file, **{**arrays, "pids": arrays["pids"] - 1})
    done("evaluate", "--features", *files)
    with np.load(files[0]) as query:
        n = int((query["pids"] == 0).sum())
    assert n > 0
    error = capsys.readouterr().err
    assert error.startswith(f"bitreid: warning: {n} queries have pid 0, that of distractors, and no match; if it is a")
    assert error.count("\n") == 1
    # Queries without a match in the gallery are nothing strange.
    with np.load(files[1]) as gallery:
        np.savez(files[1], **{**gallery, "pids": np.where(gallery["pids"] == 0, 99, gallery["pids"])})
    done("evaluate", "--features", *files)
    assert capsys.readouterr().err == ""
