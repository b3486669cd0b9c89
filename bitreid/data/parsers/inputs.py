"""What a command is given: pictures, folders and tables of several sources, as one manifest."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.manifest import UNKNOWN, Further, Manifest
from bitreid.data.parsers.layouts import data_set_of, parse
from bitreid.data.parsers.listing import TABLE_SUFFIXES
from bitreid.errors import DataError, DataWarning
from bitreid.text import brief, printable

Key = tuple[str, int | str]
"""A person: the source, or the empty text where the same people are in all of them; and their number or name there."""

_BEYOND = 1000
"""Numbers that are given anew begin beyond a multiple of this, so that the old ones can be seen in them."""


class Source(NamedTuple):
    """What one data set holds of all inputs: its name, and the manifests of its inputs by their place."""

    name: str
    manifests: dict[int, Manifest]


def manifest_of(inputs: Sequence[Path], pattern: str | None = None, same_people: bool | None = None) -> Manifest:
    """The pictures in files, folders and manifests (CSV, Parquet), in the given order; those of a folder by name.

    Folders are read with the `pattern`, where there is one. Inputs of one data set, such as its `query` and its
    `bounding_box_test`, are one source. Where two sources share numbers or names of people, or tracklets of one camera,
    nobody can tell whether they are the same: `same_people` says so. If it is false, people and tracklets are numbered
    apart, and the names of people are `SOURCE/NUMBER`. Names of people and cameras are numbered through all sources.

    `DataError` for an input that is not there or holds no picture, and for shared people without `same_people`.
    """
    return together(inputs, [manifest_of_one(path, pattern) for path in inputs], same_people)


def together(inputs: Sequence[Path], found: Sequence[Manifest], same_people: bool | None = None) -> Manifest:
    """The rows of the manifests that were found in the inputs, in order; people as in `manifest_of`."""
    if not sum(len(manifest) for manifest in found):
        raise DataError("expected at least one picture, got none; name files, folders or a CSV")
    sources = _sources(inputs, found)
    if same_people is None:
        _check_people(sources)
    apart = same_people is False and len(sources) > 1
    owner = {i: source.name if apart else "" for source in sources for i in source.manifests}
    pids, person_names = _numbered([_keys(each.pids, each.person_names, owner[i]) for i, each in enumerate(found)])
    camids, camera_names = _numbered([_keys(each.camids, each.camera_names, "") for each in found])
    tracklets = _together([each.tracklets for each in found], found)
    if apart and tracklets is not None:
        ends = np.cumsum([len(each) for each in found])[:-1]
        numbers = np.split(tracklets, ends)
        tracklets, _ = _numbered([_keys(each, {}, owner[i], first=0) for i, each in enumerate(numbers)])
    if apart and person_names:
        number, name = max(person_names.items())
        text = f"people of {len(sources)} inputs are numbered apart, as --no-same-people says"
        warnings.warn(f"{text}; the last, {brief(name)}, is {number}", DataWarning, stacklevel=3)
    dated = {each.dated for each in found if each.times is not None}
    if len(dated) > 1:
        raise DataError("expected times of one kind in all inputs, got dates in one and numbers in another")
    names = dict.fromkeys(name for each in found for name in each.metadata)
    return Manifest(
        tuple(path for each in found for path in each.paths),
        pids,
        camids,
        tuple(split for each in found for split in each.splits),
        _together([each.times for each in found], found),
        tracklets,
        dated == {True},
        person_names,
        camera_names,
        {name: tuple(v for each in found for v in each.metadata.get(name, (None,) * len(each))) for name in names},
    )


def manifest_of_one(path: Path, pattern: str | None = None, metadata: Further = ()) -> Manifest:
    """The pictures of one input: a picture, a folder, which is read with the `pattern` if there is one, or a table.

    Of a table, the further columns that `metadata` names are kept.
    """
    if path.is_dir() or path.suffix.lower() in TABLE_SUFFIXES:
        return parse(path, pattern if path.is_dir() else None, metadata=metadata)
    if not path.is_file():
        raise DataError(f"expected a picture, a folder or a CSV at {path}, got nothing")
    unknown = np.array([UNKNOWN], dtype=np.int64)
    return Manifest((path,), unknown, unknown, ("gallery",))


def _sources(inputs: Sequence[Path], found: Sequence[Manifest]) -> list[Source]:
    """The data sets of all inputs that know any person or tracklet, named after their folders."""
    roots: dict[Path, dict[int, Manifest]] = {}
    for i, (path, manifest) in enumerate(zip(inputs, found, strict=True)):
        roots.setdefault(data_set_of(path), {})[i] = manifest
    short = [root.stem if root.is_file() else root.name for root in roots]
    unique = len(set(short)) == len(short)
    return [
        Source(name if unique else str(root), manifests)
        for (root, manifests), name in zip(roots.items(), short, strict=True)
    ]


def _check_people(sources: Sequence[Source]) -> None:
    """Check that no two sources share a person or a tracklet of one camera."""
    owners: dict[tuple[str, object], str] = {}
    for source in sources:
        own: set[tuple[str, object]] = set()
        for each in source.manifests.values():
            own |= {("person", each.person_names.get(pid, pid)) for pid in each.identities().tolist()}
            if each.tracklets is not None:
                pairs = np.stack([each.camids, each.tracklets], axis=1)[each.tracklets >= 0]
                own |= {("tracklet", tuple(pair)) for pair in np.unique(pairs, axis=0).tolist()}
        shared = [thing for thing in own if thing in owners]
        if shared:
            what, first = min(shared, key=str)
            n = sum(kind == what for kind, _ in shared)
            of = f"tracklet {first[1]} of camera {first[0]}" if isinstance(first, tuple) else f"person {first}"
            raise DataError(
                f"expected people of one source, or to be told whether they are the same, got {printable(of)} in "
                f"{printable(owners[what, first])} and in {printable(source.name)} ({n} {what}s in all); say "
                "--same-people if they are the same, or --no-same-people to number them apart"
            )
        owners |= dict.fromkeys(own, source.name)


def _keys(numbers: Ints, names: Mapping[int, str], source: str, first: int = 1) -> list[Key | int]:
    """Who each row shows; numbers below the `first` are nobody's and stay as they are."""
    return [number if number < first else (source, names.get(number, number)) for number in numbers.tolist()]


def _numbered(columns: Sequence[Sequence[Key | int]]) -> tuple[Ints, dict[int, str]]:
    """The number of each row, and the names of numbers that are not the sources' own.

    The numbers of the first source that has any stay as they are; those of further ones, where they are others, and
    names come beyond them.
    """
    whole = [key for column in columns for key in column]
    keys = list(dict.fromkeys(key for key in whole if not isinstance(key, int)))
    numeric = [key for key in keys if isinstance(key[1], int)]
    sources = list(dict.fromkeys(source for source, _ in numeric))
    beyond = _beyond(max((int(number) for _, number in numeric), default=0))
    number = {key: int(key[1]) + beyond * sources.index(key[0]) for key in numeric}
    start = beyond * len(sources)
    named = sorted(key for key in keys if not isinstance(key[1], int))
    number |= {key: start + i for i, key in enumerate(named, start=1)}
    apart = any(source for source, _ in keys)
    names = {
        number[key]: f"{key[0]}/{key[1]}" if apart else str(key[1]) for key in keys if apart or isinstance(key[1], str)
    }
    if max(number.values(), default=0) >= 2**63:
        raise DataError("expected numbers of people and tracklets that can be told apart, got some of 18 digits")
    return np.array([key if isinstance(key, int) else number[key] for key in whole], dtype=np.int64), names


def _beyond(largest: int) -> int:
    """The step between the numbers of two sources: a power of ten."""
    return max(_BEYOND, int(10 ** len(str(largest))))


def _together(columns: Sequence[Ints | None], manifests: Sequence[Manifest]) -> Ints | None:
    """A column of all manifests joined, `UNKNOWN` where a manifest lacks it; None if all of them do."""
    if all(column is None for column in columns):
        return None
    sizes = [len(manifest) for manifest in manifests]
    full = [np.full(n, UNKNOWN) if column is None else column for column, n in zip(columns, sizes, strict=True)]
    return np.concatenate(full)
