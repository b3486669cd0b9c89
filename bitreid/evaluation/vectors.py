"""Reading features or codes that any program made, as a side of an evaluation."""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np

from bitreid.arrays import AnyArray, Features, Ints
from bitreid.codes import Codes
from bitreid.data.arrow import SUFFIX, load_arrays
from bitreid.data.labels.matfile import read_mat
from bitreid.data.manifest import UNKNOWN
from bitreid.data.npz import trouble_of
from bitreid.data.shards import Shards, is_folder_of_shards
from bitreid.errors import BitreidError, DataError
from bitreid.evaluation.side import Side
from bitreid.text import brief

_NAMES = ("features", "codes", "pids", "camids", "tracklets", "paths", "attribute_codes")
_CONTENTS = (
    "arrays features (n, d) float or codes (n, bytes) uint8, pids (n,) and perhaps camids, tracklets, paths (n,) and "
    "attribute_codes (n, bytes) uint8"
)


def load_vectors(path: Path, side: Literal["query", "gallery"] = "query") -> Side:
    """Return what an `.npz` file holds, as `bitreid encode` or any program with numpy's `savez` writes it:

        features         (n, d) float, and/or
        codes            (n, bytes) uint8, packed bits, the highest bit of a byte first
        pids             (n,) whole numbers, who is shown: above 0 a person, 0 a distractor, -1 junk, -2 unknown
        camids           (n,) whole numbers, -2 unknown; optional: without it all cameras are unknown
        tracklets        (n,) whole numbers, optional
        paths            (n,) text, optional: the pictures, for sheets and reports
        attribute_codes  (n, bytes) uint8, optional: short codes for two-stage search

    A folder of shards, of `bitreid encode`, is one such file after the other.

    Of a `.mat` file, which some baselines write for both sides, the variables `query_f`, `query_label`, `query_cam` of
    the `side` or `gallery_f` and so on: features (n, d), pids and camids.

    Other arrays are ignored. `DataError` for another file, shape or type, and for features that are not finite.
    """
    arrays = _arrays_of_mat(path, side) if path.suffix.lower() == ".mat" else _arrays(path)
    try:
        return checked_side(arrays)
    except (BitreidError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: {error}; the file needs {_CONTENTS}") from error


def check_sides(query: Side, gallery: Side) -> None:
    """Check that two files can be compared: both have codes, or both features, of one width; else raise `DataError`."""
    for name in ("codes", "features", "attribute_codes"):
        widths = [
            None if column is None else _width(column) for column in (getattr(query, name), getattr(gallery, name))
        ]
        if None not in widths and widths[0] != widths[1]:
            raise DataError(f"expected {name} of one width in both files, got {widths[0]} and {widths[1]}")
    if not any(_both(query, gallery, name) for name in ("codes", "features")):
        raise DataError("expected features in both files or codes in both files, got features in one and codes in one")


def _both(query: Side, gallery: Side, name: str) -> bool:
    return getattr(query, name) is not None and getattr(gallery, name) is not None


def _width(column: Codes | Features) -> int:
    return column.n_bits if isinstance(column, Codes) else column.shape[1]


def _arrays(path: Path) -> dict[str, AnyArray]:
    if is_folder_of_shards(path):
        files = Shards.open(path).files()
        shards = [load_arrays(each, _NAMES) if each.suffix == SUFFIX else _arrays_of_npz(each) for each in files]
        return {name: np.concatenate([each[name] for each in shards]) for name in _NAMES if name in shards[0]}
    return _arrays_of_npz(path)


def _arrays_of_npz(path: Path) -> dict[str, AnyArray]:
    # numpy's and the archive's readers raise many kinds of errors for files that are damaged or something else.
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise DataError("a single array, of np.save; np.savez writes several with their names")
            arrays = {name: file[name] for name in file.files if name in _NAMES}
            found = ", ".join(file.files) or "no arrays"
    except Exception as error:
        raise DataError(
            f"expected an .npz file of features or codes at {path}, got: {trouble_of(path, error)}; needed: {_CONTENTS}"
        ) from error
    if "pids" not in arrays or not {"features", "codes"} & set(arrays):
        raise DataError(f"{path}: expected pids and features or codes, got {found}; the file needs {_CONTENTS}")
    return arrays


def _arrays_of_mat(path: Path, side: str) -> dict[str, AnyArray]:
    variables = read_mat(path)
    missing = [name for name in (f"{side}_f", f"{side}_label") if name not in variables]
    if missing:
        raise DataError(
            f"{path}: expected the variables {side}_f, {side}_label and perhaps {side}_cam, "
            f"got {brief(', '.join(variables) or 'none')}; save the features as .npz with {_CONTENTS}"
        )
    arrays = {"pids": np.atleast_1d(variables[f"{side}_label"])}
    if f"{side}_cam" in variables:
        arrays["camids"] = np.atleast_1d(variables[f"{side}_cam"])
    for name, column in arrays.items():
        # MATLAB's numbers are floats where nobody says otherwise.
        if column.dtype.kind == "f" and np.isfinite(column).all() and (np.abs(column) < 2**53).all():
            whole = column.astype(np.int64)
            arrays[name] = whole if (whole == column).all() else column
    features = np.asarray(variables[f"{side}_f"])
    return arrays | {"features": features[None] if features.ndim == 1 and arrays["pids"].size == 1 else features}


def checked_side(arrays: dict[str, AnyArray]) -> Side:
    """Return arrays of the names and shapes of `load_vectors` as a side; an error says which of them is not so."""
    pids = _whole(arrays["pids"], "pids")
    side = Side(
        _codes(arrays["codes"], "codes") if "codes" in arrays else None,
        _features(arrays["features"]) if "features" in arrays else None,
        _codes(arrays["attribute_codes"], "attribute_codes") if "attribute_codes" in arrays else None,
        pids,
        _whole(arrays["camids"], "camids") if "camids" in arrays else np.full(len(pids), UNKNOWN, np.int64),
        _whole(arrays["tracklets"], "tracklets") if "tracklets" in arrays else None,
        _paths(arrays["paths"]) if "paths" in arrays else (),
    )
    for name in arrays:
        n = len(getattr(side, name))
        if n != len(pids):
            raise DataError(f"expected {name} for each of {len(pids)} pictures, got {n}")
    return side


def _whole(column: AnyArray, name: str) -> Ints:
    if column.ndim != 1 or column.dtype.kind not in "iu":
        raise DataError(f"expected {name} as whole numbers (n,), got {column.dtype} of shape {column.shape}")
    numbers = column.astype(np.int64)
    if numbers.min(initial=0) < UNKNOWN:
        raise DataError(f"expected {name} of at least {UNKNOWN} (unknown), got {numbers.min()}")
    return numbers


def _paths(paths: AnyArray) -> tuple[Path, ...]:
    if paths.ndim != 1 or paths.dtype.kind not in "US":
        raise DataError(f"expected paths as text (n,), got {paths.dtype} of shape {paths.shape}")
    return tuple(Path(each) for each in paths.astype(np.str_).tolist())


def _codes(packed: AnyArray, name: str) -> Codes:
    if packed.ndim != 2 or packed.dtype != np.uint8 or not packed.shape[1]:
        raise DataError(f"expected packed {name} (n, bytes) uint8, got {packed.dtype} of shape {packed.shape}")
    if packed.shape[1] >= 8 and packed.max(initial=0) == 1:
        raise DataError(f"expected packed {name}, eight bits a byte, got bytes of 0 and 1; pack them with np.packbits")
    return Codes(packed, packed.shape[1] * 8)


def _features(features: AnyArray) -> Features:
    if features.ndim != 2 or features.dtype.kind != "f" or not features.shape[1]:
        raise DataError(f"expected features (n, d) float, got {features.dtype} of shape {features.shape}")
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise DataError(f"expected finite features, got NaN or infinity, first in row {row}")
    return np.asarray(features, np.result_type(features.dtype, np.float32))


def same_features(query: Features, gallery: Features) -> list[tuple[int, Ints]]:
    """Return the query rows that have twins, and of each the gallery rows with equal features: often one picture.

    They are sorted. Features are compared as float32; features of zeros, which some networks give for any empty
    picture, are left out.
    """
    rows: dict[bytes, list[int]] = {}
    for j, feature in enumerate(gallery):
        rows.setdefault(_digest(feature), []).append(j)
    keys = [_digest(feature) if feature.any() else b"" for feature in query]
    twins = {key: np.array(rows[key], np.int64) for key in {*keys} & {*rows}}
    return [(i, twins[key]) for i, key in enumerate(keys) if key in twins]


def _digest(feature: Features) -> bytes:
    """Return 16 bytes that only equal features share: a second copy of a large gallery's features may not fit."""
    # Adding 0 makes 0 of -0, which is equal to it.
    return hashlib.blake2b((feature.astype(np.float32) + np.float32(0)).tobytes(), digest_size=16).digest()
