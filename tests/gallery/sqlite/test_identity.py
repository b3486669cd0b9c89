"""Which log belongs to a file, files of two names, and going back to a backup."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bitreid.errors import BadRequest, GalleryBusy, GalleryDamaged, GalleryNotFound, GalleryUnreachable, Unsupported
from bitreid.gallery import Items, create_gallery, open_gallery, restore_gallery
from bitreid.gallery.sqlite.schema import identity_of
from tests.gallery.sqlite.cases import CONTRACT, Other, batch_of, check_whole, overwritten, plain_of, small_files

FIRST, SECOND = batch_of(range(40)), batch_of(range(100, 130))


def filled(path: Path) -> None:
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(FIRST)


def left_behind(path: Path, items: Items = SECOND) -> None:
    """A gallery with its log, as a process leaves it that is killed."""
    running = path.with_name("running.gallery")
    with create_gallery(running, CONTRACT) as gallery:
        gallery.add(items)
        for end in ("", "-wal"):
            shutil.copy(f"{running}{end}", f"{path}{end}")
    running.unlink()
    assert Path(f"{path}-wal").stat().st_size > 0


def test_the_log_of_a_killed_process_is_its_files_own(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    left_behind(path)
    with open_gallery(path) as gallery:
        check_whole(gallery, plain_of(SECOND))
        gallery.compact()
        gallery.add(FIRST)
        gallery.delete([1])
    with open_gallery(path) as gallery:
        assert gallery.count() == 69


def test_the_log_stays_when_others_end(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    filled(path)
    with open_gallery(path) as gallery, open_gallery(path, read_only=True) as reader:
        with Other(path) as other:
            assert other.ask("gallery.count()") == 40
        gallery.add(SECOND)
        for end in ("", "-wal"):  # what is on the disk if this process is killed now
            shutil.copy(f"{path}{end}", f"{tmp_path / 'killed.gallery'}{end}")
        assert reader.count() == 70
    with open_gallery(tmp_path / "killed.gallery") as gallery:
        assert gallery.count() == 70


@pytest.mark.parametrize("n_changes", range(4))
def test_the_log_of_another_gallery_is_refused_and_changes_nothing(tmp_path: Path, n_changes: int) -> None:
    path, other = tmp_path / "people.gallery", tmp_path / "other.gallery"
    filled(path)
    left_behind(other)
    with open_gallery(other) as gallery:  # a log of later changes, too
        for i in range(n_changes):
            gallery.add(batch_of([1000 + i]))
        shutil.copy(f"{other}-wal", f"{path}-wal")
    before = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    for read_only in (True, False):
        with pytest.raises(GalleryDamaged, match=r"got that of another or of an earlier file \(people.gallery-wal\)"):
            open_gallery(path, read_only=read_only)
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before
    Path(f"{path}-wal").unlink()
    with open_gallery(path) as gallery:
        check_whole(gallery, plain_of(FIRST))


def test_a_backup_in_the_place_of_a_killed_gallery_is_not_undone(tmp_path: Path) -> None:
    path, backup = tmp_path / "people.gallery", tmp_path / "backup.gallery"
    left_behind(path)
    with open_gallery(path) as gallery:
        gallery.backup(backup)
        gallery.upsert(FIRST)
        log = Path(f"{path}-wal").read_bytes()
    shutil.copy(backup, path)
    Path(f"{path}-wal").write_bytes(log)
    with pytest.raises(GalleryDamaged, match="`bitreid gallery restore` to go back to a backup"):
        open_gallery(path)
    restore_gallery(backup, path)
    with open_gallery(path) as gallery:
        check_whole(gallery, plain_of(SECOND))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup.gallery", "people.gallery"]


def test_half_a_log_and_a_log_that_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    left_behind(path)
    log = Path(f"{path}-wal").read_bytes()
    file = path.read_bytes()
    chance = random.Random(5)
    for _ in range(10):
        path.write_bytes(file)
        Path(f"{path}-shm").unlink(missing_ok=True)
        Path(f"{path}-wal").write_bytes(log[: chance.randrange(len(log))])
        with open_gallery(path) as gallery:
            assert gallery.count() in (0, len(SECOND))


def test_a_log_that_was_brought_into_its_file_in_part(tmp_path: Path) -> None:
    """As a process leaves it that is killed while it does so: the first page is there, and names pages that are not."""
    path, many = tmp_path / "people.gallery", batch_of(range(200))
    left_behind(path, many)
    log, file = Path(f"{path}-wal").read_bytes(), path.read_bytes()
    starts = range(32, len(log) - 24, 24 + 4096)
    pages = {int.from_bytes(log[at : at + 4], "big"): log[at + 24 : at + 24 + 4096] for at in starts}
    assert max(pages) * 4096 > len(file)
    for n in range(len(pages) + 1):
        path.write_bytes(file)
        Path(f"{path}-shm").unlink(missing_ok=True)
        Path(f"{path}-wal").write_bytes(log)
        with path.open("r+b") as half:
            for number in sorted(pages)[:n]:
                half.seek((number - 1) * 4096)
                half.write(pages[number])
        for read_only in (True, False):
            with open_gallery(path, read_only=read_only) as gallery:
                check_whole(gallery, plain_of(many))


def test_every_commit_tells_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        writes: tuple[Callable[[], object], ...] = (
            lambda: gallery.add(FIRST),
            lambda: gallery.delete([1]),
            lambda: gallery.confirm([2], "Ada"),
            lambda: gallery.delete([3], blank_audit=True),
        )
        for write in writes:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert not Path(f"{path}-wal").stat().st_size
            write()
            log = Path(f"{path}-wal").read_bytes()
            pages = {int.from_bytes(log[at : at + 4], "big") for at in range(32, len(log), 24 + 4096)}
            assert 1 in pages


def test_a_file_of_two_names_is_refused(tmp_path: Path) -> None:
    path, link = tmp_path / "people.gallery", tmp_path / "link.gallery"
    filled(path)
    os.link(path, link)
    for name in (path, link):
        with pytest.raises(Unsupported, match=r"got one of 2 \(hard links\).* symbolic links"):
            open_gallery(name)
    with pytest.raises(Unsupported, match="hard links"):
        restore_gallery(path, link.with_name("new.gallery"))
    link.unlink()
    link.symlink_to(path)
    with open_gallery(link) as gallery, open_gallery(path) as same:
        gallery.add(SECOND)
        assert same.count() == gallery.count() == 70
        assert gallery.info().n_bytes == same.info().n_bytes


def test_restoring_replaces_what_is_there(tmp_path: Path) -> None:
    path, backup = tmp_path / "people.gallery", tmp_path / "backup.gallery"
    filled(path)
    with open_gallery(path) as gallery:
        gallery.backup(backup)
        gallery.add(SECOND)
        gallery.delete([1])
    for place in (path, tmp_path / "new.gallery"):
        restore_gallery(backup, place)
        with open_gallery(place) as gallery:
            check_whole(gallery, plain_of(FIRST))
            gallery.add(SECOND)
    identities = set()
    for file in (path, backup, tmp_path / "new.gallery"):
        with closing(sqlite3.connect(file)) as connection:
            identities.add(identity_of(connection))
    assert len(identities) == 3
    assert not list(tmp_path.glob(".*"))


def test_restoring_over_what_is_damaged(tmp_path: Path) -> None:
    path, backup = tmp_path / "people.gallery", tmp_path / "backup.gallery"
    filled(backup)
    for damage in range(4):
        path.write_bytes(
            [b"no gallery" * 1000, b"", overwritten(backup.read_bytes(), random.Random(damage))][damage % 3]
        )
        Path(f"{path}-wal").write_bytes(bytes(5000))
        restore_gallery(backup, path)
        with open_gallery(path) as gallery:
            check_whole(gallery, plain_of(FIRST))


def test_restoring_waits_for_nobody_and_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path, backup = tmp_path / "people.gallery", tmp_path / "backup.gallery"
    filled(path)
    with create_gallery(backup, CONTRACT) as gallery:
        gallery.add(SECOND)
    with Other(path, read_only=True) as other:
        with pytest.raises(GalleryBusy, match="expected a gallery that nobody has open, got one in use"):
            restore_gallery(backup, path)
        assert other.ask("gallery.count()") == 40
    with small_files(tmp_path, 8192), pytest.raises(GalleryUnreachable, match="disk"):
        restore_gallery(backup, path)
    broken = tmp_path / "broken.gallery"
    broken.write_bytes(backup.read_bytes()[:-4096])
    with pytest.raises(GalleryDamaged):
        restore_gallery(broken, path)
    with pytest.raises(GalleryNotFound):
        restore_gallery(tmp_path / "none", path)
    with pytest.raises(BadRequest, match="another place"):
        restore_gallery(path, path)
    with pytest.raises(Unsupported, match="export the backup and import that"):
        restore_gallery(backup, "milvus://localhost:1/people")
    with open_gallery(path) as gallery:
        check_whole(gallery, plain_of(FIRST))
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_written_to_a_gallery_that_was_removed_or_replaced(tmp_path: Path) -> None:
    """It would be acknowledged, and gone when the last process closes the file."""
    path, away = tmp_path / "people.gallery", tmp_path / "away.gallery"
    filled(path)
    filled(tmp_path / "other.gallery")
    with open_gallery(path) as gallery:
        path.rename(away)
        with pytest.raises(GalleryNotFound, match="got nothing; nothing was written"):
            gallery.add(SECOND)
        shutil.copy(tmp_path / "other.gallery", path)
        writes: list[Callable[[], object]] = [lambda: gallery.add(SECOND), lambda: gallery.delete([1])]
        for write in writes:
            with pytest.raises(GalleryNotFound, match="got another file"):
                write()
        assert gallery.count() == 40  # what was read is there still
        away.replace(path)
        assert gallery.add(SECOND) == 30
    with open_gallery(path) as gallery:
        assert gallery.count() == 70
