"""What commands on galleries read: items and queries from files, ids, moments and descriptions from words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bitreid.data.manifest import UNKNOWN
from bitreid.errors import GalleryError, SettingsError
from bitreid.gallery.items import NO_TIME, Id, Items, items, microseconds

if TYPE_CHECKING:
    from bitreid.arrays import Ints
    from bitreid.codes import Codes
    from bitreid.encoding.encoder import Encoder
    from bitreid.encoding.files import EncodedSet
    from bitreid.gallery.base import Gallery

CODES_BATCH, PICTURES_BATCH = 10_000, 256
"""Items that are added together; of pictures, what is lost at most when encoding is stopped."""
MICROSECONDS = {"s": 1_000_000, "ms": 1000, "us": 1}

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_AGE = re.compile(r"([0-9]{1,5})([hdw])")


class Source(NamedTuple):
    """Items to add: their ids, how many belong together, what makes items of some of their rows, and whose codes."""

    ids: Sequence[Id]
    batch: int
    items: Callable[[list[int]], Items]
    model: str


class Queries(NamedTuple):
    """What is searched for: n names, codes and attribute codes (or None), and the model's fingerprint."""

    names: list[str]
    codes: Codes
    attribute_codes: Codes | None
    model: str


def sources_of(
    inputs: Sequence[Path], model: Path | None, way: str, time_unit: str | None, attributes: bool
) -> list[Source]:
    """What files of codes, pictures, folders and tables hold; pictures are encoded when their items are asked for.

    `way` is how items are called: "path", "name" or "number". `attributes` says whether attribute codes are kept.
    """
    from bitreid.artifact import fingerprint
    from bitreid.encoding.files import encode_manifest, load_encoded, manifest_of

    found: list[Source] = []

    def named(paths: Sequence[Path]) -> list[Id]:
        before = [id for source in found for id in source.ids]
        ids = [{"path": str(path), "name": path.stem}.get(way, len(before) + i) for i, path in enumerate(paths)]
        for id, n in Counter([*before, *ids]).most_common(1):
            if n > 1:
                raise SettingsError(
                    f"expected each picture once and an id of its own for each, got {id!r} {n} times; name each file "
                    "once, or choose another --id"
                )
        return ids

    for path in inputs:
        if path.suffix == ".npz":
            encoded = load_encoded(path)
            whole = _items(encoded, named(encoded.paths), None, attributes)
            found.append(Source(whole.ids, CODES_BATCH, whole.rows, whole.model))
    pictures = [path for path in inputs if path.suffix != ".npz"]
    if pictures:
        encoder = _encoder(model)
        manifest = manifest_of(pictures)
        ids, times = named(manifest.paths), _times(manifest.times, time_unit)

        def encode(rows: list[int]) -> Items:
            some = encode_manifest(encoder, manifest.take(np.array(rows)))
            return _items(some, [ids[i] for i in rows], None if times is None else times[rows], attributes)

        found.append(Source(ids, PICTURES_BATCH, encode, fingerprint(encoder.card)))
    return found


def queries_of(inputs: Sequence[Path], model: Path | None) -> Queries:
    """The rows of a file of codes, or pictures of one person as one query."""
    from bitreid.artifact import fingerprint
    from bitreid.encoding.files import load_encoded, manifest_of

    if any(path.suffix == ".npz" for path in inputs):
        if len(inputs) > 1:
            raise SettingsError(f"expected one file of codes, or pictures, as query, got {len(inputs)} files; name one")
        found = load_encoded(inputs[0])
        return Queries([str(path) for path in found.paths], found.codes, found.attribute_codes, found.model)
    encoder = _encoder(model)
    paths = manifest_of(inputs).paths
    query = encoder.merge(encoder.encode_files(paths))
    return Queries([str(paths[0])], query.codes, query.attribute_codes, fingerprint(encoder.card))


def ids_of(gallery: Gallery, words: Sequence[str]) -> list[Id]:
    """The ids that words on the command line mean: the number, if there is such an item, else the text."""
    numbers = [int(word) if _WHOLE.fullmatch(word) and -(2**63) <= int(word) < 2**63 else word for word in words]
    found = gallery.get(numbers)
    return [word if item is None else number for word, number, item in zip(words, numbers, found, strict=True)]


def like(gallery: Gallery, word: str) -> tuple[Id, Queries]:
    """The id of an item, and the item as a query."""
    from bitreid.codes import Codes

    (id,) = ids_of(gallery, [word])
    (item,) = gallery.get([id])
    if item is None:
        raise GalleryError(f"expected the id of an item in the gallery, got {word!r}, which is not there")
    contract, short = gallery.contract, item.attribute_code
    attribute_codes = None if short is None else Codes(short[None], contract.attribute_bits)
    return id, Queries([word], Codes(item.code[None], contract.n_bits), attribute_codes, contract.model)


def moment(text: str) -> datetime:
    """The time that an age such as `30d`, `12h` or `2w`, or a time such as `2026-01-31` (UTC) means."""
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            return (
                datetime.now(UTC)
                - int(age[1]) * {"h": timedelta(hours=1), "d": timedelta(1), "w": timedelta(7)}[age[2]]
            )
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"expected an age such as 30d, 12h or 2w, or a time such as 2026-01-31, got {text!r}"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def description(text: str) -> dict[str, float]:
    """The attributes that a text such as `backpack, upper_colour=red, not hat` asks for: 1, or 0 after `not`."""
    words = [word.strip() for word in text.split(",")]
    return {word.removeprefix("not ").strip(): float(not word.startswith("not ")) for word in words if word}


def _encoder(model: Path | None) -> Encoder:
    from bitreid.training.load import load_encoder

    if model is None:
        raise SettingsError(
            "expected --model ARTIFACT to encode pictures with, got none; or name a file of codes, .npz"
        )
    return load_encoder(model)


def _times(times: Ints | None, unit: str | None) -> Ints | None:
    if times is None or unit is None:
        return None
    first, last = (microseconds(end.replace(tzinfo=UTC)) // MICROSECONDS[unit] for end in (datetime.min, datetime.max))
    wrong = times[(times < first) | (times > last)]
    if len(wrong):
        raise SettingsError(
            f"expected times of the years 1 to 9999, got {wrong[0]} with --time-unit {unit}; choose another unit"
        )
    return np.where(times == UNKNOWN, NO_TIME, times * MICROSECONDS[unit])


def _items(encoded: EncodedSet, ids: Sequence[Id], times: Ints | None, attributes: bool) -> Items:
    tracklets = [UNKNOWN] * len(encoded) if encoded.tracklets is None else encoded.tracklets.tolist()
    return items(
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
