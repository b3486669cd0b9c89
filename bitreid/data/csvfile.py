"""Reading small CSV files; errors name the line."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.errors import DataError

INTEGER = re.compile(r"-?[0-9]{1,18}")
"""Integers that fit 64 bits without a further look."""


@dataclass(frozen=True)
class CsvTable:
    """The cells of a CSV file, stripped: `columns[name][row]`, which stood in line `lines[row]` of the file."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Where a row stands, for an error message."""
        return f"{self.path}, line {self.lines[row]}"

    def integers(self, column: str, empty: int | None = None) -> npt.NDArray[np.int64]:
        """The column as integers; `empty` stands for empty cells, which are errors without it."""
        numbers = np.empty(len(self), dtype=np.int64)
        for row, cell in enumerate(self.columns[column]):
            if not cell and empty is not None:
                numbers[row] = empty
            elif INTEGER.fullmatch(cell):
                numbers[row] = int(cell)
            else:
                raise DataError(f"expected an integer in column {column!r} of {self.place(row)}, got {cell!r}")
        return numbers


def read_csv(path: Path) -> CsvTable:
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
    return CsvTable(path, columns, [line for line, _ in rows])
