"""Files and folders that appear only when they are complete."""

from pathlib import Path

import pytest

from bitreid.data import files
from bitreid.data.files import check_outputs, new_file, new_folder, pictures_in, warn_of_pictures
from bitreid.errors import DataError, DataWarning
from tests.data.cases import touch
from tests.data.kinds import KINDS, REFUSED


class TestNewFolder:
    def test_it_appears_when_the_block_ends(self, tmp_path: Path) -> None:
        out = tmp_path / "a" / "b"
        with new_folder(out) as unfinished:
            (unfinished / "file").touch()
            assert not out.exists()
        assert [path.name for path in out.iterdir()] == ["file"]
        assert [path.name for path in out.parent.iterdir()] == ["b"]

    def test_an_empty_folder_is_filled(self, tmp_path: Path) -> None:
        with new_folder(tmp_path / ".") as unfinished:
            (unfinished / "file").touch()
        assert (tmp_path / "file").exists()

    def test_a_block_that_fails_leaves_nothing(self, tmp_path: Path) -> None:
        def fail() -> None:
            with new_folder(tmp_path / "out") as unfinished:
                (unfinished / "file").touch()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert not list(tmp_path.iterdir())

    def test_what_is_there_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        for out in (tmp_path, tmp_path / "file"):
            with pytest.raises(DataError, match="new or empty folder"), new_folder(out):
                pass
        assert (tmp_path / "file").read_text() == "mine"


class TestCheckOutputs:
    def test_new_and_old_files_may_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "old").write_text("old")
        check_outputs([tmp_path / "old", None, tmp_path / "new" / "folder" / "file"], [tmp_path, None])
        assert list(tmp_path.iterdir()) == [tmp_path / "old"]

    def test_nothing_is_written_over_what_is_read_or_written_besides(self, tmp_path: Path) -> None:
        one = tmp_path / "one"
        one.touch()
        (tmp_path / "link").symlink_to(one)
        with pytest.raises(DataError, match=r"neither read nor written besides, got .*link"):
            check_outputs([tmp_path / "link"], [one])
        with pytest.raises(DataError, match="neither read nor written besides"):
            check_outputs([tmp_path / "two", tmp_path / "folder" / ".." / "two"])

    def test_what_is_no_place_for_a_file_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").touch()
        for folder in (tmp_path, Path()):
            with pytest.raises(DataError, match="name of a file to write, got the folder"):
                check_outputs([folder])
        with pytest.raises(DataError, match=r"can be written to for .*, got .*file; choose another"):
            check_outputs([tmp_path / "file" / "folder" / "out"])
        # Who runs the tests may have leave to write everywhere.
        monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
        with pytest.raises(DataError, match="can be written to"):
            check_outputs([tmp_path / "new" / "out"])


class TestNewFile:
    def test_it_replaces_when_the_block_ends(self, tmp_path: Path) -> None:
        out = tmp_path / "new" / "file"
        for text in ("one", "two"):
            with new_file(out) as unfinished:
                unfinished.write_text(text)
        assert out.read_text() == "two"
        assert list(out.parent.iterdir()) == [out]

    def test_a_block_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        out = tmp_path / "file"
        out.write_text("one")

        def fail() -> None:
            with new_file(out) as unfinished:
                unfinished.write_text("half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert out.read_text() == "one"
        assert list(tmp_path.iterdir()) == [out]


def test_nothing_is_warned_of_without_pictures() -> None:
    warn_of_pictures([], "are left out")


class TestPicturesIn:
    def test_every_kind_that_is_read_is_found(self, tmp_path: Path) -> None:
        for i, kind in enumerate(KINDS):
            kind.write(tmp_path / f"{i:02}{kind.suffix}")
            kind.write(tmp_path / f"{i:02}x{kind.suffix.upper()}")
        assert len(pictures_in(tmp_path, recursive=False)) == 2 * len(KINDS)

    def test_what_has_no_ending_is_told_by_its_content(self, tmp_path: Path) -> None:
        for i, kind in enumerate(KINDS):
            for name in (f"{i:02}", f"frame.{i:04}"):
                kind.write(tmp_path / f"a{kind.suffix}")
                (tmp_path / f"a{kind.suffix}").rename(tmp_path / name)
        touch(tmp_path, "README", "empty.0001")
        (tmp_path / "notes").write_text("BMW, P5, or RIFF", encoding="utf-8")
        assert len(pictures_in(tmp_path, recursive=False)) == 2 * len(KINDS)

    def test_what_looks_like_a_picture_and_is_passed_over_is_named(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.jpg", "b.tga", "Thumbs.db", "notes.txt", ".hidden.tga", ".git/c.tga", "d/e.NEF")
        KINDS[0].write(tmp_path / "f.jpg.part")
        next(each for each in REFUSED if each.words.startswith("PostScript")).write(tmp_path / "g")
        with pytest.warns(
            DataWarning, match=r"^4 files in .* look like pictures .* first: b.tga, e.NEF, f.jpg.part; c"
        ):
            found = pictures_in(tmp_path, recursive=True)
        assert [path.name for path in found] == ["a.jpg"]
        assert pictures_in(tmp_path, recursive=True, warn=False) == found

    def test_a_link_that_leads_nowhere_is_found(self, tmp_path: Path) -> None:
        """So that whoever reads it says that it is missing."""
        (tmp_path / "a.jpg").symlink_to(tmp_path / "gone")
        (tmp_path / "b.txt").symlink_to(tmp_path / "gone")
        assert pictures_in(tmp_path, recursive=False) == [tmp_path / "a.jpg"]

    def test_heic_is_read_where_its_package_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        next(kind for kind in KINDS if kind.suffix == ".heic").write(tmp_path / "a.heic")
        KINDS[0].write(tmp_path / "b.heic")  # a JPEG that an app named so
        assert [path.name for path in pictures_in(tmp_path, recursive=False)] == ["a.heic", "b.heic"]
        monkeypatch.setattr(files, "find_spec", lambda _: None)
        with pytest.warns(DataWarning, match=r"1 files .* first: a.heic; bitreid\[heic\] reads HEIC; convert"):
            assert [path.name for path in pictures_in(tmp_path, recursive=False)] == ["b.heic"]

    def test_names_are_shown_escaped(self, tmp_path: Path) -> None:
        touch(tmp_path, "a\x1b[2J\n.tga")
        with pytest.warns(DataWarning, match=r"first: a\\x1b\[2J\\n\.tga; convert"):
            assert pictures_in(tmp_path, recursive=False) == []
