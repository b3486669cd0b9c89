"""What the service is given: who calls, how pictures are decoded, and where they are kept."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from fastapi import Request

from bitreid.arrays import Pixels
from bitreid.gallery.items import Id

Scope = Literal["search", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("search", "write", "admin")
"""What a caller may do; each may do what those before it may."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the name of their key, which the audit tells, and the most that they may do."""

    name: str
    scope: Scope

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All that they may do."""
        return SCOPES[: SCOPES.index(self.scope) + 1]


OPEN = Caller("", "admin")
"""Whoever calls a service without keys, which only this machine can reach."""

Authenticate = Callable[[Request], Caller]
"""Returns who sent a request; raises a `Problem` (401) for nobody who is known."""

Acting = Callable[[Caller], AbstractContextManager[object]]
"""Within it, what is done to the gallery is done by this caller; see `Gallery.actor`."""

Decode = Callable[[bytes], Pixels]
"""Returns the pixels `(h, w, 3)` of a picture, RGB, turned as its EXIF says; `PictureError` if it cannot be read.

Called in a thread.
"""


class Pictures(Protocol):
    """Thumbnails of items. Its methods are called in threads."""

    def thumbnail(self, picture: Pixels) -> bytes:
        """Return a small JPEG of a picture `(h, w, 3)`."""

    def keep(self, thumbnails: Iterable[tuple[Id, bytes]]) -> None:
        """Keep these thumbnails of items, and replace what was kept under their ids."""

    def get(self, id: Id) -> bytes | None:
        """Return the thumbnail of an item, a JPEG; None where none is kept."""

    def has(self, ids: Iterable[Id]) -> list[bool]:
        """Return of which of these items a thumbnail is kept."""

    def forget(self, ids: Iterable[Id]) -> None:
        """Remove the thumbnails of these items."""
