"""The SQLite file of a gallery: its tables, its connections, and its errors in words."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zlib import crc32

from bitreid.errors import GalleryError
from bitreid.gallery.contract import Contract

FORMAT_VERSION = 1
"""The newest format of a gallery file that this bitreid reads, and the one that it writes."""
BUSY_S = 30.0
"""How long a writer waits for another one."""
APPLICATION_ID = 0x62697464
"""What SQLite keeps in the file's header to tell whose it is."""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- new with every addition: who has read up to one knows what is new
    key INTEGER NOT NULL UNIQUE,
    id TEXT,  -- NULL where the key is the id
    code BLOB NOT NULL,
    attributes BLOB NOT NULL,
    checksum INTEGER NOT NULL,  -- CRC-32 of all down to person, without this and seq
    camera INTEGER NOT NULL,
    time INTEGER NOT NULL,
    added INTEGER NOT NULL,
    tracklet TEXT,
    person TEXT,
    metadata TEXT,
    picture TEXT,
    details INTEGER NOT NULL  -- CRC-32 of metadata and picture, which a search does not read
);
CREATE TABLE changes (  -- items that were removed, or show another person
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL
);
CREATE TABLE decisions (n INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE audit (n INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""


@contextmanager
def explained(place: object) -> Iterator[None]:
    """Errors of SQLite and of the disk become a `GalleryError` that says what is wrong and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise GalleryError(f"{place}: {_in_words(error)}") from error
    except UnicodeDecodeError as error:  # SQLite's own words quote damaged bytes
        raise damaged(place, "other tables than were made") from error
    except OSError as error:
        raise GalleryError(f"{place}: expected to read and write files, got: {error}; look at path and disk") from error
    except MemoryError as error:
        raise GalleryError(
            f"{place}: expected memory enough for its items, got too little; close other programs"
        ) from error


def _in_words(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    restore = "nothing was changed; restore a backup"
    reasons = {
        "SQLITE_FULL": "expected room on the disk, got a full one; nothing was written, make room and do it again",
        "SQLITE_BUSY": f"expected to write within {BUSY_S:g} s, got another process that is writing; try again later",
        "SQLITE_LOCKED": "expected to write, got another use of the file; try again later",
        "SQLITE_READONLY": "expected a gallery that can be written, got one that can only be read; nothing was written",
        "SQLITE_NOTADB": f"expected a gallery, got another or a damaged file; {restore}",
        "SQLITE_CORRUPT": f"expected a sound gallery, got damaged pages ({error}); {restore}",
        "SQLITE_CANTOPEN": "expected a gallery in a folder where files can be made beside it, got one that cannot be "
        "opened; look at path and permissions (where nothing can be written, a backup of it can be opened to read)",
        "SQLITE_IOERR": f"expected to read and write the disk, got an error of it ({error}); nothing half is kept",
    }
    found = [text for start, text in reasons.items() if name.startswith(start)]
    return found[0] if found else f"expected to use the gallery, got: {error}; restore a backup if that goes on"


def damaged(place: object, what: str) -> GalleryError:
    """The error for a file that is not what was written."""
    return GalleryError(f"{place}: expected a sound gallery, got {what}; restore a backup")


def create_file(path: Path, contract: Contract, audited: bool) -> None:
    """Make an empty gallery; `GalleryError` if there is a file already.

    An empty file is none: who is killed while making a gallery leaves such a one, or nothing.
    """
    there = GalleryError(f"expected a new file for the gallery, got {path}, which is there; open it, or name another")
    with explained(path):
        if path.exists() and (path.is_dir() or path.stat().st_size):
            raise there
        if not path.parent.is_dir():
            raise GalleryError(f"expected a folder for the gallery, got {path.parent}, which is not there; make it")
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN EXCLUSIVE")  # who makes the same one waits, and finds it
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise there
            for statement in _statements(_TABLES):
                connection.execute(statement)
            text = contract.to_json()
            meta = {"contract": text, "checksum": crc32(text.encode()), "audited": int(audited), "generation": 0}
            connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    lines: list[str] = []
    for line in script.strip().splitlines():
        lines.append(line)
        if sqlite3.complete_statement("\n".join(lines)):
            yield "\n".join(lines)
            lines = []


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a gallery that is there, for any thread, one at a time; commits are durable when they return.

    Text is read as bytes: that of a damaged file may be no text.
    """
    if not path.is_file():
        raise GalleryError(f"expected a gallery at {path}, got {'a folder' if path.exists() else 'nothing'}; create it")
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.text_factory = bytes
        connection.execute("PRAGMA cell_size_check = ON")
        _check_format(connection, path)
        if not read_only:
            # A new one and a backup are in another mode, in which nothing is needed beside the file.
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        what = "another SQLite file" if path.stat().st_size else "an empty file"
        raise GalleryError(f"{path}: expected a gallery, got {what}; `bitreid gallery create` makes one")
    if version > FORMAT_VERSION:
        raise GalleryError(
            f"{path}: expected a gallery of format {FORMAT_VERSION} or older, got format {version}; update bitreid"
        )
    tables = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    if any(statement.removesuffix(";").encode() not in tables for statement in _statements(_TABLES)):
        raise damaged(path, "other tables than were made")


def contract_in(connection: sqlite3.Connection, path: Path) -> tuple[Contract, bool]:
    """The contract of a gallery, and whether it is audited."""
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    text = meta.get(b"contract")
    if not isinstance(text, bytes) or crc32(text) != meta.get(b"checksum"):
        raise damaged(path, "another description of its codes than was written")
    return Contract.from_json(text.decode()), meta.get(b"audited") != 0


def sealed(value: Mapping[str, Any]) -> tuple[str, int]:
    """A decision or an entry of the audit log as JSON, and its checksum."""
    text = json.dumps(value)
    return text, crc32(text.encode())


def unsealed(text: Any, checksum: Any, path: Path) -> dict[str, Any]:
    """What was sealed; `GalleryError` if it is not what was written."""
    if not isinstance(text, bytes) or crc32(text) != checksum:
        raise damaged(path, "decisions or an audit log that are not as they were written")
    value: dict[str, Any] = json.loads(text)
    return value


def chunks(values: Sequence[int], size: int = 10_000) -> Iterator[Sequence[int]]:
    """Values, as many at a time as a statement takes."""
    return (values[start : start + size] for start in range(0, len(values), size))
