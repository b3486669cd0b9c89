"""Converting CUHK03's MATLAB file to crops in Market-1501's layout."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Pixels
from bitreid.data.files import new_folder
from bitreid.data.labels.matfile import read_mat
from bitreid.data.manifest import Manifest
from bitreid.data.parsers.market import parse_market1501
from bitreid.data.pictures import Progress
from bitreid.errors import DataError, SettingsError
from bitreid.text import brief

KINDS = ("detected", "labeled")
SUFFIXES = ("jpg", "png")

_MAX_PIXELS = 100_000_000
_SHOTS = 10
"""Cells of an identity: five pictures of camera 1, then five of camera 2; those of missing pictures are empty."""
_NEW_FOLDERS = {"train_idx": "bounding_box_train", "query_idx": "query", "gallery_idx": "bounding_box_test"}
_NAME = re.compile(r"(?P<pair>[1-9])_(?P<person>[0-9]{1,6})_[12]_(?P<shot>[0-9]{1,2})\.[A-Za-z]+")


class _Cell(NamedTuple):
    """Where a picture is in the file; all numbers count from 1."""

    pair: int
    person: int
    shot: int


@dataclass(frozen=True)
class _Crop:
    """A picture of the file, and the folder, identity and camera that its crop gets."""

    cell: _Cell
    folder: str
    pid: int
    camid: int

    @property
    def name(self) -> str:
        """The name in Market-1501's form: the camera pair stands where Market-1501 has the sequence."""
        return f"{self.pid:04d}_c{self.camid}s{self.cell.pair}_{self.cell.shot:06d}_00"


def convert_cuhk03(
    mat: Path,
    out: Path,
    *,
    kind: str = "detected",
    split: Path | None = None,
    test_set: int = 1,
    height: int = 128,
    width: int = 64,
    suffix: str = "jpg",
    progress: Progress | None = None,
) -> Manifest:
    """Write CUHK03's crops to the new folder `out` in Market-1501's layout, and return its manifest.

    `mat` is `cuhk-03.mat` (MATLAB 7.3, which is HDF5): 14,097 crops that a detector made (`kind` "detected") or 14,096
    made by hand ("labeled"), of 1,467 identities, each seen by both cameras of one of five pairs (Li et al., DeepReID,
    CVPR 2014). Crops are resized to `height` x `width` with Pillow's bilinear filter and written as PNG, or as JPEG of
    quality 95. Cameras are 1 and 2 in every pair: no identity is seen by two pairs.

    `split` is the list of the new protocol, CUHK03-NP, `cuhk03_new_protocol_config_detected.mat` or `..._labeled.mat`:
    767 identities train; of 700 others each camera gives one query, and the rest is the gallery (Zhong et al.,
    Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017). Identities are numbered as it says.

    Without it, the old protocol: number `test_set` (1 to 20) of the sets in `mat` names 100 test identities, whose
    pictures of camera 1 are queries and of camera 2 the gallery, to be scored with one gallery picture an identity
    drawn at random; all others train. Identities are numbered through all pairs, from 1.

    Tested on imitations. `out` appears when it is complete. `progress` is told crops done and crops in all.
    `SettingsError` for an impossible kind, suffix or size; `DataError` if `out` exists and is not an empty folder, if
    h5py, Pillow or SciPy is not installed, if a file is not what it should be, or if `split` names a picture that is
    not there, as the list of the other kind does.
    """
    if kind not in KINDS or suffix not in SUFFIXES or height < 1 or width < 1:
        raise SettingsError(
            f"expected a kind among {', '.join(KINDS)}, a suffix among {', '.join(SUFFIXES)} and 1 x 1 pixels or more, "
            f"got {kind!r}, {suffix!r} and {height} x {width}"
        )
    if split and test_set != 1:
        raise SettingsError(
            f"expected the new protocol's list or a test set of the old one, got {split} and {test_set}"
        )
    with _opened(mat) as file, new_folder(out) as unfinished:
        source = _Source(file, mat, kind)
        crops = _new_protocol(source, split) if split else _old_protocol(source, test_set)
        if not crops:
            raise DataError(f"expected {kind} pictures of the {'new' if split else 'old'} protocol in {mat}, got none")
        for done, crop in enumerate(crops, start=1):
            path = unfinished / crop.folder / f"{crop.name}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            _save(source.picture(crop.cell), path, (width, height))
            if progress is not None:
                progress(done, len(crops))
        protocol = f"protocol of `{split.name}`" if split else f"old protocol, test set {test_set}"
        readme = _README.format(kind=kind, protocol=protocol, height=height, width=width)
        (unfinished / "README.md").write_text(readme, encoding="utf-8")
    return parse_market1501(out)


_README = """# CUHK03, {kind} crops, {height} x {width}

Made from `cuhk-03.mat` by `bitreid convert`; {protocol}. The authors of CUHK03 give it for academic research only.
"""


@contextmanager
def _opened(mat: Path) -> Iterator[Any]:
    """The HDF5 file, open."""
    try:
        import h5py
    except ImportError as error:
        raise DataError("expected h5py to read CUHK03's file, got none; install bitreid[convert]") from error
    if not mat.is_file():
        raise DataError(f"expected CUHK03's cuhk-03.mat (MATLAB 7.3, HDF5) at {mat}, got nothing")
    try:
        file = h5py.File(mat, "r")
    except Exception as error:
        raise DataError(f"expected CUHK03's cuhk-03.mat (MATLAB 7.3, HDF5) at {mat}, got: {brief(error)}") from error
    with file:
        yield file


class _Source:
    """The crops of one kind in the open file. MATLAB counts columns first and HDF5 rows: all arrays are transposed."""

    def __init__(self, file: Any, mat: Path, kind: str) -> None:
        self.file = file
        self.mat = mat
        self.kind = kind
        # For each camera pair (identities, 10) references to pictures.
        self.pairs = self._arrays(kind)
        shapes = [pair.shape for pair in self.pairs]
        if any(pair.dtype != object or pair.shape[1:] != (_SHOTS,) for pair in self.pairs):
            raise DataError(f"expected cells of identities x {_SHOTS} pictures in {kind!r} of {mat}, got {shapes}")

    def _arrays(self, name: str) -> list[npt.NDArray[Any]]:
        """The arrays in a cell array."""
        # h5py raises many kinds of errors where something else stands than is looked for.
        try:
            return [self.file[reference][()].T for reference in self.file[name][()].ravel()]
        except Exception as error:
            raise DataError(
                f"expected a cell array {name!r} in {self.mat}, got: {brief(error)}; get the file again"
            ) from error

    def people(self) -> list[tuple[int, int]]:
        """Camera pair and number in it of each identity."""
        return [(pair, person) for pair, rows in enumerate(self.pairs, 1) for person in range(1, len(rows) + 1)]

    def test_people(self, number: int) -> set[tuple[int, int]]:
        """The identities of a test set of the old protocol."""
        sets = self._arrays("testsets")
        if not 1 <= number <= len(sets):
            raise SettingsError(f"expected the number of a test set from 1 to {len(sets)}, got {number}")
        chosen = sets[number - 1]
        people = {(int(row[0]), int(row[1])) for row in chosen} if chosen.shape[1:] == (2,) else set()
        if not people or not people <= set(self.people()):
            raise DataError(f"expected camera pairs and identities in test set {number} of {self.mat}, got others")
        return people

    def has(self, cell: _Cell) -> bool:
        """Whether there is such a cell and it holds a picture; MATLAB writes empty arrays with one dimension."""
        if not (1 <= cell.pair <= len(self.pairs) and 1 <= cell.person <= len(self.pairs[cell.pair - 1])):
            return False
        return 1 <= cell.shot <= _SHOTS and self._array(cell).ndim == 3

    def picture(self, cell: _Cell) -> Pixels:
        """The picture (height, width, 3), RGB."""
        array = self._array(cell)
        if array.size > _MAX_PIXELS:
            raise DataError(f"expected a crop in {self.kind} of {self.mat}, {cell}, got one of {array.shape}")
        try:
            pixels = array[()].T
        except Exception as error:
            raise DataError(
                f"expected a readable picture in {self.kind} of {self.mat}, {cell}, got: {brief(error)}"
            ) from error
        if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
            raise DataError(
                f"expected pictures of (height, width, 3) uint8 in {self.mat}, "
                f"got {pixels.shape} {pixels.dtype} in {self.kind}, {cell}"
            )
        return np.ascontiguousarray(pixels)

    def _array(self, cell: _Cell) -> Any:
        """The array that the cell refers to; it is not read yet."""
        # h5py raises many kinds of errors for references that damage has led elsewhere.
        try:
            array = self.file[self.pairs[cell.pair - 1][cell.person - 1, cell.shot - 1]]
            _ = array.ndim, array.size
        except Exception as error:
            raise DataError(f"expected a picture in {self.kind} of {self.mat}, {cell}, got: {brief(error)}") from error
        return array


def _old_protocol(source: _Source, test_set: int) -> list[_Crop]:
    tested = source.test_people(test_set)
    crops = []
    for pid, (pair, person) in enumerate(source.people(), start=1):
        for shot in range(1, _SHOTS + 1):
            camid = 1 if shot <= _SHOTS // 2 else 2
            folder = "bounding_box_train"
            if (pair, person) in tested:
                folder = "query" if camid == 1 else "bounding_box_test"
            crops.append(_Crop(_Cell(pair, person, shot), folder, pid, camid))
    return [crop for crop in crops if source.has(crop.cell)]


def _new_protocol(source: _Source, split: Path) -> list[_Crop]:
    config = read_mat(split)
    missing = [name for name in (*_NEW_FOLDERS, "filelist", "labels", "camId") if name not in config]
    if missing:
        raise DataError(f"expected the list of CUHK03's new protocol at {split}, got none of {', '.join(missing)}")
    names = [str(name) for name in np.atleast_1d(config["filelist"]).ravel()]
    pids, camids = (_numbers(config, name, split) for name in ("labels", "camId"))
    if not len(names) == len(pids) == len(camids):
        raise DataError(f"expected a label and a camId for each of {len(names)} names in filelist of {split}")
    crops = []
    for index, folder in _NEW_FOLDERS.items():
        for row in _numbers(config, index, split):
            match = _NAME.fullmatch(names[row - 1]) if row <= len(names) else None
            if not match:
                raise DataError(f"expected rows with names like 1_001_1_01.png in {index} of {split}, got row {row}")
            cell = _Cell(int(match["pair"]), int(match["person"]), int(match["shot"]))
            crops.append(_Crop(cell, folder, pids[row - 1], camids[row - 1]))
    absent = [crop.cell for crop in crops if not source.has(crop.cell)]
    if absent:
        raise DataError(
            f"expected the {len(crops)} pictures of {split} among the {source.kind} ones in {source.mat}, "
            f"got {len(absent)} that are not there, first: {absent[0]}; take the list of the same kind"
        )
    if len({crop.cell for crop in crops}) < len(crops):
        raise DataError(f"expected each picture once in {', '.join(_NEW_FOLDERS)} of {split}, got some again")
    return crops


def _numbers(config: dict[str, Any], name: str, split: Path) -> list[int]:
    """A column of the list: labels, cameras and rows all count from 1."""
    column = np.atleast_1d(config[name]).ravel()
    if column.dtype.kind not in "iuf" or (column < 1).any():
        raise DataError(f"expected numbers from 1 in {name} of {split}, got others")
    return [int(number) for number in column]


def _save(pixels: Pixels, path: Path, size: tuple[int, int]) -> None:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("expected Pillow to write pictures, got none; install bitreid[convert]") from error
    # PNG has no quality and passes it over.
    Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR).save(path, quality=95)
