"""Going back to a backup of a gallery in a SQLite file."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from bitreid.data.files import sync_folder
from bitreid.errors import BadRequest, GalleryBusy, GalleryUnreachable
from bitreid.gallery.leftovers import check_lasting_name, remove_leftovers
from bitreid.gallery.sqlite.file import connect, contract_in, copy_to, damaged, explained
from bitreid.gallery.sqlite.identity import check_names
from bitreid.gallery.sqlite.segments.folder import remove_segments


def restore_sqlite(backup: Path, path: Path) -> None:
    """Make a gallery's file, with the log beside it, what a backup holds, as a whole or not at all.

    Whatever is at `path` is lost, with its segments, a damaged file and one with the log of another among it.
    `GalleryBusy` while somebody has the gallery open, `GalleryDamaged` for a backup that is damaged: then nothing is
    changed.
    """
    check_lasting_name(path)
    if not path.parent.is_dir():
        raise GalleryUnreachable(f"expected a folder for the gallery, got {path.parent}, which is not there; make it")
    if path.exists():
        if backup.exists() and path.samefile(backup):
            raise BadRequest(f"expected a backup and another place to restore it to, got {path} twice; name another")
        check_names(path)
    with explained(backup), closing(connect(backup, read_only=True)) as source:
        contract_in(source, backup)
        if source.execute("PRAGMA integrity_check(1)").fetchone() != (b"ok",):
            raise damaged(backup, "damaged pages")
        remove_leftovers(path.parent)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with explained(path):
                copy_to(source, unfinished)
                try:
                    _write_over(path, unfinished)
                except sqlite3.DatabaseError as error:
                    if error.sqlite_errorname.partition("_")[2] not in ("NOTADB", "CORRUPT"):
                        raise
                    for end in ("-wal", "-shm", "-journal"):
                        Path(f"{path.resolve()}{end}").unlink(missing_ok=True)
                    unfinished.replace(path.resolve())
                    sync_folder(path.resolve().parent)
            remove_segments(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _write_over(path: Path, unfinished: Path) -> None:
    """Write a file's pages over those of another in one transaction, while nobody else has that open."""
    with (
        closing(sqlite3.connect(unfinished, isolation_level=None)) as source,
        closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as target,
    ):
        try:
            target.execute("PRAGMA locking_mode = EXCLUSIVE")
            target.execute("PRAGMA journal_mode = DELETE")  # ends the log, which takes that nobody else has it open
            target.execute("PRAGMA synchronous = FULL")
            target.execute("BEGIN EXCLUSIVE")
            target.execute("COMMIT")  # the lock stays
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise GalleryBusy(
                    f"{path}: expected a gallery that nobody has open, got one in use; nothing was changed, end those "
                    "who use it"
                ) from error
            raise
        source.backup(target)
