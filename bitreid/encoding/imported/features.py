"""Features that another program made of pictures, with what is known about the pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Features, Ints
from bitreid.data.files import new_file
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.names import manifest_of_names, parse_names
from bitreid.encoding.imported.arrays import LoadTensors, SideName, read_arrays
from bitreid.errors import BitreidError, DataError
from bitreid.evaluation.vectors import checked_side


@dataclass(frozen=True)
class FeatureSet:
    """Features `(n, d)` float of n pictures, a row each, and a manifest of the same pictures."""

    features: Features
    manifest: Manifest

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.manifest):
            raise DataError(
                f"expected features (n, d) of {len(self.manifest)} pictures, got an array of {self.features.shape}"
            )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def n_features(self) -> int:
        return int(self.features.shape[1])

    def take(self, rows: Ints) -> Self:
        """Return the rows of the given numbers, in that order."""
        return type(self)(self.features[rows], self.manifest.take(rows))


def read_features(
    path: Path,
    names: Path | None = None,
    *,
    side: SideName | None = None,
    pattern: str | None = None,
    from_zero: bool = False,
    load_tensors: LoadTensors | None = None,
) -> FeatureSet:
    """Return the features in a file or folder, see `read_arrays`, and what is known about the pictures.

    `names` is a list of the pictures in the order of the features, see `parse_names`. What it does not tell, who is on
    the pictures and which camera took them, the file may tell itself; without a list the file's own paths are read as
    such a list. Pictures without any name are called after the file and their row. With `from_zero`, people are
    counted from 0, as torchreid and fast-reid count those of training, and each gets the next number.

    `DataError` for another file, for features that are not finite, and for a list of another length.
    """
    arrays = read_arrays(path, side, load_tensors)
    n = len(arrays["features"])
    try:
        own = checked_side({"pids": np.full(n, UNKNOWN, np.int64), **arrays})
    except (BitreidError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: {error}") from error
    assert own.features is not None, "there are always some"
    if not n:
        raise DataError(f"expected features of at least one picture in {path}, got none")
    if names is not None:
        manifest = parse_names(names, pattern)
        if len(manifest) != n:
            raise DataError(
                f"expected a picture in {names} for each of the {n} features in {path}, got {len(manifest)}; are they "
                "of one run?"
            )
    elif own.paths:
        manifest = manifest_of_names(own.paths, pattern)
    else:
        called = tuple(Path(f"{path.stem}-{row:07}") for row in range(n))
        unknown = np.full(n, UNKNOWN, np.int64)
        manifest = Manifest(called, unknown, unknown, ("gallery",) * n)
    # A list that says nothing of a column leaves it to the file.
    if (manifest.pids == UNKNOWN).all() and "pids" in arrays:
        manifest = replace(manifest, pids=own.pids)
    if (manifest.camids == UNKNOWN).all() and "camids" in arrays:
        manifest = replace(manifest, camids=own.camids)
    if manifest.tracklets is None and own.tracklets is not None:
        manifest = replace(manifest, tracklets=own.tracklets)
    if from_zero:
        manifest = replace(manifest, pids=np.where(manifest.pids >= 0, manifest.pids + 1, manifest.pids))
    return FeatureSet(own.features, manifest)


def save_features(path: Path, found: FeatureSet) -> None:
    """Write an `.npz` that `evaluation.vectors.load_vectors` and `read_features` read: `features`, `pids`, `camids`,
    `paths`, and `tracklets` where there are any."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "features": found.features,
        "pids": found.manifest.pids,
        "camids": found.manifest.camids,
        "paths": np.array([str(each) for each in found.manifest.paths], np.str_),
    }
    if found.manifest.tracklets is not None:
        arrays["tracklets"] = found.manifest.tracklets
    with new_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
