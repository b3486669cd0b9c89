"""Decoding picture files to `uint8` arrays, which are kept in memory if they fit."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Pixels
from bitreid.errors import DataError, SettingsError

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""

NAMED_FILES = 5
"""How many bad files one error names; it counts them all."""


def load_picture(path: Path, height: int, width: int) -> Pixels:
    """The picture `(height, width, 3)`, RGB, resized with Pillow's (antialiased) bilinear filter.

    `DataError` that names the file if it is missing, unreadable or truncated.
    """
    _check_size(height, width)
    return _decode(path, (width, height))


def load_pictures(paths: Sequence[Path], height: int, width: int, progress: Progress | None = None) -> Pixels:
    """The pictures `(len(paths), height, width, 3)`, RGB, decoded by one thread a core.

    One `DataError` counts all bad files and names the first few.
    """
    _check_size(height, width)
    out = np.empty((len(paths), height, width, 3), dtype=np.uint8)

    def load(i: int) -> None:
        out[i] = load_picture(paths[i], height, width)

    _for_all(len(paths), load, progress)
    return out


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
        pixels = _decode(paths[i], None)
        contents[i] = hashlib.blake2b(str(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest()

    _for_all(len(paths), fingerprint, progress)
    content = dict(zip(paths, contents, strict=True))
    rows_with: dict[bytes, list[int]] = {}
    for row, path in enumerate(gallery_paths):
        rows_with.setdefault(content[path], []).append(row)
    pairs = [(query, row) for query, path in enumerate(query_paths) for row in rows_with.get(content[path], ())]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def check_pictures(paths: Sequence[Path], progress: Progress | None = None) -> None:
    """Check that every picture can be decoded; one `DataError` counts all bad files and names the first few.

    Call it before long work that decodes pictures on demand, so that the work does not stop in the middle.
    """

    def check(i: int) -> None:
        load_picture(paths[i], 1, 1)

    _for_all(len(paths), check, progress)


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
            return load_pictures([self.paths[i] for i in indices], self.height, self.width)
        chosen: Pixels = self._pictures[indices]
        return chosen


def _decode(path: Path, size: tuple[int, int] | None) -> Pixels:
    """The picture in RGB, resized to `size` (width, height) if that is given."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("expected Pillow to read pictures, got none; install bitreid[pictures]") from error
    try:
        with Image.open(path) as picture:
            # Palettes with transparency warn when they go to RGB directly.
            opaque = picture.convert("RGBA") if picture.mode in ("P", "PA") else picture
            rgb = opaque.convert("RGB")
            return np.array(rgb.resize(size, Image.Resampling.BILINEAR) if size else rgb)
    # Pillow's readers raise many kinds of errors for damaged files, SyntaxError and struct.error among them.
    except Exception as error:
        raise DataError(f"expected a readable picture at {path}, got: {error}") from error


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise SettingsError(f"expected pictures of at least 1 x 1 pixels, got {height} x {width}")


def _for_all(n: int, work: Callable[[int], None], progress: Progress | None) -> None:
    """Run `work(0)` to `work(n - 1)` on threads (Pillow releases the GIL); join their `DataError`s into one."""

    def attempt(i: int) -> DataError | None:
        try:
            work(i)
        except DataError as error:
            return error
        return None

    errors: list[DataError] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, error in enumerate(pool.map(attempt, range(n)), start=1):
            if error:
                errors.append(error)
            if progress:
                progress(done, n)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        named = "\n".join(f"  {error}" for error in errors[:NAMED_FILES])
        raise DataError(f"expected {n} readable pictures, got {len(errors)} bad ones; the first of them:\n{named}")
