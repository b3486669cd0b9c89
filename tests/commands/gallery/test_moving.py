"""`bitreid gallery export`, `import`, `copy`, `backup` and `restore`."""

from pathlib import Path

from tests.commands.words import Capture, N, answer, done, n_items, refusal, said


def test_export_import_copy_and_backup(place: Path, tmp_path: Path, capsys: Capture) -> None:
    file, other = tmp_path / "items.parquet", tmp_path / "other.gallery"
    assert said(capsys, "export", place, file, "--where", "camera = 1") == f"4 items: {file}\n"
    done("gallery", "create", other, "--bits", 64, "--attributes", "hat,bag,top=red")
    assert answer(capsys, "import", other, file) == {"added": 4}
    assert said(capsys, "copy", place, other) == f"8 items copied, 4 were there already: {other}\n"
    assert answer(capsys, "copy", place, tmp_path / "third.gallery") == {"copied": 12}
    assert said(capsys, "backup", place, tmp_path / "backup.gallery") == f"backup: {tmp_path / 'backup.gallery'}\n"
    for each in (other, tmp_path / "third.gallery", tmp_path / "backup.gallery"):
        assert answer(capsys, "search", each, "--like", "cam/04.jpg") == answer(
            capsys, "search", place, "--like", "cam/04.jpg"
        )
    assert "neither read nor written" in refusal(capsys, "gallery", "export", place, place)
    assert "neither read nor written" in refusal(capsys, "gallery", "backup", place, place)
    file.write_bytes(b"something else")
    assert "got: no whole Parquet file" in refusal(capsys, "gallery", "import", other, file)
    assert "expected a gallery, got another or a damaged file" in refusal(capsys, "gallery", "copy", place, file)
    assert file.read_bytes() == b"something else"


def test_restore(place: Path, tmp_path: Path, capsys: Capture) -> None:
    backup = tmp_path / "backup.gallery"
    done("gallery", "backup", place, backup)
    done("gallery", "delete", place, "--person", "1")
    assert said(capsys, "restore", backup, place) == f"restored: {place}\n"
    assert n_items(place) == N
    assert "got nothing; create it" in refusal(capsys, "gallery", "restore", tmp_path / "none", place)
