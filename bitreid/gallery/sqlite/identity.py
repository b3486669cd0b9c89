"""Which file a gallery's log belongs to.

SQLite keeps the latest commits in a log beside the file (`-wal`), and reads whichever log lies there: that of another
gallery, or of what was there before a backup was put in its place. So each file has a number, in the header of its
first page, and each commit writes that page: a log tells whose it is.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import quote

from bitreid.errors import GalleryDamaged, GalleryNotFound, Unsupported

_MOST = 2**23
_VERSION_AT = 60  # in the first page
_AGAIN_S = 0.1
_HEADER, _FRAME = 32, 24  # bytes of the log's header, and of that of each page in it


def new_identity() -> int:
    """Return a number for a new file."""
    return 1 + secrets.randbelow(_MOST - 1)


def user_version(identity: int, version: int) -> int:
    """Return what the header of a file says: the file's number, and its format from 1 to 255."""
    return identity << 8 | version


def uri(path: Path, mode: str) -> str:
    """Return a file as SQLite is asked to open it: in `mode`, which may add other settings."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"


class Place(NamedTuple):
    """Where a file was when it was opened, and which it is. What is written to one that was removed is lost."""

    path: Path
    which: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the place of a file that is there."""
        there = path.stat()
        return cls(path.absolute(), (there.st_dev, there.st_ino))

    def check(self) -> None:
        """Check that the file is there still; else `GalleryNotFound`."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != self.which:
            got = "nothing" if there is None else "another file"
            raise GalleryNotFound(
                f"expected the gallery that was opened at {self.path}, got {got}; nothing was written, put it back or "
                "open what is there"
            )


def check_names(path: Path) -> None:
    """Check that a file has one name; else `Unsupported`. Each of two hard links would have a log of its own."""
    n = path.stat().st_nlink
    if n > 1:
        raise Unsupported(
            f"{path}: expected a file of one name, got one of {n} (hard links), each of which would keep its own log; "
            "copy it, or make symbolic links"
        )


def check_log(path: Path) -> None:
    """Check that the log beside a file is its own; else `GalleryDamaged`. Files of format 1 have no number."""
    real = path.resolve()
    if not _belong_together(real):
        time.sleep(_AGAIN_S)  # a backup may be put in its place at this moment, which changes the number
        if not _belong_together(real):
            raise GalleryDamaged(
                f"{path}: expected the log of this gallery beside it, got that of another or of an earlier file "
                f"({real.name}-wal); move that away if this file is the right one, and use `bitreid gallery restore` "
                "to go back to a backup"
            )


def _belong_together(file: Path) -> bool:
    # The file is read by SQLite, past the log: whoever closes a file ends all locks that its process has on it, unless
    # SQLite does. Without them another process removes the log of this one as that of nobody. While the log is brought
    # into the file, and where that was killed, the first page names more pages than the file has: SQLite takes that for
    # damage unless a file's tables are there to be mended, which nothing here does.
    plain = uri(file, "ro&immutable=1")
    try:
        with Path(f"{file}-wal").open("rb") as log, closing(sqlite3.connect(plain, uri=True)) as opened:
            opened.execute("PRAGMA writable_schema = ON")
            mine = opened.execute("PRAGMA user_version").fetchone()[0] >> 8
            return not mine or _identity_in(log) in (mine, None)
    except FileNotFoundError:
        return True


def _identity_in(log: BinaryIO) -> int | None:
    """Return the number of the file that a log belongs to, 0 if it does not say; None where nothing was committed."""
    header = log.read(_HEADER)
    size, salts = int.from_bytes(header[8:12], "big"), header[16:24]
    for page, ends, at in _frames(log, size, salts) if len(header) == _HEADER and size else ():
        if page == 1:
            log.seek(at + _VERSION_AT)
            return int.from_bytes(log.read(4), "big") >> 8
        if ends:
            return 0
    return None


def _frames(log: BinaryIO, size: int, salts: bytes) -> Iterator[tuple[int, bool, int]]:
    """Yield of each page in a log its number, whether a commit ends with it, and where it is."""
    end, at = os.fstat(log.fileno()).st_size, _HEADER
    while at + _FRAME + size <= end:
        log.seek(at)
        frame = log.read(_FRAME)
        if frame[8:16] != salts:
            return  # of before the log began anew
        yield int.from_bytes(frame[:4], "big"), frame[4:8] != bytes(4), at + _FRAME
        at += _FRAME + size
