"""Encoding on a Ray cluster: the bytes of the local run, though a worker is killed, and errors of workers told."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitreid.commands.left_out import LEFT_OUT
from bitreid.commands.main import main
from bitreid.data.manifest import Manifest
from bitreid.data.shards import Shards
from bitreid.encoding import cluster
from bitreid.encoding.cluster import LOCAL, encode_on_cluster
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.paces import Paces
from bitreid.encoding.shards import encode_to_shards
from bitreid.errors import ArtifactError, DataError, SettingsError

N, SHARD = 40, 3


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    """A cluster of this machine, with processors for two workers."""
    with cluster._ray(LOCAL, 2, 1) as (_, most):
        assert most == 2
        yield
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Pictures of noise, two of which are none, by paths from the current folder on."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    paths = tuple(Path(f"{i:03}.png") for i in range(N))
    for i, path in enumerate(paths):
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), np.uint8)).save(path)
        if i in (7, 20):
            path.write_bytes(path.read_bytes()[:60])
    rows = np.arange(N)
    return Manifest(paths, rows // 3, rows % 2, ("gallery",) * N, rows * 1_000_000, rows // 2, dated=True)


def load() -> Callable[[], Encoder]:
    """What loads the model in a worker, pickled by name alone."""
    return partial(Encoder.open, "drawn", threads=1)


def workers() -> list[int]:
    """The processes of this process's Ray workers that have a model: grandchildren of a child of this one."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"_Worker" in (folder / "cmdline").read_bytes():
                head = _parent(_parent(int(folder.name)))
                found += [int(folder.name)] if _parent(head) == os.getpid() else []
        except OSError:  # it has ended meanwhile
            continue
    return found


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("running")
def test_two_workers_of_whom_one_is_killed_write_what_one_process_writes(manifest: Manifest) -> None:
    encoder = load()()
    expected = encode_to_shards(encoder, manifest, Path("local"), size=SHARD)
    told: list[tuple[int, int]] = []
    killed: list[int] = []

    def kill(done: int, n: int) -> None:
        told.append((done, n))
        if not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    paces = Paces()
    settings: dict[str, Any] = {"size": SHARD, "progress": kill, "paces": paces}
    n, findings = encode_on_cluster(encoder, load(), manifest, Path("ray"), **settings)
    assert len(killed) == 1
    assert files_of(Path("ray")) == files_of(Path("local"))
    assert (n, [str(bad) for bad in findings.bad]) == (N - 2, [str(bad) for bad in expected[1].bad])
    assert sorted(told)[-1] == (N, N)
    assert len(told) == -(-N // SHARD)
    assert paces.encoding.pictures == N - 2

    # Either goes on with what the other began.
    told.clear()
    (Path("ray") / "codes-000002.npz").unlink()
    assert encode_on_cluster(encoder, load(), manifest, Path("ray"), **settings)[0] == N - 2
    assert told == [(N, N)]
    (Path("ray") / "codes-000003.json").unlink()
    encode_to_shards(encoder, manifest, Path("ray"), size=SHARD)
    assert files_of(Path("ray")) == files_of(Path("local"))


@pytest.mark.usefixtures("running")
def test_what_goes_wrong_in_a_worker_is_told(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load()()
    settings: dict[str, Any] = {"size": N, "workers": 1}
    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "model", "feed")
        with pytest.raises(ArtifactError, match="expected the model feed on each machine, got "):
            encode_on_cluster(encoder, load(), manifest, Path("a"), **settings)
    with monkeypatch.context() as patched:
        patched.setattr(Shards, "note", lambda self, i: None)
        with pytest.raises(DataError, match=r"codes-000000.npz in b, .*all machines must see this folder"):
            encode_on_cluster(encoder, load(), manifest, Path("b"), **settings)
    monkeypatch.setattr(cluster, "TRIES", 2)
    with pytest.raises(DataError, match=r"a worker to make codes-000000.npz, got 2 that died"):
        encode_on_cluster(encoder, partial(os._exit, 1), manifest, Path("c"), **settings)
    with pytest.raises(SettingsError, match="processors for 3 workers of 1 threads, got a cluster that has them for 2"):
        encode_on_cluster(encoder, load(), manifest, Path("d"), size=SHARD, workers=3)


@pytest.mark.usefixtures("running")
def test_the_command_encodes_on_a_cluster(manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["encode", "drawn", *map(str, manifest.paths), "--shard", "20"]
    assert main([*words, "--out", "ray", "--ray", "local", "--workers", "1"]) == LEFT_OUT
    assert f"{N - 2} codes of 1024 bits: ray" in capsys.readouterr().out
    assert main([*words, "--out", "local"]) == LEFT_OUT
    assert files_of(Path("ray")) == files_of(Path("local"))


def test_a_cluster_that_does_not_start_is_told(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match=r"expected Ray to start on this machine, got: .*; try again, or encode"):
        encode_on_cluster(load()(), load(), manifest, Path("a"))


def test_a_cluster_that_takes_too_long_to_start_is_told(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "START_S", 0.05)
    with pytest.raises(SettingsError, match=r"expected Ray to start on this machine, got: nothing for 0\.05 seconds"):
        encode_on_cluster(load()(), load(), manifest, Path("a"))


def test_a_cluster_that_is_not_there_is_told(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", none)
    with pytest.raises(SettingsError, match=r"expected a Ray cluster at auto, got none .Could not find any running"):
        encode_on_cluster(load()(), load(), manifest, Path("a"), address="auto")


def test_without_ray_it_says_what_to_install(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'bitreid\[ray\]'"):
        encode_on_cluster(load()(), load(), manifest, Path("a"))
