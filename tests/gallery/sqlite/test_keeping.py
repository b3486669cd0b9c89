"""Compaction beside others, deletion of what is damaged, and what killed processes leave."""

import os
import shutil
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bitreid.errors import BadRequest, DataWarning, GalleryBusy, GalleryExists, GalleryNotFound, GalleryUnreachable
from bitreid.gallery import Gallery, create_gallery, export_parquet, open_gallery, restore_gallery
from bitreid.gallery.sqlite import schema
from bitreid.gallery.sqlite.cache import Cache
from tests.gallery.sqlite.cases import CONTRACT, QUERY, Other, batch_of, check_whole, plain_of, small_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.gallery"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with create_gallery(path, CONTRACT) as made:
        yield made


# Compaction.


def test_a_search_during_a_compaction_does_not_hide_what_others_compact(
    path: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add(batch_of(range(50)))
    go_on = Cache.go_on

    def slowly(cache: Cache, generation: Any) -> None:
        searching = threading.Thread(target=gallery.count)  # between the commit and the note of it
        searching.start()
        searching.join()
        go_on(cache, generation)

    monkeypatch.setattr(Cache, "go_on", slowly)
    gallery.delete([1])
    gallery.compact()
    with Other(path) as other:
        other.ask("gallery.delete([2, 3])")
        other.ask("gallery.compact()")
        assert gallery.count() == other.ask("gallery.count()") == 47
    assert {1, 2, 3}.isdisjoint(gallery.search(QUERY, 99, max_distance=None)[0].ids)


def test_a_compaction_that_waits_for_a_writer_blocks_no_search(path: Path, gallery: Gallery) -> None:
    gallery.add(batch_of(range(50)))
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        compacting = threading.Thread(target=gallery.compact)
        compacting.start()
        time.sleep(0.1)
        start = time.monotonic()
        assert gallery.search(QUERY, 9, max_distance=None)[0].n_gallery == 50
        assert gallery.get([3])[0] is not None
        assert time.monotonic() - start < 5
        assert compacting.is_alive()
        writer.execute("ROLLBACK")
        compacting.join()
    assert gallery.count() == 50


def test_a_compaction_tries_again_while_another_process_empties_the_log(
    path: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add(batch_of(range(50)))
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as reader:
        reader.execute("PRAGMA busy_timeout = 0")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        # SQLite itself does not wait: as where another process is emptying the log.
        gallery._writer.execute("PRAGMA busy_timeout = 0")  # type: ignore[attr-defined]  # a SQLite gallery
        threading.Timer(0.3, reader.execute, ["COMMIT"]).start()
        gallery.compact()
        assert not Path(f"{path}-wal").stat().st_size
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        monkeypatch.setattr("bitreid.gallery.sqlite.file.BUSY_S", 0.1)
        gallery.add(batch_of([99]))
        with pytest.raises(GalleryBusy, match="read what was there before; nothing is lost"):
            gallery.compact()
        reader.execute("COMMIT")


# Damaged items.


def damage(path: Path, column: str, value: object, key: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE items SET {column} = ? WHERE key = ?", (value, key))
        connection.commit()


@pytest.mark.parametrize(
    "where",
    ["person = 'person 3'", "camera >= 0", "not hat or hat", "metadata.row = 3", "tracklet = 'tracklet 1'", "id = 3"],
)
@pytest.mark.parametrize("column", ["code", "picture"])
def test_a_damaged_item_is_deleted_by_what_it_is(path: Path, where: str, column: str) -> None:
    with create_gallery(path, CONTRACT, audited=False) as gallery:
        gallery.add(batch_of(range(9)))
    damage(path, column, b"x" * 8 if column == "code" else "a secret", 3)
    where = where.replace("camera >= 0", "camera in (0, 1, 2, 3)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        gallery = open_gallery(path)
        gallery.count("metadata.row = 3")
    with gallery:
        assert gallery.delete_where(where) >= 1
        gallery.compact()
        assert gallery.info().details["damaged"] == 0
    content = path.read_bytes()
    assert b"a secret" not in content
    assert b"xxxxxxxx" not in content
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM items WHERE key = 3").fetchone() == (0,)


def test_a_damaged_item_that_no_filter_can_judge_is_named(path: Path) -> None:
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(batch_of(range(9)))
    damage(path, "person", b"\xfe", 3)
    damage(path, "person", b"\xff", 4)
    with pytest.warns(DataWarning, match="2 damaged ones"):
        gallery = open_gallery(path)
    with gallery:
        with pytest.warns(DataWarning, match="got 2 that the filter cannot judge and that stay, the first 3; delete"):
            assert gallery.delete_where("person = 'person 1'") == 2
        assert gallery.delete_where("camera in (0, 1, 2, 3) and id in (3, 5)") == 2
        assert gallery.delete([4]) == 1
        assert gallery.info().details["damaged"] == 0
        assert gallery.count() == 4


# What killed processes leave.


def test_create_and_open_agree_about_what_is_left_of_a_killed_creation(path: Path) -> None:
    for read_only in (True, False):
        leave_half_made(path)
        assert path.stat().st_size
        with pytest.raises(GalleryNotFound, match="got an empty file; `bitreid gallery create` makes one"):
            open_gallery(path, read_only=read_only)
        assert not path.stat().st_size
        leave_half_made(path)
        with create_gallery(path, CONTRACT) as gallery:
            gallery.add(batch_of([1]))
        with pytest.raises(GalleryExists):
            create_gallery(path, CONTRACT)
        path.unlink()


def leave_half_made(path: Path) -> None:
    making = path.with_name("making")
    with closing(sqlite3.connect(making, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # some pages go to the disk before the commit
        connection.execute("BEGIN EXCLUSIVE")
        schema.create_tables(connection)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [(str(i), "x" * 2000) for i in range(50)])
        for end in ("", "-journal"):
            shutil.copy(f"{making}{end}", f"{path}{end}")
    making.unlink()


def test_what_killed_backups_and_exports_left_is_removed_when_it_is_old(path: Path, gallery: Gallery) -> None:
    folder = path.parent / "backups"
    gallery.add(batch_of(range(9)))
    gallery.backup(folder / "1.gallery")
    export_parquet(gallery, folder / "1.parquet")
    old, young = time.time() - 7200, time.time() - 60
    kept = {"1.gallery", "1.parquet"}
    for place in (folder, path.parent):
        for name, source, age in (
            (".2.gallery.0123abcd", "1.gallery", old),
            (".2.gallery.0123abcd-journal", "1.gallery", old),
            (".2.parquet.0123abcd", "1.parquet", old),
            (".empty.gallery.0123abcd", None, old),
            (".3.gallery.0123abcd", "1.gallery", young),
            (".notes.0123abcd", "text", old),
            ("4.gallery", "1.gallery", old),
        ):
            file = place / name
            content = b"text" if source == "text" else b"" if source is None else (folder / source).read_bytes()
            file.write_bytes(content)
            os.utime(file, (age, age))
    kept |= {".3.gallery.0123abcd", ".notes.0123abcd", "4.gallery"}
    gallery.backup(folder / "5.gallery")
    assert {file.name for file in folder.iterdir()} == kept | {"5.gallery"}
    with open_gallery(path):
        assert not list(path.parent.glob(".2.*"))
    assert (path.parent / ".3.gallery.0123abcd").exists()
    check_whole(gallery, plain_of(batch_of(range(9))))


@pytest.mark.parametrize("name", [".people.20261201", ".people.gallery.0123abcd-journal"])
def test_nothing_that_lasts_has_the_name_of_what_is_removed(path: Path, gallery: Gallery, name: str) -> None:
    """A hidden backup with a date for an ending would be gone an hour later."""
    gallery.add(batch_of(range(9)))
    gallery.backup(path.parent / "backup.gallery")
    new = path.parent / name
    ways: tuple[Callable[[], object], ...] = (
        lambda: gallery.backup(new),
        lambda: export_parquet(gallery, new),
        lambda: create_gallery(new, CONTRACT),
        lambda: restore_gallery(path.parent / "backup.gallery", new),
    )
    for write in ways:
        with pytest.raises(BadRequest, match="expected a name that may last"):
            write()
        assert not new.exists()


def test_an_export_to_a_full_disk_is_a_clear_error(path: Path, gallery: Gallery) -> None:
    gallery.add(batch_of(range(2000)))
    out = path.parent / "exports" / "items.parquet"
    with small_files(path.parent, 4096), pytest.raises(GalleryUnreachable, match=r"expected to write .* path and disk"):
        export_parquet(gallery, out)
    assert not list(out.parent.iterdir())
    with pytest.raises(GalleryUnreachable, match="expected to write"):
        export_parquet(gallery, path / "below a file.parquet")
    assert export_parquet(gallery, out) == 2000


def test_a_compaction_writes_nothing_elsewhere(path: Path, gallery: Gallery) -> None:
    gallery.add(batch_of(range(500)))
    gallery.delete(list(range(0, 500, 2)))
    (mode,) = gallery._writer.execute("PRAGMA temp_store").fetchone()  # type: ignore[attr-defined]  # a SQLite gallery
    assert mode == 2  # in memory
    gallery.compact()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "people.gallery",
        "people.gallery-shm",
        "people.gallery-wal",
    ]
