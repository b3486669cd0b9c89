"""What the SQLite file of a gallery is made of, how older formats become the newest, and what no such file may hold."""

import sqlite3
from collections.abc import Callable, Iterator
from functools import cache

from bitreid.errors import GalleryDamaged, Unsupported
from bitreid.gallery.fields import DETAILS, SEARCHED_NUMBERS, SEARCHED_TEXTS, Field
from bitreid.gallery.sqlite.identity import new_identity, user_version

APPLICATION_ID = 0x62697464
"""What SQLite keeps in the file's header to tell whose it is."""


def _columns(fields: tuple[Field, ...]) -> str:
    return "".join(f"{field.name} {'INTEGER NOT NULL' if field.kind.is_number else 'TEXT'}, " for field in fields)


TABLES = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- new with every addition: who has read up to one knows what is new
    key INTEGER NOT NULL UNIQUE,
    id TEXT,  -- NULL where the key is the id
    code BLOB NOT NULL,
    attributes BLOB NOT NULL,
    checksum INTEGER NOT NULL,  -- CRC-32 of all that a search reads, without this and seq
    {_columns(SEARCHED_NUMBERS)}
    added INTEGER NOT NULL,
    {_columns(SEARCHED_TEXTS)}
    {_columns(DETAILS)}
    details INTEGER NOT NULL  -- CRC-32 of what a search does not read
);
CREATE TABLE changes (  -- items that were removed, or show another person
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL
);
CREATE TABLE decisions (n INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE audit (n INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, checksum INTEGER NOT NULL);
"""
TRIGGERS = {
    f"audit_is_not_{done}": f"CREATE TRIGGER audit_is_not_{done} BEFORE {how} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'append only'); END"
    for done, how in (("changed", "UPDATE"), ("cut", "DELETE"))
}
"""The only ones that a gallery has: by name, as they are written."""

Migration = Callable[[sqlite3.Connection], None]


def _identify(connection: sqlite3.Connection) -> None:
    """Format 2: the file has a number of its own, which its log tells."""
    connection.execute(f"PRAGMA user_version = {user_version(new_identity(), 2)}")


def _allow_coarse_codes(connection: sqlite3.Connection) -> None:
    """Format 3: the contract may have a coarse code, which is made of what is in the file."""


def _allow_segments(connection: sqlite3.Connection) -> None:
    """Format 4: segments may lie beside the file, which an older bitreid would leave there when it forgets."""


MIGRATIONS: tuple[Migration, ...] = (_identify, _allow_coarse_codes, _allow_segments)
"""What makes a file of format 2 from one of format 1, one of format 3 from that, and so on.

Each runs within the transaction that also raises the file's version. One that adds a searched field also writes the
checksums of all rows anew (`rows.checksum`).
"""


def format_version() -> int:
    """Return the newest format of a gallery file that this bitreid reads, and the one that it writes."""
    return 1 + len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the format of a file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0]) & 0xFF


def identity_of(connection: sqlite3.Connection) -> int:
    """Return the number of a file (`identity`); 0 if it has none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0]) >> 8


def mark(connection: sqlite3.Connection, identity: int) -> None:
    """Write the newest format and the number of a file to its first page, whether it is new or not."""
    connection.execute(f"PRAGMA user_version = {user_version(identity, format_version())}")


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of the newest format, within a transaction."""
    for statement in (*_statements(TABLES), *TRIGGERS.values()):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    mark(connection, new_identity())


def migrate(connection: sqlite3.Connection, place: object) -> None:
    """Make a file the newest format, all or nothing; one that is of that format already is left alone."""
    connection.execute("BEGIN IMMEDIATE")  # another process may do the same: then there is nothing left to do
    try:
        for migration in MIGRATIONS[version_of(connection) - 1 :]:
            migration(connection)
        mark(connection, identity_of(connection))
        check_tables(connection, place)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_format(connection: sqlite3.Connection, place: object) -> None:
    """Check that a file has a format that is known and nothing in it that would run; no row of it is read.

    `Unsupported` for a newer format, `GalleryDamaged` for triggers, views, virtual tables and generated columns that no
    gallery has: whoever made them may have meant them to change or to tell what is in the gallery.
    """
    version = version_of(connection)
    if version > format_version():
        raise Unsupported(
            f"{place}: expected a gallery of format {format_version()} or older, got format {version}; update bitreid"
        )
    if version < 1:
        raise _damaged(place, f"format {version}")
    for kind, name, sql in _schema(connection):
        if kind == "trigger" and sql == TRIGGERS.get(name):
            continue
        if kind in ("trigger", "view"):
            raise _damaged(place, f"the {kind} {name}, which is not one of a gallery's")
        if kind == "table":
            if sql.upper().startswith("CREATE VIRTUAL"):
                raise _damaged(place, f"the virtual table {name}, which is not one of a gallery's")
            hidden = [_text(column[1]) for column in _pragma(connection, "table_xinfo", name) if column[6]]
            if hidden:
                raise _damaged(place, f"the generated column {hidden[0]} of {name}, which is not one of a gallery's")


def check_tables(connection: sqlite3.Connection, place: object) -> None:
    """Check that a file has the tables, columns, indexes and triggers of the newest format, and no others."""
    found, expected = _described(connection), _expected()
    if found != expected:
        differ = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise _damaged(place, f"other tables than were made ({differ[0]})")


@cache
def _expected() -> dict[str, object]:
    connection = sqlite3.connect(":memory:")
    try:
        create_tables(connection)
        return _described(connection)
    finally:
        connection.close()


def _described(connection: sqlite3.Connection) -> dict[str, object]:
    """Return what each table, index and trigger is, by name; comments and the order of columns do not count."""
    found: dict[str, object] = {}
    for kind, name, sql in _schema(connection):
        if kind == "table":
            columns = {_text(column[1]): _texts(column[2:]) for column in _pragma(connection, "table_xinfo", name)}
            counts_on = "AUTOINCREMENT" in sql.upper()
            found[name] = columns, counts_on, "WITHOUT ROWID" in sql.upper()
        elif kind == "index":
            found[name] = [_texts(column[2:]) for column in _pragma(connection, "index_xinfo", name)]
        else:
            found[name] = sql
    return found


def _schema(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the name and the text of all that a file is made of, but for SQLite's own tables."""
    for row in connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall():
        kind, name, sql = map(_text, row)
        if kind != "table" or not name.startswith("sqlite_"):
            yield kind, name, sql


def _pragma(connection: sqlite3.Connection, pragma: str, name: str) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM pragma_{pragma}(?)", (name,)).fetchall()


def _texts(values: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(map(_text, values))


def _text(value: object) -> str:
    """Return a value of the schema as text: connections to a gallery give bytes, and damaged ones are none."""
    return value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _damaged(place: object, what: str) -> GalleryDamaged:
    return GalleryDamaged(f"{place}: expected a sound gallery, got {what}; restore a backup")


def _statements(script: str) -> Iterator[str]:
    lines: list[str] = []
    for line in script.strip().splitlines():
        lines.append(line)
        if sqlite3.complete_statement("\n".join(lines)):
            yield "\n".join(lines)
            lines = []
