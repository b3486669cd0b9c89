"""The folder of a gallery's segments."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bitreid.errors import GalleryBusy, GalleryDamaged
from bitreid.gallery.contract import Contract
from bitreid.gallery.sqlite.segments.listed import Entry
from bitreid.gallery.table.segment import Segment

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

AVAILABLE = fcntl is not None
"""Whether segments can be written here: one process at a time does, which the lock of a file sees to."""
_LOCK = "lock"


class Folder:
    """The segments of the gallery in a file; the folder is made with the first of them."""

    def __init__(self, gallery: Path, contract: Contract) -> None:
        self.gallery = gallery.resolve()
        self.path = folder_of(gallery)
        self._contract = contract
        self._open: dict[str, Segment] = {}
        self._damaged: set[str] = set()  # names; nobody tries them again

    def open(self, entries: Sequence[Entry]) -> tuple[list[Segment], list[str]]:
        """Return the listed segments that can be used, in order, and words about those that are damaged, once.

        Those that are not there, or were found damaged before, are passed over.
        """
        found, words = {}, []
        for entry in entries:
            segment = self._open.get(entry.name)
            if segment is None and entry.name not in self._damaged:
                try:
                    segment = Segment(self.path / entry.name, self._contract, entry.header)
                    if (segment.first, segment.last) != (entry.first, entry.last):
                        raise segment.damaged("one of other items")
                except FileNotFoundError:
                    continue
                except (OSError, GalleryDamaged) as error:
                    self._damaged.add(entry.name)
                    words.append(f"{error}; its items are read from the gallery's file meanwhile")
                    continue
            if segment is not None:
                found[entry.name] = segment
        self._open = found
        return list(found.values()), words

    def distrust(self, name: str) -> None:
        """Leave a segment out from now on."""
        self._damaged.add(name)
        self._open.pop(name, None)

    def missing(self, entries: Sequence[Entry]) -> bool:
        """Return whether a listed segment is not there."""
        there: set[str] = set()
        with suppress(OSError):  # nobody may look
            there = {file.name for file in self.path.iterdir()}
        return any(entry.name not in there for entry in entries if entry.name not in self._open)

    def new_path(self) -> Path:
        """Return the path of a new segment."""
        return self.path / f"{secrets.token_hex(8)}.segment"

    def mode(self) -> int:
        """Return who may read and write the gallery's file."""
        return self.gallery.stat().st_mode & 0o666

    @contextmanager
    def locked(self, wait_s: float) -> Iterator[None]:
        """Be the only one who writes segments; `GalleryBusy` if another process does for so long."""
        if not self.path.is_dir():
            self.path.mkdir(exist_ok=True)
            self.path.chmod(self.mode() | (self.mode() & 0o444) >> 2)
        file = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, self.mode())
        with suppress(PermissionError):  # somebody else made it, and did the same
            os.fchmod(file, self.mode())  # whatever the umask is: all who may write the gallery lock this
        try:
            until = time.monotonic() + wait_s
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise GalleryBusy(
                            f"{self.path}: expected to write segments, got another process that does; nothing is "
                            "lost, try again later"
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked meanwhile would keep it
            os.close(file)

    def clean(self, entries: Sequence[Entry]) -> None:
        """Remove all segments but those listed. Who has them mapped goes on with them."""
        kept = {entry.name for entry in entries}
        for file in self.path.glob("*.segment"):
            if file.name not in kept:
                file.unlink(missing_ok=True)

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        total = 0
        with suppress(OSError):  # there is none, or nobody may look
            for file in self.path.iterdir():
                with suppress(FileNotFoundError):
                    total += file.stat().st_size
        return total


def folder_of(gallery: Path) -> Path:
    """Return where the segments of a gallery's file are."""
    return Path(f"{gallery.resolve()}.d")


def remove_segments(gallery: Path) -> None:
    """Remove all segments beside a file, of a gallery that was there before."""
    folder = folder_of(gallery)
    if folder.is_dir():
        for file in folder.glob("*.segment"):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # something else is there, too
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()
