"""Reading tables from CSV and Parquet files as text; errors name the line or row."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.data.arrow import pyarrow_and_parquet
from bitreid.errors import DataError
from bitreid.text import brief, shown

INTEGER = re.compile(r"-?[0-9]{1,18}")
"""Integers of at most 18 digits, which fit into 64 bits."""
GAPS = frozenset({"", "nan", "NaN", "NAN", "None", "NA", "N/A", "#N/A", "<NA>", "NaT", "null", "NULL"})
"""Cells that mean that nobody told: what pandas, R, databases and spreadsheets write for them."""

_WHOLE_FLOAT = re.compile(r"(-?[0-9]{1,18})\.0*")
_LETTER = re.compile(r"[^\W\d_]")
_INDEX = re.compile(r"|Unnamed: [0-9]+")
"""Names of a column that pandas writes without being asked: its own count of the rows."""
_SEPARATORS = (",", ";", "\t")
_MAX_CELL = 2**17
"""Characters of a cell, as Python's csv module bounds them."""
_MAX_ROWS = 100_000_000


@dataclass(frozen=True)
class Table:
    """The cells of a file as stripped text: `columns[name][row]`, from the line (`unit`: or row) `lines[row]`.

    A gap, see `GAPS`, is the empty text. `names` are all columns of the file, also those that were not read.
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
        """The column as integers; `121.0` is one too.

        Empty cells become `empty`; without it they are a `DataError`, as other text is.
        """
        numbers = np.empty(len(self), dtype=np.int64)
        for row, cell in enumerate(self.columns[column]):
            number = empty if not cell else _integer(cell)
            if number is None:
                raise DataError(f"expected an integer in column {column!r} of {self.place(row)}, got {shown(cell)}")
            numbers[row] = number
        return numbers

    def numbered(self, column: str, empty: int) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
        """The column as integers, and the names that they stand for.

        A column whose cells all have letters holds names, which are sorted and numbered from 1; else no number has a
        name.
        """
        words = self.columns[column]
        names = sorted({word for word in words if word})
        if not names or not all(_LETTER.search(name) and name not in ("True", "False") for name in names):
            return self.integers(column, empty), {}
        number = {name: i for i, name in enumerate(names, start=1)} | {"": empty}
        return np.array([number[word] for word in words], dtype=np.int64), dict(enumerate(names, start=1))

    def times(self, column: str, empty: int) -> tuple[npt.NDArray[np.int64], bool]:
        """The column as times, and whether they are dates: then they are microseconds from 1970 on, in UTC.

        Dates are in ISO 8601 (`2026-11-30 08:15:00+01:00`); one without a zone is in UTC. Whole numbers stay as they
        are. A column holds either dates or numbers.
        """
        words = self.columns[column]
        first = next((word for word in words if word), "")
        if not first or _integer(first) is not None:
            return self.integers(column, empty), False
        times = [_microseconds(word) if word else empty for word in words]
        if None in times:
            row = times.index(None)
            raise DataError(
                f"expected an integer in column {column!r} of {self.place(row)}, or a date and time such as "
                f"2026-11-30T08:15:00+01:00, got {shown(words[row])}"
            )
        return np.array(times, dtype=np.int64), True

    def values(self, column: str) -> tuple[int | float | str | None, ...]:
        """The column as integers or else numbers, where all cells are that, or as text; None for a gap."""
        words = self.columns[column]
        for kind in (_integer, _number):
            found = [kind(word) if word else None for word in words]
            if all(value is not None for value, word in zip(found, words, strict=True) if word):
                return tuple(found)
        return tuple(word or None for word in words)


def read_csv(path: Path) -> Table:
    """The table in a CSV file whose first line names the columns; empty lines are skipped.

    As pandas and spreadsheets write them: separated by commas, semicolons or tabs, whichever the first line has most
    of; in UTF-8 with or without byte order mark, or in UTF-16 with one. pandas' index, a column without a name, is left
    out, and so are empty cells beyond the last column. `DataError` if the file is missing or unreadable, the header
    lacks or repeats a name, there is no row, or a row is longer or shorter than the header.
    """
    try:
        with path.open("rb") as binary:
            encoding = "utf-16" if binary.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=max(_SEPARATORS, key=first.count))
            header = [cell.strip() for cell in next(reader, [])]
            rows = [(reader.line_num, [_filled(cell) for cell in row]) for row in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"expected a readable CSV file in UTF-8 at {path}, got: {brief(error)}") from error
    while header and not header[-1]:
        header.pop()
    if not header or "" in header[1:] or len(set(header)) != len(header):
        raise DataError(f"expected a first line of different column names in {path}, got {shown(','.join(header))}")
    rows = [(line, row) for line, row in rows if any(row)]
    for line, row in rows:
        if len(row) < len(header) or any(row[len(header) :]):
            raise DataError(f"expected {len(header)} cells in {path}, line {line}, got {len(row)}")
    if not rows:
        raise DataError(f"expected rows below the first line of {path}, got none")
    columns = {name: [row[at] for _, row in rows] for at, name in enumerate(header) if not _INDEX.fullmatch(name)}
    return Table(path, tuple(columns), columns, [line for line, _ in rows])


def read_parquet(path: Path, wanted: Sequence[str] | None = None) -> Table:
    """The table in a Parquet file, of its columns those that are `wanted` (None: all); rows are counted from 1.

    Nulls are empty cells. Whole numbers that are stored as floats, as pandas does where some are missing, are integers
    again. `DataError` if the file is missing or unreadable, repeats a column's name, has no row, or a column that is
    read holds lists or other values that are no single cells.
    """
    pyarrow, parquet = pyarrow_and_parquet()
    # pyarrow raises many kinds of errors for damaged files, and Python for values that it cannot hold (dates).
    try:
        with parquet.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
            if len(set(names)) != len(names):
                raise DataError(f"expected different column names in {path}, got {brief(', '.join(names))}")
            read = [name for name in names if not _INDEX.fullmatch(name) and (wanted is None or name in wanted)]
            nested = [name for name in read if pyarrow.types.is_nested(file.schema_arrow.field(name).type)]
            if nested:
                raise DataError(f"expected single values in column {shown(nested[0])} of {path}, got lists of values")
            n_rows = file.metadata.num_rows
            texts = [name for name in read if pyarrow.types.is_string(file.schema_arrow.field(name).type)]
        if n_rows > _MAX_ROWS:
            raise DataError(f"expected at most {_MAX_ROWS} rows in {path}, got {n_rows}")
        # A text that a file holds once, for all its rows, is held once here too: a small file stays small.
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            columns = {name: _words(file.read(columns=[name])[0], path) for name in read}
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"expected a readable Parquet file at {path}, got: {brief(error)}") from error
    if not n_rows:
        raise DataError(f"expected rows in {path}, got none")
    if any(len(column) != n_rows for column in columns.values()):
        raise DataError(f"expected {n_rows} values in each column of {path}, got fewer; the file is damaged")
    names = tuple(name for name in names if not _INDEX.fullmatch(name) and not name.startswith("__index_level_"))
    return Table(path, names, columns, range(1, n_rows + 1), "row")


def _integer(cell: str) -> int | None:
    """The integer that a cell holds, `121.0` too; None for other text."""
    match = _WHOLE_FLOAT.fullmatch(cell)
    text = match[1] if match else cell
    return int(text) if INTEGER.fullmatch(text) else None


def _microseconds(cell: str) -> int | None:
    """Microseconds from 1970 on of a date and time in ISO 8601, in UTC where no zone is given; None for other text."""
    try:
        time = datetime.fromisoformat(cell)
        since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _words(column: Any, path: Path) -> list[str]:
    """The cells of a column of pyarrow as text."""
    words: list[str] = []
    for chunk in column.chunks:
        values = chunk.dictionary if hasattr(chunk, "dictionary") else chunk
        of_values = [_word(value) for value in values.to_pylist()]
        if max(map(len, of_values), default=0) > _MAX_CELL:
            raise DataError(f"expected cells of at most {_MAX_CELL} characters in {path}, got a longer one")
        if values is not chunk:
            of_values = ["" if i is None else of_values[i] for i in chunk.indices.to_pylist()]
        words += of_values
    return words


def _filled(cell: str) -> str:
    text = cell.strip()
    return "" if text in GAPS else text


def _word(value: object) -> str:
    """A value as the text that it has in a CSV file."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _filled(value.isoformat() if isinstance(value, datetime) else str(value))
