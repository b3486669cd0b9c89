"""Segments of SQLite galleries: written, shared, merged, missing or damaged, and never a wrong answer."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import DataWarning, GalleryDamaged
from bitreid.gallery import Contract, Items, create_gallery, open_gallery, restore_gallery
from bitreid.gallery.sqlite.file import sealed
from bitreid.gallery.sqlite.gallery import SqliteGallery
from bitreid.gallery.sqlite.segments import check, plan
from bitreid.gallery.sqlite.segments.listed import Listed, listed_in
from bitreid.gallery.table.segment import BLOCK, HEADER, Segment, header_of
from tests.gallery.sqlite.cases import (
    CONTRACT,
    QUERY,
    SMALL,
    Other,
    batch_of,
    check_whole,
    plain_of,
    read_only_folder,
)

FIRST = batch_of([*range(30), *(f"picture {i}" for i in range(30))])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(plan, name, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed gallery of `FIRST`, in one segment."""
    path = tmp_path / "people.gallery"
    filled(path)
    return path


def filled(path: Path) -> None:
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(FIRST)


def opened(path: Path, read_only: bool = False) -> SqliteGallery:
    gallery = open_gallery(path, read_only=read_only)
    assert isinstance(gallery, SqliteGallery)
    return gallery


def settle(gallery: SqliteGallery) -> None:
    gallery._segments.end()
    gallery._segments.settle(1)


def segments_of(path: Path) -> list[Path]:
    return sorted(path.with_name(f"{path.name}.d").glob("*.segment"))


def listed(path: Path) -> Listed:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        return listed_in(connection, path)


# What is written, and read again.


def test_opening_reads_no_item_that_is_in_a_segment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 60
        assert gallery.info().details["segments"] == 1
        assert gallery.info().details["bytes in memory"] == BLOCK  # which rows are there, a byte each
        check_whole(gallery, plain_of(FIRST))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE items SET camera = camera + 1")  # nobody would
        connection.commit()
    with opened(path) as gallery:
        assert gallery.count() == 60


def test_items_are_found_whether_in_segments_or_in_memory(path: Path) -> None:
    plain = plain_of(FIRST)
    with opened(path) as gallery:
        for i in range(6):
            more = batch_of([*range(100 * i + 100, 100 * i + 130), f"more {i}"], version=i)
            gallery.add(more)
            plain.add(more)
            gallery.delete([100 * i + 101, "picture 3", f"picture {i}"])
            plain.delete([100 * i + 101, "picture 3", f"picture {i}"])
            if i % 2:
                settle(gallery)
                assert len(segments_of(path)) == len(listed(path).entries)
            check_whole(gallery, plain)
            for where in ('person = "person 3"', 'tracklet in ("tracklet 1", "tracklet 9")', "camera = 2", "hat"):
                ids = {id for batch in gallery.scan(where) for id in batch.ids}
                assert len(ids) == gallery.count(where) > 0
                assert ids == {
                    id
                    for id, item in plain.items.items()
                    if {
                        "p": item.person == "person 3",
                        "t": item.tracklet in ("tracklet 1", "tracklet 9"),
                        "c": item.camera == 2,
                        "h": bool(np.asarray(item.attribute_code)[0] & 64),
                    }[where[0]]
                }
            persons = {item.person for item in plain.items.values()}
            info = gallery.info()
            assert info.n_persons == len(persons)
            assert info.n_tracklets == len({(item.camera, item.tracklet) for item in plain.items.values()})
        assert gallery._cache.base.n_items > 100
        assert gallery._cache._table.texts.n < 100
    with opened(path, read_only=True) as gallery:
        check_whole(gallery, plain)


def test_metadata_are_read_once_although_segments_change(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as gallery:
        assert gallery.count("metadata.row = 7") == 1
        read: list[int] = []
        metadata = gallery._cache._metadata

        def counted(first: int, last: int) -> object:
            for seq, text in metadata(first, last):
                read.append(seq)
                yield seq, text

        monkeypatch.setattr(gallery._cache._table, "_metadata", counted)
        gallery.add(batch_of(range(100, 150), version=2))
        gallery.delete([7])
        assert gallery.count("metadata.version = 2 and metadata.row = 3") == 1
        settle(gallery)
        gallery.compact()
        read.clear()
        assert gallery.count("metadata.row = 8") == 2
        assert gallery.count("metadata.row = 7") == 1
        assert gallery._cache.base.n_items == 109
        assert not read


def test_coarse_codes_are_in_segments(tmp_path: Path) -> None:
    coarse = CoarseCode((0, 1), (3, 5, 7, 9, 11, 60), ((0.5, 0.25), (0.9, 0.5)))
    contract = Contract(64, attributes=CONTRACT.attributes, coarse=coarse)
    path = tmp_path / "coarse.gallery"
    with create_gallery(path, contract) as gallery, create_gallery("memory:", contract) as memory:
        for each in (gallery, memory):
            each.add(FIRST)
        short = Codes(np.zeros((1, 1), np.uint8), 8)
        wanted = memory.search(QUERY, 5, 9, attribute_codes=short)[0].ids
    with opened(path) as gallery:
        assert gallery.search(QUERY, 5, 9, attribute_codes=short)[0].ids == wanted
        assert gallery._cache._table._coarse_codes.n_bytes == 0
        other = CoarseCode((1,), (0, 1, 2, 3, 4, 5, 6), ((0.5, 0.25), (0.9, 0.5)))
        gallery.calibrate(None, other)
        memory = create_gallery("memory:", Contract(64, attributes=CONTRACT.attributes, coarse=other))
        memory.add(FIRST)
        found = gallery.search(QUERY, 5, 9, attribute_codes=short)[0].ids
        assert found == memory.search(QUERY, 5, 9, attribute_codes=short)[0].ids


def test_neighbours_become_one_and_what_is_deleted_makes_no_waste(path: Path) -> None:
    batches = [FIRST]
    with opened(path) as gallery:
        for i in range(1, 8):
            batches.append(batch_of(range(100 * i, 100 * i + 50)))
            gallery.add(batches[-1])
            settle(gallery)
        check_whole(gallery, plain_of(*batches))
        assert len(segments_of(path)) < 6
        gallery.delete([*range(200, 250), *range(300, 340)])
        plain = plain_of(*batches)
        plain.delete([*range(200, 250), *range(300, 340)])
    with opened(path) as gallery:
        check_whole(gallery, plain)
        gallery.compact()
        check_whole(gallery, plain)
        assert sum(each.items for each in gallery._cache.base.segments) == len(plain.items)


def test_decisions_about_items_in_segments(path: Path) -> None:
    with opened(path) as gallery:
        gallery.confirm([4], "Ada")
        gallery.reject([7], "person 1")
        gallery.merge("Bo", "person 2")
        counts = {who: gallery.count(f"person = {who}") for who in ("Ada", "'person 1'", "'person 2'", "Bo")}
        with opened(path, read_only=True) as again:
            assert counts == {who: again.count(f"person = {who}") for who in counts}
        n_persons = gallery.info().n_persons
        gallery.compact()
        assert counts == {who: gallery.count(f"person = {who}") for who in counts}
        assert gallery.info().n_persons == n_persons
        assert b"person 2" not in segments_of(path)[0].read_bytes()
    with opened(path) as gallery:
        assert counts == {who: gallery.count(f"person = {who}") for who in counts}


# Several processes.


def test_another_process_sees_each_deletion_and_each_new_segment(path: Path) -> None:
    with opened(path) as gallery, Other(path, read_only=True) as reader, Other(path, small_segments=True) as writer:
        assert reader.ask("gallery._cache.base.n_items") == 60
        gallery.delete(["picture 7", 5])
        assert reader.ask("[gallery.count(), len(gallery.search(QUERY, 99)[0])]") == [58, 58]
        assert writer.ask("gallery.add(batch_of(range(100, 190)))") == 90
        assert writer.ask("gallery._segments.end() or gallery._segments.settle(1)") is None
        assert reader.ask("gallery.count()") == gallery.count() == 148
        assert reader.ask("gallery._cache.base.n_items") == gallery._cache.base.n_items == 150
        assert writer.ask("gallery.delete([100])") == 1
        writer.ask("gallery.compact()")
        assert reader.ask("[gallery.count(), gallery._cache.base.n_items]") == [147, 147]
        plain = plain_of(FIRST, batch_of(range(100, 190)))
        plain.delete(["picture 7", 5, 100])
        check_whole(gallery, plain)


def test_a_search_in_a_snapshot_of_before_goes_on(path: Path) -> None:
    with opened(path) as gallery:
        before = gallery._snapshot()
        keys = before.keys.tolist()
        gallery.delete([3])
        gallery.compact()
        gallery.add(batch_of(range(100, 200)))
        settle(gallery)
        assert before.keys.tolist() == keys
        assert {0, 1, 2, 3} <= set(keys)
        by_seq = np.argsort(before.seqs[:60])
        assert before.codes.packed[by_seq].tobytes() == FIRST.codes.packed.tobytes()


# What is missing, damaged or hostile.


def test_what_is_missing_is_read_from_the_record_and_written_anew(path: Path) -> None:
    segments_of(path)[0].unlink()
    with opened(path) as gallery:
        assert gallery.info().details["segments"] == "0 of 1"
        check_whole(gallery, plain_of(FIRST))
        gallery.add(batch_of([100]))
    assert len(segments_of(path)) == len(listed(path).entries) > 0
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 61
        check_whole(gallery, plain_of(FIRST, batch_of([100])))


def change(segment: Path, at: int) -> None:
    content = bytearray(segment.read_bytes())
    content[at] ^= 4
    segment.unlink()
    segment.write_bytes(content)


def offset_of(segment: Path, name: str) -> int:
    content = segment.read_bytes()
    length = int.from_bytes(content[20:24], "little")
    offset: int = json.loads(content[28 : 28 + length])["arrays"][name][2]
    return offset


@pytest.mark.parametrize(("name", "at"), [("code", 3), ("key", 0)])
def test_a_hit_that_is_not_what_the_record_holds_is_seen(path: Path, name: str, at: int) -> None:
    change(segments_of(path)[0], offset_of(segments_of(path)[0], name) + at)
    with opened(path) as gallery:
        with pytest.warns(DataWarning, match="got other codes than the gallery's file; its items are read from"):
            hits = gallery.search(QUERY, 60)[0]
        assert [(hit.id, hit.distance) for hit in hits] == plain_of(FIRST).search(QUERY.packed[0].tobytes(), 60)
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 60
        check_whole(gallery, plain_of(FIRST))
        assert gallery.info().details["segments"] == 1


@pytest.mark.parametrize(
    "name", ["camera", "person", "person names", "id ends", "added", "by seq", "centres", "recalls"]
)
def test_info_sees_any_damage(path: Path, name: str) -> None:
    change(segments_of(path)[0], offset_of(segments_of(path)[0], name) + 1)
    with opened(path) as gallery:
        with pytest.warns(DataWarning, match="got other bytes than were written; its items are read from the"):
            assert gallery.info().n_items == 60
        check_whole(gallery, plain_of(FIRST))


def test_a_thread_sees_any_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(segments_of(path)[0], offset_of(segments_of(path)[0], "time") + 1)
    monkeypatch.setattr(check, "LATER_S", 0.01)
    with opened(path) as gallery:
        for _ in range(1000):
            time.sleep(0.01)
            if segments_of(path)[0].name in gallery._cache.folder._damaged:
                break
        with pytest.warns(DataWarning, match="got other bytes than were written"):
            check_whole(gallery, plain_of(FIRST))


def test_info_sees_what_is_damaged_in_the_record(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE items SET code = ? WHERE key = 3", (bytes(8),))
        connection.commit()
    with opened(path) as gallery:
        with pytest.warns(DataWarning, match="other codes than the|1 damaged ones, which are left out, the first 3"):
            assert gallery.info().details["damaged"] == 1
        assert gallery.count() == 59
        gallery.add(batch_of([1000]))
    with pytest.warns(DataWarning, match="1 damaged ones, which are left out, the first 3"):
        gallery = opened(path)
    with gallery:  # whose segments know of it
        assert gallery._cache.base.n_items == 60
        assert gallery.info().details["damaged"] == 1
        with pytest.warns(DataWarning, match="1 damaged"):
            assert gallery.get([3]) == [None]
        assert gallery.delete_where("id = 3") == 1
        assert gallery.info().details["damaged"] == 0


HOSTILE: dict[str, Callable[[dict[str, object]], object]] = {
    "rows": lambda said: said.update(rows=BLOCK * 2**40),
    "no rows": lambda said: said.update(items=0),
    "text": lambda said: said.update(rows="many"),
    "codes": lambda said: said.update(n_bits=128),
    "covered": lambda said: said.update(last=5),
    "no array": lambda said: said["arrays"].pop("time"),  # type: ignore[attr-defined]
    "type": lambda said: said["arrays"]["time"].__setitem__(0, "|O"),  # type: ignore[index]
    "shape": lambda said: said["arrays"]["code"].__setitem__(1, [BLOCK, 2**60]),  # type: ignore[index]
    "negative": lambda said: said["arrays"]["code"].__setitem__(1, [-1, 8]),  # type: ignore[index]
    "offset": lambda said: said["arrays"]["code"].__setitem__(2, HEADER * 2**30),  # type: ignore[index]
    "unaligned": lambda said: said["arrays"]["code"].__setitem__(2, HEADER + 8),  # type: ignore[index]
    "within the header": lambda said: said["arrays"]["code"].__setitem__(2, 0),  # type: ignore[index]
    "list": lambda said: said.update(arrays=[1]),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_header_that_does_not_fit_is_not_trusted(path: Path, how: str) -> None:
    segment = segments_of(path)[0]
    content = segment.read_bytes()
    length = int.from_bytes(content[20:24], "little")
    said = json.loads(content[28 : 28 + length])
    HOSTILE[how](said)
    header, checksum = header_of(said)
    segment.write_bytes(header + content[HEADER:])
    if how != "covered":  # which only the list knows
        with pytest.raises(GalleryDamaged, match="expected a sound segment, got"):
            Segment(segment, CONTRACT, checksum)
    before = listed(path)
    entry = before.entries[0]._replace(header=checksum)
    text, sealing = sealed(before._replace(entries=(entry,))._asdict())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'segments'", (text,))
        connection.execute("UPDATE meta SET value = ? WHERE name = 'segments checksum'", (sealing,))
        connection.commit()
    with pytest.warns(DataWarning, match="its items are read from the gallery's file meanwhile"):
        gallery = opened(path)
    with gallery:
        check_whole(gallery, plain_of(FIRST))


@pytest.mark.parametrize("length", [0, 10, HEADER - 1, HEADER, HEADER + 5000])
def test_a_file_cut_short_is_not_trusted(path: Path, length: int) -> None:
    segment = segments_of(path)[0]
    content = segment.read_bytes()
    segment.write_bytes(content[:length])
    with pytest.warns(DataWarning, match="its items are read from the gallery's file meanwhile"):
        gallery = opened(path)
    with gallery:
        check_whole(gallery, plain_of(FIRST))


def test_a_damaged_list_costs_nothing_but_time(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = '{}' WHERE name = 'segments'")
        connection.commit()
    with opened(path) as gallery:
        check_whole(gallery, plain_of(FIRST))
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 60
    assert len(segments_of(path)) == 1


def test_files_that_are_not_listed_are_removed(path: Path) -> None:
    stray = path.with_name(f"{path.name}.d") / "0123456789abcdef.segment"
    stray.write_bytes(segments_of(path)[0].read_bytes())
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 60
        gallery.compact()
    assert not stray.exists()


# Other places.


def test_segments_of_another_gallery_are_not_trusted(path: Path) -> None:
    other = path.with_name("other.gallery")
    with create_gallery(other, CONTRACT) as gallery:
        gallery.add(batch_of(range(60)))
    segments_of(path)[0].write_bytes(segments_of(other)[0].read_bytes())
    with pytest.warns(DataWarning, match="got another header than was written"):
        gallery = opened(path)
    with gallery:
        check_whole(gallery, plain_of(FIRST))


def test_backups_have_no_segments_and_restoring_removes_them(path: Path) -> None:
    backup = path.with_name("backup.gallery")
    with opened(path) as gallery:
        gallery.backup(backup)
        gallery.add(batch_of(range(100, 150)))
    assert listed(backup) == Listed()
    restore_gallery(backup, path)
    assert not path.with_name(f"{path.name}.d").exists()
    with opened(path) as gallery:
        check_whole(gallery, plain_of(FIRST))
    assert len(segments_of(path)) == 1


def test_a_new_gallery_removes_the_segments_of_one_that_is_gone(path: Path) -> None:
    path.unlink()
    with create_gallery(path, CONTRACT):
        assert not segments_of(path)


def test_segments_are_used_where_nothing_can_be_written() -> None:
    with read_only_folder() as (folder, close):
        filled(folder / "people.gallery")
        close()
        with opened(folder / "people.gallery", read_only=True) as gallery:
            assert gallery._cache.base.n_items == 60
            check_whole(gallery, plain_of(FIRST))


def test_segments_are_for_those_who_may_read_the_gallery(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        path.chmod(0o600)
        gallery.add(FIRST)
    assert segments_of(path)[0].stat().st_mode & 0o777 == 0o600
    assert segments_of(path)[0].parent.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_leaves_the_gallery_without_segments(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with opened(path) as gallery:
        monkeypatch.setattr("bitreid.gallery.sqlite.segments.writer.write_segment", full)
        gallery.add(batch_of(range(100, 200)))
        gallery.delete([3])
        settle(gallery)
        assert gallery._cache.base.n_items == 60
        gallery.compact()  # forgets all the same
        assert not segments_of(path)
        plain = plain_of(FIRST, batch_of(range(100, 200)))
        plain.delete([3])
        check_whole(gallery, plain)


def test_rows_in_another_order_than_that_of_sequence_numbers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a segment by clusters has them."""
    stretches = plan.Rows._stretches

    def shuffled(self: plan.Rows, first: int, last: int, least: int) -> object:
        for new in stretches(self, first, last, least):
            yield new._replace(rows=np.random.default_rng(5).permutation(new.rows))

    monkeypatch.setattr(plan.Rows, "_stretches", shuffled)
    batch = batch_of(range(200, 300))
    with opened(path) as gallery:
        gallery.add(batch)
        settle(gallery)
        check_whole(gallery, plain_of(FIRST, batch))
        assert any("by seq" in each.arrays for each in gallery._cache.base.segments)
        gallery.delete([205, 206])
        gallery.confirm([250], "Ada")
        plain = plain_of(FIRST, batch)
        plain.delete([205, 206])
        ada = [item.id for some in gallery.scan("person = Ada") for item in some]
        assert 250 in ada
        assert gallery.count("metadata.row = 50") == 2
        plain.decide("confirm", "Ada", ada)
        check_whole(gallery, plain)
        assert gallery.info().details["damaged"] == 0
    with opened(path) as gallery:
        check_whole(gallery, plain)


def test_items_of_no_attributes_and_of_long_codes(tmp_path: Path) -> None:
    path = tmp_path / "plain.gallery"
    codes = Codes(np.random.default_rng(0).integers(0, 256, (90, 24), np.uint8), 192)
    with create_gallery(path, Contract(192)) as gallery:
        gallery.add(Items.of(list(range(90)), codes))
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 90
        assert gallery.search(codes[:3], 1)[2].ids == (2,)
        assert gallery.info().n_persons == 0
        gallery.delete([5])
        gallery.compact()  # a segment without any name is written again, and sound
        assert gallery.count() == gallery._cache.base.n_items == 89
