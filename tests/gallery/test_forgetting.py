"""What is forgotten is gone: no byte of it is left in the gallery's files, nor in what is made of them afterwards."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import GalleryBusy
from bitreid.gallery import Contract, Gallery, Items, create_gallery, export_parquet, open_gallery
from bitreid.gallery.items import key_of
from bitreid.gallery.sqlite.gallery import SqliteGallery
from bitreid.gallery.sqlite.segments import plan

CONTRACT = Contract(256, attributes=tuple(f"attribute {i}" for i in range(128)))
SECRET_CODE, SECRET_ATTRIBUTES = b"code-of-somebody-that-is-secret!", b"clothes-of-that!"
MARKS = {
    "code": SECRET_CODE,
    "attributes": SECRET_ATTRIBUTES,
    "tracklet": b"tracklet-of-somebody",
    "person": b"Mallory Somebody",
    "person of a decision": b"Mallory Otherwise",
    "metadata": b"shirt-of-somebody",
    "long metadata": b"long-story-of-somebody",
    "picture": b"picture-of-somebody.jpg",
}
IDS = {"id": b"id-of-somebody", "key": key_of("id-of-somebody").to_bytes(8, "big", signed=True)}
N = 400


def people() -> Items:
    """Ordinary people, and among them, in every tenth row, somebody."""
    rng = np.random.default_rng(0)
    codes, short = rng.integers(0, 256, (N, 32), np.uint8), rng.integers(0, 256, (N, 16), np.uint8)
    somebody = range(0, N, 10)
    for row in somebody:
        codes[row] = np.frombuffer(SECRET_CODE, np.uint8)
        short[row] = np.frombuffer(SECRET_ATTRIBUTES, np.uint8)

    def column(secret: str, other: str) -> list[str]:
        return [f"{secret} {row}" if row in somebody else f"{other} {row}" for row in range(N)]

    long = "long-story-of-somebody " * 400  # takes pages of its own
    return Items.of(
        ["id-of-somebody" if row == 0 else text for row, text in enumerate(column("id-of-somebody", "id"))],
        Codes(codes, 256),
        Codes(short, 128),
        cameras=[0 if row in somebody else 1 for row in range(N)],
        times=[datetime(2020 if row in somebody else 2026, 1, 1, tzinfo=UTC) for row in range(N)],
        tracklets=column("tracklet-of-somebody", "tracklet"),
        persons=["Mallory Somebody" if row in somebody else f"P{row}" for row in range(N)],
        metadata=[
            {"worn": "shirt-of-somebody", "story": long} if row in somebody else {"row": row} for row in range(N)
        ],
        pictures=column("picture-of-somebody.jpg", "picture.jpg"),
    )


def somebodys() -> list[str]:
    return ["id-of-somebody", *(f"id-of-somebody {row}" for row in range(10, N, 10))]


def found_in(folder: Path, marks: dict[str, bytes]) -> set[tuple[str, str]]:
    """Which files hold which marks."""
    files = {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return {(name, mark) for name, content in files.items() for mark, secret in marks.items() if secret in content}


@pytest.fixture(params=["no segments", "segments"], autouse=True)
def with_segments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the galleries have segments."""
    small = {"FEWEST": 1, "TAIL": 60, "FANOUT": 3, "ROUND": 1} if request.param == "segments" else {}
    for name, value in small.items():
        monkeypatch.setattr(plan, name, value)
    return bool(small)


def settle(gallery: Gallery) -> None:
    """Write the segments that are due."""
    assert isinstance(gallery, SqliteGallery)
    gallery._segments.end()
    gallery._segments.settle(plan.FEWEST)


WAYS: dict[str, Callable[[Gallery], int]] = {
    "ids": lambda gallery: gallery.delete(somebodys()),
    "filter": lambda gallery: gallery.delete_where("camera = 0 and metadata.worn = shirt-of-somebody"),
    "person": lambda gallery: gallery.delete_where('person = "Mallory Somebody"'),
    "age": lambda gallery: gallery.expire(datetime(2025, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("audited", [True, False])
def test_no_byte_of_what_was_forgotten_is_left(tmp_path: Path, way: str, audited: bool, with_segments: bool) -> None:
    folder = tmp_path / "gallery"
    folder.mkdir()
    with create_gallery(folder / "people.gallery", CONTRACT, audited=audited, actor="the operator") as gallery:
        batch = people()
        gallery.add(batch.rows(slice(0, 200)))
        gallery.add(batch.rows(slice(200, N)))
        gallery.reject(["id-of-somebody 10"], "Mallory Otherwise")
        gallery.confirm(["id-of-somebody 20"], "Mallory Somebody")
        gallery.search(batch.codes[:2])
        settle(gallery)
        gallery.info()
        assert {mark for _, mark in found_in(folder, MARKS | IDS)} == {*MARKS, *IDS}
        in_segments = {mark for name, mark in found_in(folder, MARKS) if name.endswith(".segment")}
        assert in_segments == ({"code", "attributes", "tracklet", "person"} if with_segments else set())
        assert WAYS[way](gallery) == N // 10
        gallery.compact()
        gallery.backup(folder / "backup.gallery")
        export_parquet(gallery, folder / "export.parquet")
        assert {file.name for file in folder.iterdir()} >= {
            "people.gallery",
            "people.gallery-wal",
            "people.gallery-shm",
        }
        assert found_in(folder, MARKS) == set()
        assert found_in(folder, {"key": IDS["key"]}) == set()
        names = {"people.gallery", "backup.gallery"} if audited else set()
        assert {name for name, _ in found_in(folder, IDS)} <= names
        gallery.search(batch.codes[1:3])
        assert gallery.rejected("Mallory Otherwise") == frozenset()
        assert gallery.undo() is None
        assert gallery.count() == N - N // 10
    assert found_in(folder, MARKS) == set()


def test_a_deletion_alone_is_found_by_nobody_but_may_leave_copies_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT, audited=False) as gallery:
        gallery.add(people())
        gallery.delete(somebodys())
        assert gallery.get(["id-of-somebody"]) == [None]
        assert files_with_marks(tmp_path) == {"people.gallery-wal"}
        gallery.backup(tmp_path / "backup.gallery")
        assert files_with_marks(tmp_path) == {"people.gallery-wal"}
        gallery.compact()
        assert found_in(tmp_path, MARKS | IDS) == set()


def files_with_marks(folder: Path) -> set[str]:
    """Which files hold what was forgotten, but for segments."""
    return {name for name, _ in found_in(folder, MARKS) if not name.endswith(".segment")}


def test_an_item_that_is_replaced_is_forgotten(tmp_path: Path) -> None:
    with create_gallery(tmp_path / "people.gallery", CONTRACT, audited=False) as gallery:
        batch = people()
        gallery.add(batch)
        blank = Codes(np.zeros((N // 10, 32), np.uint8), 256), Codes(np.zeros((N // 10, 16), np.uint8), 128)
        assert gallery.upsert(Items.of(somebodys(), *blank)) == 0
        gallery.compact()
        assert {mark for _, mark in found_in(tmp_path, MARKS | IDS)} == {"id", "key"}
        assert gallery.count() == N


def test_a_compaction_says_so_when_somebody_reads_what_was_there_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitreid.gallery.sqlite.file.BUSY_S", 0.1)
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT, audited=False) as gallery:
        gallery.add(people())
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM items").fetchone()
            gallery.delete(somebodys())
            with pytest.raises(
                GalleryBusy, match="got other processes that read what was there before; nothing is lost"
            ):
                gallery.compact()
        assert gallery.count() == N - N // 10
        gallery.compact()
        assert found_in(tmp_path, MARKS | IDS) == set()


def test_the_audit_log_tells_what_was_done_but_not_to_whom(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT, actor="the operator") as gallery:
        gallery.add(people().rows(slice(0, 20)))
        gallery.confirm(["id 1"], "Mallory Somebody")
        gallery.delete(["id-of-somebody", "nobody"])
        log = list(gallery.audit())
    assert [(entry["actor"], entry["action"], entry["count"]) for entry in log] == [
        ("the operator", "add", 20),
        ("the operator", "confirm", 1),
        ("the operator", "delete", 1),
    ]
    assert all(entry.keys() == {"time", "actor", "action", "count", "ids"} for entry in log)
    assert log[2]["ids"] == ["id-of-somebody"]
    with closing(sqlite3.connect(path)) as connection:
        entries = b"".join(entry.encode() for (entry,) in connection.execute("SELECT entry FROM audit"))
        assert not [mark for mark in MARKS.values() if mark in entries]
        for change in ("UPDATE audit SET entry = ''", "DELETE FROM audit", "DELETE FROM audit WHERE n = 1"):
            with pytest.raises(sqlite3.IntegrityError, match="append only"):
                connection.execute(change)
    with open_gallery(path) as gallery:
        assert list(gallery.audit()) == log
