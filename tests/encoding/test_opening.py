"""Encoder.open: which engine runs, what its codes are known by, and pictures of every kind, a batch at a time."""

import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from bitreid.artifact import (
    Proof,
    add_engine,
    fingerprint,
    load_artifact,
    load_card,
    read_engine,
    save_artifact,
    shipped,
)
from bitreid.data.decoding import Picture
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.pictures import Findings, load_picture
from bitreid.encoding.encoder import AHEAD, ENGINES, Encoder
from bitreid.encoding.onnx import OnnxEngine
from bitreid.errors import ArtifactError, DataError, SettingsError
from bitreid.training.engine import TorchEngine
from bitreid.training.load import load_encoder, load_torch


@pytest.fixture(scope="module")
def folder(trained: Path) -> Path:
    return trained / "artifact"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.open(folder, threads=1)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model to change."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def files(people: Path, n: int = 6) -> list[Path]:
    return sorted((people / "query").glob("*.jpg"))[:n]


def test_the_exported_engine_runs_unless_somebody_says_otherwise(folder: Path, people: Path) -> None:
    exported, weights = Encoder.open(folder), Encoder.open(folder, "torch", load_torch=load_torch)
    assert isinstance(exported.engine, OnnxEngine)
    assert isinstance(weights.engine, TorchEngine)
    assert (exported.runs, weights.runs, load_encoder(folder).runs) == ("onnx", "torch", "torch")
    assert exported.model == weights.model == fingerprint(load_card(folder))
    a, b = (each.encode_files(files(people)) for each in (exported, weights))
    assert np.abs(a.features - b.features).max() < 1e-4
    assert np.array_equal(a.codes.packed, b.codes.packed)


def test_without_an_exported_engine_torch_is_asked_for(own: Path) -> None:
    first = load_artifact(own)
    weights = {
        name: array * 2 if name == "student.embeddings.0.0.weight" else array for name, array in first.weights.items()
    }
    save_artifact(own, first.card, weights)  # another model, which nobody exported
    with pytest.raises(ArtifactError, match="got its weights alone; `bitreid export"):
        Encoder.open(own)
    assert Encoder.open(own, load_torch=load_torch).runs == "torch"


def test_engines_that_are_not_there_are_named(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"an engine 'onnx-int8' in .*got onnx"):
        Encoder.open(folder, "onnx-int8")
    with pytest.raises(SettingsError, match=f"among {', '.join(ENGINES)}, got 'tensorrt'"):
        Encoder.open(folder, "tensorrt")


def test_codes_of_an_engine_past_its_limits_are_another_models(own: Path) -> None:
    data = read_engine(own, load_card(own), "onnx")
    add_engine(own, "onnx-int8", data, Proof(10, 0, "drawn", 1.0, 0.2))
    assert Encoder.open(own, "onnx-int8").model == f"{fingerprint(load_card(own))}+onnx-int8"
    add_engine(own, "onnx-int8", data, Proof(10, 0, "drawn", 1.0, 0.02))
    assert Encoder.open(own, "onnx-int8").model == fingerprint(load_card(own))


def test_a_shipped_model_is_opened_by_name(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.rename(own.parent / "drawn")
    monkeypatch.setattr(shipped, "SHIPPED", own.parent)
    (own.parent / "elsewhere").mkdir()
    monkeypatch.chdir(own.parent / "elsewhere")
    assert Encoder.open("drawn").runs == "onnx"


def test_every_kind_of_picture_gives_the_same_code(encoder: Encoder, people: Path) -> None:
    (path,) = files(people, 1)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
        kinds: list[Picture | str] = [path, str(path), path.read_bytes(), image, pixels]
        rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
        (batch,) = encoder.encode_batches([*kinds, rgba])
    assert batch.rows.tolist() == list(range(6))
    assert len(np.unique(batch.encoded.codes.packed, axis=0)) == 1
    expected = encoder.encode(load_picture(path, 96, 32)[None])
    assert np.array_equal(batch.encoded.codes.packed[0], expected.codes.packed[0])


def test_grey_arrays_are_grey_pictures(encoder: Encoder) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (60, 20), np.uint8)
    (batch,) = encoder.encode_batches([grey, np.repeat(grey[..., None], 3, axis=2)])
    assert np.array_equal(*batch.encoded.features)


def test_a_manifest_is_its_pictures_a_batch_at_a_time(encoder: Encoder, people: Path) -> None:
    manifest: Manifest = parse(people).split("query")
    batches = list(encoder.encode_batches(manifest, size=7))
    assert [len(batch.encoded) for batch in batches[:-1]] == [7] * (len(manifest) // 7)
    assert np.concatenate([batch.rows for batch in batches]).tolist() == list(range(len(manifest)))
    whole = encoder.encode_files(manifest.paths)
    together = np.concatenate([batch.encoded.features for batch in batches])
    assert np.abs(together - whole.features).max() < 1e-4


def test_bad_pictures_are_told_by_name_or_number(encoder: Encoder, people: Path, tmp_path: Path) -> None:
    (path,) = files(people, 1)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    bad: list[Picture] = [
        b"",
        path.read_bytes()[:300],
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((9, 9, 3)),
        tmp_path / "bad.jpg",
        cast(Picture, None),
    ]
    findings = Findings()
    (batch,) = encoder.encode_batches([path, *bad, path], findings)
    assert batch.rows.tolist() == [0, 7]
    assert [str(error.path) for error in findings.bad] == [
        "picture 1", "picture 2", "picture 3", "picture 4", str(tmp_path / "bad.jpg"), "picture 6",
    ]  # fmt: skip
    assert [error.reason for error in findings.bad][:1] == ["an empty file"]
    assert "not (h, w), (h, w, 3) or (h, w, 4) uint8" in findings.bad[2].reason
    assert findings.bad[5].reason == "NoneType, and not a path, bytes, Pillow's image or an array"
    with pytest.raises(DataError, match="picture 1"):
        list(encoder.encode_batches([path, b""]))


@pytest.mark.parametrize(
    "one",
    ["a.jpg", Path("a.jpg"), b"...", np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8)],
    ids=["name", "path", "content", "grey", "colours"],
)
def test_one_picture_is_not_taken_for_several(encoder: Encoder, one: Any) -> None:
    """Neither are a name's letters pictures, nor the rows of an array."""
    with pytest.raises(DataError, match="expected several pictures, got one; put it in a list"):
        next(encoder.encode_batches(one))


def test_arrays_of_several_pictures_are_those(encoder: Encoder) -> None:
    several = np.random.default_rng(0).integers(0, 256, (2, 60, 20, 3), np.uint8)
    for pictures in (several, several[..., 0]):
        (whole,), (each,) = encoder.encode_batches(pictures), encoder.encode_batches([*pictures])
        assert np.array_equal(whole.encoded.features, each.encoded.features)


def test_no_more_than_a_few_batches_are_in_memory(encoder: Encoder) -> None:
    """Pictures are made a few batches ahead, and what was encoded is dropped: memory does not grow with them."""
    made = 0

    def pictures(n: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        nonlocal made
        for i in range(n):
            made = i + 1
            yield np.full((96, 32, 3), i % 256, np.uint8)

    def peak(n: int) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for batch in encoder.encode_batches(pictures(n), size=8):
            assert made <= int(batch.rows[-1]) + 1 + 8 * AHEAD
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        peak(48)
        assert peak(480) < 1.5 * peak(48)
    finally:
        tracemalloc.stop()
