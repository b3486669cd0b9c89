"""Codes as Parquet, which data tools read: the arrays that a file of codes holds as `.npz`, in columns.

    path            text
    code            bytes of one length, packed bits, the highest bit of a byte first
    attribute_code  the same, where the model has attributes
    pid, camid      int64; null where unknown
    tracklet        int64; null where unknown; only where there are any
    time            UTC, microseconds; null where unknown; only where there are any
    feature         list of one length of float32, on request

`n_bits`, `model`, `engine` and `format_version` stand in the footer, as JSON. Nothing is compressed, since codes do not
become smaller; so a file holds all that is made of it, and none is larger in memory than it looks.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import AnyArray
from bitreid.data.files import new_file
from bitreid.data.manifest import UNKNOWN
from bitreid.data.times import NO_TIME
from bitreid.errors import BitreidError, DataError
from bitreid.text import brief, printable

SUFFIX = ".parquet"

MOST_CHARACTERS = 2**29
"""Characters of the paths in the largest file, each path as long as the longest."""

_COLUMNS = {
    "paths": "path",
    "codes": "code",
    "attribute_codes": "attribute_code",
    "pids": "pid",
    "camids": "camid",
    "tracklets": "tracklet",
    "times": "time",
    "features": "feature",
}
"""The column of each array."""
ARRAYS = frozenset(_COLUMNS)
"""Names of all arrays that have a row for each code."""

_NEEDED = {"paths", "codes", "pids", "camids"}
_ABOUT = {"n_bits": int, "model": str, "engine": str, "format_version": int}
_FOOTER = b"bitreid.codes"
_ENCODINGS = {"PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}


def pyarrow_and_parquet() -> tuple[Any, Any]:
    """Return the two modules; `DataError` where they are not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            "expected pyarrow to read and write Parquet files, got none; install bitreid[parquet]"
        ) from error
    return pyarrow, parquet


def save_arrays(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    """Write the arrays of n codes, as `save_encoded` names them; to a temporary name first."""
    pyarrow, parquet = pyarrow_and_parquet()
    columns = {column: _column(pyarrow, name, arrays[name]) for name, column in _COLUMNS.items() if name in arrays}
    about = {name: kind(arrays[name]) for name, kind in _ABOUT.items()}
    table = pyarrow.table(columns).replace_schema_metadata({_FOOTER: json.dumps(about)})
    with new_file(path) as unfinished:
        parquet.write_table(table, unfinished, compression="none", use_dictionary=["path"])


def load_arrays(path: Path, wanted: Collection[str] = ARRAYS) -> dict[str, AnyArray]:
    """Return the `wanted` arrays that `save_arrays` wrote, and `n_bits`, `model`, `engine` and `format_version`.

    The file may be anybody's: `DataError` for one of other columns, compressed, with less in it than it says, or
    damaged. Its size limits what is read.
    """
    pyarrow, parquet = pyarrow_and_parquet()
    try:
        with path.open("rb") as opened, parquet.ParquetFile(opened, read_dictionary=["path"]) as file:
            schema = file.schema_arrow
            _check(pyarrow, schema, file.metadata, path.stat().st_size)
            about = json.loads((schema.metadata or {})[_FOOTER])
            arrays = {name: np.array(kind(about[name])) for name, kind in _ABOUT.items()}
            for name, column in _COLUMNS.items():
                if name in wanted and column in schema.names:
                    values = file.read(columns=[column]).column(0)
                    arrays[name] = _array(pyarrow, name, values, schema.field(column).type)
    # pyarrow raises many kinds of errors for files that are damaged or something else.
    except Exception as error:
        got = str(error) if isinstance(error, BitreidError) else brief(error)
        raise DataError(f"expected codes in Parquet at {path}, got: {got}; encode the pictures again") from error
    return arrays


def _check(pyarrow: Any, schema: Any, metadata: Any, size: int) -> None:
    """Check that the columns are ours, and take in memory about what they take in the file."""
    if len(set(schema.names)) != len(schema.names) or not {_COLUMNS[name] for name in _NEEDED} <= set(schema.names):
        raise DataError(f"other columns ({brief(', '.join(schema.names))})")
    row = 0
    for name, column in _COLUMNS.items():
        if column not in schema.names:
            continue
        kind = schema.field(column).type
        if not _is_ours(pyarrow, name, kind):
            raise DataError(f"a column {column} of type {brief(str(kind))}")
        row += kind.byte_width if name.endswith("codes") else kind.list_size * 4 if name == "features" else 0
    if metadata.num_rows * row > size:
        raise DataError(f"{metadata.num_rows} rows of {row} bytes in a file of {size}")
    for i in range(metadata.num_row_groups):
        for j in range(metadata.num_columns):
            chunk = metadata.row_group(i).column(j)
            if chunk.compression != "UNCOMPRESSED" or not set(chunk.encodings) <= _ENCODINGS:
                raise DataError(f"a column that is compressed ({chunk.compression}, {', '.join(chunk.encodings)})")


def _is_ours(pyarrow: Any, name: str, kind: Any) -> bool:
    """Return whether a column's type is the one that is written."""
    types = pyarrow.types
    if name.endswith("codes"):
        return bool(types.is_fixed_size_binary(kind) and kind.byte_width > 0)
    if name == "features":
        return bool(types.is_fixed_size_list(kind) and kind.value_type == pyarrow.float32() and kind.list_size > 0)
    if name == "paths":
        return bool(types.is_dictionary(kind) and kind.value_type == pyarrow.string())
    return bool(kind == (pyarrow.timestamp("us", "UTC") if name == "times" else pyarrow.int64()))


def _column(pyarrow: Any, name: str, array: AnyArray) -> Any:
    """Return an array as a column."""
    if name == "paths":
        try:
            return pyarrow.array(array.tolist(), pyarrow.string())
        except UnicodeEncodeError as error:
            got = printable(error.object)
            raise DataError(
                f"expected paths in UTF-8 for Parquet, got {got}; rename the file, or write .npz"
            ) from error
    if name.endswith("codes"):
        n, width = array.shape
        packed = [None, pyarrow.py_buffer(np.ascontiguousarray(array))]
        return pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(width), n, packed)
    if name == "features":
        return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(array.reshape(-1)), array.shape[1])
    if name == "times":
        return pyarrow.array(array, mask=array == NO_TIME).cast(pyarrow.timestamp("us", "UTC"))
    return pyarrow.array(array, mask=array == UNKNOWN)


def _array(pyarrow: Any, name: str, column: Any, kind: Any) -> AnyArray:
    """Return a column as the array that it was."""
    if name == "paths":
        longest = max((len(text) for each in column.chunks for text in each.dictionary.to_pylist()), default=0)
        if longest * len(column) > MOST_CHARACTERS:
            raise DataError(f"{len(column)} paths of up to {longest} characters, {MOST_CHARACTERS} in all at most")
        return np.array(column.to_pylist(), np.str_)
    if name.endswith("codes"):
        return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(len(column), kind.byte_width)
    if name == "features":
        return np.asarray(column.combine_chunks().flatten().to_numpy()).reshape(len(column), kind.list_size)
    unknown = NO_TIME if name == "times" else UNKNOWN
    return np.asarray(column.cast(pyarrow.int64()).fill_null(unknown).to_numpy())
