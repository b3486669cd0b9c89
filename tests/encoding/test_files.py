"""Files, folders and tables to a file of codes and back."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.arrays import Pixels
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.data.parsers.inputs import manifest_of
from bitreid.data.times import NO_TIME
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.engine import EngineOutput
from bitreid.encoding.files import (
    EncodedSet,
    encode_manifest,
    load_encoded,
    save_encoded,
    side_of,
    subject_of_model,
)
from bitreid.errors import CodesError, DataError
from bitreid.training.load import load_encoder


@pytest.fixture(scope="module")
def encoder(trained: Path) -> Encoder:
    return load_encoder(trained / "artifact")


@pytest.fixture(scope="module")
def gallery(encoder: Encoder, people: Path) -> EncodedSet:
    return encode_manifest(encoder, manifest_of([people]).split("gallery"))


# Inputs


def test_files_folders_and_tables_come_in_the_order_given(people: Path, tmp_path: Path) -> None:
    queries = sorted((people / "query").iterdir())
    table = tmp_path / "table.csv"
    table.write_text(f"path,pid,camid,split\n{queries[3]},7,2,query\n{queries[2]},8,1,query\n", encoding="utf-8")
    manifest = manifest_of([queries[5], table, people / "query", queries[0]], same_people=True)
    assert manifest.paths == (queries[5], queries[3], queries[2], *queries, queries[0])
    assert manifest.pids[:4].tolist() == [UNKNOWN, 7, 8, 25]
    assert manifest.camids[:4].tolist() == [UNKNOWN, 2, 1, 1]
    assert manifest.splits[:4] == ("gallery", "query", "query", "query")


def test_a_data_set_comes_with_its_identities(people: Path) -> None:
    manifest = manifest_of([people])
    assert set(manifest.identities().tolist()) == set(range(1, 31))


def test_an_input_that_is_not_there_is_named(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a picture, a folder or a CSV at .*gone.jpg, got nothing"):
        manifest_of([people / "query", tmp_path / "gone.jpg"])
    with pytest.raises(DataError, match="at least one picture, got none"):
        manifest_of([])


def test_tracklets_of_several_inputs_come_along(people: Path, tmp_path: Path) -> None:
    queries = sorted((people / "query").iterdir())
    table = tmp_path / "table.csv"
    table.write_text(f"path,pid,camid,tracklet\n{queries[1]},7,2,31\n{queries[2]},7,2,32\n", encoding="utf-8")
    tracklets = manifest_of([queries[0], table, queries[3]]).tracklets
    assert tracklets is not None
    assert tracklets.tolist() == [UNKNOWN, 31, 32, UNKNOWN]
    assert manifest_of([queries[0], people / "query"]).tracklets is None


def test_progress_is_told(encoder: Encoder, people: Path) -> None:
    told: list[tuple[int, int]] = []
    encode_manifest(encoder, manifest_of([people / "query"]), lambda done, total: told.append((done, total)))
    assert told == [(18, 18)]


# The file


def test_the_file_is_what_its_description_says(gallery: EncodedSet, encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "new" / "gallery.npz"
    save_encoded(path, gallery)
    with np.load(path, allow_pickle=False) as file:
        arrays: dict[str, Any] = dict(file)
    expected = {"paths", "codes", "n_bits", "attribute_codes", "pids", "camids", "model", "engine", "format_version"}
    assert set(arrays) == expected
    n = len(gallery)
    assert arrays["paths"].tolist() == [str(each) for each in gallery.paths]
    assert (arrays["codes"].shape, arrays["codes"].dtype) == ((n, 16), np.uint8)
    assert int(arrays["n_bits"]) == 128
    assert (len(arrays["attribute_codes"]), arrays["attribute_codes"].dtype) == (n, np.uint8)
    assert gallery.features is not None
    for row in range(0, n, 7):
        bits = "".join(f"{byte:08b}" for byte in arrays["codes"][row])
        assert bits == "".join("1" if value > 0 else "0" for value in gallery.features[row]), "first bit highest"
    assert [each.name for each in path.parent.iterdir()] == ["gallery.npz"], "nothing temporary is left"


def test_features_are_written_on_request(gallery: EncodedSet, tmp_path: Path) -> None:
    save_encoded(tmp_path / "gallery.npz", gallery, features=True)
    with np.load(tmp_path / "gallery.npz") as file:
        features = file["features"]
    assert (features.shape, features.dtype) == ((len(gallery), 128), np.float32)


@pytest.mark.parametrize("tracklets", [True, False])
@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize("attributes", [True, False])
def test_what_is_saved_comes_back(
    attributes: bool, features: bool, tracklets: bool, gallery: EncodedSet, tmp_path: Path
) -> None:
    saved = gallery if attributes else replace(gallery, attribute_codes=None)
    saved = replace(saved, tracklets=np.arange(len(gallery)) // 3 if tracklets else None)
    saved = replace(saved, times=np.arange(len(gallery)) * 10**15 if tracklets else None)
    save_encoded(tmp_path / "codes", saved, features)
    loaded = load_encoded(tmp_path / "codes")
    assert (loaded.paths, loaded.model) == (saved.paths, saved.model)
    assert np.array_equal(loaded.codes.packed, saved.codes.packed)
    assert loaded.codes.n_bits == saved.codes.n_bits
    assert np.array_equal(loaded.pids, saved.pids)
    assert np.array_equal(loaded.camids, saved.camids)
    assert (loaded.tracklets is None) == (not tracklets)
    assert loaded.tracklets is None or loaded.tracklets.tolist() == [row // 3 for row in range(len(gallery))]
    assert (loaded.times is None) == (not tracklets)
    assert loaded.times is None or loaded.times.tolist() == [row * 10**15 for row in range(len(gallery))]
    if attributes:
        assert loaded.attribute_codes is not None
        assert saved.attribute_codes is not None
        assert np.array_equal(loaded.attribute_codes.packed, saved.attribute_codes.packed)
    else:
        assert loaded.attribute_codes is None
    if features:
        assert loaded.features is not None
        assert saved.features is not None
        assert np.array_equal(loaded.features, saved.features)
    else:
        assert loaded.features is None


def test_a_file_is_replaced_whole(gallery: EncodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gallery.npz"
    save_encoded(path, gallery)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        save_encoded(path, gallery)
    assert path.read_bytes() == before


def changed(path: Path, **arrays: Any) -> None:
    """Write the file again with other arrays; None leaves one out."""
    with np.load(path) as file:
        kept = {name: value for name, value in file.items() if name not in arrays}
    np.savez(path, allow_pickle=True, **kept, **{name: value for name, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    "arrays",
    [
        {"codes": None},
        {"n_bits": None},
        {"model": None},
        {"format_version": None},
        {"n_bits": np.array(64)},
        {"n_bits": np.array([128, 128])},
        {"codes": np.zeros((3, 16), np.uint8)},
        {"codes": np.zeros((3, 16), np.float32)},
        {"attribute_codes": np.zeros(3, np.uint8)},
        {"attribute_codes": np.zeros((2, 1), np.uint8)},
        {"paths": np.array(["a"])},
        {"paths": np.array([1])},
        {"pids": np.array([1])},
        {"tracklets": np.array([1])},
        {"times": np.array([1])},
        {"features": np.zeros((2, 128), np.float32)},
        {"paths": np.array([{}], dtype=object)},
    ],
    ids=lambda arrays: ",".join(arrays),
)
def test_a_file_with_other_arrays_is_refused(arrays: dict[str, Any], gallery: EncodedSet, tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    save_encoded(path, gallery)
    changed(path, **arrays)
    with pytest.raises(DataError, match=r"file of codes made by `bitreid encode` at .*gallery.npz, got") as error:
        load_encoded(path)
    assert "\n" not in str(error.value)


def test_a_newer_format_is_refused(gallery: EncodedSet, tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    save_encoded(path, gallery)
    changed(path, format_version=np.array(3))
    with pytest.raises(DataError, match="format 3 is newer than 2, update bitreid"):
        load_encoded(path)


def test_a_damaged_file_is_refused(gallery: EncodedSet, tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    save_encoded(path, gallery)
    whole = path.read_bytes()
    at = whole.index(gallery.codes.packed.tobytes())
    for damaged in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole[: at + 9], b"", b"PK\x03\x04 no"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="expected a file of codes"):
            load_encoded(path)


def test_other_files_are_refused(people: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    for path in (tmp_path / "array.npy", tmp_path / "gone.npz", tmp_path, people / "README.md"):
        with pytest.raises(DataError, match="expected a file of codes"):
            load_encoded(path)


def test_a_set_whose_columns_differ_in_length_is_refused(gallery: EncodedSet) -> None:
    with pytest.raises(CodesError, match=f"pids for each of {len(gallery)} codes, got 2"):
        replace(gallery, pids=np.array([1, 2]))
    with pytest.raises(CodesError, match="attribute_codes for each"):
        replace(gallery, attribute_codes=Codes(np.zeros((1, 1), np.uint8), 8))


def test_a_side_of_an_evaluation_is_the_same_data(gallery: EncodedSet) -> None:
    gallery = replace(gallery, tracklets=np.arange(len(gallery)))
    side = side_of(gallery)
    assert side.tracklets is gallery.tracklets
    assert side.paths is gallery.paths
    assert side.codes is gallery.codes
    assert side.features is gallery.features
    assert side.attribute_codes is gallery.attribute_codes
    assert side.pids is gallery.pids
    assert side.camids is gallery.camids


def test_rows_of_a_set(gallery: EncodedSet) -> None:
    gallery = replace(gallery, times=np.arange(len(gallery)))
    some = gallery.take(np.array([5, 2]))
    assert some.paths == (gallery.paths[5], gallery.paths[2])
    assert some.times is not None
    assert some.times.tolist() == [5, 2]
    assert np.array_equal(some.codes.packed, gallery.codes.packed[[5, 2]])
    assert some.features is not None
    assert gallery.features is not None
    assert np.array_equal(some.features, gallery.features[[5, 2]])
    assert np.array_equal(some.pids, gallery.pids[[5, 2]])
    assert some.tracklets is None
    assert len(gallery.take(np.array([], np.int64))) == 0


def test_dates_are_kept_and_frames_are_not(encoder: Encoder, people: Path) -> None:
    pictures = manifest_of([people / "query"]).take(np.array([0, 1]))
    frames = replace(pictures, times=np.array([7, UNKNOWN]))
    assert encode_manifest(encoder, frames).times is None
    dates = encode_manifest(encoder, replace(frames, dated=True)).times
    assert dates is not None
    assert dates.tolist() == [7, NO_TIME]


def test_a_name_that_is_not_utf8_comes_back(gallery: EncodedSet, tmp_path: Path) -> None:
    path = Path(os.fsdecode(b"caf\xe9.jpg"))
    save_encoded(tmp_path / "codes.npz", replace(gallery.take(np.array([0])), paths=(path,)))
    assert load_encoded(tmp_path / "codes.npz").paths == (path,)


def test_an_evaluation_refuses_bad_pictures_before_it_encodes(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    """Its scores would be of other data than they say."""
    for folder in ("query", "bounding_box_test"):
        shutil.copytree(people / folder, tmp_path / folder)
    bad = sorted((tmp_path / "bounding_box_test").iterdir())[-1]
    bad.write_bytes(bad.read_bytes()[:200])

    def engine(pictures: Pixels) -> EngineOutput:
        raise AssertionError("nothing is to be encoded")

    with pytest.raises(DataError, match=f"expected a readable picture at .*{bad.name}"):
        subject_of_model(Encoder(encoder.card, engine), tmp_path)
