"""MSMT17: pictures in a folder for each identity, and lists that name them."""

import re
from pathlib import Path

import numpy as np

from bitreid.data.files import warn_of_pictures, what_is_at
from bitreid.data.manifest import Manifest
from bitreid.errors import DataError

TEST_PIDS_FROM = 10_000
"""pid of the first test identity; those to train on are below, since their folders' names have four digits."""

_LISTS = {
    "list_train.txt": "train",
    "list_val.txt": "train",
    "list_query.txt": "query",
    "list_gallery.txt": "gallery",
}
_TRAIN_FOLDERS = ("train", "mask_train_v2")
_TEST_FOLDERS = ("test", "mask_test_v2")
_LINE = re.compile(
    r"(?P<file>(?:[^/\s]+/)*[^/\s_]+_[^/\s_]+_(?P<camid>[0-9]{1,18})_[^/\s]+\.[A-Za-z]+)\s+(?P<person>[0-9]{1,4})"
)


def parse_msmt17(root: Path) -> Manifest:
    """The pictures that MSMT17's lists name: train, validation, query, gallery, each in its list's order.

    Lists `list_train.txt`, `list_val.txt`, `list_query.txt`, `list_gallery.txt` (at least one of them), with lines such
    as `0000/0000_000_01_0303morning_0015_0.jpg 0`: the picture, whose third number is the camera, and its identity. The
    pictures are in `train` and `test`, in the second version `mask_train_v2` and `mask_test_v2`. Train and validation
    show the same identities, and both become the split `train`; to compare with models trained without validation, drop
    its rows. Both halves number their identities from 0; so that no number means two people or a distractor, identity i
    is pid i + 1 in train and 10,000 + i in test.

    32,621 pictures of 1,041 identities to train on (2,373 of them validation), 11,659 queries and 82,161 gallery
    pictures of 3,060 others, 15 cameras (Wei et al., Person Transfer GAN to Bridge Domain Gap, CVPR 2018). Tested on
    imitations.

    `DataError` if there is no list, a list's folder is missing, a line makes no sense (with its number) or none of a
    list's pictures is there; one `DataWarning` counts the listed pictures that are absent, which are left out.
    """
    lists = [root / name for name in _LISTS if (root / name).is_file()]
    if not lists:
        raise DataError(f"expected one or more of the lists {', '.join(_LISTS)} in {root}, got {what_is_at(root)}")
    paths: list[Path] = []
    pids: list[int] = []
    camids: list[int] = []
    splits: list[str] = []
    absent: list[Path] = []
    for path in lists:
        split = _LISTS[path.name]
        folder = _folder_of(path, split)
        lines = _lines(path)
        n_before = len(paths)
        for line in lines:
            picture = folder / line["file"]
            if not picture.is_file():
                absent.append(picture)
                continue
            paths.append(picture)
            pids.append(int(line["person"]) + (1 if split == "train" else TEST_PIDS_FROM))
            camids.append(int(line["camid"]))
            splits.append(split)
        if len(paths) == n_before:
            raise DataError(f"expected the pictures that {path} names in {folder}, got none of {len(lines)}")
    warn_of_pictures(absent, f"that the lists in {root} name are absent and left out")
    return Manifest(tuple(paths), np.array(pids, dtype=np.int64), np.array(camids, dtype=np.int64), tuple(splits))


def has_msmt17_lists(root: Path) -> bool:
    """Whether a folder has MSMT17's layout: one of its lists beside one of its folders."""
    folders = (*_TRAIN_FOLDERS, *_TEST_FOLDERS)
    return any((root / name).is_file() for name in _LISTS) and any((root / name).is_dir() for name in folders)


def _folder_of(path: Path, split: str) -> Path:
    names = _TRAIN_FOLDERS if split == "train" else _TEST_FOLDERS
    for name in names:
        if (path.parent / name).is_dir():
            return path.parent / name
    raise DataError(f"expected the folder {' or '.join(names)} beside {path}, got neither")


def _lines(path: Path) -> list[re.Match[str]]:
    """The match of each line of a list; empty lines are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"expected a list of pictures in UTF-8 at {path}, got: {error}") from error
    matches = []
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.strip())
        if match:
            matches.append(match)
        elif line.strip():
            raise DataError(
                f"expected a line like '0000/0000_000_01_0303morning_0015_0.jpg 0' in {path}, line {number}, "
                f"got {line.strip()!r}"
            )
    if not matches:
        raise DataError(f"expected lines that name pictures in {path}, got none")
    return matches
