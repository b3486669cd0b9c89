"""`bitreid import`: the scores of the floats, and codes of one model from the first fit to the last search."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from bitreid.artifact import fingerprint, load_card
from bitreid.encoding.files import load_encoded
from bitreid.gallery import open_gallery
from bitreid.training import heads
from tests.commands.words import Capture, answer, done, n_items, read_json, refusal
from tests.encoding.imported.cases import D, as_market_mat, features_of, written

TRAIN, QUERY, GALLERY = features_of(40), features_of(12, first=100, seed=1), features_of(12, first=100, seed=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the features of people to fit to, of queries and of a gallery, each with a list of names."""
    folder = tmp_path_factory.mktemp("features")
    for name, found in (("train", TRAIN), ("query", QUERY), ("gallery", GALLERY)):
        written(found, folder / f"{name}.npy")
    return folder


@pytest.fixture(scope="module")
def itq(files: Path) -> Path:
    folder = files / "itq"
    done(
        "import", *with_names(files, "train"), "--fit", "itq", "--source", "a network", "--bits", 32, "--model", folder
    )
    return folder


def with_names(files: Path, name: str) -> list[object]:
    return [files / f"{name}.npy", "--names", files / f"{name}.txt"]


def test_the_floats_score_as_the_file_that_they_came_from(files: Path, tmp_path: Path) -> None:
    """Through an `.npy` with names, an `.npz`, tensors, a `.mat` of both sides, and that `.mat` without any import."""
    mat = tmp_path / "pytorch_result.mat"
    savemat(mat, as_market_mat(QUERY, GALLERY))
    for side, found in (("query", QUERY), ("gallery", GALLERY)):
        people = {"pids": found.manifest.pids.tolist(), "camids": found.manifest.camids.tolist()}
        torch.save({"feats": torch.from_numpy(found.features), **people}, tmp_path / f"{side}.pt")
        np.savez(tmp_path / f"{side}.npz", embeddings=found.features, **people)
    ways: dict[str, list[list[object]]] = {
        "npy": [with_names(files, side) for side in ("query", "gallery")],
        "npz": [[tmp_path / f"{side}.npz"] for side in ("query", "gallery")],
        "pt": [[tmp_path / f"{side}.pt"] for side in ("query", "gallery")],
        "mat": [[mat, "--side", side] for side in ("query", "gallery")],
    }
    scores = {}
    for way, sides in ways.items():
        outs = [tmp_path / f"{way}_{i}.npz" for i in (0, 1)]
        for words, out in zip(sides, outs, strict=True):
            done("import", *words, "--out", out)
        done("evaluate", "--features", *outs, "--json", tmp_path / "scores.json")
        scores[way] = read_json(tmp_path / "scores.json")["floats"]
    done("evaluate", "--features", mat, mat, "--json", tmp_path / "scores.json")
    direct = read_json(tmp_path / "scores.json")["floats"]
    assert all(found == direct for found in scores.values())
    assert 0.2 < np.mean(direct["average_precision"]) < 1


@pytest.mark.parametrize("fit", ["sign", "itq", "ssr"])
def test_from_features_to_hits(
    fit: str, files: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "_LEAST_STEPS", 20)
    monkeypatch.setattr(heads, "_LEAST_PASSES", 4)
    model, place = tmp_path / "model", tmp_path / "people.gallery"
    bits = [] if fit == "sign" else ["--bits", 64]
    done("import", *with_names(files, "train"), "--fit", fit, "--source", "a network", *bits, "--model", model)
    out = capsys.readouterr().out
    assert "320 pictures of 40 known people, 64 features of each" in out
    assert "float features" in out
    assert fingerprint(load_card(model)) in out
    for side in ("query", "gallery"):
        done("import", *with_names(files, side), "--model", model, "--out", tmp_path / f"{side}.npz")
    done("gallery", "create", place, "--model", model)
    done("gallery", "add", place, tmp_path / "gallery.npz")
    assert n_items(place) == len(GALLERY)
    capsys.readouterr()
    found = answer(capsys, "search", place, tmp_path / "query.npz", "-k", 1)
    right = [hits["hits"][0]["person"] == f"{pid}" for hits, pid in zip(found, QUERY.manifest.pids, strict=True)]
    assert np.mean(right) > 0.5
    with open_gallery(place) as gallery:
        assert gallery.contract.model == fingerprint(load_card(model))
        assert gallery.contract.open_set is not None, "it says who is nobody"


def test_a_gallery_takes_no_codes_of_another_map(files: Path, itq: Path, tmp_path: Path, capsys: Capture) -> None:
    other, place = tmp_path / "other", tmp_path / "people.gallery"
    words = with_names(files, "train")
    done("import", *words, "--fit", "itq", "--source", "another network", "--bits", 32, "--model", other)
    done("import", *with_names(files, "gallery"), "--model", other, "--out", tmp_path / "other.npz")
    done("gallery", "create", place, "--model", itq)
    assert "expected codes of the model a network by itq" in refusal(
        capsys, "gallery", "add", place, tmp_path / "other.npz"
    )
    assert "got codes of" in refusal(capsys, "gallery", "search", place, tmp_path / "other.npz")


def test_fitting_can_write_the_codes_as_well(files: Path, tmp_path: Path) -> None:
    words = ["--fit", "sign", "--source", "a network", "--licence", "ours alone", "--notes", "a trial", "--held-out", 4]
    words += ["--model", tmp_path / "model", "--out", tmp_path / "codes.npz", "--keep-features"]
    done("import", *with_names(files, "train"), *words)
    codes, card = load_encoded(tmp_path / "codes.npz"), load_card(tmp_path / "model")
    assert (codes.model, len(codes)) == (fingerprint(card), len(TRAIN))
    assert codes.features is not None
    assert (card.licence, card.notes, card.training["held_out_identities"]) == ("ours alone", "a trial", 4)


def test_info_says_what_the_map_takes(itq: Path, capsys: Capture) -> None:
    capsys.readouterr()
    done("info", itq)
    out = capsys.readouterr().out
    assert "64 features" in out
    assert "32 bits" in out
    assert "384x128" not in out


def test_pictures_cannot_be_encoded_by_a_map(itq: Path, tmp_path: Path, capsys: Capture) -> None:
    said = refusal(capsys, "encode", itq, tmp_path, "--out", tmp_path / "codes.npz")
    assert "makes codes of features; `bitreid import` takes it" in said


def test_what_does_not_go_together_is_said_in_one_line(files: Path, itq: Path, tmp_path: Path, capsys: Capture) -> None:
    words, out = with_names(files, "train"), ["--out", tmp_path / "a.npz"]
    fit = ["--fit", "itq", "--source", "x", "--model", tmp_path / "new"]
    np.save(tmp_path / "other.npy", np.ones((3, D + 1)))
    for asked, said in (
        ([*words], "expected --out FILE.npz to write to, or --fit"),
        ([*words, *out, "--bits", 32], "expected --fit with --bits, got none"),
        ([*words, *out, "--held-out", 3], "expected --fit with --held-out, got none"),
        ([*words, "--fit", "itq"], "expected --model FOLDER for the new map and --source NAME"),
        ([*words, "--fit", "itq", "--source", "x", "--model", itq], "expected a new or empty folder for the map"),
        ([*words, *out, "--keep-features"], "expected --model and --out with --keep-features"),
        ([*words, *fit, "--bits", 96], "at most 64 of 64 features, got 96"),
        ([files / "train.npy", "--names", files / "query.txt", *out], "for each of the 320 features"),
        ([tmp_path / "other.npy", "--model", itq, *out], "are they another network's?"),
        ([tmp_path / "none.npy", *out], "expected a file of features at"),
        ([*words, "--out", files / "train.npy"], "neither read nor written"),
        ([files / "train.npy", "--side", "query", *out], "leave --side out"),
    ):
        assert said in refusal(capsys, "import", *asked)
    assert not (tmp_path / "a.npz").exists()
    assert not (tmp_path / "new").exists()
