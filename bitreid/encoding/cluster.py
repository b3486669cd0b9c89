"""Encoding to a folder of shards on a Ray cluster: each worker holds one model and makes whole shards.

The driver hands out the numbers of shards, so nothing but those and their paths travels: workers read the pictures and
write the shards themselves. Folder, resume and report are those of `encode_to_shards`, and either goes on with what the
other began.
"""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.data.manifest import Manifest
from bitreid.data.pictures import Findings, Progress
from bitreid.data.shards import Shards
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.paces import Paces
from bitreid.encoding.shards import SHARD, begin_shards, found_in, made
from bitreid.errors import ArtifactError, DataError, SettingsError
from bitreid.text import brief, printable

LOCAL = "local"
"""The address that means a cluster of this machine, which ends with the work."""

START_S = 120.0
"""Seconds that a cluster of this machine may take to start."""

TRIES = 4
"""How often a shard is begun: a worker may die while it makes one, of whatever reason."""

_MODE = "RAY_AUTH_MODE"


class _Worker:
    """One model, in a process of its own on any machine of the cluster."""

    def __init__(self, load: Callable[[], Encoder], cwd: Path, shards: Shards) -> None:
        self._load, self._cwd, self._shards = load, cwd, shards
        self._encoder: Encoder | None = None

    def make(self, i: int, manifest: Manifest) -> Paces:
        """Encode the pictures of shard i and write it; return how long that took."""
        if self._encoder is None:  # not in `__init__`, whose errors Ray does not pass on as they are
            self._encoder = self._loaded()
        paces = Paces()
        for _ in made(self._encoder, manifest, self._shards, [i], None, paces, self._shards.rows(i).start):
            pass
        return paces

    def _loaded(self) -> Encoder:
        try:
            os.chdir(self._cwd)  # paths are as the driver has them
        except OSError as error:
            raise DataError(
                f"expected workers that see the folder {printable(str(self._cwd))}, got one that does not: {error}; "
                "share it between the machines"
            ) from error
        encoder = self._load()
        if encoder.model != self._shards.about["model"]:
            raise ArtifactError(
                f"expected the model {self._shards.about['model']} on each machine, got {encoder.model}; share its "
                "folder between them"
            )
        return encoder


def encode_on_cluster(
    encoder: Encoder,
    load: Callable[[], Encoder],
    manifest: Manifest,
    folder: Path,
    *,
    address: str = LOCAL,
    workers: int | None = None,
    threads: int = 1,
    features: bool = False,
    parquet: bool = False,
    size: int = SHARD,
    progress: Progress | None = None,
    paces: Paces | None = None,
) -> tuple[int, Findings]:
    """Encode the pictures of a manifest to a folder of shards, as `encode_to_shards` does, with workers of Ray.

    `features`, `parquet` and `size` are those of `encode_to_shards`. `load` loads the same model as `encoder` in each
    worker; it can be pickled. `address` is that of a cluster ("auto": the one that runs on this machine), or `LOCAL`; a
    Ray that is running in this process is used as it is. All machines have bitreid installed, and see the pictures, the
    model and the folder at the same paths. `workers` (None: as many as the cluster has processors for) have so many
    `threads` each. A shard whose worker dies is made by its successor, up to `TRIES` times. `paces` count the seconds
    of all workers together.

    `SettingsError` for a cluster that is not there or too small, `DataError` for a shard that no worker survives, and
    for workers that write to another folder than this one.
    """
    paces = Paces() if paces is None else paces
    shards = begin_shards(encoder, manifest, folder, features, size, parquet)
    notes: dict[int, Any] = {i: shards.note(i) for i in range(len(shards))}
    todo = [i for i, note in notes.items() if note is None]
    done = len(manifest) - sum(len(shards.rows(i)) for i in todo)
    if todo:
        with _ray(address, workers, threads) as (ray, most):
            n_workers = min(most if workers is None else workers, len(todo))
            worker = ray.remote(num_cpus=threads, max_restarts=-1, max_task_retries=TRIES - 1)(_Worker)
            actors = [worker.remote(load, Path.cwd(), shards) for _ in range(n_workers)]
            try:
                for i, taken in _made(ray, actors, manifest, shards, todo):
                    notes[i] = shards.note(i)
                    if notes[i] is None:
                        raise DataError(
                            f"expected {shards.file(i).name} in {printable(str(folder))}, which a worker wrote, got "
                            "none or another: all machines must see this folder; share it, and run the same again"
                        )
                    paces.add(taken)
                    done += len(shards.rows(i))
                    if progress is not None:
                        progress(done, len(manifest))
            finally:
                for actor in actors:
                    ray.kill(actor)
        shards.tidy()
    return found_in(notes.values())


def _made(
    ray: Any, actors: list[Any], manifest: Manifest, shards: Shards, todo: list[int]
) -> Iterator[tuple[int, Paces]]:
    """Let workers make these shards, one each at a time; yield each when it is made, with how long that took."""
    waiting = iter(todo)
    making: dict[Any, tuple[Any, int]] = {}

    def give(actor: Any) -> None:
        i = next(waiting, None)
        if i is not None:
            rows = shards.rows(i)
            making[actor.make.remote(i, manifest.take(np.arange(rows.start, rows.stop)))] = actor, i

    for actor in actors:
        give(actor)
    while making:
        (ready,), _ = ray.wait(list(making), num_returns=1)
        actor, i = making.pop(ready)
        try:
            taken = ray.get(ready)
        except ray.exceptions.RayTaskError as error:  # what a worker raised
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise DataError(
                f"expected a worker to make {shards.file(i).name}, got {TRIES} that died ({brief(str(error))}); one of "
                "its pictures may be the reason, or too little memory; run the same again to go on"
            ) from error
        yield i, taken
        give(actor)


@contextmanager
def _ray(address: str, workers: int | None, threads: int) -> Iterator[tuple[Any, int]]:
    """Give Ray, connected, and how many workers it has processors for; what was started ends with the block."""
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "expected Ray to encode on a cluster, got no such package; pip install 'bitreid[ray]'"
        ) from error
    connected: Any = ray  # not all of it is typed
    with ExitStack() as stack:
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
            there = address
            if address == LOCAL:
                stack.enter_context(_with_token())
                there = stack.enter_context(_head(None if workers is None else workers * threads))
            try:
                ray.init(there, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
                raise SettingsError(
                    f"expected a Ray cluster at {printable(there)}, got none ({brief(str(error))}); start one with "
                    f"`ray start --head`, or {'encode without Ray' if address == LOCAL else f'use {LOCAL}'}"
                ) from error
            stack.callback(ray.shutdown)
        most = int(connected.cluster_resources().get("CPU", 0)) // threads
        if most < max(workers or 1, 1):
            raise SettingsError(
                f"expected processors for {workers or 1} workers of {threads} threads, got a cluster that has them for "
                f"{most}; ask for fewer"
            )
        yield connected, most


@contextmanager
def _with_token() -> Iterator[None]:
    """Have Ray ask who connects to its cluster, as it does where one process starts it and connects to it."""
    if _MODE in os.environ:
        yield
        return
    from ray import _raylet

    inner: Any = _raylet  # which is not typed
    os.environ[_MODE] = "token"
    inner.Config.initialize("")  # it has read the environment
    try:
        yield
    finally:
        del os.environ[_MODE]
        inner.Config.initialize("")


@contextmanager
def _head(processors: int | None) -> Iterator[str]:
    """Start a cluster of this machine in a process of its own (see `head`); give its address, end it with the block."""
    words = [sys.executable, "-m", "bitreid.encoding.head", *([] if processors is None else [str(processors)])]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,  # what stops this process at a terminal does not stop it first
        ) as head,
    ):
        assert head.stdin is not None
        assert head.stdout is not None
        late = threading.Timer(START_S, head.kill)
        late.start()
        with head.stdin:  # whose end is its
            address = head.stdout.readline().strip()
            late.cancel()
            if not address:
                said.seek(0)
                last = said.read().strip().rpartition("\n")[2] or f"nothing for {START_S:g} seconds"
                raise SettingsError(
                    f"expected Ray to start on this machine, got: {brief(last)}; try again, or encode without Ray"
                )
            yield address
