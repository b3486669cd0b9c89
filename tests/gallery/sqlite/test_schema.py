"""Formats of SQLite galleries: older ones are migrated, newer ones and what no gallery has in it are refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bitreid.errors import GalleryDamaged, Unsupported
from bitreid.gallery import create_gallery, open_gallery
from bitreid.gallery.sqlite import schema
from bitreid.gallery.sqlite.file import connect
from tests.gallery.sqlite.cases import CONTRACT, batch_of, check_whole, plain_of

BATCH = batch_of([*range(20), "a"])
NEWEST = schema.format_version()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a gallery of today's format."""
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(BATCH)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return schema.version_of(connection)


def add_height(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE items ADD COLUMN height INTEGER")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A later bitreid, whose format has one more column."""
    tables = schema.TABLES.replace("    key INTEGER", "    height INTEGER,\n    key INTEGER")
    assert tables != schema.TABLES
    monkeypatch.setattr(schema, "TABLES", tables)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, add_height))
    schema._expected.cache_clear()
    yield monkeypatch
    schema._expected.cache_clear()


def test_an_older_file_is_migrated_when_it_is_opened(path: Path, later: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with open_gallery(path) as gallery:
            check_whole(gallery, plain_of(BATCH))
        assert version_of(path) == schema.format_version()
    with open_gallery(path) as gallery:
        more = batch_of(["b"])
        assert gallery.add(more) == 1
        check_whole(gallery, plain_of(BATCH, more))
    with create_gallery(path.with_name("new.gallery"), CONTRACT) as gallery:
        gallery.add(BATCH)
    assert version_of(path.with_name("new.gallery")) == schema.format_version()


def test_an_older_file_is_read_without_writing_it(path: Path, later: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with open_gallery(path, read_only=True) as gallery:
        check_whole(gallery, plain_of(BATCH))
        gallery.backup(path.with_name("backup.gallery"))
    assert path.read_bytes() == before
    assert (version_of(path), version_of(path.with_name("backup.gallery"))) == (NEWEST, NEWEST + 1)


def test_a_migration_is_done_as_a_whole_or_not_at_all(path: Path, later: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        add_height(connection)
        connection.execute("DELETE FROM items")
        raise sqlite3.OperationalError("killed")

    def other(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE items ADD COLUMN weight INTEGER")

    for migration, why in ((fail, "killed"), (other, r"other tables than were made \(items\)")):
        later.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[: NEWEST - 1], migration))
        with pytest.raises(GalleryDamaged, match=why):
            open_gallery(path)
        assert version_of(path) == NEWEST
    later.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[: NEWEST - 1], add_height))
    with open_gallery(path) as gallery:
        check_whole(gallery, plain_of(BATCH))


def test_a_newer_file_is_refused(path: Path) -> None:
    newest = schema.format_version()
    change(path, f"PRAGMA user_version = {newest + 1}")
    for read_only in (True, False):
        with pytest.raises(Unsupported, match=rf"of format {newest} or older, got format {newest + 1}; update bitreid"):
            open_gallery(path, read_only=read_only)
    change(path, "PRAGMA user_version = 0")
    with pytest.raises(GalleryDamaged, match="got format 0"):
        open_gallery(path)


@pytest.mark.parametrize(
    ("statements", "what"),
    [
        (
            ["CREATE TRIGGER spy AFTER INSERT ON items BEGIN DELETE FROM audit; END"],
            "the trigger spy, which is not one of a gallery's",
        ),
        (
            [
                "DROP TRIGGER audit_is_not_cut",
                "CREATE TRIGGER audit_is_not_cut AFTER INSERT ON items BEGIN DELETE FROM items; END",
            ],
            "the trigger audit_is_not_cut, which",
        ),
        (["CREATE VIEW spy AS SELECT * FROM items"], "the view spy, which is not one of a gallery's"),
        (
            ["ALTER TABLE meta ADD COLUMN spy TEXT AS (hex(value))"],
            "the generated column spy of meta, which is not one of a gallery's",
        ),
        (["CREATE VIRTUAL TABLE spy USING fts5(text)"], "the virtual table spy, which is not one of a gallery's"),
        (["CREATE TABLE spy (text)"], r"other tables than were made \(spy\)"),
        (["CREATE INDEX spy ON items (abs(camera))"], r"other tables than were made \(spy\)"),
        (["DROP TABLE changes"], r"other tables than were made \(changes\)"),
        (["DROP TRIGGER audit_is_not_cut"], r"other tables than were made \(audit_is_not_cut\)"),
        (["ALTER TABLE items ADD COLUMN spy TEXT"], r"other tables than were made \(items\)"),
        (
            ["DROP TABLE changes", "CREATE TABLE changes (n INTEGER PRIMARY KEY, seq INTEGER NOT NULL)"],
            r"other tables than were made \(changes\)",
        ),
    ],
)
def test_a_file_holds_nothing_but_a_gallerys_tables(path: Path, statements: list[str], what: str) -> None:
    change(path, *statements)
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(GalleryDamaged, match=f"expected a sound gallery, got {what}"):
            open_gallery(path, read_only=read_only)
    assert path.read_bytes() == before


def test_comments_and_the_order_of_columns_do_not_matter(path: Path) -> None:
    columns = "(seq INTEGER NOT NULL, /* of items */ n INTEGER PRIMARY KEY AUTOINCREMENT)"
    change(path, "DROP TABLE changes", f"CREATE TABLE changes {columns}")
    with open_gallery(path) as gallery:
        gallery.delete(["a"])
        gallery.upsert(batch_of([3, 4]))
        plain = plain_of(BATCH, batch_of([3, 4]))
        plain.delete(["a"])
        check_whole(gallery, plain)


def test_a_file_may_call_no_functions(path: Path) -> None:
    for read_only in (True, False):
        with closing(connect(path, read_only)) as connection:
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
