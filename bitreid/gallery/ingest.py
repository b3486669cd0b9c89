"""Items for a gallery from files of codes, pictures, folders and tables; adding them goes on where it was stopped."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bitreid.arrays import Ints
from bitreid.artifact import fingerprint
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.data.pictures import Progress
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, encode_manifest, load_encoded, manifest_of
from bitreid.errors import BadRequest, SettingsError
from bitreid.gallery.base import Gallery
from bitreid.gallery.fields import NO_TIME, microseconds
from bitreid.gallery.items import GalleryItem, Id, Items
from bitreid.gallery.requests import BATCH

PICTURES_BATCH = 256
"""Pictures that are encoded and added together: what is lost at most when adding is stopped."""

IdKind = Literal["path", "name", "number", "hash"]
"""What an item is called by: its picture's path, the file's name without ending, the next number of the gallery, or a
hash that says nothing of the picture to those who do not have it."""
TimeUnit = Literal["s", "ms", "us"]
"""What a table's times count from 1970 on."""
LoadEncoder = Callable[[], Encoder]
"""Loads the encoder of pictures; called only where there are pictures to encode."""

_MICROSECONDS: dict[TimeUnit, int] = {"s": 1_000_000, "ms": 1000, "us": 1}


class Source(NamedTuple):
    """Items to add: their ids and pictures, how many are added together, what makes items of some rows, and the codes'
    model. `codes` are the codes where they are there already, None where pictures are still to be encoded."""

    ids: Sequence[Id]
    pictures: Sequence[str]
    codes: Codes | None
    batch: int
    items: Callable[[list[int]], Items]
    model: str


def sources_of(
    inputs: Sequence[Path],
    load_encoder: LoadEncoder,
    *,
    ids: IdKind,
    time_unit: TimeUnit | None,
    attributes: bool,
    root: Path | None = None,
    gallery: Gallery | None = None,
) -> list[Source]:
    """Return what files of codes (.npz), pictures, folders and tables hold.

    Pictures are encoded when their items are asked for. Without a `time_unit` times are left out. `attributes` says
    whether attribute codes are kept.

    With a `root`, paths are the same whichever folder is the current one: relative to `root` below it, absolute
    elsewhere; relative paths in a file of codes stay as they are. Without, they are as given. Numbers go on where
    `gallery` ends, and what it has under a number already keeps that. `SettingsError` for an id that two items would
    share, and for times outside the years 1 to 9999.
    """
    found: list[Source] = []

    def ids_of(paths: Sequence[Path], content: Codes | Sequence[Path]) -> list[Id]:
        before = [id for source in found for id in source.ids]
        new = _ids(ids, paths, content, before, gallery)
        for id, n in Counter([*before, *new]).most_common(1):
            if n > 1:
                raise SettingsError(
                    f"expected each picture once and an id of its own for each, got {id!r} {n} times; name each file "
                    "once, or choose ids of another kind"
                )
        return new

    for path in inputs:
        if path.suffix == ".npz":
            encoded = load_encoded(path)
            paths = [_rooted(each, root) for each in encoded.paths]
            encoded = replace(encoded, paths=tuple(paths))
            whole = items_of(encoded, ids_of(paths, encoded.codes), None, attributes)
            found.append(Source(whole.ids, list(map(str, paths)), whole.codes, BATCH, whole.rows, whole.model))
    pictures = [path for path in inputs if path.suffix != ".npz"]
    if pictures:
        encoder = load_encoder()
        manifest = manifest_of(pictures)
        shown = [each if root is None else _rooted(_absolute(each), root) for each in manifest.paths]
        names, times = ids_of(shown, manifest.paths), _times(manifest.times, time_unit)

        def encode(rows: list[int]) -> Items:
            some = encode_manifest(encoder, manifest.take(np.array(rows)))
            some = replace(some, paths=tuple(shown[i] for i in rows))
            return items_of(some, [names[i] for i in rows], None if times is None else times[rows], attributes)

        found.append(Source(names, list(map(str, shown)), None, PICTURES_BATCH, encode, fingerprint(encoder.card)))
    return found


def add_sources(
    gallery: Gallery, sources: Sequence[Source], *, upsert: bool = False, progress: Progress | None = None
) -> int:
    """Add the items of all sources, batch by batch, and return how many are new.

    Items that are there already are left as they are, and not encoded again: a call that was stopped is repeated to go
    on. With `upsert` they are replaced. `BadRequest` for an id under which another picture is there, `WrongModel` for
    codes of another model.
    """
    total, done, new = sum(len(source.ids) for source in sources), 0, 0
    for source in sources:
        gallery.contract.check_model(source.model)  # also where all is there already
        for start in range(0, len(source.ids), source.batch):
            rows = list(range(start, min(start + source.batch, len(source.ids))))
            done += len(rows)
            if upsert:
                new += gallery.upsert(source.items(rows))
            else:
                there = gallery.get([source.ids[i] for i in rows])
                _check_same_pictures(source, rows, there)
                rows = [i for i, item in zip(rows, there, strict=True) if item is None]
                new += gallery.add(source.items(rows)) if rows else 0
            if progress is not None:
                progress(done, total)
    return new


def items_of(encoded: EncodedSet, ids: Sequence[Id], times: Ints | None, attributes: bool) -> Items:
    """Return encoded pictures as items; `times` in microseconds from 1970 on. Only pids above 0 name a person."""
    tracklets = [UNKNOWN] * len(encoded) if encoded.tracklets is None else encoded.tracklets.tolist()
    return Items.of(
        ids,
        encoded.codes,
        encoded.attribute_codes if attributes else None,
        cameras=encoded.camids,
        times=times,
        tracklets=[None if tracklet == UNKNOWN else str(tracklet) for tracklet in tracklets],
        persons=[str(pid) if pid > 0 else None for pid in encoded.pids.tolist()],
        pictures=[str(path) for path in encoded.paths],
        model=encoded.model,
    )


def _times(times: Ints | None, unit: TimeUnit | None) -> Ints | None:
    if times is None or unit is None:
        return None
    first, last = (microseconds(end.replace(tzinfo=UTC)) // _MICROSECONDS[unit] for end in (datetime.min, datetime.max))
    wrong = times[(times < first) | (times > last)]
    if len(wrong):
        raise SettingsError(
            f"expected times of the years 1 to 9999, got {wrong[0]}, counted in {unit} from 1970 on; choose another "
            "time unit"
        )
    return np.where(times == UNKNOWN, NO_TIME, times * _MICROSECONDS[unit])


def _ids(
    kind: IdKind,
    paths: Sequence[Path],
    content: Codes | Sequence[Path],
    before: Sequence[Id],
    gallery: Gallery | None,
) -> list[Id]:
    """Return the ids of pictures of these paths, the content of which are codes, or files that are still to be
    encoded; `before` are ids that others have."""
    codes = content.packed if isinstance(content, Codes) else None
    match kind:
        case "path":
            return [str(path) for path in paths]
        case "name":
            return [path.stem for path in paths]
        case "hash":
            contents = map(bytes, content.packed) if isinstance(content, Codes) else map(_content, content)
            return [_hash(path, each) for path, each in zip(paths, contents, strict=True)]
    known, last = ({}, -1) if gallery is None else _numbered(gallery, {str(path) for path in paths})
    next_number = max([last, *(id for id in before if isinstance(id, int))]) + 1
    numbers: list[Id] = []
    for i, path in enumerate(paths):
        there = known.get(str(path), [])
        # A picture that is still to be encoded is known by its path alone, as it is by an id that is a path.
        same = [id for code, id in there if codes is None or code == codes[i].tobytes()]
        if same:
            numbers.append(same[0])
        else:
            numbers.append(next_number)
            next_number += 1
    return numbers


def _numbered(gallery: Gallery, pictures: set[str]) -> tuple[dict[str, list[tuple[bytes, int]]], int]:
    """Return the codes and numbers of the items of these pictures, and the largest number that any item has."""
    known: dict[str, list[tuple[bytes, int]]] = {}
    last = -1
    for batch in gallery.scan():
        for id, picture, code in zip(batch.ids, batch.pictures, batch.codes.packed, strict=True):
            if isinstance(id, int):
                last = max(last, id)
                if picture in pictures and picture is not None:
                    known.setdefault(picture, []).append((code.tobytes(), id))
    return known, last


def _check_same_pictures(source: Source, rows: Sequence[int], there: Sequence[GalleryItem | None]) -> None:
    """Check that what is there under the ids of these rows are the same pictures; else `BadRequest`."""
    others = [
        (source.ids[i], source.pictures[i], item.picture)
        for i, item in zip(rows, there, strict=True)
        if item is not None
        and (
            item.picture not in (None, source.pictures[i])
            or (source.codes is not None and item.code.tobytes() != source.codes.packed[i].tobytes())
        )
    ]
    if others:
        id, picture, other = others[0]
        what = f"{picture} and {other}" if picture != other else f"two codes of {picture}"
        raise BadRequest(
            f"expected each id to name one picture, got {len(others)} ids that others have in the gallery, the first "
            f"{id!r}: {what}; choose ids of another kind, or upsert to replace what is there"
        )


def _rooted(path: Path, root: Path | None) -> Path:
    """Return an absolute path below `root` relative to it, but for the root of all; any other path as it is."""
    if root is None or not path.is_absolute():
        return path
    folder = _absolute(root)
    return path.relative_to(folder) if path.is_relative_to(folder) and folder.name else path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # whoever encodes it says so
        return b""


def _hash(path: Path, content: bytes) -> str:
    return hashlib.blake2b(os.fsencode(path) + b"\0" + content, digest_size=16).hexdigest()


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`; a link stays the link that it is."""
    return Path(os.path.normpath(path.absolute()))
