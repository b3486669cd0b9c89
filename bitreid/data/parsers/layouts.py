"""Recognising the layout of a data set on disk, and folders of pictures in no known layout.

No parser opens a picture; `pictures.check_pictures` does."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.files import pictures_in, warn_of_pictures, what_is_at
from bitreid.data.manifest import DISTRACTOR, UNKNOWN, Further, Manifest
from bitreid.data.parsers import market, persons
from bitreid.data.parsers.listing import TABLE_SUFFIXES, parse_table
from bitreid.data.parsers.market import has_market_folders, parse_boxes, parse_one_folder
from bitreid.data.parsers.msmt17 import has_msmt17_lists, parse_msmt17
from bitreid.data.parsers.persons import has_person_folders, parse_one_person_folder, parse_persons
from bitreid.data.table import INTEGER
from bitreid.errors import DataError, SettingsError

_SPLITS = {"train": "train", "query": "query", "probe": "query", "gallery": "gallery", "test": "gallery"}
"""What the group `split` of a pattern may catch, and what the names of folders may hold; the first one found counts."""


def parse(
    data: Path,
    pattern: str | None = None,
    split: str | None = None,
    multi_query: bool = False,
    metadata: Further = (),
) -> Manifest:
    """The manifest of a table of pictures, of a known data set, or of any other folder of pictures.

    - a `.csv` or `.parquet` file: `listing.parse_table`
    - a folder with `bounding_box_train` or `bounding_box_test`: `market.parse_boxes`, which tells Market-1501,
      DukeMTMC-reID, CUHK03-NP and MOT17-ReID by the names of the pictures
    - a folder with MSMT17's lists: `msmt17.parse_msmt17`
    - a folder whose `query` and `gallery`, or `train`, hold a folder for each person: `persons.parse_persons`
    - one of these folders of a data set, such as its `query`: its pictures, read as those of the whole
    - any other folder: `parse_folder`

    With a `pattern`, the layout of a folder does not matter: `parse_folder` reads it, and gets `split` too. With
    `multi_query` the pictures that some data sets have for multi-query evaluation are queries. Of a table, the further
    columns that `metadata` names are kept; folders have none. CUHK03's own file has to be converted first:
    `cuhk03.convert_cuhk03`.
    """
    if data.is_dir():
        if pattern is not None:
            return parse_folder(data, pattern, split)
        if has_market_folders(data):
            return parse_boxes(data, multi_query)
        if has_msmt17_lists(data):
            return parse_msmt17(data)
        if has_person_folders(data):
            return parse_persons(data, multi_query)
        return parse_one_folder(data) or parse_one_person_folder(data) or parse_folder(data)
    if data.is_file() and data.suffix.lower() in TABLE_SUFFIXES:
        if pattern is not None:
            raise SettingsError(
                f"expected a folder of pictures for a pattern, got the table {data}; leave out --pattern"
            )
        return parse_table(data, metadata)
    raise DataError(f"expected a folder of pictures or a .csv or .parquet manifest at {data}, got {what_is_at(data)}")


def data_set_of(data: Path) -> Path:
    """The data set that an input belongs to: for one of the folders of a known layout the one that holds it, else the
    input itself."""
    whole = data.resolve()
    known = {*market.FOLDERS, market.MORE_QUERIES, *persons.FOLDERS, persons.MORE_QUERIES}
    if whole.name in known and (has_market_folders(whole.parent) or has_person_folders(whole.parent)):
        return whole.parent
    return whole


def parse_folder(root: Path, pattern: str | None = None, split: str | None = None) -> Manifest:
    """All pictures in a folder and the folders within it, sorted by path.

    `pattern` is a regular expression, searched for in each path relative to `root` (with forward slashes), with the
    named groups `pid`, `camid` or both, and perhaps `split`. If all values of a group are integers they are taken as
    they are; otherwise the values are sorted and numbered from 1. Without its group, the identity or the camera is
    `UNKNOWN`. The split is `split` for all; without it, what the pattern's group says, or with a pattern without that
    group what the first folder is called (`image_query`): `train`, `query` or `probe`, else the gallery.

    Example: `(?P<pid>[^/]+)/(?P<camid>[^/_]+)_` for `anna/entrance_17.jpg`.

    `DataError` for a folder without pictures or a pattern that fits none of them; one `DataWarning` counts the pictures
    that it does not fit, which are kept with an `UNKNOWN` identity and camera, and another those of identity 0, who is
    a distractor: nobody.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of pictures at {root}, got {what_is_at(root)}")
    paths = pictures_in(root, recursive=True)
    if not paths:
        raise DataError(f"expected pictures in {root}, got none")
    if pattern is None:
        unknown = _column([UNKNOWN] * len(paths))
        return Manifest(tuple(paths), unknown, unknown, (split or "gallery",) * len(paths))
    return manifest_by_pattern(paths, pattern, root, split)


def manifest_by_pattern(
    paths: Sequence[Path], pattern: str, root: Path | None = None, split: str | None = None
) -> Manifest:
    """Return what a pattern finds in the paths of pictures, relative to a `root`, if any; see `parse_folder`."""
    regex = _compiled(pattern)
    names = [(path if root is None else path.relative_to(root)).as_posix() for path in paths]
    matches = [regex.search(name) for name in names]
    strange = [path for path, match in zip(paths, matches, strict=True) if not match]
    if len(strange) == len(paths):
        where = "" if root is None else f" in {root}"
        raise DataError(f"expected paths that fit the pattern {pattern!r}{where}, got none; first: {paths[0]}")
    warn_of_pictures(strange, f"do not fit the pattern {pattern!r}; their identity and camera are unknown")
    pids, person_names = _numbered(matches, "pid", regex)
    camids, camera_names = _numbered(matches, "camid", regex)
    nobody = [path for path, pid in zip(paths, pids, strict=True) if pid == DISTRACTOR]
    warn_of_pictures(nobody, "have identity 0, which means a distractor: nobody; if it is a person, count from 1")
    if split is not None:
        splits = (split,) * len(paths)
    else:
        splits = tuple(_split(match, name) for match, name in zip(matches, names, strict=True))
    return Manifest(tuple(paths), pids, camids, splits, person_names=person_names, camera_names=camera_names)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"expected a regular expression as pattern, got {pattern!r}: {error}") from error
    if not {"pid", "camid"} & set(regex.groupindex):
        raise SettingsError(f"expected a pattern with a group (?P<pid>...) or (?P<camid>...), got {pattern!r}")
    return regex


def _numbered(
    matches: Sequence[re.Match[str] | None], group: str, regex: re.Pattern[str]
) -> tuple[Ints, dict[int, str]]:
    """What the group caught in each match, as numbers, and the names of numbers that stand for words.

    `UNKNOWN` where there is no match or the group took no part.
    """
    if group not in regex.groupindex:
        return _column([UNKNOWN] * len(matches)), {}
    words = [match[group] if match else None for match in matches]
    known = sorted({word for word in words if word is not None})
    names = {} if all(INTEGER.fullmatch(word) for word in known) else dict(enumerate(known, start=1))
    numbers = {word: number for number, word in names.items()} or {word: int(word) for word in known}
    return _column([UNKNOWN if word is None else numbers[word] for word in words]), names


def _split(match: re.Match[str] | None, name: str) -> str:
    """The split of a picture that a pattern fits, or not."""
    if match and "split" in match.re.groupindex:
        word = match["split"]
        if word is None or word.lower() not in _SPLITS:
            raise DataError(f"expected the group split to catch one of {', '.join(_SPLITS)}, got {word!r} in {name!r}")
        return _SPLITS[word.lower()]
    folder = name.partition("/")[0].lower() if "/" in name else ""
    return next((split for word, split in _SPLITS.items() if word in folder), "gallery")


def _column(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
