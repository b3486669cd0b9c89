"""Segments that are missing, damaged or hostile: never a wrong answer."""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import pytest

from bitreid.errors import DataWarning, GalleryDamaged
from bitreid.gallery import GalleryItem, create_gallery
from bitreid.gallery.filters.text import parse_filter
from bitreid.gallery.sqlite.file import sealed
from bitreid.gallery.sqlite.segments import check
from bitreid.gallery.table.segment import BLOCK, HEADER, Segment, header_of
from tests.gallery.sqlite.cases import (
    CONTRACT,
    QUERY,
    Other,
    batch_of,
    check_whole,
    plain_of,
)
from tests.gallery.sqlite.segments.cases import FIRST, listed, opened, segments_of


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


def change(segment: Path, at: int, bits: int = 4) -> None:
    content = bytearray(segment.read_bytes())
    content[at] ^= bits
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


@pytest.mark.parametrize("name", ["id names", "camera", "time", "tracklet", "tracklet names", "person names"])
@pytest.mark.parametrize("byte", [4, 0xF0])  # the second makes no UTF-8
def test_a_hit_that_shows_something_else_than_the_record_is_seen(path: Path, name: str, byte: int) -> None:
    change(segments_of(path)[0], offset_of(segments_of(path)[0], name), byte)
    plain = plain_of(FIRST)
    with opened(path) as gallery:
        with pytest.warns(DataWarning, match="expected a sound segment"):
            hits = gallery.search(QUERY, 60)[0]
        assert [(hit.id, hit.distance) for hit in hits] == plain.search(QUERY.packed[0].tobytes(), 60)
        for hit in hits:
            item = plain.items[hit.id]
            shown = hit.camera, hit.time, hit.tracklet, hit.person
            assert shown == (item.camera, item.time, item.tracklet, item.person)


@pytest.mark.parametrize("twice", [False, True])
def test_sequence_numbers_of_other_items_are_seen(path: Path, twice: bool) -> None:
    """Two that are exchanged, or one that is there twice: all keys and codes are in the record."""
    segment = segments_of(path)[0]
    content, size = bytearray(segment.read_bytes()), 8
    seqs = slice(at := offset_of(segment, "seq"), at + 2 * size)
    first, second = content[at : at + size], content[at + size : seqs.stop]
    content[seqs] = first * 2 if twice else second + first
    segment.unlink()
    segment.write_bytes(content)
    with opened(path) as gallery:
        with pytest.warns(DataWarning, match="other codes than the gallery's file"):
            hits = gallery.search(QUERY, 60)[0]
        assert [(hit.id, hit.distance) for hit in hits] == plain_of(FIRST).search(QUERY.packed[0].tobytes(), 60)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("camera", "camera = 3"),
        ("person", 'person = "person 3"'),
        ("time", "time >= 1980-01-02"),
        ("seq", "camera = 3"),
    ],
)
def test_a_deletion_and_a_scan_by_filter_go_by_the_record(path: Path, name: str, where: str) -> None:
    """What is deleted cannot be made anew from the record."""
    at = offset_of(segments_of(path)[0], name)
    for row in range(60):
        change(segments_of(path)[0], at + row * (4 if name == "person" else 8), 1)
    plain = plain_of(FIRST)
    with opened(path) as gallery:
        chosen = parse_filter(where, CONTRACT)
        wanted = {id for id, item in plain.items.items() if passes(item, where)}
        assert 0 < len(wanted) < 60
        with pytest.warns(DataWarning, match="expected a sound segment"):
            assert {id for batch in gallery.scan(chosen) for id in batch.ids} == wanted
    with opened(path) as gallery:
        assert gallery.delete_where(chosen) == len(wanted)
        plain.delete(sorted(wanted, key=str))
        check_whole(gallery, plain)


def passes(item: GalleryItem, where: str) -> bool:
    if where.startswith("camera"):
        return item.camera == 3
    if where.startswith("person"):
        return item.person == "person 3"
    return item.time is not None and item.time >= datetime(1980, 1, 2, tzinfo=UTC)


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


def test_segments_that_were_written_later_are_watched_too(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT), opened(path, read_only=True) as gallery:
        with opened(path) as other:
            other.add(FIRST)
        change(segments_of(path)[0], offset_of(segments_of(path)[0], "time") + 1)
        assert gallery._watch.look()
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
    "coarse": lambda said: said.update(coarse="x", arrays=said["arrays"] | {"coarse": said["arrays"]["time"]}),  # type: ignore[operator,index]
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


def test_a_list_that_is_too_deep_to_read_costs_nothing_but_time(path: Path) -> None:
    deep = "[" * 100_000
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'segments'", (deep,))
        connection.execute("UPDATE meta SET value = ? WHERE name = 'segments checksum'", (crc32(deep.encode()),))
        connection.commit()
    with opened(path) as gallery:
        check_whole(gallery, plain_of(FIRST))


def test_a_pipe_in_the_place_of_a_segment_keeps_nobody_waiting(path: Path) -> None:
    segments_of(path)[0].unlink()
    os.mkfifo(path.with_name(f"{path.name}.d") / listed(path).entries[0].name)
    with Other(path, read_only=True) as other:  # which would wait for ever
        assert other.ask("gallery.count()") == 60


def test_a_file_cut_short_while_it_is_used_is_read_no_more(path: Path) -> None:
    with Other(path) as other:  # which the system would end
        expression = "[hit.id for hit in gallery.search(QUERY, 60)[0]]"
        before = other.ask(expression)
        os.truncate(segments_of(path)[0], HEADER + 5000)
        assert other.ask(expression) == before
        assert other.ask("gallery.delete_where('camera = 3')") > 0
    with opened(path) as gallery:
        plain = plain_of(FIRST)
        plain.delete([id for id, item in plain.items.items() if item.camera == 3])
        check_whole(gallery, plain)


def test_files_that_are_not_listed_are_removed(path: Path) -> None:
    stray = path.with_name(f"{path.name}.d") / "0123456789abcdef.segment"
    stray.write_bytes(segments_of(path)[0].read_bytes())
    with opened(path) as gallery:
        assert gallery._cache.base.n_items == 60
        gallery.compact()
    assert not stray.exists()
