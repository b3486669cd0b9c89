"""Lists of the names of pictures: what they say of who is shown, where the pictures themselves need not be there."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.layouts import manifest_by_pattern
from bitreid.data.parsers.listing import TABLE_SUFFIXES, parse_table
from bitreid.data.parsers.market import manifest_by_names
from bitreid.errors import DataError, SettingsError

MOST_BYTES = 2**30
"""Bytes of a list of names."""


def parse_names(path: Path, pattern: str | None = None) -> Manifest:
    """Return the pictures that a list names, in its order: a table (`parse_table`), or a text with a path on each line.

    Of a text, see `manifest_of_names`. `DataError` for a list that is too large or is no text.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        if pattern is not None:
            raise SettingsError(f"expected a pattern for a list of names, got the table {path}; leave --pattern out")
        return parse_table(path)
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"expected at most {MOST_BYTES} bytes of names in {path}, got more; split it")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"expected a text in UTF-8 with a name on each line at {path}, got something else") from error
    names = [line.strip().replace("\\", "/") for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        at = f"an empty line {names.index('') + 1}" if names else "an empty file"
        raise DataError(f"expected the path of a picture on each line of {path}, got {at}")
    return manifest_of_names([Path(name) for name in names], pattern)


def manifest_of_names(paths: Sequence[Path], pattern: str | None = None) -> Manifest:
    """Return what names tell of pictures: by a `pattern` as `parse_folder` takes it, else as the known data sets name
    them (`0001_c1s1_000001_00.jpg`), if half of the names or more are like that; else nobody is known."""
    found = manifest_by_names(paths) if pattern is None else manifest_by_pattern(paths, pattern)
    if found is None:
        unknown = np.full(len(paths), UNKNOWN, np.int64)
        found = Manifest(tuple(paths), unknown, unknown, ("gallery",) * len(paths))
    return found
