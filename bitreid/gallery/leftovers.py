"""Unfinished backups and exports of processes that were killed: they hold all that was in a gallery."""

import re
import time
from contextlib import suppress
from pathlib import Path

from bitreid.errors import BadRequest

AGE_S = 3600.0
"""A file that nobody has written to for so long is not being written any more."""
_NAME = re.compile(r"\..+\.[0-9a-f]{8}(-journal)?")
"""What `data.files.new_file` calls a file before it is complete, and what SQLite puts beside that."""
_STARTS = re.compile(rb"SQLite format 3\0.{52}bitd|PAR1|\0*$", re.DOTALL)
"""How a gallery's file begins, an export, and a file that got no further than room for its beginning."""


def check_lasting_name(path: Path) -> None:
    """Check that a new file has no name by which it would be taken for an unfinished one; else `BadRequest`."""
    if _NAME.fullmatch(path.name):
        raise BadRequest(
            f"expected a name that may last, got {path.name}: hidden files that end so are taken for unfinished ones "
            "and removed; name another"
        )


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished backups and exports from a folder, known by their names, beginnings and age."""
    with suppress(OSError):  # of others, or gone meanwhile
        for file in folder.iterdir():
            if _NAME.fullmatch(file.name) and file.is_file() and not file.is_symlink():
                with suppress(OSError):
                    if time.time() - file.stat().st_mtime > AGE_S and _is_ours(file):
                        file.unlink()


def _is_ours(file: Path) -> bool:
    if file.name.endswith("-journal"):
        return True
    with file.open("rb") as opened:
        return _STARTS.match(opened.read(100)) is not None
