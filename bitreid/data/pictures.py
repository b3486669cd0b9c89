"""Pictures as `uint8` arrays of one size, decoded by many threads, and kept in memory if they fit."""

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Pixels
from bitreid.data.decoding import Picture, open_picture
from bitreid.errors import DataError, DataWarning, PictureError, SettingsError
from bitreid.text import printable

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""

NAMED_FILES = 5
"""How many bad files one error names; it counts them all."""


class OddPicture(NamedTuple):
    """A picture that hardly shows a person, and what is odd about it."""

    path: Path
    what: str


@dataclass
class Findings:
    """What was found while pictures were read: `bad` ones, which were left out, and `odd` ones, which were not."""

    bad: list[PictureError] = field(default_factory=list)
    odd: list[OddPicture] = field(default_factory=list)

    def extend(self, other: Self) -> None:
        """Add what was found elsewhere."""
        self.bad += other.bad
        self.odd += other.odd

    def refuse_bad(self, n: int) -> None:
        """Raise one `DataError` that counts the bad ones of `n` pictures and names the first few, if there are any."""
        if len(self.bad) == 1:
            raise self.bad[0]
        if self.bad:
            named = ", ".join(f"{printable(str(error.path))} ({error.reason})" for error in self.bad[:NAMED_FILES])
            raise DataError(
                f"expected {n} readable pictures, got {len(self.bad)} bad ones: "
                f"{named}{', ...' if len(self.bad) > NAMED_FILES else ''}; leave them out"
            )

    def warn_of_odd(self) -> None:
        """Warn of the odd ones, if there are any: one `DataWarning` counts them and names the first."""
        if self.odd:
            path, what = self.odd[0]
            warnings.warn(
                f"{len(self.odd)} pictures hardly show a person, and were used all the same; "
                f"first: {printable(str(path))} ({what})",
                DataWarning,
                stacklevel=3,
            )


def load_picture(path: Path, height: int, width: int) -> Pixels:
    """Return the picture `(height, width, 3)`, RGB, resized with Pillow's (antialiased) bilinear filter.

    See `open_picture` for what is read and how; `PictureError` names a file that is not.
    """
    _check_size(height, width)
    return _resized(path, (width, height))[0]


def load_pictures(paths: Sequence[Path], height: int, width: int, progress: Progress | None = None) -> Pixels:
    """Return the pictures `(len(paths), height, width, 3)` as `load_picture` does, decoded by one thread a core.

    One `DataError` counts all bad files and names the first few; one `DataWarning` counts those that hardly show a
    person.
    """
    pictures, _, findings = read_pictures(paths, height, width, progress)
    findings.refuse_bad(len(paths))
    findings.warn_of_odd()
    return pictures


def read_pictures(
    pictures: Sequence[Picture],
    height: int,
    width: int,
    progress: Progress | None = None,
    first: int = 0,
    n_threads: int | None = None,
) -> tuple[Pixels, npt.NDArray[np.int64], Findings]:
    """Return the m pictures `(m, height, width, 3)` that can be read, their rows `(m,)`, and what was found.

    Pictures without a path are called by their number, which begins with `first`. `n_threads` decode (None: one a
    processor).
    """
    _check_size(height, width)
    decoded = np.empty((len(pictures), height, width, 3), dtype=np.uint8)
    names = [each if isinstance(each, Path) else Path(f"picture {i}") for i, each in enumerate(pictures, start=first)]

    def load(i: int) -> str | None:
        decoded[i], odd = _resized(pictures[i], (width, height), names[i])
        return odd

    good, findings = _for_all(names, load, progress, n_threads)
    rows = np.flatnonzero(good)
    return (decoded if good.all() else decoded[rows]), rows, findings


def same_pictures(
    query_paths: Sequence[Path], gallery_paths: Sequence[Path], progress: Progress | None = None
) -> npt.NDArray[np.int64]:
    """The pairs `(m, 2)` of a query row and a gallery row whose pictures have the same content, sorted.

    Pictures have the same content if they have one size and the same RGB pixels, whatever their files' names, formats
    and metadata; a picture that was resized or compressed again does not count. Every path is decoded once, by one
    thread a core (about 0.6 ms for a small JPEG), and only a 128-bit fingerprint of it is kept. One `DataError` counts
    the files that are missing or damaged.
    """
    paths = list(dict.fromkeys([*query_paths, *gallery_paths]))
    contents = [b""] * len(paths)

    def fingerprint(i: int) -> None:
        rgb = open_picture(paths[i]).rgb
        contents[i] = hashlib.blake2b(str(rgb.size).encode() + rgb.tobytes(), digest_size=16).digest()

    _, findings = _for_all(paths, fingerprint, progress)
    findings.refuse_bad(len(paths))
    content = dict(zip(paths, contents, strict=True))
    rows_with: dict[bytes, list[int]] = {}
    for row, path in enumerate(gallery_paths):
        rows_with.setdefault(content[path], []).append(row)
    pairs = [(query, row) for query, path in enumerate(query_paths) for row in rows_with.get(content[path], ())]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def check_pictures(paths: Sequence[Path], progress: Progress | None = None) -> None:
    """Check that every picture can be decoded; one `DataError` counts all bad files and names the first few.

    Call it before long work that decodes pictures on demand, so that the work does not stop in the middle. One
    `DataWarning` counts the pictures that hardly show a person.
    """
    _, findings = _for_all(paths, lambda i: open_picture(paths[i]).odd, progress)
    findings.refuse_bad(len(paths))
    findings.warn_of_odd()


class PictureStore:
    """Pictures by row: `store[indices]` is `(len(indices), height, width, 3) uint8`, RGB.

    They are decoded once and kept (`in_memory`) if all of them fit into `memory_bytes`; else all files are checked,
    and pictures are decoded on demand.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        height: int,
        width: int,
        memory_bytes: int = 4 * 2**30,
        progress: Progress | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self.height = height
        self.width = width
        self._pictures: Pixels | None = None
        if len(self.paths) * height * width * 3 <= memory_bytes:
            self._pictures = load_pictures(self.paths, height, width, progress)
        else:
            check_pictures(self.paths, progress)

    @property
    def in_memory(self) -> bool:
        """Whether the pictures are kept decoded."""
        return self._pictures is not None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: npt.NDArray[np.integer]) -> Pixels:
        if self._pictures is None:
            # Odd pictures were told of when the store was made.
            pictures, _, findings = read_pictures([self.paths[i] for i in indices], self.height, self.width)
            findings.refuse_bad(len(indices))
            return pictures
        chosen: Pixels = self._pictures[indices]
        return chosen


def _resized(picture: Picture, size: tuple[int, int], name: Path | None = None) -> tuple[Pixels, str | None]:
    """The picture in RGB, resized to `size` (width, height), and what is odd about it."""
    rgb, odd = open_picture(picture, name)
    from PIL import Image

    return np.array(rgb.resize(size, Image.Resampling.BILINEAR)), odd


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise SettingsError(f"expected pictures of at least 1 x 1 pixels, got {height} x {width}")


def _for_all(
    paths: Sequence[Path], work: Callable[[int], str | None], progress: Progress | None, n_threads: int | None = None
) -> tuple[npt.NDArray[np.bool_], Findings]:
    """Run `work(0)` to `work(n - 1)` on threads (Pillow releases the GIL), which say what is odd about each picture.

    Returns which pictures could be read `(n,)`, and what was found.
    """
    good = np.ones(len(paths), dtype=np.bool_)
    findings = Findings()

    def attempt(i: int) -> PictureError | str | None:
        try:
            return work(i)
        except PictureError as error:
            return error

    with ThreadPoolExecutor(n_threads or os.cpu_count()) as pool:
        for i, found in enumerate(pool.map(attempt, range(len(paths)))):
            if isinstance(found, PictureError):
                findings.bad.append(found)
                good[i] = False
            elif found is not None:
                findings.odd.append(OddPicture(paths[i], found))
            if progress:
                progress(i + 1, len(paths))
    return good, findings
