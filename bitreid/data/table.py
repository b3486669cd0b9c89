"""Reading tables from CSV and Parquet files as text; errors name the line or row."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.errors import DataError

INTEGER = re.compile(r"-?[0-9]{1,18}")
"""Integers of at most 18 digits, which fit into 64 bits."""


@dataclass(frozen=True)
class Table:
    """The cells of a file as stripped text: `columns[name][row]`, from the line (`unit`: or row) `lines[row]`.

    names    all columns of the file, also those that were not read
    """

    path: Path
    names: tuple[str, ...]
    columns: dict[str, list[str]]
    lines: Sequence[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """The file and line (or row) of a row of the table, for an error message."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def integers(self, column: str, empty: int | None = None) -> npt.NDArray[np.int64]:
        """The column as integers. Empty cells become `empty`; without it they are a `DataError`, as other text is."""
        numbers = np.empty(len(self), dtype=np.int64)
        for row, cell in enumerate(self.columns[column]):
            if not cell and empty is not None:
                numbers[row] = empty
            elif INTEGER.fullmatch(cell):
                numbers[row] = int(cell)
            else:
                raise DataError(f"expected an integer in column {column!r} of {self.place(row)}, got {cell!r}")
        return numbers


def read_csv(path: Path) -> Table:
    """The table in a CSV file whose first line names the columns; empty lines are skipped.

    UTF-8 with or without byte order mark (spreadsheets write one). `DataError` if the file is missing or unreadable,
    the header lacks or repeats a name, there is no row, or a row is longer or shorter than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"expected a readable CSV file in UTF-8 at {path}, got: {error}") from error
    if not header or "" in header or len(set(header)) != len(header):
        raise DataError(f"expected a first line of different column names in {path}, got {','.join(header)!r}")
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"expected {len(header)} cells in {path}, line {line}, got {len(row)}")
    if not rows:
        raise DataError(f"expected rows below the first line of {path}, got none")
    columns = {name: [row[at] for _, row in rows] for at, name in enumerate(header)}
    return Table(path, tuple(header), columns, [line for line, _ in rows])


def read_parquet(path: Path, wanted: Sequence[str]) -> Table:
    """The table in a Parquet file, of its columns only those that are `wanted`; rows are counted from 1.

    Nulls are empty cells. Whole numbers that are stored as floats, as pandas does where some are missing, are integers
    again. `DataError` if the file is missing or unreadable, repeats a column's name or has no row.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("expected pyarrow to read Parquet files, got none; install bitreid[parquet]") from error
    try:
        with parquet.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
            if len(set(names)) != len(names):
                raise DataError(f"expected different column names in {path}, got {', '.join(names)}")
            table = file.read(columns=[name for name in wanted if name in names])
            n_rows = file.metadata.num_rows
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"expected a readable Parquet file at {path}, got: {error}") from error
    if not n_rows:
        raise DataError(f"expected rows in {path}, got none")
    columns = {name: [_word(value) for value in table.column(name).to_pylist()] for name in table.column_names}
    return Table(path, names, columns, range(1, n_rows + 1), "row")


def _word(value: object) -> str:
    """A value as the text that it has in a CSV file."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
