"""Manifests as files: a table of pictures, in CSV or Parquet."""

import csv
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.data.files import new_file
from bitreid.data.manifest import SPLITS, UNKNOWN, Manifest
from bitreid.data.table import read_csv, read_parquet
from bitreid.errors import DataError, DataWarning

TABLE_SUFFIXES = (".csv", ".parquet")
COLUMNS = ("path", "pid", "camid", "split", "time", "tracklet")


def parse_table(path: Path) -> Manifest:
    """The manifest that a `.csv` or `.parquet` file lists, in its order.

    Columns `path` (relative to the file's folder, or absolute) and optionally `pid`, `camid`, `split`, `time`,
    `tracklet`. Without the column or with an empty cell (Parquet: null), pid and camid are `UNKNOWN` and split is
    `gallery`. Other columns are ignored with a `DataWarning`. `DataError` with the number of the line (Parquet: row)
    for a cell that makes no sense. Like all parsers, this opens no picture and does not check that the files exist.
    """
    table = read_parquet(path, COLUMNS) if path.suffix.lower() == ".parquet" else read_csv(path)
    if "path" not in table.names:
        raise DataError(f"expected a column 'path' in {path}, got {', '.join(table.names)}")
    strange = [name for name in table.names if name not in COLUMNS]
    if strange:
        message = f"expected columns among {', '.join(COLUMNS)} in {path}, passing over {', '.join(strange)}"
        warnings.warn(message, DataWarning, stacklevel=2)
    files = table.columns["path"]
    splits = [split or "gallery" for split in table.columns.get("split", [""] * len(table))]
    for row, (file, split) in enumerate(zip(files, splits, strict=True)):
        if not file:
            raise DataError(f"expected a picture's path in {table.place(row)}, got an empty cell")
        if split not in SPLITS:
            raise DataError(f"expected a split among {', '.join(SPLITS)} in {table.place(row)}, got {split!r}")
    unknown = np.full(len(table), UNKNOWN, dtype=np.int64)
    return Manifest(
        tuple(path.parent / file for file in files),
        table.integers("pid", empty=UNKNOWN) if "pid" in table.columns else unknown,
        table.integers("camid", empty=UNKNOWN) if "camid" in table.columns else unknown,
        tuple(splits),
        table.integers("time") if "time" in table.columns else None,
        table.integers("tracklet") if "tracklet" in table.columns else None,
    )


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write the manifest as a `.csv` or `.parquet` file that `parse_table` reads; under a temporary name first.

    Paths of pictures in the file's folder, or in folders within it, are relative to it, so that the whole folder can be
    moved; others are absolute. Unknown identities and cameras are empty cells (Parquet: nulls). `DataError` for another
    ending, for a manifest without rows, and for a path that a table cannot hold (no UTF-8, or space at its ends).
    """
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise DataError(f"expected a file of a manifest that ends in {' or '.join(TABLE_SUFFIXES)}, got {path}")
    if not len(manifest):
        raise DataError(f"expected a manifest with rows to write to {path}, got none")
    folder = path.parent.absolute()
    columns: dict[str, list[str] | list[int | None]] = {
        "path": [_written(picture, folder) for picture in manifest.paths],
        "pid": _known(manifest.pids),
        "camid": _known(manifest.camids),
        "split": list(manifest.splits),
    }
    if manifest.times is not None:
        columns["time"] = manifest.times.tolist()
    if manifest.tracklets is not None:
        columns["tracklet"] = manifest.tracklets.tolist()
    write = _write_parquet if path.suffix.lower() == ".parquet" else _write_csv
    with new_file(path) as unfinished:
        write(unfinished, columns)


def _written(picture: Path, folder: Path) -> str:
    """A picture's path as text for a file in `folder`, an absolute path."""
    absolute = picture.absolute()
    text = (absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute).as_posix()
    if text.strip().encode("utf-8", "ignore").decode("utf-8") != text:
        raise DataError(f"expected paths without space at their ends and in UTF-8, got {text!r}; rename the picture")
    return text


def _known(values: npt.NDArray[np.int64]) -> list[int | None]:
    return [None if value == UNKNOWN else value for value in values.tolist()]


def _write_csv(path: Path, columns: dict[str, list[str] | list[int | None]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))


def _write_parquet(path: Path, columns: dict[str, list[str] | list[int | None]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("expected pyarrow to write Parquet files, got none; install bitreid[parquet]") from error
    words = ("path", "split")
    types = {name: pyarrow.string() if name in words else pyarrow.int64() for name in columns}
    parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(types)), path)
