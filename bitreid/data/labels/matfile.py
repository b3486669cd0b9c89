"""MATLAB's `.mat` files up to version 7."""

from pathlib import Path
from typing import Any

from bitreid.data.files import what_is_at
from bitreid.errors import DataError


def read_mat(path: Path) -> dict[str, Any]:
    """The variables in a `.mat` file of version 4 to 7: structs as dicts, cells as arrays, single values as scalars.

    `DataError` for a missing file and for anything else, version 7.3 (which is HDF5) included.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise DataError("expected SciPy to read .mat files, got none; install bitreid[attributes]") from error
    if not path.is_file():
        raise DataError(f"expected a .mat file at {path}, got {what_is_at(path)}")
    # SciPy's reader raises many kinds of errors for files that are damaged or no .mat files at all.
    try:
        variables = loadmat(path, simplify_cells=True)
    except Exception as error:
        raise DataError(f"expected a .mat file at {path}, got: {error}") from error
    return {name: value for name, value in variables.items() if not name.startswith("__")}
