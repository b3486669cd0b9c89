"""Data sets with a folder for each person: `query/0041/0041_c1s1_000001_00.jpg`."""

import re
from pathlib import Path

import numpy as np

from bitreid.data.files import pictures_in
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.table import INTEGER
from bitreid.errors import DataError

FOLDERS = {"train_all": "train", "train": "train", "val": "train", "query": "query", "gallery": "gallery"}
MORE_QUERIES = "multi-query"
_CAMERA = re.compile(r"_c(?P<camid>[0-9]{1,18})(?![0-9])")


def parse_persons(root: Path, multi_query: bool = False) -> Manifest:
    """The pictures of a data set with a folder for each person: train, query, gallery, each sorted by path.

    Folders `train_all` (or else `train` and `val`), `query`, `gallery`, in each a folder for each person, as scripts
    make them from Market-1501. The person's folder is the identity; people with names are numbered from 1. The camera
    is the number after `_c` in a picture's name, else unknown. With `multi_query`, the pictures in `multi-query` are
    queries too.

    `DataError` if some people have numbers and others names.
    """
    found = _with_people(root)
    used = [name for name in FOLDERS if name in found and not (name in ("train", "val") and "train_all" in found)]
    if multi_query and (root / MORE_QUERIES).is_dir():
        used.insert(used.index("query") + 1 if "query" in used else len(used), MORE_QUERIES)
    paths, splits, people = [], [], []
    for name in used:
        pictures = pictures_in(root / name, recursive=True)
        paths += pictures
        splits += [FOLDERS.get(name, "query")] * len(pictures)
        people += [_person(path, root / name) for path in pictures]
    return _manifest(paths, splits, people, root)


def parse_one_person_folder(folder: Path) -> Manifest | None:
    """The pictures of one of the folders of such a data set, by itself; None for any other folder."""
    whole = folder.resolve()
    if (
        whole.name not in FOLDERS
        or not has_person_folders(whole.parent)
        or whole.name not in _with_people(whole.parent)
    ):
        return None
    paths = pictures_in(folder, recursive=True)
    people = [_person(path, folder) for path in paths]
    return _manifest(paths, [FOLDERS[whole.name]] * len(paths), people, folder)


def has_person_folders(root: Path) -> bool:
    """Whether a folder has this layout: `query` and `gallery`, or `train`, with nothing but folders of pictures."""
    found = _with_people(root)
    return {"query", "gallery"} <= found or bool({"train", "train_all"} & found)


def _with_people(root: Path) -> set[str]:
    """The folders of a data set that hold folders, and no picture beside them."""
    found = set()
    for name in FOLDERS:
        inside = [each for each in (root / name).iterdir() if each.name[0] != "."] if (root / name).is_dir() else []
        folders = [each for each in inside if each.is_dir()]
        if (
            folders
            and not pictures_in(root / name, recursive=False, warn=False)
            and pictures_in(folders[0], recursive=False, warn=False)
        ):
            found.add(name)
    return found


def _person(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def _manifest(paths: list[Path], splits: list[str], people: list[str], root: Path) -> Manifest:
    words = sorted(set(people))
    numbered = [bool(INTEGER.fullmatch(word)) for word in words]
    if any(numbered) and not all(numbered):
        named = words[numbered.index(False)]
        raise DataError(
            f"expected folders of people that all have numbers or all have names in {root}, got {words[0]!r} and "
            f"{named!r}; rename some"
        )
    number = {word: int(word) if all(numbered) else i for i, word in enumerate(words, start=1)}
    cameras = [_CAMERA.search(path.name) for path in paths]
    return Manifest(
        tuple(paths),
        np.array([number[word] for word in people], dtype=np.int64),
        np.array([int(match["camid"]) if match else UNKNOWN for match in cameras], dtype=np.int64),
        tuple(splits),
        person_names={} if all(numbered) else {i: word for word, i in number.items()},
    )
