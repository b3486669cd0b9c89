"""Folders of shards: files of some rows each, written one by one, so that work that was stopped goes on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bitreid.data.files import new_file
from bitreid.errors import DataError
from bitreid.text import brief, printable

INDEX = "encoding.json"
"""The file that makes a folder one of shards: what was asked for, and how many rows there are."""

FORMAT_VERSION = 2
"""The newest format of such a folder that this bitreid reads, and the one that it writes."""

_SUFFIXES = (".npz", ".parquet")
"""Of files of shards; the first is that of folders that name none."""


def is_folder_of_shards(path: Path) -> bool:
    """Return whether a path is a folder of shards, finished or not."""
    return (path / INDEX).is_file()


def is_codes(path: Path) -> bool:
    """Return whether a path names codes, by its looks: a file `.npz` or a folder of shards."""
    return path.suffix == ".npz" or is_folder_of_shards(path)


@dataclass(frozen=True)
class Shards:
    """A folder of shards of n rows, `size` in each but the last.

    Shard i is `codes-00000i.npz`, or `.parquet` where `about` has that as its `suffix`. It counts once
    `codes-00000i.json` is there, which comes last and holds the shard's SHA-256 and a note; each file appears whole or
    not at all.
    """

    folder: Path
    about: Mapping[str, Any]
    n: int
    size: int

    @classmethod
    def begin(cls, folder: Path, about: Mapping[str, Any], n: int, size: int) -> Self:
        """Make a folder of shards, or go on with one of the same `about` (JSON), n and size.

        `DataError` for a folder of anything else. Unfinished files of a process that was killed are removed, so only
        one process may write to a folder.
        """
        new = cls(folder, about, n, size)
        if is_folder_of_shards(folder):
            there = cls.open(folder)
            given, found = ({**each.about, "pictures": each.n, "shard": each.size} for each in (new, there))
            others = [name for name in {**found, **given} if found.get(name) != given.get(name)]
            if others:
                told = ", ".join(f"{name} {brief(str(found.get(name)))}" for name in others)
                asked = ", ".join(f"{name} {brief(str(given.get(name)))}" for name in others)
                raise DataError(
                    f"expected to go on in {printable(str(folder))} with what it was begun with ({told}), got {asked}; "
                    "choose another folder"
                )
            new.tidy()
            return new
        if folder.exists() and (not folder.is_dir() or any(not each.name.startswith(".") for each in folder.iterdir())):
            raise DataError(
                f"expected a new or empty folder, or one of shards to go on with, at {printable(str(folder))}, got "
                "something else; choose another folder, or a name that ends in .npz"
            )
        index = {"format_version": FORMAT_VERSION, "about": about, "pictures": n, "shard": size}
        _write_json(folder / INDEX, index)
        return new

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the shards of a folder; `DataError` for another or a damaged one, and for a newer format."""
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            version = int(index["format_version"])
            if version <= FORMAT_VERSION:
                if index["about"].get("suffix", _SUFFIXES[0]) not in _SUFFIXES:
                    raise ValueError(f"files that end in {index['about']['suffix']}")
                return cls(folder, dict(index["about"]), int(index["pictures"]), int(index["shard"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"expected a folder of codes made by `bitreid encode` at {printable(str(folder))}, got one without a "
                f"sound {INDEX} ({brief(str(error))}); encode the pictures again"
            ) from error
        raise DataError(f"{printable(str(folder))}: format {version} is newer than {FORMAT_VERSION}, update bitreid")

    def tidy(self) -> None:
        """Remove what processes that were killed have left unfinished."""
        for left in self.folder.glob(".codes-*"):
            left.unlink(missing_ok=True)

    def __len__(self) -> int:
        return -(-self.n // self.size)

    def rows(self, i: int) -> range:
        """Return which rows shard i is of."""
        return range(i * self.size, min((i + 1) * self.size, self.n))

    def file(self, i: int) -> Path:
        """Return where shard i is, or will be."""
        return self.folder / f"codes-{i:06}{self.about.get('suffix', _SUFFIXES[0])}"

    def commit(self, i: int, note: Any) -> None:
        """Let shard i count, whose file is written, with a note (JSON)."""
        _write_json(self._seal(i), {"sha256": _sha256(self.file(i)), "note": note})

    def note(self, i: int) -> Any | None:
        """Return the note of shard i; None if it does not count, or its file is not what was written."""
        try:
            seal = json.loads(self._seal(i).read_text(encoding="utf-8"))
            return seal["note"] if seal["sha256"] == _sha256(self.file(i)) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def files(self) -> list[Path]:
        """Return the files of all shards, each as it was written; `DataError` if one is missing or damaged."""
        missing = [i for i in range(len(self)) if self.note(i) is None]
        if missing:
            raise DataError(
                f"expected {len(self)} whole shards in {printable(str(self.folder))}, got {len(missing)} missing or "
                f"damaged, first {self.file(missing[0]).name}; the same `bitreid encode` makes them"
            )
        return [self.file(i) for i in range(len(self))]

    def _seal(self, i: int) -> Path:
        return self.file(i).with_suffix(".json")


def _write_json(path: Path, value: Any) -> None:
    with new_file(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
