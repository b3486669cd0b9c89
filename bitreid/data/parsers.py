"""Parsers: each turns pictures on disk into a `Manifest`, without opening one (`pictures.check_pictures` does that)."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.data.csvfile import INTEGER, read_csv
from bitreid.data.manifest import SPLITS, UNKNOWN, Manifest
from bitreid.errors import DataError, DataWarning, SettingsError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MARKET_FOLDERS = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
MARKET_NAME = re.compile(r"(?P<pid>-1|[0-9]{1,18})_c(?P<camid>[0-9]{1,18})s[0-9]+_[0-9]+_[0-9]+\.[A-Za-z]+")
CSV_COLUMNS = ("path", "pid", "camid", "split", "time", "tracklet")


def parse(data: Path, pattern: str | None = None, split: str = "gallery") -> Manifest:
    """The manifest of what `--data` names: a CSV file, a folder in Market-1501's layout, else a folder of pictures.

    Market-1501's layout is told by `bounding_box_train` or `bounding_box_test`; anybody may call a folder `query`.
    With a `pattern`, a folder is one of pictures whatever its layout: see `parse_folder`, which gets `split` too.
    """
    if data.is_dir():
        if pattern is not None:
            return parse_folder(data, pattern, split)
        in_market_layout = any(folder.name.startswith("bounding_box") for folder in _market_folders(data))
        return parse_market1501(data) if in_market_layout else parse_folder(data)
    if data.is_file() and data.suffix.lower() == ".csv":
        return parse_csv(data)
    raise DataError(f"expected a folder of pictures or a .csv manifest at {data}, got {_what_is_at(data)}")


def parse_market1501(root: Path) -> Manifest:
    """The pictures of a folder in Market-1501's layout: train, then query, then gallery, each sorted by name.

    Folders `bounding_box_train`, `query`, `bounding_box_test` (at least one of them), names
    `PPPP_cCsS_KKKKKK_00.jpg`: identity P (-1 junk, 0000 distractor), camera C. The frame number K restarts with every
    sequence S, so it is no time that could be compared, and `times` stays empty.

    `DataError` for a folder without a single such name; a counted `DataWarning` for pictures whose names do not fit,
    which are left out; files that are no pictures (Market-1501 itself holds `Thumbs.db`) are passed over.
    """
    folders = _market_folders(root)
    if not folders:
        raise DataError(
            f"expected one or more of the folders {', '.join(MARKET_FOLDERS)} in {root}, got {_what_is_at(root)}"
        )
    paths: list[Path] = []
    pids: list[int] = []
    camids: list[int] = []
    splits: list[str] = []
    strange: list[Path] = []
    for folder in folders:
        matches = [(path, MARKET_NAME.fullmatch(path.name)) for path in _pictures(folder, recursive=False)]
        named = [(path, match) for path, match in matches if match]
        strange += [path for path, match in matches if not match]
        if not named:
            raise DataError(
                f"expected pictures named like 0001_c1s1_000001_00.jpg in {folder}, "
                f"got none among {len(matches)} pictures"
            )
        paths += [path for path, _ in named]
        pids += [int(match["pid"]) for _, match in named]
        camids += [int(match["camid"]) for _, match in named]
        splits += [MARKET_FOLDERS[folder.name]] * len(named)
    _warn_strange(strange, "do not have names like 0001_c1s1_000001_00.jpg and are left out")
    return Manifest(tuple(paths), _column(pids), _column(camids), tuple(splits))


def parse_folder(root: Path, pattern: str | None = None, split: str = "gallery") -> Manifest:
    """All pictures in a folder and the folders within it, sorted by path, as one split.

    `pattern` is a regular expression, searched for in each path relative to `root` (with forward slashes), with the
    named groups `pid`, `camid` or both. Where all values of a group are integers they are taken as they are; otherwise
    they are words, numbered from 1 in sorted order. Without a group, identity or camera is `UNKNOWN`.

    Example: `(?P<pid>[^/]+)/(?P<camid>[^/_]+)_` for `anna/entrance_17.jpg`.

    `DataError` for a folder without pictures or a pattern that fits none of them; a counted `DataWarning` for pictures
    that it does not fit, which are kept with identity and camera `UNKNOWN`.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of pictures at {root}, got {_what_is_at(root)}")
    paths = _pictures(root, recursive=True)
    if not paths:
        raise DataError(f"expected pictures ({', '.join(PICTURE_SUFFIXES)}) in {root}, got none")
    pids = camids = _column([UNKNOWN] * len(paths))
    if pattern is not None:
        regex = _compiled(pattern)
        matches = [regex.search(path.relative_to(root).as_posix()) for path in paths]
        strange = [path for path, match in zip(paths, matches, strict=True) if not match]
        if len(strange) == len(paths):
            raise DataError(f"expected paths that fit the pattern {pattern!r} in {root}, got none; first: {paths[0]}")
        _warn_strange(strange, f"do not fit the pattern {pattern!r}; their identity and camera are unknown")
        pids = _numbered(matches, "pid", regex)
        camids = _numbered(matches, "camid", regex)
    return Manifest(tuple(paths), pids, camids, (split,) * len(paths))


def parse_csv(path: Path) -> Manifest:
    """The manifest that a CSV file lists, in its order.

    Columns `path` (relative to the CSV's folder, or absolute) and optionally `pid`, `camid`, `split`, `time`,
    `tracklet`. Without the column or with an empty cell, pid and camid are `UNKNOWN` and split is `gallery`. Other
    columns are passed over with a `DataWarning`. `DataError` with the line number for a cell that makes no sense.
    """
    table = read_csv(path)
    if "path" not in table.columns:
        raise DataError(f"expected a column 'path' in {path}, got {', '.join(table.columns)}")
    strange = [name for name in table.columns if name not in CSV_COLUMNS]
    if strange:
        message = f"expected columns among {', '.join(CSV_COLUMNS)} in {path}, passing over {', '.join(strange)}"
        warnings.warn(message, DataWarning, stacklevel=2)
    nothing = [""] * len(table)
    files = table.columns["path"]
    splits = [split or "gallery" for split in table.columns.get("split", nothing)]
    for row, (file, split) in enumerate(zip(files, splits, strict=True)):
        if not file:
            raise DataError(f"expected a picture's path in {table.place(row)}, got an empty cell")
        if split not in SPLITS:
            raise DataError(f"expected a split among {', '.join(SPLITS)} in {table.place(row)}, got {split!r}")
    unknown = _column([UNKNOWN] * len(table))
    return Manifest(
        tuple(path.parent / file for file in files),
        table.integers("pid", empty=UNKNOWN) if "pid" in table.columns else unknown,
        table.integers("camid", empty=UNKNOWN) if "camid" in table.columns else unknown,
        tuple(splits),
        table.integers("time") if "time" in table.columns else None,
        table.integers("tracklet") if "tracklet" in table.columns else None,
    )


def _market_folders(root: Path) -> list[Path]:
    return [root / name for name in MARKET_FOLDERS if (root / name).is_dir()]


def _pictures(folder: Path, recursive: bool) -> list[Path]:
    """The picture files of a folder, sorted by path.

    Hidden files and folders are passed over: macOS leaves `._0001.jpg` beside `0001.jpg`, others keep thumbnails.
    """
    return sorted(
        path
        for path in (folder.rglob("*") if recursive else folder.iterdir())
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


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


def _warn_strange(strange: list[Path], what: str) -> None:
    if strange:
        warnings.warn(f"{len(strange)} pictures {what}; first: {strange[0]}", DataWarning, stacklevel=3)


def _what_is_at(path: Path) -> str:
    if path.is_dir():
        return f"a folder with {sum(1 for _ in path.iterdir())} other entries"
    return "a file" if path.exists() else "nothing"
