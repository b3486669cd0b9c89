"""The SQLite file of a gallery: making it, connections to it, and its errors in words."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from bitreid.errors import (
    GalleryBusy,
    GalleryClosed,
    GalleryDamaged,
    GalleryError,
    GalleryExists,
    GalleryNotFound,
    GalleryReadOnly,
    GalleryUnreachable,
)
from bitreid.gallery.about import About
from bitreid.gallery.contract import Contract
from bitreid.gallery.leftovers import check_lasting_name
from bitreid.gallery.sqlite.identity import check_log, check_names, new_identity, uri
from bitreid.gallery.sqlite.schema import (
    APPLICATION_ID,
    check_format,
    check_tables,
    create_tables,
    format_version,
    mark,
    migrate,
    version_of,
)

_CHUNK = 10_000
BUSY_S = 30.0
"""How long a writer waits for another one."""


@contextmanager
def explained(place: object) -> Iterator[None]:
    """Raise errors of SQLite and of the disk as the kind of `GalleryError` that says what is wrong and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _in_words(place, error) from error
    except UnicodeDecodeError as error:  # SQLite's own words quote damaged bytes
        raise damaged(place, "other tables than were made") from error
    except OSError as error:
        raise GalleryUnreachable(
            f"{place}: expected to read and write files, got: {error}; look at path and disk"
        ) from error
    except MemoryError as error:
        raise GalleryUnreachable(
            f"{place}: expected memory enough for its items, got too little; close other programs"
        ) from error


def _in_words(place: object, error: sqlite3.Error) -> GalleryError:
    name = getattr(error, "sqlite_errorname", "") or ""
    restore = "nothing was changed; restore a backup"
    reasons: dict[str, tuple[type[GalleryError], str]] = {
        "SQLITE_FULL": (
            GalleryUnreachable,
            "expected room on the disk, got a full one; nothing was written, make room and do it again",
        ),
        "SQLITE_BUSY": (
            GalleryBusy,
            f"expected to write within {BUSY_S:g} s, got another process that is writing; try again later",
        ),
        "SQLITE_LOCKED": (GalleryBusy, "expected to write, got another use of the file; try again later"),
        "SQLITE_READONLY": (
            GalleryReadOnly,
            "expected a gallery that can be written, got one that can only be read; nothing was written",
        ),
        "SQLITE_NOTADB": (GalleryDamaged, f"expected a gallery, got another or a damaged file; {restore}"),
        "SQLITE_CORRUPT": (GalleryDamaged, f"expected a sound gallery, got damaged pages ({error}); {restore}"),
        "SQLITE_CANTOPEN": (
            GalleryUnreachable,
            "expected a gallery in a folder where files can be made beside it, got one that cannot be opened; look at "
            "path and permissions (where nothing can be written, a backup of it can be opened to read)",
        ),
        "SQLITE_IOERR": (
            GalleryUnreachable,
            f"expected to read and write the disk, got an error of it ({error}); nothing half is kept",
        ),
    }
    other = GalleryDamaged, f"expected to use the gallery, got: {error}; restore a backup if that goes on"
    kind, text = next((reason for start, reason in reasons.items() if name.startswith(start)), other)
    return kind(f"{place}: {text}")


def damaged(place: object, what: str) -> GalleryDamaged:
    """Return the error for a file that is not what was written."""
    return GalleryDamaged(f"{place}: expected a sound gallery, got {what}; restore a backup")


def create_file(path: Path, contract: Contract, audited: bool) -> None:
    """Make an empty gallery; `GalleryExists` if there is a file already.

    What is left of one whose making was killed is none: an empty file, or one that is empty again when SQLite has
    undone what was half done.
    """
    there = GalleryExists(f"expected a new file for the gallery, got {path}, which is there; open it, or name another")
    check_lasting_name(path)
    with explained(path):
        if path.is_dir():
            raise there
        if not path.parent.is_dir():
            raise GalleryUnreachable(
                f"expected a folder for the gallery, got {path.parent}, which is not there; make it"
            )
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN EXCLUSIVE")  # who makes the same one waits, and finds it
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorname == "SQLITE_NOTADB":
                    raise there from error
                raise
            if path.stat().st_size:
                raise there
            create_tables(connection)
            meta = {"contract": "", "checksum": 0, "audited": int(audited), "generation": 0}
            connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
            keep_contract(connection, contract)
            connection.execute("COMMIT")


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection to a gallery that is there, for any thread, one at a time; commits are durable when they
    return.

    A file of an older format becomes one of the newest; with `read_only` a copy of it in memory does, and the file is
    not written. So does a file beside which no log can be made. Text is read as bytes: that of a damaged file may be no
    text.
    """
    if not path.is_file():
        there = "a folder" if path.exists() else "nothing"
        raise GalleryNotFound(f"expected a gallery at {path}, got {there}; create it")
    check_names(path)
    check_log(path)
    half_done = Path(f"{path.resolve()}-journal").exists()
    if read_only and half_done and can_be_written(path):
        with closing(sqlite3.connect(uri(path, "rw"), uri=True, timeout=BUSY_S)) as mending:
            mending.execute("PRAGMA schema_version")  # what was killed half-way is undone
    alone = read_only and not half_done and not _can_have_log(path)
    mode = "ro&immutable=1" if alone else "ro" if read_only else "rw"
    before = _state(path)
    connection = sqlite3.connect(
        uri(path, mode), uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        _set_up(connection)
        _check_application(connection, path)
        check_format(connection, path)
        old = version_of(connection) < format_version()
        if alone or (old and read_only):
            connection = _in_memory(connection)
        if old:
            migrate(connection, path)
        check_tables(connection, path)
        if alone and before != _state(path):
            raise GalleryBusy(f"{path}: expected a file that nobody writes, got one that was changed; open it again")
        if not read_only:
            # A new one and a backup are in another mode, in which nothing is needed beside the file.
            connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    return connection


def can_be_written(path: Path) -> bool:
    """Return whether this process may write a gallery's file and the log beside it."""
    real = path.resolve()
    beside = [Path(f"{real}-wal"), Path(f"{real}-shm")]
    return _may_write(real) and (_may_write(real.parent) or all(map(_may_write, beside)))


def _can_have_log(path: Path) -> bool:
    """Return whether there is a log beside a file, or one can be made: SQLite wants one to read, too."""
    real = path.resolve()
    log = Path(f"{real}-wal")
    return _may_write(real.parent) or (log.exists() and log.stat().st_size > 0) or Path(f"{real}-shm").exists()


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _state(path: Path) -> tuple[int, int, bool]:
    """Return what is another after a file was written."""
    there = path.stat()
    return there.st_mtime_ns, there.st_size, Path(f"{path.resolve()}-wal").exists()


def _set_up(connection: sqlite3.Connection) -> None:
    connection.text_factory = bytes
    connection.execute("PRAGMA trusted_schema = OFF")  # nothing that a file defines may call functions
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    # VACUUM writes the whole gallery anew: not to the system's folder of temporary files, which may be small.
    connection.execute("PRAGMA temp_store = MEMORY")


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of a file in memory instead of the connection to it, which is closed."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with closing(connection):
        connection.backup(copy)
    _set_up(copy)
    return copy


def _check_application(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION_ID:
        return
    if not path.stat().st_size:
        raise GalleryNotFound(f"{path}: expected a gallery, got an empty file; `bitreid gallery create` makes one")
    raise GalleryDamaged(f"{path}: expected a gallery, got another SQLite file; `bitreid gallery create` makes one")


def keep_contract(connection: sqlite3.Connection, contract: Contract) -> None:
    """Write the contract of a gallery in place of the one that is there."""
    text = contract.to_json()
    values = ((text, "contract"), (crc32(text.encode()), "checksum"))
    connection.executemany("UPDATE meta SET value = ? WHERE name = ?", values)


def contract_in(connection: sqlite3.Connection, path: Path) -> tuple[Contract, bool]:
    """Return the contract of a gallery, and whether it is audited."""
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    text = meta.get(b"contract")
    if not isinstance(text, bytes) or crc32(text) != meta.get(b"checksum"):
        raise damaged(path, "another description of its codes than was written")
    return Contract.from_json(text.decode()), meta.get(b"audited") != 0


def keep_about(connection: sqlite3.Connection, path: Path, new: About) -> About:
    """Write what is new of what a gallery learned, within a transaction; return all."""
    whole = about_in(connection, path).joined(new)
    for name, value in whole.to_json().items():
        text, checksum = sealed(value)
        rows = [(name, text), (f"{name} checksum", checksum)]
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
    return whole


def about_in(connection: sqlite3.Connection, path: Path) -> About:
    """Return what a gallery learned; `GalleryDamaged` if it is not what was written."""
    meta = {name.decode(): value for name, value in connection.execute("SELECT name, value FROM meta")}
    whats = {"cameras": "names of cameras", "engines": "names of engines"}
    return About.from_json(
        {
            name: unsealed(meta.get(name), meta.get(f"{name} checksum"), path, what)
            for name, what in whats.items()
            if name in meta or f"{name} checksum" in meta
        }
    )


def sealed(value: Mapping[str, Any]) -> tuple[str, int]:
    """Return a decision or an entry of the audit log as JSON, and its checksum."""
    text = json.dumps(value)
    return text, crc32(text.encode())


def unsealed(text: Any, checksum: Any, path: Path, what: str = "decisions or an audit log") -> dict[str, Any]:
    """Return what was sealed; `GalleryDamaged` if it is not what was written."""
    if not isinstance(text, bytes) or crc32(text) != checksum:
        raise damaged(path, f"{what} that are not as they were written")
    value: dict[str, Any] = json.loads(text)
    return value


def size_of(path: Path) -> int:
    """Return the bytes of a gallery's file and of the log beside it."""
    n_bytes = 0
    for end in ("", "-wal"):
        with suppress(FileNotFoundError):  # the log goes when the last process closes
            n_bytes += Path(f"{path.resolve()}{end}").stat().st_size
    return n_bytes


def closed(path: Path) -> GalleryClosed:
    """Return the error of whoever uses a gallery that was closed."""
    return GalleryClosed(f"{path}: expected an open gallery, got one that was closed; open it again")


def copy_to(connection: sqlite3.Connection, unfinished: Path) -> None:
    """Write a gallery as it is at one moment to a new file, to which neither log nor segments of the old one belong."""
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
        copy.execute("DELETE FROM meta WHERE name IN ('segments', 'segments checksum')")
        mark(copy, new_identity())


def empty_log(connection: sqlite3.Connection, path: Path) -> None:
    """Bring all of the log into the file, and cut the log; `GalleryBusy` if others hold it for too long."""
    last = time.monotonic() + BUSY_S
    # SQLite waits for readers, but not for another process that does the same.
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > last:
            raise GalleryBusy(
                f"{path}: expected to be alone for a moment, got other processes that read what was there before; "
                "nothing is lost, compact again later"
            )
        time.sleep(0.02)


def chunks(values: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield values, as many at a time as a statement takes."""
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
