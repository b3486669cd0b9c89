"""Where galleries are: a place is a file, a Milvus server and a name, or memory."""

import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bitreid.errors import BadRequest, GalleryNotFound, Unsupported
from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract

MEMORY = "memory:"
_SCHEMES = {"milvus": "http", "milvuss": "https"}
_SECRET = re.compile(r"^(\w+:/*[^:@]*):.*@", re.DOTALL)


def create_gallery(place: str | Path, contract: Contract, *, audited: bool = True, actor: str = "") -> Gallery:
    """Return a new, empty gallery for codes of this contract; `GalleryExists` if there is one at the place.

    `place` is the path of a SQLite file, `milvus://HOST:PORT/NAME` (`milvuss://` with TLS; before the host may stand
    `USER:PASSWORD@`), or `memory:`. `audited` galleries log additions, searches and deletions, under the name `actor`.

    >>> with create_gallery("memory:", Contract(64)) as gallery:
    ...     gallery.count()
    0
    """
    match = _milvus(place)
    if match is not None:
        from bitreid.gallery.milvus.gallery import create_milvus

        return create_milvus(*match, contract, audited=audited, actor=actor)
    if str(place) == MEMORY:
        from bitreid.gallery.memory import MemoryGallery

        return MemoryGallery(contract, audited=audited, actor=actor)
    from bitreid.gallery.sqlite.gallery import create_sqlite

    return create_sqlite(Path(place), contract, audited=audited, actor=actor)


def open_gallery(place: str | Path, *, actor: str = "", read_only: bool = False) -> Gallery:
    """Return the gallery at a place (see `create_gallery`); `GalleryNotFound` if there is none.

    With `read_only` nothing is written, and searches are not audited.
    """
    match = _milvus(place)
    if match is not None:
        from bitreid.gallery.milvus.gallery import open_milvus

        return open_milvus(*match, actor=actor, read_only=read_only)
    if str(place) == MEMORY:
        raise BadRequest("expected a gallery that lasts, got memory:, which is new each time; use create_gallery")
    from bitreid.gallery.sqlite.gallery import open_sqlite

    return open_sqlite(Path(place), actor=actor, read_only=read_only)


def restore_gallery(backup: Path, place: str | Path) -> None:
    """Make the gallery in a file what a backup of it holds; whatever is there is lost. Nobody may have it open.

    `Unsupported` for a place that is no file: there the items of an export are imported.
    """
    if _milvus(place) is not None or str(place) == MEMORY:
        raise Unsupported(f"expected a file to restore a backup to, got {place}; export the backup and import that")
    from bitreid.gallery.sqlite.restore import restore_sqlite

    restore_sqlite(backup, Path(place))


def open_or_create_gallery(place: str | Path, contract: Contract, *, audited: bool = True, actor: str = "") -> Gallery:
    """Return the gallery at a place that lasts; where there is none, a new one for codes of this contract.

    The contract of a gallery that is there may be another. What is there and cannot be opened is left alone.
    """
    try:
        return open_gallery(place, actor=actor)
    except GalleryNotFound:
        return create_gallery(place, contract, audited=audited, actor=actor)


def hidden(place: str | Path) -> str:
    """Return a place as it may be shown and logged: without the password in it.

    >>> hidden("milvus://anna:secret@db:19530/people")
    'milvus://anna:...@db:19530/people'
    """
    return _SECRET.sub(r"\1:...@", str(place))


def _milvus(place: str | Path) -> tuple[str, str] | None:
    """Return the server's address and the gallery's name; None for a place that is no Milvus server."""
    if isinstance(place, Path) or ("://" not in place and place.partition(":")[0] not in _SCHEMES):
        return None
    parts = _parts_of(place)
    name = "" if parts is None else parts.path.removeprefix("/")
    if parts is None or parts.scheme not in _SCHEMES or not name or "/" in name or parts.query or parts.fragment:
        raise BadRequest(
            f"expected a place such as people.gallery, milvus://localhost:19530/people or memory:, got {hidden(place)}"
        )
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}", name


def _parts_of(place: str) -> SplitResult | None:
    """Return the parts of an address; None if its host or port is none."""
    try:
        parts = urlsplit(place)
        return parts if parts.hostname and parts.port != 0 else None  # a port past 65535 raises as well
    except ValueError:
        return None
