"""SQLite galleries that several processes and threads use at a time."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import GalleryBusy, GalleryClosed, GalleryError, GalleryExists, GalleryUnreachable
from bitreid.gallery import Gallery, IdIn, Items, MetadataIs, PersonIn, create_gallery, open_gallery
from bitreid.gallery.sqlite.gallery import SqliteGallery
from bitreid.gallery.table.snapshot import Snapshot
from bitreid.gallery.table.table import Table
from tests.gallery.sqlite.cases import CONTRACT, QUERY, Other, batch_of, check_whole, plain_of, read_only_folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.gallery"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with create_gallery(path, CONTRACT) as made:
        yield made


def test_another_process_sees_each_commit(path: Path, gallery: Gallery) -> None:
    with Other(path, read_only=True) as other:
        assert other.ask("gallery.count()") == 0
        gallery.add(batch_of(range(50)))
        assert other.ask("gallery.search(QUERY, 100, max_distance=None)[0].ids") == list(
            gallery.search(QUERY, 100, max_distance=None)[0].ids
        )
        gallery.upsert(batch_of(range(40, 60), version=2))
        assert other.ask("gallery.count('metadata.version = 2')") == 20
        gallery.confirm([3], "Ada")
        assert other.ask("gallery.count('person = Ada')") == gallery.count("person = Ada") == 6
        gallery.delete([7, 8])
        assert other.ask("[item is None for item in gallery.get([6, 7, 8])]") == [False, True, True]
        assert other.ask("gallery.count()") == 58


def test_another_process_follows_a_compaction(path: Path, gallery: Gallery) -> None:
    gallery.add(batch_of(range(100)))
    with Other(path) as other:
        assert other.ask("gallery.count()") == 100
        gallery.delete(list(range(30)))
        gallery.compact()
        gallery.add(batch_of(range(200, 210)))
        assert other.ask("gallery.count()") == 80
        assert other.ask("gallery.info().details['removed, still in memory']") == 0
        assert other.ask("gallery.delete([200])") == 1
        assert gallery.count() == 79
        other.ask("gallery.compact()")
        assert gallery.count() == other.ask("gallery.count()") == 79
        ids = gallery.search(QUERY, 100, max_distance=None)[0].ids
        assert other.ask("gallery.search(QUERY, 100, max_distance=None)[0].ids") == list(ids)


def test_a_search_beside_a_writing_process_sees_whole_batches(path: Path, gallery: Gallery) -> None:
    with Other(path) as other:
        other.start("[gallery.add(batch_of(range(50 * i, 50 * i + 50))) for i in range(60)]")
        seen = [0]
        while seen[-1] < 3000:
            hits = gallery.search(QUERY, 1, max_distance=None)[0]
            seen.append(hits.n_gallery)
        assert other.answer() == [50] * 60
    assert all(n % 50 == 0 for n in seen)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    check_whole(gallery, plain_of(*(batch_of(range(50 * i, 50 * i + 50)) for i in range(60))))


def test_two_processes_write_at_a_time(path: Path, gallery: Gallery) -> None:
    with Other(path) as other:
        other.start("[gallery.add(batch_of(range(1000 + 9 * i, 1009 + 9 * i))) for i in range(40)]")
        for i in range(40):
            gallery.add(batch_of(range(9 * i, 9 * i + 9)))
            gallery.delete([9 * i])
        assert other.answer() == [9] * 40
        mine = [batch_of(range(9 * i, 9 * i + 9)).rows(slice(1, None)) for i in range(40)]
        theirs = [batch_of(range(1000 + 9 * i, 1009 + 9 * i)) for i in range(40)]
        check_whole(gallery, plain_of(*mine, *theirs))
        assert other.ask("gallery.count()") == gallery.count()
    assert sum(entry["action"] == "add" for entry in gallery.audit()) == 80


def test_a_writer_that_waits_too_long_says_so(path: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.add(batch_of(range(5)))
    monkeypatch.setattr("bitreid.gallery.sqlite.file.BUSY_S", 0.1)
    with open_gallery(path) as impatient, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for write in (lambda: impatient.add(batch_of([9])), lambda: impatient.delete([1]), impatient.compact):
            with pytest.raises(GalleryBusy, match=r"within 0\.1 s, got another process that is writing"):
                write()
        assert impatient.search(QUERY, 9, max_distance=None)[0].n_gallery == 5
        other.execute("ROLLBACK")
        assert impatient.add(batch_of([9])) == 1
    assert gallery.count() == 6


def test_a_backup_of_a_gallery_that_is_written_is_whole(path: Path, gallery: Gallery, tmp_path: Path) -> None:
    with Other(path) as other:
        other.start("[gallery.add(batch_of(range(50 * i, 50 * i + 50))) for i in range(60)]")
        backups = [tmp_path / "backups" / f"{i}.gallery" for i in range(5)]
        for backup in backups:
            gallery.backup(backup)
        other.answer()
    for backup in backups:
        with open_gallery(backup) as copy:
            n = copy.count()
            assert n % 50 == 0
            check_whole(copy, plain_of(*(batch_of(range(i, i + 50)) for i in range(0, n, 50))))
            assert copy.add(batch_of([10**6])) == 1
        with closing(sqlite3.connect(backup)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert sorted(file.name for file in backups[0].parent.iterdir()) == [backup.name for backup in backups]


def test_a_backup_replaces_no_file(path: Path, gallery: Gallery, tmp_path: Path) -> None:
    for there in (path, tmp_path):
        with pytest.raises(GalleryExists, match=r"expected a new file for the backup, got .* which is there"):
            gallery.backup(there)
    with pytest.raises(GalleryUnreachable, match="expected to read and write files, got"):
        gallery.backup(path / "below a file")
    assert gallery.add(batch_of([1])) == 1


def test_a_backup_can_be_searched_where_nothing_can_be_written(gallery: Gallery) -> None:
    batch = batch_of(range(20))
    gallery.add(batch)
    with read_only_folder() as (folder, close):
        gallery.backup(folder / "backup.gallery")
        close()
        with open_gallery(folder / "backup.gallery", read_only=True) as backup:
            check_whole(backup, plain_of(batch))


def test_a_closed_gallery_says_so(path: Path) -> None:
    gallery = create_gallery(path, CONTRACT)
    gallery.add(batch_of(range(5)))
    gallery.search(QUERY)
    gallery.close()
    gallery.close()
    uses = [
        lambda: gallery.add(batch_of([9])),
        lambda: gallery.delete([1]),
        lambda: gallery.get([1]),
        lambda: gallery.search(QUERY),
        lambda: gallery.search_attributes({"hat": True}),
        lambda: gallery.confirm([1], "Ada"),
        lambda: list(gallery.scan()),
        lambda: list(gallery.audit()),
        lambda: gallery.backup(path.with_name("backup")),
        gallery.count,
        gallery.info,
        gallery.compact,
        gallery.undo,
    ]
    for use in uses:
        with pytest.raises(GalleryClosed, match="expected an open gallery, got one that was closed"):
            use()
    with open_gallery(path) as again:
        assert [entry["action"] for entry in again.audit()] == ["add", "search"]
    assert not path.with_name("backup").exists()


def test_removed_rows_are_dropped_in_the_background(
    path: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitreid.gallery.table.table._LEAST_WASTE", 10)
    plain, most = plain_of(), 0
    for i in range(40):
        batch = batch_of(range(30 * i, 30 * i + 30))
        gallery.add(batch)
        plain.add(batch)
        gone = list(range(30 * i, 30 * i + 25))
        gallery.delete(gone)
        plain.delete_where(IdIn(frozenset(gone)))
        assert gallery.count(MetadataIs("row", 29)) == i + 1
        most = max(most, int(gallery.info().details["removed, still in memory"]))
        check_whole(gallery, plain)
    assert most < 40 * 25
    deadline = time.monotonic() + 10
    while int(gallery.info().details["removed, still in memory"]) > 100 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert int(gallery.info().details["removed, still in memory"]) <= 100
    check_whole(gallery, plain)


def test_what_is_written_during_a_compaction_of_the_arrays_is_not_lost(
    path: Path, gallery: SqliteGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add(batch_of(range(100)))
    gallery.delete(list(range(50)))
    assert gallery.count() == 50
    plain = plain_of(batch_of(range(100)))
    plain.delete_where(IdIn(frozenset(range(60))))
    make = Table.compacted

    def slow(self: Table, snapshot: Snapshot) -> Table:
        made = make(self, snapshot)
        gallery.delete(list(range(50, 60)))
        gallery.add(batch_of(range(300, 310)))
        gallery.search(QUERY)
        return made

    monkeypatch.setattr(Table, "compacted", slow)
    gallery._cache.compact()
    plain.add(batch_of(range(300, 310)))
    check_whole(gallery, plain)
    assert gallery.info().details["removed, still in memory"] == 10


def test_threads_search_while_others_write(gallery: Gallery) -> None:
    faults: list[object] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            n = gallery.search(QUERY, 5, max_distance=None)[0].n_gallery
            if n % 10:
                faults.append(n)

    def write(start: int) -> None:
        for i in range(start, start + 300, 10):
            gallery.add(batch_of(range(i, i + 10)))

    searching = [threading.Thread(target=search) for _ in range(2)]
    writing = [threading.Thread(target=write, args=(start,)) for start in (0, 1000)]
    for thread in (*searching, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    stop.set()
    for thread in searching:
        thread.join()
    assert not faults
    check_whole(gallery, plain_of(*(batch_of(range(i, i + 10)) for s in (0, 1000) for i in range(s, s + 300, 10))))


def test_a_search_is_logged_although_another_threads_write_fails(gallery: SqliteGallery) -> None:
    writing, searched = threading.Event(), threading.Event()

    def fail() -> None:
        with suppress(ZeroDivisionError), gallery._transaction():
            writing.set()
            searched.wait()
            raise ZeroDivisionError

    thread = threading.Thread(target=fail)
    thread.start()
    writing.wait()
    gallery.search(QUERY, person="Ada")  # reads decisions too, and waits for nobody
    searched.set()
    thread.join()
    assert [entry["action"] for entry in gallery.audit()] == ["search"]


def test_a_gallery_created_twice_at_a_time_is_one(path: Path) -> None:
    made: list[Gallery] = []
    refused: list[GalleryError] = []

    def create() -> None:
        try:
            made.append(create_gallery(path, CONTRACT))
        except GalleryError as error:
            refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all("expected a new file for the gallery" in str(error) for error in refused)
    made[0].add(batch_of([1]))
    made[0].close()
    with open_gallery(path) as again:
        assert again.count() == 1


def test_persons_of_items_are_changed_with_their_checksums(path: Path, gallery: Gallery) -> None:
    code = Codes(np.zeros((3, 8), np.uint8), 64)
    gallery.add(Items.of(["a", "b", 7], code, Codes(np.zeros((3, 1), np.uint8), 8)))
    gallery.confirm(["a", 7], "Ada")
    gallery.reject([7], "Ada")
    with open_gallery(path) as again:  # a DataWarning would be an error
        assert [item.person for batch in again.scan(PersonIn(frozenset(["Ada"]))) for item in batch] == ["Ada"]
        assert [hit.person for hit in again.search(code[:1])[0]] == [
            item.person for item in again.get(list(again.search(code[:1])[0].ids)) if item is not None
        ]
