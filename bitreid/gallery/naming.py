"""What items are called by: paths, names of files, numbers or hashes; and paths below a root."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bitreid.codes import Codes
from bitreid.gallery.base import Gallery
from bitreid.gallery.items import Id

IdKind = Literal["path", "name", "number", "hash"]
"""What an item is called by: its picture's path, the file's name without ending, the next number of the gallery, or a
hash that says nothing of the picture to those who do not have it."""


def ids_for(
    kind: IdKind,
    paths: Sequence[Path],
    content: Codes | Sequence[Path],
    before: Sequence[Id],
    gallery: Gallery | None,
) -> list[Id]:
    """Return the ids of pictures of these paths, the content of which are codes, or files that are still to be
    encoded; `before` are ids that others have."""
    codes = content.packed if isinstance(content, Codes) else None
    match kind:
        case "path":
            return [str(path) for path in paths]
        case "name":
            return [path.stem for path in paths]
        case "hash":
            contents = map(bytes, content.packed) if isinstance(content, Codes) else map(_content, content)
            return [_hash(path, each) for path, each in zip(paths, contents, strict=True)]
    known, last = ({}, -1) if gallery is None else _numbered(gallery, {str(path) for path in paths})
    next_number = max([last, *(id for id in before if isinstance(id, int))]) + 1
    numbers: list[Id] = []
    for i, path in enumerate(paths):
        there = known.get(str(path), [])
        # A picture that is still to be encoded is known by its path alone, as it is by an id that is a path.
        same = [id for code, id in there if codes is None or code == codes[i].tobytes()]
        if same:
            numbers.append(same[0])
        else:
            numbers.append(next_number)
            next_number += 1
    return numbers


def _numbered(gallery: Gallery, pictures: set[str]) -> tuple[dict[str, list[tuple[bytes, int]]], int]:
    """Return the codes and numbers of the items of these pictures, and the largest number that any item has."""
    known: dict[str, list[tuple[bytes, int]]] = {}
    last = -1
    for batch in gallery.scan():
        for id, picture, code in zip(batch.ids, batch.pictures, batch.codes.packed, strict=True):
            if isinstance(id, int):
                last = max(last, id)
                if picture in pictures and picture is not None:
                    known.setdefault(picture, []).append((code.tobytes(), id))
    return known, last


def rooted(path: Path, root: Path | None) -> Path:
    """Return an absolute path below `root` relative to it, but for the root of all; any other path as it is."""
    if root is None or not path.is_absolute():
        return path
    folder = absolute(root)
    return path.relative_to(folder) if path.is_relative_to(folder) and folder.name else path


def absolute(path: Path) -> Path:
    """Return an absolute path without `..`; a link stays the link that it is."""
    return Path(os.path.normpath(path.absolute()))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # whoever encodes it says so
        return b""


def _hash(path: Path, content: bytes) -> str:
    return hashlib.blake2b(os.fsencode(path) + b"\0" + content, digest_size=16).hexdigest()
