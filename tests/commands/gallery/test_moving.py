"""`bitreid gallery export`, `import`, `copy`, `reencode`, `backup` and `restore`."""

import shutil
from dataclasses import replace
from pathlib import Path

from bitreid.artifact import load_artifact, save_artifact
from bitreid.commands.main import main
from bitreid.gallery import open_gallery
from tests.commands.words import Capture, N, answer, done, n_items, read_json, refusal, said


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


def test_reencode(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    """With a model whose attributes begin elsewhere, which makes it another one: the codes are those of `add`."""
    other = tmp_path / "other"
    saved = load_artifact(artifact)
    save_artifact(other, replace(saved.card, thresholds={"attribute_probability": 0.3}), saved.weights)
    shutil.copytree(people / "query", tmp_path / "query")
    old, new, fresh = (tmp_path / f"{name}.gallery" for name in ("old", "new", "fresh"))
    done("gallery", "create", old, "--model", artifact)
    done("gallery", "add", old, tmp_path / "query", "--model", artifact, "--id", "name")
    done("gallery", "create", fresh, "--model", other)
    done("gallery", "add", fresh, tmp_path / "query", "--model", other, "--id", "name")
    first = sorted((tmp_path / "query").iterdir())[0]
    done("gallery", "confirm", old, "Ada", first.stem)
    n = n_items(old)
    first.rename(tmp_path / "away.jpg")
    capsys.readouterr()
    words = ("gallery", "reencode", str(old), str(new), "--model", str(other))
    assert main([*words, "--report", str(tmp_path / "report.json")]) == 3
    captured = capsys.readouterr()
    assert captured.out == f"{n - 1} items encoded anew, 0 were there already: {new}\n"
    assert captured.err == f"bitreid: 1 picture was left out:\n  {first}: no file\n"
    assert read_json(tmp_path / "report.json")[0]["path"] == str(first)  # type: ignore[index]
    (tmp_path / "away.jpg").rename(first)
    found = answer(capsys, *words[1:], "--pictures", tmp_path)
    assert found == {"encoded": 1, "there": n - 1, "left_out": []}
    with open_gallery(new) as one, open_gallery(fresh) as two:
        pairs = zip((item for batch in one.scan() for item in batch), (i for b in two.scan() for i in b), strict=True)
        for item, expected in pairs:
            assert item.id == expected.id
            assert item.code.tolist() == expected.code.tolist()
            assert item.picture == expected.picture
            assert item.person == ("Ada" if item.id == first.stem else expected.person)
    assert "got nothing" in refusal(capsys, "gallery", "reencode", tmp_path / "none", new, "--model", other)
    assert "another gallery to write to" in refusal(capsys, "gallery", "reencode", old, old, "--model", artifact)
