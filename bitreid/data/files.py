"""Files and folders: finding the pictures in a folder, and writing so that only complete files and folders appear."""

import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bitreid.data.formats import HEIF_SUFFIXES, look_of
from bitreid.errors import DataError, DataWarning
from bitreid.text import printable

NAMED_PASSED_OVER = 3
"""How many files one warning of files that are passed over names; it counts them all."""


def pictures_in(folder: Path, recursive: bool, warn: bool = True) -> list[Path]:
    """Return the picture files of a folder, sorted by path: those of an ending in `formats.FORMATS`, and those without
    any ending that hold such a picture.

    Hidden files and folders are skipped: macOS leaves `._0001.jpg` beside `0001.jpg`, other systems keep thumbnails.
    A link that leads nowhere counts as a file: whoever reads it names it. One `DataWarning` (unless not `warn`) counts
    the files that look like pictures and are passed over.
    """
    files = [
        path
        for path in (folder.rglob("*") if recursive else folder.iterdir())
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and (path.is_file() or (path.is_symlink() and not path.exists()))
    ]
    with_heif = find_spec("pillow_heif") is not None
    looks = {path: look_of(path, with_heif) for path in sorted(files)}
    unread = [path for path, look in looks.items() if look == "unread"]
    if unread and warn:
        named = ", ".join(printable(path.name) for path in unread[:NAMED_PASSED_OVER])
        advice = "; bitreid[heic] reads HEIC" if {path.suffix.lower() for path in unread} & {*HEIF_SUFFIXES} else ""
        warnings.warn(
            f"{len(unread)} files in {printable(str(folder))} look like pictures and are passed over, "
            f"first: {named}{advice}; convert them to JPEG or PNG",
            DataWarning,
            stacklevel=2,
        )
    return [path for path, look in looks.items() if look == "picture"]


def what_is_at(path: Path) -> str:
    """Words for an error message that say what is at a path: a folder, a file or nothing."""
    if path.is_dir():
        return f"a folder with {sum(1 for _ in path.iterdir())} other entries"
    return "a file" if path.exists() else "nothing"


def warn_of_pictures(pictures: Sequence[Path], what: str) -> None:
    """Warn of these pictures, if there are any: one `DataWarning` counts them and names the first."""
    if pictures:
        warnings.warn(
            f"{len(pictures)} pictures {what}; first: {printable(str(pictures[0]))}", DataWarning, stacklevel=4
        )


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | None] = ()) -> None:
    """Check that files can be written to the `outputs` without losing anything; call it before the long work.

    `DataError` if an output is a folder, is one of the `inputs` (which would be lost), is named twice, or lies where
    files cannot be written. None stands for an input or output that was not asked for.
    """
    taken = {each.resolve() for each in inputs if each is not None}
    for out in (each for each in outputs if each is not None):
        if out.is_dir():
            raise DataError(f"expected the name of a file to write, got the folder {out}; add a name")
        if out.resolve() in taken:
            raise DataError(
                f"expected to write to a file that is neither read nor written besides, got {out}; choose another name"
            )
        taken.add(out.resolve())
        folder = next(parent for parent in out.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise DataError(f"expected a folder that can be written to for {out}, got {folder}; choose another")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes `out` when the block ends; a block that fails leaves nothing behind.

    `DataError` if `out` exists and is not an empty folder.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"expected {out} to be a new or empty folder, found something there; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.parent / f".{out.name}.{secrets.token_hex(4)}"
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.replace(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """Give a path to write to; its file is synced and becomes `out` when the block ends. If it fails, `out` stays."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(out)
        sync_folder(out.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable, where the system can (Windows cannot open a folder)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
