"""SQLite galleries on disks that are full, read-only or damaged: a clear error or a warning, and nothing else lost."""

import random
import sqlite3
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bitreid.errors import (
    DataWarning,
    GalleryDamaged,
    GalleryError,
    GalleryExists,
    GalleryNotFound,
    GalleryReadOnly,
    GalleryUnreachable,
)
from bitreid.gallery import Gallery, Items, create_gallery, open_gallery
from bitreid.gallery.items import Id
from tests.gallery.sqlite.cases import (
    CONTRACT,
    QUERY,
    batch_of,
    check_whole,
    overwritten,
    plain_of,
    read_only_folder,
    same,
    small_disk,
    small_files,
)
from tests.reference.gallery import PlainGallery

IDS: tuple[Id, ...] = (*range(150), *(f"picture {i}" for i in range(150)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a closed gallery of `IDS`, with decisions and an audit log."""
    path = tmp_path_factory.mktemp("sound") / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(batch_of(IDS))
        gallery.reject([0], "person 1")
        gallery.search(QUERY)
    return path.read_bytes()


def truth() -> PlainGallery:
    """What is in that file."""
    plain = plain_of(batch_of(IDS))
    plain.items[1] = plain.items[1]._replace(person=None)  # of the tracklet that is not person 1
    return plain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.gallery"


# What is no gallery.


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", GalleryNotFound, r"expected a gallery, got an empty file; `bitreid gallery create` makes one"),
        (
            b"id,code\n" * 1000,
            GalleryDamaged,
            "expected a gallery, got another or a damaged file; nothing",
        ),
        (
            b"SQLite format 3\0",
            GalleryDamaged,
            "got another or a damaged file|got another SQLite file",
        ),
    ],
)
def test_another_file_is_refused_and_left_alone(
    path: Path, content: bytes, kind: type[GalleryError], message: str
) -> None:
    path.write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(kind, match=message):
            open_gallery(path, read_only=read_only)
    assert path.read_bytes() == content


def test_another_sqlite_file_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE items (key INTEGER, code BLOB)")
    before = path.read_bytes()
    with pytest.raises(GalleryDamaged, match="expected a gallery, got another SQLite file"):
        open_gallery(path)
    assert path.read_bytes() == before


def test_a_gallery_is_made_where_nothing_is_but_an_empty_file(path: Path) -> None:
    path.write_bytes(b"")  # left by who was killed while making one
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(batch_of([1]))
    (path.parent / "notes.txt").write_text("no gallery " * 1000, encoding="utf-8")
    for there in (path, path.parent, path.parent / "notes.txt"):
        with pytest.raises(GalleryExists, match=r"expected a new file for the gallery, got .*, which is there"):
            create_gallery(there, CONTRACT)
    with pytest.raises(GalleryUnreachable, match="expected a folder for the gallery"):
        create_gallery(path.parent / "none" / "people.gallery", CONTRACT)
    with open_gallery(path) as gallery:
        assert gallery.count() == 1


# What can only be read.


def test_a_gallery_opened_to_read_writes_nothing(path: Path) -> None:
    batch = batch_of(range(9))
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(batch)
    before = path.read_bytes()
    with open_gallery(path, read_only=True) as gallery:
        check_whole(gallery, plain_of(batch))
        for write in writes(gallery):
            with pytest.raises(
                GalleryReadOnly, match="got one that can only be read, or was opened to read only; nothing"
            ):
                write()
    assert path.read_bytes() == before


def writes(gallery: Gallery) -> Iterable[Callable[[], Any]]:
    return (
        lambda: gallery.add(batch_of([100])),
        lambda: gallery.upsert(batch_of([1], version=3)),
        lambda: gallery.delete([1]),
        lambda: gallery.confirm([1], "Ada"),
        gallery.undo,
        gallery.compact,
    )


def test_a_file_that_can_only_be_read_is_read() -> None:
    batch = batch_of(range(9))
    with read_only_folder() as (folder, close):
        path = folder / "people.gallery"
        with create_gallery(path, CONTRACT) as writing:
            writing.add(batch)
            close()  # while it is open: the files beside it are there
            with open_gallery(path, read_only=True) as gallery:
                check_whole(gallery, plain_of(batch))
            with open_gallery(path) as gallery:
                check_searched_unwritten(gallery, batch)


def check_searched_unwritten(gallery: Gallery, batch: Items) -> None:
    """A gallery that was opened as any other is searched, says once that nobody logs that, and refuses to write."""
    with pytest.warns(DataWarning, match="got a file that can only be read; they are not audited"):
        check_whole(gallery, plain_of(batch))
    for write in writes(gallery):
        with pytest.raises(GalleryReadOnly, match="got one that can only be read, or was opened to read only; nothing"):
            write()
    check_whole(gallery, plain_of(batch))


def test_a_gallery_is_searched_where_nothing_can_be_written() -> None:
    batch = batch_of(range(9))
    with read_only_folder() as (folder, close):
        path = folder / "people.gallery"
        with create_gallery(path, CONTRACT) as writing:
            writing.add(batch)
        close()
        with open_gallery(path) as gallery:
            check_searched_unwritten(gallery, batch)
        with open_gallery(path, read_only=True) as gallery:
            check_whole(gallery, plain_of(batch))
            assert [entry["action"] for entry in gallery.audit()] == ["add"]
        assert [file.name for file in folder.iterdir()] == ["people.gallery"]
        with pytest.raises(GalleryUnreachable, match="cannot be opened"):
            create_gallery(folder / "new.gallery", CONTRACT)


# A full disk.


@pytest.mark.parametrize("disk", [small_disk, small_files])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, disk: Callable[[Path, int], AbstractContextManager[Callable[[], None]]]
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "people.gallery"
    with disk(folder, 400_000) as make_room:
        with create_gallery(path, CONTRACT) as gallery:
            plain = fill(gallery)
            check_whole(gallery, plain)
            with pytest.raises(GalleryUnreachable, match=r"full|error of it"):
                gallery.add(batch_of(range(10**6, 10**6 + 3000)))
            check_whole(gallery, plain)
            with open_gallery(path, read_only=True) as again:
                check_whole(again, plain)
            make_room()
            check_whole(gallery, plain)
            more = batch_of(range(10**6, 10**6 + 100))
            assert gallery.add(more) == 100
            plain.add(more)
            assert gallery.delete([0]) == 1
            del plain.items[0]
        with open_gallery(path) as gallery:
            check_whole(gallery, plain)
            assert sum(entry["action"] == "add" for entry in gallery.audit()) == plain_batches(plain) + 1


def test_a_backup_that_finds_no_room_leaves_nothing(path: Path, sound: bytes) -> None:
    path.write_bytes(sound)
    backup = path.parent / "backups" / "backup.gallery"
    with open_gallery(path) as gallery:
        with (
            small_files(path.parent, len(sound) // 2),
            pytest.raises(GalleryUnreachable, match=r"^backup of .* error of it"),
        ):
            gallery.backup(backup)
        assert not list(backup.parent.iterdir())
        gallery.backup(backup)
    with open_gallery(backup) as copy:
        check_whole(copy, truth())


def fill(gallery: Gallery) -> PlainGallery:
    """Add batches until there is no room for one more; those that were acknowledged."""
    plain = plain_of()
    for i in range(10_000):
        batch = batch_of(range(100 * i, 100 * i + 100))
        try:
            gallery.add(batch)
        except GalleryError:
            break
        plain.add(batch)
    assert len(plain.items) >= 500
    return plain


def plain_batches(plain: PlainGallery) -> int:
    return len({id // 100 for id in plain.items if isinstance(id, int) and id < 10**6})


# Damage.


def test_a_flipped_bit_in_any_part_of_an_item_is_found(path: Path, sound: bytes) -> None:
    batch = batch_of(IDS)
    assert batch.attribute_codes is not None
    plain = plain_of(batch)
    parts = {
        "code": batch.codes.packed[200].tobytes(),
        "id": b"picture 50",
        "time": int(batch.times[200]).to_bytes(7, "big").lstrip(b"\0"),
    }
    for part in parts.values():
        assert sound.count(part) >= 1
    for part in (parts["code"], parts["id"] + parts["code"], parts["time"]):
        damaged = bytearray(sound)
        damaged[sound.index(part) + 3] ^= 0x10
        path.write_bytes(damaged)
        with pytest.warns(DataWarning, match=r"got 1 damaged ones, which are left out, the first 'p.*restore a backup"):
            gallery = open_gallery(path)
        with gallery:
            assert gallery.count() == len(IDS) - 1
            assert gallery.info().details["damaged"] == 1
            with pytest.warns(DataWarning, match="1 damaged ones"):
                assert gallery.get(["picture 50"]) == [None]
            found = gallery.search(QUERY, 1000, max_distance=None)[0]
            expected = [each for each in plain.search(QUERY.packed[0].tobytes(), 1000) if each[0] != "picture 50"]
            assert [(hit.id, hit.distance) for hit in found] == expected
            gallery.add(batch_of([1000]))  # is not warned of again


def test_a_damaged_item_can_be_deleted_and_added_again(path: Path, sound: bytes) -> None:
    batch = batch_of(IDS)
    damaged = bytearray(sound)
    damaged[sound.index(batch.codes.packed[-1].tobytes())] ^= 1
    path.write_bytes(damaged)
    with pytest.warns(DataWarning, match="1 damaged ones"):
        gallery = open_gallery(path)
    with gallery:
        assert gallery.delete([IDS[-1]]) == 1
        gallery.add(batch.rows([len(IDS) - 1]))
        assert gallery.info().details["damaged"] == 0
        check_whole(gallery, truth())


def test_damaged_metadata_are_found(path: Path, sound: bytes) -> None:
    damaged = bytearray(sound)
    damaged[sound.index(b'{"version": 0, "row": 200}') + 12] ^= 2
    path.write_bytes(damaged)
    with open_gallery(path) as gallery:
        assert gallery.count() == len(IDS)
        with pytest.warns(DataWarning, match="got damaged ones of 1 items, which no filter by metadata finds"):
            assert gallery.count("metadata.version = 0") == len(IDS) - 1
        with pytest.warns(DataWarning, match="1 damaged ones, which are left out, the first 'picture 50'"):
            assert sum(len(batch) for batch in gallery.scan()) == len(IDS) - 1


@pytest.mark.parametrize("seed", range(6))
def test_damaged_pages_give_errors_or_warnings_but_never_something_wrong(path: Path, sound: bytes, seed: int) -> None:
    chance, outcomes = random.Random(seed), []
    for _ in range(25):
        for end in ("-wal", "-shm", "-journal"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        path.write_bytes(overwritten(sound, chance))
        outcomes.append(outcome(path))
    assert {"error", "warned"} <= set(outcomes)


@pytest.mark.parametrize("other", [b"CREATE T\xc5BLE items", b"CREATE TABLE it\xc5ms", b"CREATE TABLE iteks"])
def test_damaged_tables_are_an_error(path: Path, sound: bytes, other: bytes) -> None:
    path.write_bytes(sound.replace(b"CREATE TABLE items", other))
    with pytest.raises(GalleryDamaged, match=r"expected a sound gallery, got .*; restore a backup"):
        open_gallery(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_gives_errors_or_warnings(path: Path, sound: bytes, share: float) -> None:
    path.write_bytes(sound[: int(share * len(sound))])
    assert outcome(path) in ("error", "warned")


def outcome(path: Path) -> str:
    """Whether the file cannot be used ("error"), lacks items and says so ("warned") or is right as far as one sees."""
    plain = truth()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            gallery = open_gallery(path)
        except GalleryError:
            return "error"
        with suppress(GalleryError), gallery:
            n_found = check_what_is_there(gallery, plain)
            assert {each.category for each in caught} <= {DataWarning}
            assert n_found == len(plain.items) or caught
            for use in writes(gallery):
                with suppress(GalleryError):
                    use()
            with suppress(GalleryError):
                assert all("action" in entry for entry in gallery.audit())
    assert {each.category for each in caught} <= {DataWarning}
    return "warned" if caught else "right"


def check_what_is_there(gallery: Gallery, plain: PlainGallery) -> int:
    """How many items a search finds; whatever is found is right."""
    hits = gallery.search(QUERY, 1000, max_distance=None)[0]
    ranked = plain.search(QUERY.packed[0].tobytes(), 1000)
    there = set(hits.ids)
    assert [(hit.id, hit.distance) for hit in hits] == [each for each in ranked if each[0] in there]
    for hit in hits:
        item = plain.items[hit.id]
        assert (hit.camera, hit.time, hit.tracklet) == (item.camera, item.time, item.tracklet)
        assert hit.person == item.person
    with suppress(GalleryError):
        for id, found in zip(IDS, gallery.get(IDS), strict=True):
            assert found is None or same(found, plain.items[id])
    with suppress(GalleryError):
        for item in (item for some in gallery.scan(batch_size=50) for item in some):
            assert same(item, plain.items[item.id])
    with suppress(GalleryError):
        assert gallery.count("metadata.version = 0") <= len(hits)
    return len(hits)
