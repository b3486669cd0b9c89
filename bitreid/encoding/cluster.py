"""Encoding to a folder of shards on a Ray cluster: each worker holds one model and makes whole shards.

The driver hands out the numbers of shards, so nothing but those and their paths travels: workers read the pictures and
write the shards themselves. Folder, resume and report are those of `encode_to_shards`, and either goes on with what the
other began.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

TRIES = 4
"""How often a shard is begun: a worker may die while it makes one, of whatever reason."""


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
    size: int = SHARD,
    progress: Progress | None = None,
    paces: Paces | None = None,
) -> tuple[int, Findings]:
    """Encode the pictures of a manifest to a folder of shards, as `encode_to_shards` does, with workers of Ray.

    `load` loads the same model as `encoder` in each worker; it can be pickled. `address` is that of a cluster
    ("auto": the one that runs on this machine), or `LOCAL`; a Ray that is running in this process is used as it is. All
    machines have bitreid installed, and see the pictures, the model and the folder at the same paths. `workers` (None:
    as many as the cluster has processors for) have so many `threads` each. A shard whose worker dies is made by its
    successor, up to `TRIES` times. `paces` count the seconds of all workers together.

    `SettingsError` for a cluster that is not there or too small, `DataError` for a shard that no worker survives, and
    for workers that write to another folder than this one.
    """
    paces = Paces() if paces is None else paces
    shards = begin_shards(encoder, manifest, folder, features, size)
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
    started = not ray.is_initialized()
    if started:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
        own: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
        if address == LOCAL and workers is not None:
            own["num_cpus"] = workers * threads
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise SettingsError(
                f"expected a Ray cluster at {printable(address)}, got none ({brief(str(error))}); start one with "
                f"`ray start --head`, or use {LOCAL}"
            ) from error
    try:
        most = int(connected.cluster_resources().get("CPU", 0)) // threads
        if most < max(workers or 1, 1):
            raise SettingsError(
                f"expected processors for {workers or 1} workers of {threads} threads, got a cluster that has them for "
                f"{most}; ask for fewer"
            )
        yield connected, most
    finally:
        if started:
            ray.shutdown()
