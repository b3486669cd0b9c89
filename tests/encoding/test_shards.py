"""Folders of shards: the same codes as one file, in bounded memory, through kills."""

import random
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitreid.arrays import Pixels
from bitreid.data.decoding import Picture
from bitreid.data.pictures import read_pictures
from bitreid.data.shards import INDEX
from bitreid.encoding import encoder as encoders
from bitreid.encoding import files, shards
from bitreid.encoding.encoder import AHEAD, Encoder
from bitreid.encoding.engine import EngineOutput
from bitreid.encoding.files import encode_readable, encoded_rows, joined, load_encoded, save_encoded
from bitreid.encoding.paces import Paces
from bitreid.encoding.shards import encode_to_shards
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation.vectors import load_vectors
from tests.encoding.killed import CARD, CHUNK, SHARD, engine, manifest
from tests.reference.encoding import encoded_one_after_the_other

N = 50
KILLED_S = 60.0
"""After so long a process that was to be killed is told off for not having got anywhere."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "CHUNK", CHUNK)
    monkeypatch.setattr(files, "CHUNK", CHUNK)
    monkeypatch.setattr(shards, "CHUNK", CHUNK)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of noise, three of which are none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    for i in range(N):
        path = folder / f"{i:03}.png"
        Image.fromarray(rng.integers(0, 256, (20, 10, 3), np.uint8)).save(path)
        if i in (5, 17, 18):
            path.write_bytes(path.read_bytes()[:60])
    return folder


def encoder() -> Encoder:
    return Encoder(CARD, engine)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("parquet", [False, True])
def test_shards_are_the_rows_of_one_file(parquet: bool, pictures: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    paces = Paces()
    n, findings = encode_to_shards(
        encoder(), manifest(pictures), tmp_path / "codes", features=True, parquet=parquet, size=SHARD,
        progress=lambda *each: told.append(each), paces=paces,
    )  # fmt: skip
    whole, _, expected = encode_readable(encoder(), manifest(pictures))
    assert n == len(whole) == N - 3
    assert [str(each) for each in findings.bad] == [str(each) for each in expected.bad]
    assert [each.path for each in findings.odd] == [each.path for each in expected.odd]
    assert told == [(min(i * CHUNK, N), N) for i in range(1, 14)]
    assert [pace.pictures for pace in (paces.reading, paces.encoding, paces.writing)] == [N, N - 3, N - 3]
    for path in (tmp_path / "one.npz", tmp_path / "two.npz"):
        save_encoded(path, load_encoded(tmp_path / "codes") if path.stem == "one" else whole, features=True)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    bare = load_encoded(tmp_path / "codes", features=False)
    assert (bare.features, bare.codes.packed.tobytes()) == (None, whole.codes.packed.tobytes())
    side, one = load_vectors(tmp_path / "codes"), load_vectors(tmp_path / "one.npz")
    assert (side.codes is None, side.paths) == (False, one.paths)
    assert side.features is not None
    assert one.features is not None
    assert np.array_equal(side.features, one.features)


def test_overlapped_and_sequential_encoding_give_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    """Against the slow twin, shard by shard."""
    all_of_them = manifest(pictures)
    encode_to_shards(encoder(), all_of_them, tmp_path / "codes", features=True, size=SHARD)
    chunks = encoded_one_after_the_other(encoder(), all_of_them.paths, CHUNK)
    for i in range(7):
        parts = [
            encoded_rows(encoder(), all_of_them.take(np.array(rows, np.int64)), encoded, features=True)
            for rows, encoded in chunks[i * SHARD // CHUNK : (i + 1) * SHARD // CHUNK]
        ]
        save_encoded(tmp_path / "twin.npz", joined(parts), features=True)
        assert (tmp_path / "codes" / f"codes-{i:06}.npz").read_bytes() == (tmp_path / "twin.npz").read_bytes()


def test_reading_goes_on_while_a_chunk_is_encoded(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine waits until the next chunks are decoded: without a reader beside it, that is for ever."""
    read: list[int] = []

    def counted(chunk: Sequence[Picture], height: int, width: int, **how: Any) -> Any:
        found = read_pictures(chunk, height, width, **how)
        read.append(len(chunk))
        return found

    monkeypatch.setattr(encoders, "read_pictures", counted)
    encoded = 0

    def waiting(pictures: Pixels) -> EngineOutput:
        nonlocal encoded
        encoded += 1
        limit = time.monotonic() + 20
        while len(read) < min(encoded + AHEAD, 13):
            assert time.monotonic() < limit, f"{len(read)} chunks read beside {encoded}"
            time.sleep(0.001)
        return engine(pictures)

    found, _, _ = encode_readable(Encoder(CARD, waiting), manifest(pictures))
    assert (len(found), encoded) == (N - 3, 13)


@pytest.mark.parametrize("copies", [1, 4])
def test_few_chunks_are_in_memory_whatever_the_number_of_pictures(
    copies: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of pixels are counted while they are there."""
    there: dict[int, None] = {}
    most = 0

    def counted(chunk: Sequence[Picture], height: int, width: int, first: int, **how: Any) -> Any:
        nonlocal most
        pixels, rows, findings = read_pictures(chunk, height, width, first=first, **how)
        there[first] = None
        weakref.finalize(pixels, there.pop, first)
        most = max(most, len(there))
        return pixels, rows, findings

    monkeypatch.setattr(encoders, "read_pictures", counted)
    one = manifest(pictures)
    many = one.take(np.tile(np.arange(N), copies))
    encode_to_shards(encoder(), many, tmp_path / "codes", size=SHARD)
    assert 1 <= most <= AHEAD + 1
    assert there == {}


def test_a_run_that_is_killed_goes_on(pictures: Path, tmp_path: Path) -> None:
    """SIGKILL at any moment, again and again: nothing is lost or doubled, and whole shards are not encoded again."""
    out, log = tmp_path / "codes", tmp_path / "log"
    rng = random.Random(6)
    kills = 0
    while True:
        before = len(list(out.glob("codes-*.json")))
        run = subprocess.Popen([sys.executable, "-m", "tests.encoding.killed", *map(str, (pictures, out, log))])
        limit = time.monotonic() + KILLED_S
        while run.poll() is None and len(list(out.glob("codes-*.json"))) <= before:
            assert time.monotonic() < limit
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        if run.poll() is not None:
            break
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        kills += 1
        if len(list(out.glob("codes-*.json"))) == 7:  # it was over, and did not know yet
            continue
        with pytest.raises(DataError, match=r"7 whole shards in .*, got [1-6] missing"):
            load_encoded(out)
    assert run.returncode == 0
    assert kills >= 2

    encode_to_shards(encoder(), manifest(pictures), tmp_path / "whole", size=SHARD)
    assert files_of(out) == files_of(tmp_path / "whole")
    # Each kill costs a shard and the chunks that wait, at most.
    encoded = sum(map(int, log.read_text(encoding="utf-8").split()))
    assert N - 3 <= encoded <= N + kills * (2 * SHARD + CHUNK)


@pytest.mark.parametrize("parquet", [False, True])
def test_a_damaged_shard_alone_is_made_again(parquet: bool, pictures: Path, tmp_path: Path) -> None:
    out, damaged = tmp_path / "codes", "codes-000002.parquet" if parquet else "codes-000002.npz"
    encode_to_shards(encoder(), manifest(pictures), out, parquet=parquet, size=SHARD)
    whole = files_of(out)
    (out / damaged).write_bytes(whole[damaged][:-9])
    sizes = []

    def counted(pictures: Pixels) -> EngineOutput:
        sizes.append(len(pictures))
        return engine(pictures)

    told: list[tuple[int, int]] = []
    n, findings = encode_to_shards(
        Encoder(CARD, counted), manifest(pictures), out, parquet=parquet, size=SHARD,
        progress=lambda *each: told.append(each),
    )  # fmt: skip
    assert files_of(out) == whole
    assert (sizes, told) == ([2, 4], [(N - CHUNK, N), (N, N)])
    assert (n, len(findings.bad)) == (N - 3, 3), "also what was found before"


def test_a_folder_goes_on_with_its_model_pictures_and_settings_alone(pictures: Path, tmp_path: Path) -> None:
    out, given = tmp_path / "codes", manifest(pictures)
    encode_to_shards(encoder(), given, out, size=SHARD)
    assert given.times is not None
    others: dict[str, Iterator[Any] | tuple[Any, ...]] = {
        "model": (Encoder(replace(CARD, weights_sha256="1" * 64), engine), given),
        "engine": (Encoder(CARD, engine, runs="onnx"), given),
        "flip": (Encoder(CARD, engine, flip=True), given),
        "inputs": (encoder(), replace(given, times=given.times + 1)),
        "pictures": (encoder(), given.take(np.arange(N - 1))),
    }
    for told, (other, pictures_of) in others.items():
        with pytest.raises(DataError, match=f"to go on in .*{told}"):
            encode_to_shards(other, pictures_of, out, size=SHARD)
    with pytest.raises(DataError, match=r"\(features False\), got features True"):
        encode_to_shards(encoder(), given, out, features=True, size=SHARD)
    with pytest.raises(DataError, match=r"\(suffix None\), got suffix \.parquet"):
        encode_to_shards(encoder(), given, out, parquet=True, size=SHARD)
    with pytest.raises(SettingsError, match="at least 1 picture a shard, got 0"):
        encode_to_shards(encoder(), given, out, size=0)
    (out / INDEX).unlink()
    with pytest.raises(DataError, match="a new or empty folder"):
        encode_to_shards(encoder(), given, out, size=SHARD)
