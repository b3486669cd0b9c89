"""Items for a gallery from files of codes, pictures, folders and tables; adding them goes on where it was stopped."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bitreid.arrays import Ints
from bitreid.artifact import fingerprint
from bitreid.data.manifest import UNKNOWN
from bitreid.data.pictures import Progress
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, encode_manifest, load_encoded, manifest_of
from bitreid.errors import SettingsError
from bitreid.gallery.base import Gallery
from bitreid.gallery.fields import NO_TIME, microseconds
from bitreid.gallery.items import Id, Items
from bitreid.gallery.requests import BATCH

PICTURES_BATCH = 256
"""Pictures that are encoded and added together: what is lost at most when adding is stopped."""

IdKind = Literal["path", "name", "number"]
"""What an item is called by: its picture's path as given, the file's name without ending, or 0, 1, 2 in order."""
TimeUnit = Literal["s", "ms", "us"]
"""What a table's times count from 1970 on."""
LoadEncoder = Callable[[], Encoder]
"""Loads the encoder of pictures; called only where there are pictures to encode."""

_MICROSECONDS: dict[TimeUnit, int] = {"s": 1_000_000, "ms": 1000, "us": 1}


class Source(NamedTuple):
    """Items to add: their ids, how many are added together, what makes items of some rows, and the codes' model."""

    ids: Sequence[Id]
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
) -> list[Source]:
    """Return what files of codes (.npz), pictures, folders and tables hold.

    Pictures are encoded when their items are asked for. Without a `time_unit` times are left out. `attributes` says
    whether attribute codes are kept. `SettingsError` for an id that two items would share, and for times outside the
    years 1 to 9999.
    """
    found: list[Source] = []

    def ids_of(paths: Sequence[Path]) -> list[Id]:
        before = [id for source in found for id in source.ids]
        new = [{"path": str(path), "name": path.stem}.get(ids, len(before) + i) for i, path in enumerate(paths)]
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
            whole = items_of(encoded, ids_of(encoded.paths), None, attributes)
            found.append(Source(whole.ids, BATCH, whole.rows, whole.model))
    pictures = [path for path in inputs if path.suffix != ".npz"]
    if pictures:
        encoder = load_encoder()
        manifest = manifest_of(pictures)
        names, times = ids_of(manifest.paths), _times(manifest.times, time_unit)

        def encode(rows: list[int]) -> Items:
            some = encode_manifest(encoder, manifest.take(np.array(rows)))
            return items_of(some, [names[i] for i in rows], None if times is None else times[rows], attributes)

        found.append(Source(names, PICTURES_BATCH, encode, fingerprint(encoder.card)))
    return found


def add_sources(
    gallery: Gallery, sources: Sequence[Source], *, upsert: bool = False, progress: Progress | None = None
) -> int:
    """Add the items of all sources, batch by batch, and return how many are new.

    Items whose ids are there already are left as they are, and not encoded again: a call that was stopped is repeated
    to go on. With `upsert` they are replaced. `WrongModel` for codes of another model.
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
