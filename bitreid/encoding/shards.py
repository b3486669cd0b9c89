"""Encoding to a folder of shards: files of codes that are written while the next pictures are encoded."""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitreid.data.ahead import ahead
from bitreid.data.arrow import SUFFIX, pyarrow_and_parquet
from bitreid.data.manifest import Manifest
from bitreid.data.pictures import Findings, OddPicture, Progress
from bitreid.data.shards import Shards
from bitreid.encoding.encoder import CHUNK, Encoder
from bitreid.encoding.files import EncodedSet, encoded_rows, joined, save_encoded
from bitreid.encoding.paces import Paces
from bitreid.errors import PictureError, SettingsError

SHARD = 4096
"""Pictures of a shard: that many are encoded again, and a few more, when a process was killed."""


class _Shard(NamedTuple):
    """A shard that is to be written, and what was found in its pictures."""

    i: int
    encoded: EncodedSet
    findings: Findings


def encode_to_shards(
    encoder: Encoder,
    manifest: Manifest,
    folder: Path,
    *,
    features: bool = False,
    parquet: bool = False,
    size: int = SHARD,
    progress: Progress | None = None,
    paces: Paces | None = None,
) -> tuple[int, Findings]:
    """Encode the pictures of a manifest to a folder of shards, each `size` of them; return how many have codes, and
    what was found in all of them.

    Shards are `.npz`, or with `parquet` Parquet files (see `data.arrow`).

    A folder that is there already goes on: shards that are whole stay, the others are made. It is refused
    (`DataError`) unless model, engine, settings and pictures are the same. Reading, encoding and writing go on at the
    same time; in memory are the pictures of `AHEAD` + 1 chunks, and the codes of two shards.
    """
    paces = Paces() if paces is None else paces
    shards = begin_shards(encoder, manifest, folder, features, size, parquet)
    notes: dict[int, Any] = {i: shards.note(i) for i in range(len(shards))}
    todo = [i for i, note in notes.items() if note is None]
    for i, note in made(encoder, manifest, shards, todo, progress, paces):
        notes[i] = note
    return found_in(notes.values())


def begin_shards(
    encoder: Encoder, manifest: Manifest, folder: Path, features: bool, size: int, parquet: bool
) -> Shards:
    """Return the folder of shards of these pictures, new or gone on with, see `encode_to_shards`."""
    if size < 1:
        raise SettingsError(f"expected at least 1 picture a shard, got {size}")
    if parquet:
        pyarrow_and_parquet()  # which may be missing: not after an hour
    about = {
        "model": encoder.model,
        "engine": encoder.runs,
        "bits": encoder.n_bits,
        "flip": encoder.flip,
        "features": features,
        "inputs": _digest(manifest),
        **({"suffix": SUFFIX} if parquet else {}),
    }
    return Shards.begin(folder, about, len(manifest), size)


def made(
    encoder: Encoder,
    manifest: Manifest,
    shards: Shards,
    todo: list[int],
    progress: Progress | None,
    paces: Paces,
    first: int = 0,
) -> Iterator[tuple[int, Any]]:
    """Encode these shards and write them; yield each with its note when it is written.

    The manifest begins with the row `first` of all pictures.
    """
    features = bool(shards.about["features"])

    def write(shard: _Shard) -> tuple[int, Any]:
        with paces.writing.timed(len(shard.encoded)):
            save_encoded(shards.file(shard.i), shard.encoded, features)
            note = _note(shard)
            shards.commit(shard.i, note)
        return shard.i, note

    with (
        closing(_encoded(encoder, manifest, shards, todo, features, progress, paces, first)) as coming,
        closing(ahead(coming, write, 1)) as written,
    ):
        yield from written


def found_in(notes: Iterable[Any]) -> tuple[int, Findings]:
    """Return how many pictures have codes, and what was found in all, as the notes of all shards say."""
    n, findings = 0, Findings()
    for note in notes:
        n += int(note["codes"])
        findings.extend(_findings(note))
    return n, findings


def _encoded(
    encoder: Encoder,
    manifest: Manifest,
    shards: Shards,
    todo: list[int],
    features: bool,
    progress: Progress | None,
    paces: Paces,
    first: int,
) -> Generator[_Shard]:
    """Yield these shards; their chunks come in one run, so that reading does not pause between shards."""
    spans = {i: [shards.rows(i)[at : at + CHUNK] for at in range(0, len(shards.rows(i)), CHUNK)] for i in todo}
    paths = ([manifest.paths[row - first] for row in rows] for i in todo for rows in spans[i])
    done = shards.n - sum(len(shards.rows(i)) for i in todo)
    with closing(encoder.encode_chunks(paths, paces)) as chunks:
        for i in todo:
            parts, findings = [], Findings()
            for rows in spans[i]:
                good, encoded, found = next(chunks)
                findings.extend(found)
                parts.append(encoded_rows(encoder, manifest.take(rows.start - first + good), encoded, features))
                done += len(rows)
                if progress is not None:
                    progress(done, shards.n)
            yield _Shard(i, joined(parts), findings)


def _note(shard: _Shard) -> dict[str, Any]:
    """Return what the folder keeps of a shard besides its codes."""
    return {
        "codes": len(shard.encoded),
        "bad": [[str(each.path), each.reason] for each in shard.findings.bad],
        "odd": [[str(each.path), each.what] for each in shard.findings.odd],
    }


def _findings(note: Any) -> Findings:
    return Findings(
        [PictureError(Path(path), reason) for path, reason in note["bad"]],
        [OddPicture(Path(path), what) for path, what in note["odd"]],
    )


def _digest(manifest: Manifest) -> str:
    """Return a SHA-256 of a manifest's paths and of the columns that become part of codes' files."""
    found = hashlib.sha256()
    for path in manifest.paths:
        found.update(json.dumps(str(path)).encode())
    for name in ("pids", "camids", "tracklets", "times"):
        column = getattr(manifest, name)
        found.update(name.encode() + (b"-" if column is None else np.ascontiguousarray(column, "<i8").tobytes()))
    found.update(str(manifest.dated).encode())
    return found.hexdigest()
