"""Files of features as named arrays: `.npy`, `.npz`, `.mat`, `.pt`, and a folder of a `.npy` for each picture.

Sizes are checked against the bytes that are there before anything is read, and no pickle is ever loaded, since that may
run whatever its author wants.
"""

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np

from bitreid.arrays import AnyArray
from bitreid.data.files import what_is_at
from bitreid.data.labels.matfile import read_mat
from bitreid.data.npz import trouble_of
from bitreid.errors import BitreidError, DataError, SettingsError
from bitreid.text import brief, printable, shown

SideName = Literal["query", "gallery"]
Arrays = dict[str, AnyArray]
LoadTensors = Callable[[Path, int], Mapping[str, Any]]
"""Loads a `.pt` file of at most so many bytes with PyTorch; given by whoever may import it."""

MOST_BYTES = 2**32
"""Bytes of a file of features, and of what its compressed parts become."""
MOST_FILES = 2_000_000
"""Files of a folder of features, a picture each."""
MADE_BY = (".npy", ".npz", ".mat", ".pt", ".pth")
"""Endings of files of features."""

_NAMES: dict[str, tuple[str, ...]] = {
    "features": ("features", "feature", "feats", "feat", "f", "embeddings", "embedding"),
    "pids": ("pids", "pid", "labels", "label", "person_ids"),
    "camids": ("camids", "camid", "cams", "cam", "cameras", "camera_ids"),
    "paths": ("paths", "names", "img_paths", "image_paths", "files", "filenames"),
    "tracklets": ("tracklets",),
}
"""What programs call an array, by our name for it."""
_PREFIXES: dict[SideName, tuple[str, ...]] = {"query": ("query_", "q_", "q"), "gallery": ("gallery_", "g_", "g")}
"""What a name begins with in a file of both sides: `query_f`, `q_pids`, `qf`."""
_HINT = "give an array features (n, d), and perhaps pids, camids and paths (n,)"


def read_arrays(path: Path, side: SideName | None = None, load_tensors: LoadTensors | None = None) -> Arrays:
    """Return the arrays of a file or folder by our names: `features`, and `pids`, `camids`, `paths`, `tracklets` where
    it has them.

    `side` chooses one where a file has both, as `pytorch_result.mat` has. Shapes and types are still to be checked.
    `DataError` for anything else, and for files past `MOST_BYTES`.
    """
    if path.is_dir():
        return _of_folder(path)
    read = {".npy": _of_npy, ".npz": _of_npz, ".mat": read_mat}.get(path.suffix.lower())
    if read is None and path.suffix.lower() not in MADE_BY:
        raise DataError(
            f"expected features in a file that ends in {', '.join(MADE_BY)}, or a folder of .npy, got {path}"
        )
    if not path.is_file():
        raise DataError(f"expected a file of features at {path}, got {what_is_at(path)}")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"expected at most {MOST_BYTES} bytes of features in {path}, got more; split the file")
    if read is not None:
        found: Mapping[str, Any] = read(path)
    elif load_tensors is None:
        raise DataError(f"expected PyTorch to read {path}, got none; save the features with numpy.save instead")
    else:
        found = load_tensors(path, MOST_BYTES)
    chosen = _chosen(path, list(found), side)
    arrays = {ours: _array(path, theirs, found[theirs]) for ours, theirs in chosen.items()}
    if arrays["features"].ndim == 1 and len(arrays.get("pids", ())) == 1:
        arrays["features"] = np.asarray(arrays["features"], np.float64)[None]  # MATLAB's files know no (1, d)
    return arrays


def _chosen(path: Path, names: Sequence[str], side: SideName | None) -> dict[str, str]:
    """Return the file's name of each array that we have a name for."""
    if len(names) == 1 and not any(names[0] in each for each in _NAMES.values()):
        return {"features": names[0]}  # one array alone, whatever it is called
    plain = _named(names, [""])
    of_sides = {each: _named(names, _PREFIXES[each]) for each in get_args(SideName)}
    of_sides = {each: found for each, found in of_sides.items() if "features" in found}
    if "features" in plain and side is None:
        return plain
    if not of_sides:
        if "features" in plain:
            raise SettingsError(f"expected a file of queries and gallery with --side, {path} has one; leave --side out")
        raise DataError(f"expected features in {path}, got {brief(', '.join(names)) or 'nothing'}; {_HINT}")
    if side is None or side not in of_sides:
        raise SettingsError(f"expected --side {' or '.join(of_sides)}, whose features {path} has, got {side or 'none'}")
    return of_sides[side]


def _named(names: Sequence[str], prefixes: Sequence[str]) -> dict[str, str]:
    found = {}
    for ours, theirs in _NAMES.items():
        known = [prefix + each for prefix in prefixes for each in theirs]
        there = [name for name in known if name in names]
        if there:
            found[ours] = there[0]
    return found


def _array(path: Path, name: str, value: Any) -> AnyArray:
    """Return a value as an array of numbers or text; whole numbers in floats, as MATLAB has them, as whole numbers."""
    if callable(value):
        value = value()
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "fiuUS":
        raise DataError(f"expected numbers or text in {shown(name)} of {path}, got {array.dtype}; {_HINT}")
    if array.ndim == 1 and array.dtype.kind == "f" and np.isfinite(array).all() and (np.abs(array) < 2**53).all():
        whole = array.astype(np.int64)
        return whole if (whole == array).all() else array
    return array


def _of_npy(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return {"features": _read_npy(file, path.stat().st_size)}
    # numpy's reader of headers raises many kinds of errors for files that are damaged or something else.
    except Exception as error:
        raise DataError(
            f"expected an array of numbers, as numpy.save writes it, at {path}, got: {_reason(error)}; save it again"
        ) from error


def _reason(error: Exception) -> str:
    # numpy's own words may advise to load pickles.
    return str(error) if isinstance(error, BitreidError) else f"something else ({type(error).__name__})"


def _read_npy(file: IO[bytes], size: int) -> AnyArray:
    """Return the array in an opened `.npy` of so many bytes: as many as its header says, before any is read."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise DataError(f"an array of format {version[0]}.{version[1]}")
    shape, by_columns, dtype = read_header(file)
    if dtype.hasobject or dtype.kind not in "fiuUS" or dtype.itemsize == 0:
        raise DataError(f"{'Python objects' if dtype.hasobject else dtype}, not numbers")
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes != size - file.tell():
        raise DataError(f"{size - file.tell()} bytes where an array of {shape} {dtype} takes {n_bytes}")
    data = file.read(n_bytes)
    if len(data) != n_bytes:
        raise DataError(f"{len(data)} bytes where {n_bytes} are said to be")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


def _of_npz(path: Path) -> dict[str, Any]:
    """Return what reads each array, so that those of other names are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
    except Exception as error:
        raise DataError(f"expected an .npz file of features at {path}, got: {trouble_of(path, error)}") from error
    n_bytes = sum(each.file_size for each in members)
    if n_bytes > MOST_BYTES:
        raise DataError(f"expected at most {MOST_BYTES} bytes of features in {path}, got {n_bytes}; split the file")

    def reader(member: zipfile.ZipInfo) -> Callable[[], AnyArray]:
        def read() -> AnyArray:
            try:
                with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                    return _read_npy(file, member.file_size)
            except BitreidError as error:
                raise DataError(f"expected numbers or text in {member.filename} of {path}, got: {error}") from error
            # The archive's reader raises many kinds of errors for files that are damaged.
            except Exception as error:
                raise DataError(
                    f"expected an .npz file of features at {path}, got: {trouble_of(path, error)}"
                ) from error

        return read

    return {each.filename.removesuffix(".npy"): reader(each) for each in members}


def _of_folder(folder: Path) -> Arrays:
    """Return the features of a folder of `.npy`, `(d,)` or `(1, d)` of a picture each, by name; as fast-reid's demo
    writes them. The path of a picture is that of its `.npy`, without the folder and the ending."""
    files = sorted(each for each in folder.iterdir() if each.suffix == ".npy")
    if not files or len(files) > MOST_FILES:
        raise DataError(
            f"expected a folder of 1 to {MOST_FILES} files .npy, a picture each, at {folder}, got {len(files)}"
        )
    first = _row(files[0])
    if len(files) * first.nbytes > MOST_BYTES:
        raise DataError(f"expected at most {MOST_BYTES} bytes of features in {folder}, got more; split the folder")
    features = np.empty((len(files), len(first)), first.dtype)
    for i, file in enumerate(files):
        row = _row(file)
        if row.shape != first.shape:
            raise DataError(
                f"expected features of one length in {folder}, got {len(first)} in {printable(files[0].name)} and "
                f"{len(row)} in {printable(file.name)}; are they one network's?"
            )
        features[i] = row
    return {"features": features, "paths": np.array([file.stem for file in files], np.str_)}


def _row(file: Path) -> AnyArray:
    if file.stat().st_size > MOST_BYTES // 1024:
        raise DataError(f"expected the features of one picture in {file}, got {file.stat().st_size} bytes")
    array: AnyArray = _of_npy(file)["features"]
    if array.ndim not in (1, 2) or array.size != array.shape[-1] or array.dtype.kind != "f":
        raise DataError(
            f"expected the features of one picture, (d,) or (1, d) float, in {file}, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array.reshape(-1)
