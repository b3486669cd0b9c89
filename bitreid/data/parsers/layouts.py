"""Recognising the layout of a data set on disk, and folders of pictures in no known layout.

No parser opens a picture; `pictures.check_pictures` does."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.data.files import pictures_in, warn_of_pictures, what_is_at
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.listing import TABLE_SUFFIXES, parse_table
from bitreid.data.parsers.market import has_duke_names, has_market_folders, parse_duke, parse_market1501
from bitreid.data.parsers.msmt17 import has_msmt17_lists, parse_msmt17
from bitreid.data.table import INTEGER
from bitreid.errors import DataError, SettingsError


def parse(data: Path, pattern: str | None = None, split: str = "gallery") -> Manifest:
    """The manifest of a table of pictures, of a known data set, or of any other folder of pictures.

    - a `.csv` or `.parquet` file: `listing.parse_table`
    - a folder with `bounding_box_train` or `bounding_box_test`: `market.parse_market1501`, or, where the names of the
      pictures say so, `market.parse_duke`
    - a folder with MSMT17's lists: `msmt17.parse_msmt17`
    - any other folder: `parse_folder`

    With a `pattern`, the layout of a folder does not matter: `parse_folder` reads it, and gets `split` too. CUHK03 has
    to be converted first: `cuhk03.convert_cuhk03`.
    """
    if data.is_dir():
        if pattern is not None:
            return parse_folder(data, pattern, split)
        if has_market_folders(data):
            return parse_duke(data) if has_duke_names(data) else parse_market1501(data)
        return parse_msmt17(data) if has_msmt17_lists(data) else parse_folder(data)
    if data.is_file() and data.suffix.lower() in TABLE_SUFFIXES:
        return parse_table(data)
    raise DataError(f"expected a folder of pictures or a .csv or .parquet manifest at {data}, got {what_is_at(data)}")


def parse_folder(root: Path, pattern: str | None = None, split: str = "gallery") -> Manifest:
    """All pictures in a folder and the folders within it, sorted by path, as one split.

    `pattern` is a regular expression, searched for in each path relative to `root` (with forward slashes), with the
    named groups `pid`, `camid` or both. If all values of a group are integers they are taken as they are; otherwise the
    values are sorted and numbered from 1. Without its group, the identity or the camera is `UNKNOWN`.

    Example: `(?P<pid>[^/]+)/(?P<camid>[^/_]+)_` for `anna/entrance_17.jpg`.

    `DataError` for a folder without pictures or a pattern that fits none of them; one `DataWarning` counts the pictures
    that it does not fit, which are kept with an `UNKNOWN` identity and camera.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of pictures at {root}, got {what_is_at(root)}")
    paths = pictures_in(root, recursive=True)
    if not paths:
        raise DataError(f"expected pictures in {root}, got none")
    pids = camids = _column([UNKNOWN] * len(paths))
    if pattern is not None:
        regex = _compiled(pattern)
        matches = [regex.search(path.relative_to(root).as_posix()) for path in paths]
        strange = [path for path, match in zip(paths, matches, strict=True) if not match]
        if len(strange) == len(paths):
            raise DataError(f"expected paths that fit the pattern {pattern!r} in {root}, got none; first: {paths[0]}")
        warn_of_pictures(strange, f"do not fit the pattern {pattern!r}; their identity and camera are unknown")
        pids = _numbered(matches, "pid", regex)
        camids = _numbered(matches, "camid", regex)
    return Manifest(tuple(paths), pids, camids, (split,) * len(paths))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"expected a regular expression as pattern, got {pattern!r}: {error}") from error
    if not {"pid", "camid"} & set(regex.groupindex):
        raise SettingsError(f"expected a pattern with a group (?P<pid>...) or (?P<camid>...), got {pattern!r}")
    return regex


def _numbered(matches: Sequence[re.Match[str] | None], group: str, regex: re.Pattern[str]) -> npt.NDArray[np.int64]:
    """What the group caught in each match, as numbers; `UNKNOWN` where there is no match or the group took no part."""
    if group not in regex.groupindex:
        return _column([UNKNOWN] * len(matches))
    words = [match[group] if match else None for match in matches]
    known = sorted({word for word in words if word is not None})
    if all(INTEGER.fullmatch(word) for word in known):
        numbers = {word: int(word) for word in known}
    else:
        numbers = {word: number for number, word in enumerate(known, start=1)}
    return _column([UNKNOWN if word is None else numbers[word] for word in words])


def _column(values: list[int]) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
