"""One application, several doors: the same model and the same codes have the same hits through each of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitreid.artifact import Calibration, load_artifact, save_artifact
from bitreid.coarse import CoarseCode
from bitreid.encoding.files import load_encoded
from bitreid.gallery import Contract, create_gallery, open_gallery
from bitreid.gallery.ingest import items_of
from bitreid.open_set import OpenSet
from bitreid.training.load import load_encoder
from tests.commands.words import Capture, answer, done, queries, read_json, refusal

# Among 28 rows they say 26 of 128 and 10 of 64 bits, which is among the distances of a model that knows little.
COARSE = CoarseCode((0, 0), (1, 2, 5, 40, 50, 63), ((0.5, 0.1), (0.9, 0.25)))
OPEN_SET = OpenSet(tail_slope=0.25, tail_offset=-10.0, slope=-0.2, offset=8.0)
OPEN_SET_64 = replace(OPEN_SET, tail_slope=0.5, tail_offset=-8.5)


@pytest.fixture(scope="module")
def model(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a calibration and a coarse code, and with a shorter code."""
    folder = tmp_path_factory.mktemp("calibrated") / "artifact"
    shutil.copytree(artifact, folder)
    saved = load_artifact(folder)
    calibration = Calibration(OPEN_SET, 40, 10, {"64": OPEN_SET_64})
    card = replace(saved.card, calibration=calibration, lengths={"64": {"mAP": 0.5}}, coarse=COARSE)
    save_artifact(folder, card, saved.weights)
    return folder


@pytest.mark.parametrize("bits", [None, 64])
@pytest.mark.parametrize("w", [None, "3", "50%", "recall 0.9"])
@pytest.mark.parametrize("only_certain", [False, True])
def test_every_door_has_the_same_hits(
    bits: int | None,
    w: str | None,
    only_certain: bool,
    model: Path,
    people: Path,
    gallery: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    """At each length, too: `gallery` has whole codes, which are cut, and a query may be encoded whole or cut."""
    query, place = queries(people, 26), tmp_path / "people.gallery"
    words: list[object] = ["-k", 7, *((f"--{w}".split() if w.startswith("recall") else ["--w", w]) if w else [])]
    words += ["--only-certain"] if only_certain else []
    length = ["--bits", bits] if bits else []
    done("search", model, "--query", *query, "--gallery", gallery, *words, *length, "--json", tmp_path / "hits.json")
    (by_search,) = json.loads((tmp_path / "hits.json").read_text(encoding="utf-8"))

    done("gallery", "create", place, "--model", model, *length)
    done("gallery", "add", place, gallery)
    (by_gallery,) = answer(capsys, "search", place, *query, "--model", model, *words)
    assert by_search == by_gallery

    encoder, encoded = load_encoder(model, n_bits=bits), load_encoded(gallery)
    one = encoder.merge(encoder.encode_files(query))
    rows = {None: None, "3": 3, "50%": len(encoded) // 2, "recall 0.9": len(encoded) // 4}[w]
    with create_gallery("memory:", Contract.of(encoder.card, bits)) as memory:
        memory.add(items_of(encoded, [str(path) for path in encoded.paths], attributes=True))
        (hits,) = memory.search(one.codes, 7, rows, only_certain=only_certain, attribute_codes=one.attribute_codes)
        assert memory.contract.n_bits == one.codes.n_bits == (bits or 128)
    assert [(hit["id"], hit["distance"], hit["probability"]) for hit in by_search["hits"]] == [hit[:3] for hit in hits]
    assert (by_search["threshold"], by_search["nobody"]) == (hits.threshold, hits.nobody)
    assert hits.threshold == (10 if bits else 26)
    assert [hit["certain"] for hit in by_search["hits"]] == [hit.distance <= hits.threshold for hit in hits]
    if not only_certain:
        assert len(hits) == (3 if w == "3" else 7)
    else:
        assert len(hits) == hits.n_certain
        assert w is not None or 0 < len(hits) < 7


@pytest.mark.parametrize("flip", [None, "--flip", "--no-flip"])
def test_every_door_rescores_and_flips_alike(
    flip: str | None, model: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Pictures through two commands, a file of codes with features, and Python."""
    query, place = queries(people, 26)[:1], tmp_path / "people.gallery"
    flips = [flip] if flip else []
    words: list[object] = ["-k", 7, "--rescore"]
    done("search", model, "--query", *query, "--gallery", gallery, *words, *flips, "--json", tmp_path / "hits.json")
    (by_search,) = json.loads((tmp_path / "hits.json").read_text(encoding="utf-8"))

    done("gallery", "create", place, "--model", model)
    done("gallery", "add", place, gallery)
    (by_gallery,) = answer(capsys, "search", place, *query, "--model", model, *words, *flips)
    done("encode", model, *query, "--features", *flips, "--out", tmp_path / "query.npz")
    capsys.readouterr()
    (by_file,) = answer(capsys, "search", place, tmp_path / "query.npz", *words)
    assert by_search == by_gallery == by_file

    asked = {"--flip": True, "--no-flip": False, None: None}[flip]
    encoder, encoded = load_encoder(model, flip=asked), load_encoded(gallery)
    one = encoder.encode_files(query)
    with create_gallery("memory:", Contract.of(encoder.card)) as memory:
        memory.add(items_of(encoded, [str(path) for path in encoded.paths], attributes=True))
        (hits,) = memory.search(one.codes, 7, features=one.features, rescore=True)
        (plain,) = memory.search(one.codes, 7)
    assert [(hit["id"], hit["distance"], hit["probability"]) for hit in by_search["hits"]] == [hit[:3] for hit in hits]
    assert hits.ids != plain.ids
    other = load_encoder(model, flip=not asked).encode_files(query)
    assert not np.array_equal(other.codes.packed, one.codes.packed), "else flipping would do nothing here"


def test_flip_reaches_every_command_that_encodes(
    model: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = people / "query"
    done("encode", model, folder, "--flip", "--out", tmp_path / "flipped.npz")
    done("encode", model, folder, "--out", tmp_path / "plain.npz")
    flipped, plain = load_encoded(tmp_path / "flipped.npz"), load_encoded(tmp_path / "plain.npz")
    assert flipped.model == plain.model, "codes of either kind may be compared"
    assert not np.array_equal(flipped.codes.packed, plain.codes.packed)
    place = tmp_path / "people.gallery"
    done("gallery", "create", place, "--model", model)
    done("gallery", "add", place, folder, "--model", model, "--flip", "--root", "/")
    with open_gallery(place) as opened:
        items = opened.get([str(path) for path in flipped.paths])
    assert [item.code.tolist() for item in items if item] == flipped.codes.packed.tolist()
    scores = []
    for words in ([], ["--flip"]):
        done("evaluate", model, "--data", people, *words, "--json", tmp_path / "scores.json")
        scores.append(read_json(tmp_path / "scores.json")["codes"]["average_precision"])
    assert scores[0] != scores[1]
    for command in ("add", "search"):
        assert "expected --model MODEL with --flip" in refusal(capsys, "gallery", command, place, gallery, "--flip")
    files = tmp_path / "plain.npz", tmp_path / "plain.npz"
    assert "got --features and --flip" in refusal(capsys, "evaluate", "--features", *files, "--flip")


def test_a_query_without_features_is_not_rescored(
    model: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture
) -> None:
    place = tmp_path / "people.gallery"
    done("gallery", "create", place, "--model", model)
    done("gallery", "add", place, gallery)
    done("encode", model, queries(people, 26)[0], "--out", tmp_path / "codes.npz")
    for words in ([tmp_path / "codes.npz"], ["--like", load_encoded(gallery).paths[0]]):
        assert "got codes only; leave rescore out" in refusal(capsys, "gallery", "search", place, *words, "--rescore")
