"""Single bits of a SQLite gallery's file that flip: what is found is right, or something says that it is not."""

import random
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import DataWarning, GalleryError
from bitreid.gallery import Contract, Items, create_gallery, open_gallery
from bitreid.gallery.sqlite.file import connect
from bitreid.gallery.sqlite.rows import WHOLE, Widths, checksum, is_sound, which_are_sound
from tests.gallery.sqlite.cases import CONTRACT, QUERY, batch_of, plain_of, same

IDS = (5, "seven", 2**40)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a gallery whose items lack half of what can be known, with a decision and a log."""
    path = tmp_path_factory.mktemp("sound") / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(items())
        gallery.reject([5], "nobody known")
    return path.read_bytes()


def items() -> Items:
    batch = batch_of(IDS)
    return Items.of(
        IDS,
        batch.codes,
        batch.attribute_codes,
        cameras=[1, None, 2],
        tracklets=[None, "t", None],
        persons=[None, None, "Ada"],
    )


def places(file: bytes) -> Iterator[int]:
    """Where the pages of tables are, byte by byte, but for room that nothing uses."""
    for page in range(4096, len(file), 4096):
        if file[page] in (10, 13):  # leaves of indexes and of tables
            first = int.from_bytes(file[page + 5 : page + 7], "big") or 65536
            cells = 8 + 2 * int.from_bytes(file[page + 3 : page + 5], "big")
            yield from range(page, page + cells)
            yield from range(page + first, page + 4096)


def test_a_flipped_bit_is_found_or_harmless(sound: bytes, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    bits = [(at, bit) for at in places(sound) for bit in range(8)]
    chosen = random.Random(11).sample(bits, min(request.config.getoption("--bits"), len(bits)))
    path = tmp_path / "people.gallery"
    for at, bit in chosen:
        damaged = bytearray(sound)
        damaged[at] ^= 1 << bit
        for end in ("-wal", "-shm", "-journal"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        path.write_bytes(damaged)
        check_what_is_left(path)


def check_what_is_left(path: Path) -> None:
    plain = plain_of(items())
    with warnings.catch_warnings(record=True) as caught, suppress(GalleryError):
        warnings.simplefilter("always")
        with open_gallery(path) as gallery:
            found = {hit.id: hit for hit in gallery.search(QUERY, 9, max_distance=None)[0]}
            distances = dict(plain.search(QUERY.packed[0].tobytes(), 9))
            for id, hit in found.items():
                item = plain.items[id]
                assert (hit.distance, hit.camera, hit.time) == (distances[id], item.camera, item.time)
                assert (hit.tracklet, hit.person) == (item.tracklet, item.person)
            assert len(found) == len(IDS) or caught
            for there in gallery.get(IDS):
                assert there is None or same(there, plain.items[there.id])
            with suppress(GalleryError):
                assert all("action" in entry for entry in gallery.audit())
            with suppress(GalleryError):
                gallery.count("metadata.zone = 1 or person = Ada")
            with suppress(GalleryError):
                gallery.upsert(items())
            with suppress(GalleryError):
                gallery.delete(IDS)
            with suppress(GalleryError):
                gallery.compact()
    assert {each.category for each in caught} <= {DataWarning}


@pytest.mark.parametrize("column", ["id", "tracklet", "person", "metadata", "picture"])
@pytest.mark.parametrize("value", [0, "", b""])
def test_nothing_else_is_taken_for_what_is_unknown(sound: bytes, tmp_path: Path, column: str, value: object) -> None:
    path = tmp_path / "people.gallery"
    path.write_bytes(sound)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE items SET {column} = ? WHERE key = 5", (value,))
        connection.commit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gallery = open_gallery(path)
    with gallery, pytest.warns(DataWarning, match="1 damaged ones"):
        assert gallery.get([5, 2**40])[0] is None


def test_rows_of_other_lengths_are_damaged_although_their_sums_are_right(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, Contract(64)) as gallery:
        gallery.add(Items.of([1, 2, 3], Codes(np.zeros((3, 8), np.uint8), 64)))
    with closing(connect(path)) as connection:  # one byte of the one is the other's
        for key, code in ((1, b"\1" * 7), (2, b"\1" * 9)):
            row = connection.execute(f"SELECT {WHOLE} FROM items WHERE key = ?", (key,)).fetchone()
            row = (*row[:3], code, *row[4:])
            connection.execute("UPDATE items SET code = ?, checksum = ? WHERE key = ?", (code, checksum(row), key))
            assert not is_sound((*row[:5], checksum(row), *row[6:]), Widths(8, 0))
    with pytest.warns(DataWarning, match="2 damaged ones"):
        gallery = open_gallery(path)
    with gallery:
        assert gallery.search(Codes(np.zeros((1, 8), np.uint8), 64), 9)[0].ids == (3,)


def test_what_is_no_text_is_damaged_although_its_sum_is_right(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, Contract(64)) as gallery:
        gallery.add(Items.of(["a", "b"], Codes(np.zeros((2, 8), np.uint8), 64)))
    with closing(connect(path)) as connection:
        rows = connection.execute(f"SELECT {WHOLE} FROM items").fetchall()
        (row,) = [row for row in rows if row[2] == b"a"]
        row = (*row[:2], b"\xff", *row[3:])
        crafted = (*row[:5], checksum(row), *row[6:])
        assert which_are_sound([crafted], Widths(8, 0)) == [False]
        connection.execute(
            "UPDATE items SET id = CAST(x'ff' AS TEXT), checksum = ? WHERE seq = ?", (checksum(row), row[0])
        )
    with pytest.warns(DataWarning, match="1 damaged ones"):
        gallery = open_gallery(path)
    with gallery:
        assert gallery.search(Codes(np.zeros((1, 8), np.uint8), 64), 9)[0].ids == ("b",)
