"""Thumbnails of items, kept where the operator says so, and forgotten with their items."""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from bitreid.data.files import new_file
from bitreid.errors import SettingsError
from bitreid.gallery import Gallery
from bitreid.gallery.items import Id
from bitreid.gallery.opening import MEMORY, hidden
from bitreid.service.problems import LOG
from bitreid.text import printable, shown

FORMAT_VERSION = 1
"""The format of folders of thumbnails that this bitreid reads and writes."""
ABOUT = "bitreid-pictures.json"
"""The file that says what the folder is."""
LEFT_S = 3600.0
"""A file that nobody has completed for so long was left by a process that died."""

_FOLDER = re.compile(r"[0-9a-f]{2}")
_PICTURE = re.compile(r"[0-9a-f]{62}\.jpg")
_UNFINISHED = re.compile(r"\.[0-9a-f]{62}\.jpg\.[0-9a-f]{8}")


class KeptPictures:
    """A folder of thumbnails of the items of one gallery: a JPEG each, called after SHA-256 of the item's id.

    Any thread may use it, and several processes may. An item is added before its thumbnail and deleted before it, so a
    process that dies leaves at most thumbnails without an item, which `sweep` removes. Where another program replaces
    an item by one of the same id, its thumbnail stays: add such items through the service.
    """

    def __init__(self, folder: Path, gallery: str | None) -> None:
        """Open a folder, which is made if there is none, for the gallery at a place (None: one in memory).

        `SettingsError` for a folder of another gallery, or one that holds anything else.
        """
        self.folder = folder
        place = MEMORY if gallery is None else gallery
        whose = hidden(place if place == MEMORY or "://" in place else str(Path(place).resolve()))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder / ABOUT
        if not about.exists():
            if any(folder.iterdir()):
                raise SettingsError(
                    f"expected an empty folder to keep pictures in, got {printable(str(folder))}, which holds "
                    "something else; name a new one"
                )
            with new_file(about) as unfinished:
                text = json.dumps({"format_version": FORMAT_VERSION, "gallery": whose}, indent=1)
                unfinished.write_text(f"{text}\n", encoding="utf-8")
        try:
            said = json.loads(about.read_text(encoding="utf-8"))
            version, there = said["format_version"], said["gallery"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise SettingsError(
                f"expected a folder of pictures, got {printable(str(about))} that cannot be read "
                f"({type(error).__name__}); name another folder"
            ) from error
        if version != FORMAT_VERSION or there != whose:
            raise SettingsError(
                f"expected the pictures of {whose} in format {FORMAT_VERSION}, got those of {shown(there)} in format "
                f"{shown(version)}; name another folder, or change {printable(str(about))} if the gallery was moved"
            )

    def keep(self, thumbnails: Iterable[tuple[Id, bytes]]) -> None:
        """Keep these thumbnails of items, and replace what was kept under their ids.

        One that cannot be written is missing, and the log says why: the item is there all the same.
        """
        for id, content in thumbnails:
            path = self._path(id)
            try:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                with new_file(path) as unfinished:
                    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                    unfinished.write_bytes(content)
            except OSError as error:
                LOG.error("expected to keep a picture in %s, got: %s", self.folder, error.strerror or error)
                with suppress(OSError):
                    path.unlink(missing_ok=True)  # of an item that was replaced

    def get(self, id: Id) -> bytes | None:
        """Return the thumbnail of an item, a JPEG; None where none is kept."""
        try:
            return self._path(id).read_bytes()
        except FileNotFoundError:
            return None

    def has(self, ids: Iterable[Id]) -> list[bool]:
        """Return of which of these items a thumbnail is kept."""
        return [self._path(id).exists() for id in ids]

    def forget(self, ids: Iterable[Id]) -> None:
        """Remove the thumbnails of these items."""
        for id in ids:
            self._path(id).unlink(missing_ok=True)

    def sweep(self, gallery: Gallery) -> int:
        """Remove the thumbnails of items that the gallery does not have; return how many.

        They are left by processes that died, and where other programs delete items.
        """
        # Listed before the items are: each of these has an item already, if it is ever to have one.
        left = {path.parent.name + path.stem: path for path in self._files(_PICTURE)}
        if left:
            for batch in gallery.scan():
                for id in batch.ids:
                    left.pop(_name(id), None)
        for path in left.values():
            path.unlink(missing_ok=True)
        for path in self._files(_UNFINISHED):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > LEFT_S:
                    path.unlink()
        return len(left)

    def _files(self, pattern: re.Pattern[str]) -> Iterator[Path]:
        """Yield the files that are called so: nothing else in the folder is ever touched."""
        for folder in sorted(self.folder.iterdir()):
            if _FOLDER.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
                yield from (path for path in sorted(folder.iterdir()) if pattern.fullmatch(path.name))

    def _path(self, id: Id) -> Path:
        name = _name(id)
        return self.folder / name[:2] / f"{name[2:]}.jpg"


def _name(id: Id) -> str:
    return hashlib.sha256((f"s:{id}" if isinstance(id, str) else str(id)).encode(errors="surrogatepass")).hexdigest()
