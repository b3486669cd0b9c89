"""Manifests as files: a table of pictures, in CSV or Parquet."""

import csv
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.arrow import pyarrow_and_parquet
from bitreid.data.files import new_file
from bitreid.data.manifest import SPLITS, UNKNOWN, Further, Manifest
from bitreid.data.table import GAPS, Table, read_csv, read_parquet
from bitreid.errors import DataError, DataWarning
from bitreid.text import brief, shown

TABLE_SUFFIXES = (".csv", ".parquet")
COLUMNS = ("path", "pid", "camid", "split", "time", "tracklet")

_BOXES = ("x y w h", "x y width height", "x1 y1 x2 y2", "xmin ymin xmax ymax")
_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for a formula at the beginning of a cell."""
_NAMED = 10
"""How many names of people or cameras one warning shows."""


def parse_table(path: Path, metadata: Further = ()) -> Manifest:
    """The manifest that a `.csv` or `.parquet` file lists, in its order.

    Columns `path` (relative to the file's folder, or absolute, with forward or backward slashes) and optionally `pid`,
    `camid`, `split`, `time`, `tracklet`. Without the column or in a gap (`table.GAPS`; Parquet: null), pid, camid, time
    and tracklet are `UNKNOWN` and split is `gallery`. People or cameras with names are numbered from 1 in the order of
    their names; a `DataWarning` says how. Times are whole numbers, or dates in ISO 8601 (in UTC where they name no
    zone), which become microseconds from 1970 on. The columns that `metadata` names, or `all` further ones, are kept;
    others are ignored with a `DataWarning`.

    `DataError` with the number of the line (Parquet: row) for a cell that makes no sense, for boxes (columns x, y, w,
    h), which say that the pictures hold more than one person, and for one path with two identities. Like all parsers,
    this opens no picture and does not check that the files exist.
    """
    parquet = path.suffix.lower() == ".parquet"
    table = read_parquet(path, None if metadata == "all" else (*COLUMNS, *metadata)) if parquet else read_csv(path)
    if "path" not in table.names:
        raise DataError(f"expected a column 'path' in {path}, got {brief(', '.join(table.names))}")
    further = [name for name in table.names if name not in COLUMNS]
    boxes = next((box for box in _BOXES if {*box.split()} <= {name.lower() for name in table.names}), None)
    if boxes:
        raise DataError(
            f"expected a picture of one person in each row of {path}, got boxes ({boxes}) within "
            "pictures; cut each box out, as Pillow's Image.crop does, save it and list the crops instead"
        )
    kept = further if metadata == "all" else list(metadata)
    missing = [name for name in kept if name not in further]
    if missing:
        raise DataError(
            f"expected the column {missing[0]!r} to keep in {path}, got {brief(', '.join(further)) or 'none'}"
        )
    strange = [name for name in further if name not in kept]
    if strange:
        message = f"expected columns among {', '.join(COLUMNS)} in {path}, passing over {brief(', '.join(strange))}"
        warnings.warn(message, DataWarning, stacklevel=2)
    files = [file.replace("\\", "/") for file in table.columns["path"]]
    splits = [split or "gallery" for split in table.columns.get("split", [""] * len(table))]
    for row, (file, split) in enumerate(zip(files, splits, strict=True)):
        if not file:
            raise DataError(f"expected a picture's path in {table.place(row)}, got an empty cell")
        if split not in SPLITS:
            raise DataError(f"expected a split among {', '.join(SPLITS)} in {table.place(row)}, got {shown(split)}")
    pids, person_names = _numbered(table, "pid")
    camids, camera_names = _numbered(table, "camid")
    _check_one_person(table, files, pids)
    times, dated = table.times("time", UNKNOWN) if "time" in table.columns else (None, False)
    return Manifest(
        tuple(path.parent / file for file in files),
        pids,
        camids,
        tuple(splits),
        times,
        table.integers("tracklet", UNKNOWN) if "tracklet" in table.columns else None,
        dated,
        person_names,
        camera_names,
        {name: table.values(name) for name in kept},
    )


def _numbered(table: Table, column: str) -> tuple[Ints, dict[int, str]]:
    """A column of people or cameras, and their names; all are `UNKNOWN` without the column."""
    if column not in table.columns:
        return np.full(len(table), UNKNOWN, dtype=np.int64), {}
    numbers, names = table.numbered(column, UNKNOWN)
    if names:
        first = ", ".join(f"{number} {name}" for number, name in list(names.items())[:_NAMED])
        text = f"{len(names)} names in column {column!r} of {table.path} are numbered in alphabetical order"
        more = ", ..." if len(names) > _NAMED else ""
        warnings.warn(f"{text}: {brief(first)}{more}", DataWarning, stacklevel=3)
    return numbers, names


def _check_one_person(table: Table, files: Sequence[str], pids: Ints) -> None:
    """Check that no picture shows two people: both would get the code of the whole picture."""
    first: dict[str, int] = {}
    for row in np.flatnonzero(pids > 0).tolist():
        before = first.setdefault(files[row], row)
        if pids[before] != pids[row]:
            raise DataError(
                f"expected one identity for each picture, got {shown(files[row])} with {pids[before]} in "
                f"{table.place(before)} and with {pids[row]} in {table.unit} {table.lines[row]}; list a crop of each"
            )


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write the manifest as a `.csv` or `.parquet` file that `parse_table` reads; under a temporary name first.

    Paths of pictures in the file's folder, or in folders within it, are relative to it, so that the whole folder can be
    moved; others are absolute. Unknown identities, cameras, times and tracklets are empty cells (Parquet: nulls);
    people and cameras with names are written by them, and dates in ISO 8601. `DataError` for another ending, for a
    manifest without rows, and for text that a table cannot hold: no UTF-8, space at its ends, a backslash in a path, or
    text that a spreadsheet takes for a formula (`=`, `+`, `-` or `@` first; a path gets `./` before it).
    """
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise DataError(f"expected a file of a manifest that ends in {' or '.join(TABLE_SUFFIXES)}, got {path}")
    if not len(manifest):
        raise DataError(f"expected a manifest with rows to write to {path}, got none")
    folder = path.parent.absolute()
    columns: dict[str, list[Any]] = {
        "path": [_path_cell(picture, folder) for picture in manifest.paths],
        "pid": _cells(manifest.pids, manifest.person_names),
        "camid": _cells(manifest.camids, manifest.camera_names),
        "split": list(manifest.splits),
    }
    if manifest.times is not None:
        times = _cells(manifest.times, {})
        columns["time"] = [None if time is None else _date(time) for time in times] if manifest.dated else times
    if manifest.tracklets is not None:
        columns["tracklet"] = _cells(manifest.tracklets, {})
    columns |= {
        name: [_text_cell(value) if isinstance(value, str) else value for value in values]
        for name, values in manifest.metadata.items()
    }
    write = _write_parquet if path.suffix.lower() == ".parquet" else _write_csv
    with new_file(path) as unfinished:
        write(unfinished, columns)


def _path_cell(picture: Path, folder: Path) -> str:
    """A picture's path as text for a file in `folder`, an absolute path."""
    absolute = picture.absolute()
    text = (absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute).as_posix()
    if "\\" in text:
        raise DataError(f"expected paths without backslashes, got {shown(text)}; rename the picture")
    return _text_cell(f"./{text}" if text.startswith(_FORMULA) or text in GAPS else text)


def _text_cell(text: str) -> str:
    """The text, which reading will give back."""
    if text.strip().encode("utf-8", "ignore").decode("utf-8") != text or text in GAPS or text.startswith(_FORMULA):
        raise DataError(
            f"expected text in UTF-8 without space at its ends that is no formula (=, +, -, @) and no word for a gap, "
            f"got {shown(text)}; change it"
        )
    return text


def _cells(values: Ints, names: Mapping[int, str]) -> list[Any]:
    """The values, or their names where all have one; None for `UNKNOWN`."""
    known = [None if value == UNKNOWN else value for value in values.tolist()]
    if not names or any(value is not None and value not in names for value in known):
        return known
    return [None if value is None else _text_cell(names[value]) for value in known]


def _date(microseconds: int) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError as error:
        raise DataError(
            f"expected dates of the years 1 to 9999, got {microseconds} microseconds from 1970 on"
        ) from error


def _write_csv(path: Path, columns: dict[str, list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))


def _write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    pyarrow, parquet = pyarrow_and_parquet()
    # Without a value, pyarrow takes numbers for nothing at all.
    columns = {
        name: pyarrow.array(cells, None if any(cell is not None for cell in cells) else pyarrow.int64())
        for name, cells in columns.items()
    }
    parquet.write_table(pyarrow.table(columns), path)
