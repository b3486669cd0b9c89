"""Folders of pictures to manifests, and how layouts are told apart. No parser opens a picture, so empty files do."""

from pathlib import Path

import pytest

from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.data.parsers.layouts import parse, parse_folder
from bitreid.errors import DataError, DataWarning, SettingsError
from tests.data.cases import touch, write


class TestFolder:
    def test_without_pattern_everything_is_unknown(self, tmp_path: Path) -> None:
        touch(tmp_path, "b/2.PNG", "a.jpg", "b/1.webp", "b/notes.txt", ".thumbnails/a.jpg", "c.jpg/inside.bmp")
        manifest = parse_folder(tmp_path, split="query")
        assert [path.relative_to(tmp_path).as_posix() for path in manifest.paths] == [
            "a.jpg",
            "b/1.webp",
            "b/2.PNG",
            "c.jpg/inside.bmp",
        ]
        assert set(manifest.pids.tolist()) == {UNKNOWN}
        assert set(manifest.camids.tolist()) == {UNKNOWN}
        assert set(manifest.splits) == {"query"}

    def test_integers_are_taken_as_they_are(self, tmp_path: Path) -> None:
        touch(tmp_path, "0012_cam3.jpg", "-1_cam0.jpg", "0_cam07.jpg")
        with pytest.warns(DataWarning, match="^1 pictures have identity 0, which means a distractor"):
            manifest = parse_folder(tmp_path, r"(?P<pid>-?\d+)_cam(?P<camid>\d+)")
        assert manifest.pids.tolist() == [-1, 12, 0] == [JUNK, 12, DISTRACTOR]
        assert manifest.camids.tolist() == [0, 3, 7]

    def test_words_are_numbered_from_1_in_sorted_order(self, tmp_path: Path) -> None:
        touch(tmp_path, "zoe/yard_1.jpg", "anna/yard_1.jpg", "anna/door_9.jpg", "007/door_1.jpg")
        manifest = parse_folder(tmp_path, "(?P<pid>[^/]+)/(?P<camid>[^/_]+)_")
        assert [path.parent.name for path in manifest.paths] == ["007", "anna", "anna", "zoe"]
        assert manifest.pids.tolist() == [1, 2, 2, 3]
        assert manifest.camids.tolist() == [1, 1, 2, 2]
        assert manifest.person_names == {1: "007", 2: "anna", 3: "zoe"}
        assert manifest.camera_names == {1: "door", 2: "yard"}

    def test_pictures_that_do_not_fit_are_counted_and_unknown(self, tmp_path: Path) -> None:
        touch(tmp_path, "1.jpg", "stray.jpg", "2.jpg", "x.jpg")
        with pytest.warns(DataWarning, match=r"^2 pictures do not fit the pattern .*first: .*stray\.jpg"):
            manifest = parse_folder(tmp_path, r"(?P<pid>\d+)")
        assert manifest.pids.tolist() == [1, 2, UNKNOWN, UNKNOWN]
        assert set(manifest.camids.tolist()) == {UNKNOWN}

    def test_the_split_is_what_the_pattern_or_the_folder_says(self, tmp_path: Path) -> None:
        touch(tmp_path, "image_query/01_c1.jpg", "image_test/01_c2.jpg", "image_train/02_c1.jpg", "03_c1.jpg")
        found = parse(tmp_path, r"(?P<pid>\d+)_c(?P<camid>\d+)")
        assert found.splits == ("gallery", "query", "gallery", "train")
        (tmp_path / "03_c1.jpg").unlink()
        found = parse(tmp_path, r"(?P<split>query|test|train)/(?P<pid>\d+)")
        assert found.splits == ("query", "gallery", "train")

    def test_a_split_of_another_name_is_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "image_mine/01.jpg")
        with pytest.raises(DataError, match=r"split to catch one of train, query, .*, got 'mine'"):
            parse(tmp_path, r"image_(?P<split>[a-z]+)/(?P<pid>\d+)")

    def test_a_group_that_took_no_part_is_unknown(self, tmp_path: Path) -> None:
        touch(tmp_path, "1.jpg", "2_c5.jpg")
        manifest = parse_folder(tmp_path, r"(?P<pid>\d+)(_c(?P<camid>\d+))?\.")
        assert manifest.camids.tolist() == [UNKNOWN, 5]

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [("(?P<pid>", "expected a regular expression"), (r"\d+", r"with a group \(\?P<pid>")],
    )
    def test_impossible_patterns_are_refused(self, tmp_path: Path, pattern: str, message: str) -> None:
        touch(tmp_path, "1.jpg")
        with pytest.raises(SettingsError, match=message):
            parse_folder(tmp_path, pattern)

    def test_nothing_to_parse_is_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "notes.txt")
        with pytest.raises(DataError, match=r"expected pictures in .* got none"):
            parse_folder(tmp_path)
        with pytest.raises(DataError, match=r"folder of pictures at .*gone, got nothing"):
            parse_folder(tmp_path / "gone")
        touch(tmp_path, "a.jpg")
        with pytest.raises(DataError, match=r"fit the pattern .* got none; first: .*a\.jpg"):
            parse_folder(tmp_path, r"(?P<pid>\d+)")
        with pytest.raises(DataError, match="train, query, gallery, got test"):
            parse_folder(tmp_path, split="test")


class TestParse:
    def test_pictures_in_market_folders(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/0007_c4s1_000010_00.jpg", "bounding_box_test/0007_c5s1_000020_00.jpg", "list_train.txt")
        manifest = parse(tmp_path)
        assert manifest.splits == ("query", "gallery")
        assert manifest.times is None

    def test_the_first_name_tells_duke_from_market(self, tmp_path: Path) -> None:
        touch(tmp_path, "bounding_box_train/a.jpg", "bounding_box_train/0001_c2_f0046182.jpg")
        touch(tmp_path, "bounding_box_train/0009_c1s1_000451_03.jpg")
        with pytest.warns(DataWarning, match="^2 pictures do not have names like 0001_c2_f0046182.jpg"):
            manifest = parse(tmp_path)
        assert manifest.times is not None
        assert manifest.times.tolist() == [46182]

    def test_a_folder_for_each_person(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/0121/0121_c1s1_1_0.jpg", "gallery/0121/0121_c2s1_1_0.jpg", "gallery/-1/x.jpg")
        touch(tmp_path, "multi-query/0121/0121_c1s1_2_0.jpg")
        manifest = parse(tmp_path)
        assert manifest.splits == ("query", "gallery", "gallery")
        assert (manifest.pids.tolist(), manifest.camids.tolist()) == ([121, -1, 121], [1, UNKNOWN, 2])
        assert [path.parts[-3] for path in parse(tmp_path, multi_query=True).split("query").paths] == [
            "query",
            "multi-query",
        ]
        assert parse(tmp_path / "gallery").pids.tolist() == [-1, 121]
        touch(tmp_path, "gallery/anna/1.jpg")
        with pytest.raises(DataError, match=r"all have numbers or all have names .*, got '-1' and 'anna'"):
            parse(tmp_path)

    def test_folders_of_people_with_names(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/zoe/a_c3.jpg", "train/anna/b.jpg", "val/anna/c.jpg", "train_all/anna/d.jpg")
        manifest = parse(tmp_path)
        assert [path.name for path in manifest.paths] == ["d.jpg"]
        (tmp_path / "train_all/anna/d.jpg").unlink()
        (tmp_path / "train_all/anna").rmdir()
        manifest = parse(tmp_path)
        assert set(manifest.splits) == {"train"}
        assert (manifest.pids.tolist(), manifest.person_names) == ([1, 2, 1], {1: "anna", 2: "zoe"})

    def test_no_known_layout_is_said(self, tmp_path: Path) -> None:
        touch(tmp_path, "image_query/0121_c001_00148000_0.jpg", "image_test/0121_c002_00148000_0.jpg")
        for split in ("query", "train"):
            with pytest.raises(
                DataError, match=r"none of the known layouts .*Market-1501, .* in a CSV .* or give --patt"
            ):
                parse(tmp_path).split(split)

    def test_lists_beside_folders_are_msmt17(self, tmp_path: Path) -> None:
        touch(tmp_path, "test/0000/0000_000_02_0303noon_0015_0.jpg", "test/0000/0000_001_03_0303noon_0016_0.jpg")
        write(tmp_path / "list_query.txt", "0000/0000_000_02_0303noon_0015_0.jpg 0")
        assert parse(tmp_path).splits == ("query",)

    def test_any_other_folder_holds_pictures(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/a.jpg", "b.jpg", "list_query.txt")
        assert parse(tmp_path).splits == ("gallery", "gallery")

    def test_a_pattern_makes_any_layout_a_folder_of_pictures(self, tmp_path: Path) -> None:
        touch(tmp_path, "bounding_box_train/0002_c1s1_000451_03.jpg")
        manifest = parse(tmp_path, r"_c(?P<camid>\d)", "train")
        assert (manifest.pids.tolist(), manifest.camids.tolist(), manifest.splits) == ([UNKNOWN], [1], ("train",))

    def test_tables_are_told_by_their_ending(self, tmp_path: Path) -> None:
        assert parse(write(tmp_path / "list.CSV", "path", "b.jpg")).paths == (tmp_path / "b.jpg",)
        with pytest.raises(DataError, match=r"readable Parquet file at .*list\.Parquet"):
            parse(write(tmp_path / "list.Parquet", "path", "b.jpg"))

    def test_refuses_anything_else(self, tmp_path: Path) -> None:
        touch(tmp_path, "notes.txt")
        with pytest.raises(
            DataError, match=r"folder of pictures or a \.csv or \.parquet manifest at .*gone, got nothing"
        ):
            parse(tmp_path / "gone")
        with pytest.raises(DataError, match=r"notes\.txt, got a file"):
            parse(tmp_path / "notes.txt")
