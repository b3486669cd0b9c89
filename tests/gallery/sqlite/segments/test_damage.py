"""Segments that are missing, damaged or hostile: never a wrong answer."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bitreid.errors import DataWarning, GalleryDamaged
from bitreid.gallery.sqlite.file import sealed
from bitreid.gallery.sqlite.segments import check
from bitreid.gallery.table.segment import BLOCK, HEADER, Segment, header_of
from tests.gallery.sqlite.cases import (
    CONTRACT,
    QUERY,
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
