"""Thumbnails: where they are, what they are called, and that they go with their items, whoever died meanwhile."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bitreid.errors import SettingsError
from bitreid.gallery import create_gallery
from bitreid.gallery.items import Id
from bitreid.service.pictures import ABOUT, LEFT_S, KeptPictures
from tests.gallery.cases import CONTRACT, people

HOSTILE: list[Id] = ["../../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "é" * 500, "7", 7, -7, "nul\u2028"]


@pytest.fixture
def kept(tmp_path: Path) -> KeptPictures:
    return KeptPictures(tmp_path / "kept", "people.gallery")


def test_each_id_has_a_picture_of_its_own_within_the_folder(kept: KeptPictures) -> None:
    kept.keep((id, f"picture {i}".encode()) for i, id in enumerate(HOSTILE))
    assert [kept.get(id) for id in HOSTILE] == [f"picture {i}".encode() for i in range(len(HOSTILE))]
    files = [path for path in kept.folder.parent.rglob("*") if path.is_file()]
    assert len(files) == len(HOSTILE) + 1
    assert all(path.is_relative_to(kept.folder) for path in files)
    assert {path.stat().st_mode & 0o777 for path in files if path.name != ABOUT} == {0o600}
    assert not any(text in str(path) for path in files for text in ("passwd", "é"))
    kept.keep([(7, b"another")])
    assert (kept.get(7), kept.get("7")) == (b"another", b"picture 6")
    kept.forget(["a/b", "absent"])
    assert kept.has(["a/b", "7", "absent"]) == [False, True, False]
    assert kept.get("a/b") is None


def test_a_sweep_leaves_the_pictures_of_items_that_are_there(tmp_path: Path, kept: KeptPictures) -> None:
    with create_gallery(tmp_path / "people.gallery", CONTRACT) as gallery:
        gallery.on_delete = kept.forget
        gallery.add(people([1, "b", 3, "c/d"]))
        kept.keep((id, b"picture") for id in (1, "b", 3, "c/d", "died before its item", "1"))
        assert gallery.delete([1]) == 1
        assert kept.has([1, "b", 3]) == [False, True, True]
        assert delete_elsewhere(tmp_path / "people.gallery", 3) == 0
        own = kept.folder / "ab"
        own.mkdir(exist_ok=True)
        (own / "notes.txt").write_text("an operator's own")
        recent, old = (own / f".{'0' * 62}.jpg.{end}" for end in ("12345678", "abcdefab"))
        for path in (recent, old):
            path.write_bytes(b"half")
        os.utime(old, (time.time(), time.time() - LEFT_S - 1))
        assert kept.sweep(gallery) == 3
        assert kept.has(["b", "c/d", 3, 1, "1", "died before its item"]) == [True, True, False, False, False, False]
        assert (recent.exists(), old.exists(), (own / "notes.txt").exists()) == (True, False, True)
        assert kept.sweep(gallery) == 0


def delete_elsewhere(place: Path, id: int) -> int:
    code = f"from bitreid import open_gallery; open_gallery({str(place)!r}).delete([{id}])"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, kept: KeptPictures) -> None:
    assert KeptPictures(kept.folder, "people.gallery").get(1) is None
    for other in ("others.gallery", "milvus://localhost/people", None):
        with pytest.raises(SettingsError, match=r"expected the pictures of .*, got those of '.*people.gallery'"):
            KeptPictures(kept.folder, other)
    (kept.folder / ABOUT).write_text("[" * 10**5)
    with pytest.raises(SettingsError, match="cannot be read"):
        KeptPictures(kept.folder, "people.gallery")
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(SettingsError, match="empty folder"):
        KeptPictures(tmp_path, "people.gallery")
    secret = KeptPictures(tmp_path / "far", "milvus://anna:secret@db/people")
    assert "secret" not in (secret.folder / ABOUT).read_text()


def test_a_picture_that_cannot_be_written_is_missing_and_told(
    kept: KeptPictures, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept.keep([(1, b"old"), (2, b"other")])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept.keep([(1, b"new")])
    assert "No space left" in caplog.text
    assert (kept.get(1), kept.get(2)) == (None, b"other")
