"""The data contract: a table of pictures of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from bitreid.errors import DataError

Value = int | float | str | None
"""A value of a further column; None where nobody told."""
Further = Sequence[str] | Literal["all"]
"""Which further columns of a table become metadata: those of these names, or all."""
SPLITS = ("train", "query", "gallery")
UNKNOWN = -2
"""pid or camid of a picture whose identity or camera is not known."""
JUNK = -1
"""pid of a junk picture (Market-1501: neither right nor wrong, left out of every ranking)."""
DISTRACTOR = 0
"""pid of a distractor (Market-1501: matches nobody, stays in the ranking)."""

_NO_LAYOUT = (
    "the folder has none of the known layouts (Market-1501, DukeMTMC-reID, CUHK03-NP and MOT17-ReID: bounding_box_test "
    "and query; MSMT17: list_query.txt; a folder for each person: query/PERSON and gallery/PERSON): list its pictures "
    "in a CSV with the columns path, pid, camid, split, or give --pattern, such as "
    "'(?P<split>query|test).*/(?P<pid>[0-9]+)_c(?P<camid>[0-9]+)'"
)


@dataclass(frozen=True)
class Manifest:
    """A table of pictures, one row each; all columns have length n.

    paths    picture files, as given by the parser (absolute, or relative to the working directory)
    pids     (n,) int64 identity; `JUNK` (-1), `DISTRACTOR` (0) or `UNKNOWN` (-2)
    camids   (n,) int64 camera, or `UNKNOWN`
    splits   (n,) one of `SPLITS`
    times    (n,) int64 frame number or time stamp, `UNKNOWN` where nobody told; or None
    tracklets  (n,) int64, `UNKNOWN` for a picture in none; or None
    dated    whether the times are dates, in microseconds from 1970 on
    person_names, camera_names  what the source called the people and cameras that it did not number, by number
    metadata   further columns by name, n values each
    """

    paths: tuple[Path, ...]
    pids: npt.NDArray[np.int64]
    camids: npt.NDArray[np.int64]
    splits: tuple[str, ...]
    times: npt.NDArray[np.int64] | None = None
    tracklets: npt.NDArray[np.int64] | None = None
    dated: bool = False
    person_names: Mapping[int, str] = field(default_factory=dict)
    camera_names: Mapping[int, str] = field(default_factory=dict)
    metadata: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.paths)
        for name in ("pids", "camids", "times", "tracklets"):
            column = getattr(self, name)
            if column is not None and (column.shape != (n,) or column.dtype != np.int64):
                raise DataError(f"expected column {name} of shape ({n},) int64, got {column.shape} {column.dtype}")
        if n and (self.pids.min() < UNKNOWN or self.camids.min() < UNKNOWN):
            raise DataError(
                f"expected pids and camids of at least {UNKNOWN} (unknown), "
                f"got pid {self.pids.min()} and camid {self.camids.min()}"
            )
        for name, values in self.metadata.items():
            if len(values) != n:
                raise DataError(f"expected {n} values of {name!r}, one a picture, got {len(values)}")
        if len(self.splits) != n:
            raise DataError(f"expected {n} splits, one a picture, got {len(self.splits)}")
        wrong = sorted(set(self.splits) - set(SPLITS))
        if wrong:
            raise DataError(f"expected every split to be one of {', '.join(SPLITS)}, got {', '.join(wrong)}")

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, keep: npt.NDArray[np.bool_]) -> Self:
        """The rows where `keep` (n,) is true."""
        if keep.shape != (len(self),) or keep.dtype != np.bool_:
            raise DataError(f"expected a mask of shape ({len(self)},) bool, got {keep.shape} {keep.dtype}")
        return self.take(np.flatnonzero(keep))

    def take(self, where: npt.NDArray[np.int64]) -> Self:
        """The rows of the given numbers, in that order."""
        return type(self)(
            tuple(self.paths[i] for i in where),
            self.pids[where],
            self.camids[where],
            tuple(self.splits[i] for i in where),
            None if self.times is None else self.times[where],
            None if self.tracklets is None else self.tracklets[where],
            self.dated,
            self.person_names,
            self.camera_names,
            {name: tuple(values[i] for i in where) for name, values in self.metadata.items()},
        )

    def split(self, name: str) -> Self:
        """The rows of one split; an error if there are none."""
        rows = self.rows(np.array([split == name for split in self.splits], dtype=np.bool_))
        if not len(rows):
            have = {split: self.splits.count(split) for split in SPLITS if split in self.splits}
            nameless = len(self) and (self.pids == UNKNOWN).all()
            advice = _NO_LAYOUT if nameless else "say in a table, or in a pattern with (?P<split>...), which those are"
            raise DataError(
                f"expected pictures in the split {name!r}, got none (the data set has {have or 'no rows'}); {advice}"
            )
        return rows

    def identities(self) -> npt.NDArray[np.int64]:
        """The sorted identities that are real people (pid > 0)."""
        found = np.unique(self.pids)
        return found[found > 0]
