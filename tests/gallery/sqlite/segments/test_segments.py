"""Segments of SQLite galleries: written, shared, merged, and in other places."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import DataWarning
from bitreid.gallery import Contract, Items, create_gallery, restore_gallery
from bitreid.gallery.sqlite.segments import plan
from bitreid.gallery.sqlite.segments.listed import Listed
from bitreid.gallery.table.segment import BLOCK
from tests.gallery.sqlite.cases import (
    CONTRACT,
    QUERY,
    Other,
    batch_of,
    check_whole,
    plain_of,
    read_only_folder,
)
from tests.gallery.sqlite.segments.cases import FIRST, filled, listed, opened, segments_of, settle


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


def test_segments_are_written_by_all_who_may_write_the_gallery(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        path.chmod(0o660)
        gallery.add(FIRST)
    files = list(segments_of(path)[0].parent.iterdir())
    assert len(files) == 2, "a segment, and the lock"
    assert {file.stat().st_mode & 0o777 for file in files} == {0o660}


def test_a_child_that_was_forked_meanwhile_keeps_no_lock(path: Path) -> None:
    with opened(path) as gallery:
        with gallery._cache.folder.locked(0):
            started, ended = os.pipe()
            child = os.fork()
            if not child:
                os.read(started, 1)
                os._exit(0)
        try:
            with gallery._cache.folder.locked(0):
                pass
        finally:
            os.write(ended, b"!")
            os.waitpid(child, 0)
            os.close(started)
            os.close(ended)


def test_compaction_forgets_where_a_file_is_in_the_place_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    beside = tmp_path / "people.gallery.d"
    beside.write_bytes(b"something else")
    filled(path)
    with opened(path) as gallery:
        gallery.delete([3])
        gallery.compact()
        plain = plain_of(FIRST)
        plain.delete([3])
        check_whole(gallery, plain)
    assert beside.read_bytes() == b"something else"


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
