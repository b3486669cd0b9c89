"""Parsers: folders and CSV files to manifests. No parser opens a picture, so empty files do."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.data.parsers import parse, parse_csv, parse_folder, parse_market1501
from bitreid.errors import DataError, DataWarning, SettingsError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def market(tmp_path: Path) -> Path:
    touch(
        tmp_path,
        "bounding_box_train/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0002_c3s2_000001_00.jpg",
        "bounding_box_train/Thumbs.db",
        "query/0007_c4s1_000010_00.jpg",
        "bounding_box_test/-1_c1s1_000401_03.jpg",
        "bounding_box_test/0000_c6s3_000011_01.jpg",
        "bounding_box_test/0007_c5s1_000020_00.jpg",
        "bounding_box_test/._0007_c5s1_000020_00.jpg",
        "gt_bbox/0007_c5s1_000020_00.jpg",
    )
    return tmp_path


class TestMarket:
    def test_rows_are_train_query_gallery_sorted_by_name(self, market: Path) -> None:
        manifest = parse_market1501(market)
        assert [path.relative_to(market).as_posix() for path in manifest.paths] == [
            "bounding_box_train/0002_c1s1_000451_03.jpg",
            "bounding_box_train/0002_c3s2_000001_00.jpg",
            "query/0007_c4s1_000010_00.jpg",
            "bounding_box_test/-1_c1s1_000401_03.jpg",
            "bounding_box_test/0000_c6s3_000011_01.jpg",
            "bounding_box_test/0007_c5s1_000020_00.jpg",
        ]
        assert manifest.pids.tolist() == [2, 2, 7, JUNK, DISTRACTOR, 7]
        assert manifest.camids.tolist() == [1, 3, 4, 1, 6, 5]
        assert manifest.splits == ("train", "train", "query", "gallery", "gallery", "gallery")
        assert manifest.times is None
        assert manifest.tracklets is None

    def test_a_missing_folder_leaves_its_split_empty(self, tmp_path: Path) -> None:
        touch(tmp_path, "bounding_box_train/0002_c1s1_000451_03.jpg")
        manifest = parse_market1501(tmp_path)
        assert len(manifest.split("train")) == 1
        with pytest.raises(DataError, match="split 'query', got none"):
            manifest.split("query")

    def test_names_that_do_not_match_are_counted_and_left_out(self, market: Path) -> None:
        touch(market, "query/holiday.jpg", "query/me_c1.jpg", "bounding_box_train/0002_c1s1_3_0.jpg.png")
        with pytest.warns(DataWarning, match=r"^3 pictures do not have names like .* left out; first: .*jpg\.png$"):
            manifest = parse_market1501(market)
        assert len(manifest) == 6

    def test_folders_without_a_matching_name_are_refused(self, market: Path) -> None:
        touch(market, "query/a.jpg", "query/b.jpg")
        (market / "query/0007_c4s1_000010_00.jpg").unlink()
        with pytest.raises(DataError, match="query, got none among 2 pictures"):
            parse_market1501(market)

    @pytest.mark.parametrize(("make", "found"), [(False, "got nothing"), (True, "got a folder with 0 other entries")])
    def test_missing_folders_are_refused(self, tmp_path: Path, make: bool, found: str) -> None:
        root = tmp_path / "market"
        if make:
            root.mkdir()
        with pytest.raises(DataError, match=f"bounding_box_train, query, bounding_box_test in .*{found}"):
            parse_market1501(root)

    @given(pid=st.integers(-1, 10**17), camid=st.integers(0, 999), frame=st.integers(0, 10**6))
    def test_names_give_back_what_was_written(
        self, tmp_path_factory: pytest.TempPathFactory, pid: int, camid: int, frame: int
    ) -> None:
        root = tmp_path_factory.mktemp("market")
        touch(root, f"query/{pid if pid < 0 else f'{pid:04d}'}_c{camid}s1_{frame:06d}_00.jpg")
        manifest = parse_market1501(root)
        assert (manifest.pids.tolist(), manifest.camids.tolist()) == ([pid], [camid])


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
        manifest = parse_folder(tmp_path, r"(?P<pid>-?\d+)_cam(?P<camid>\d+)")
        assert manifest.pids.tolist() == [-1, 12, 0] == [JUNK, 12, DISTRACTOR]
        assert manifest.camids.tolist() == [0, 3, 7]

    def test_words_are_numbered_from_1_in_sorted_order(self, tmp_path: Path) -> None:
        touch(tmp_path, "zoe/yard_1.jpg", "anna/yard_1.jpg", "anna/door_9.jpg", "007/door_1.jpg")
        manifest = parse_folder(tmp_path, "(?P<pid>[^/]+)/(?P<camid>[^/_]+)_")
        assert [path.parent.name for path in manifest.paths] == ["007", "anna", "anna", "zoe"]
        assert manifest.pids.tolist() == [1, 2, 2, 3]
        assert manifest.camids.tolist() == [1, 1, 2, 2]

    def test_pictures_that_do_not_fit_are_counted_and_unknown(self, tmp_path: Path) -> None:
        touch(tmp_path, "1.jpg", "stray.jpg", "2.jpg", "x.jpg")
        with pytest.warns(DataWarning, match=r"^2 pictures do not fit the pattern .*first: .*stray\.jpg"):
            manifest = parse_folder(tmp_path, r"(?P<pid>\d+)")
        assert manifest.pids.tolist() == [1, 2, UNKNOWN, UNKNOWN]
        assert set(manifest.camids.tolist()) == {UNKNOWN}

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
        with pytest.raises(DataError, match=r"expected pictures \(\.jpg, .* got none"):
            parse_folder(tmp_path)
        with pytest.raises(DataError, match=r"folder of pictures at .*gone, got nothing"):
            parse_folder(tmp_path / "gone")
        touch(tmp_path, "a.jpg")
        with pytest.raises(DataError, match=r"fit the pattern .* got none; first: .*a\.jpg"):
            parse_folder(tmp_path, r"(?P<pid>\d+)")
        with pytest.raises(DataError, match="train, query, gallery, got test"):
            parse_folder(tmp_path, split="test")


class TestCsv:
    def test_all_columns_in_any_order(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "m.csv",
            "split,camid,pid,tracklet,time,path",
            "train,1,5,3,100,a.jpg",
            "",
            f'query,2, 5 ,4,101,"{tmp_path}/b, c.jpg"',
        )
        manifest = parse_csv(path)
        assert manifest.paths == (tmp_path / "a.jpg", tmp_path / "b, c.jpg")
        assert manifest.pids.tolist() == [5, 5]
        assert manifest.camids.tolist() == [1, 2]
        assert manifest.splits == ("train", "query")
        assert manifest.times is not None
        assert manifest.times.tolist() == [100, 101]
        assert manifest.tracklets is not None
        assert manifest.tracklets.tolist() == [3, 4]

    def test_only_paths_are_needed(self, tmp_path: Path) -> None:
        manifest = parse_csv(write(tmp_path / "m.csv", "\ufeffpath", "x/a.jpg"))
        assert manifest.paths == (tmp_path / "x" / "a.jpg",)
        assert manifest.pids.tolist() == manifest.camids.tolist() == [UNKNOWN]
        assert manifest.splits == ("gallery",)
        assert manifest.times is None
        assert manifest.tracklets is None

    def test_empty_cells_are_unknown_and_gallery(self, tmp_path: Path) -> None:
        manifest = parse_csv(write(tmp_path / "m.csv", "path,pid,camid,split", "a.jpg,,,", "b.jpg,1,2,train"))
        assert manifest.pids.tolist() == [UNKNOWN, 1]
        assert manifest.camids.tolist() == [UNKNOWN, 2]
        assert manifest.splits == ("gallery", "train")

    def test_other_columns_are_passed_over_with_a_warning(self, tmp_path: Path) -> None:
        path = write(tmp_path / "m.csv", "path,cam_id,weather", "a.jpg,1,rain")
        with pytest.warns(DataWarning, match="passing over cam_id, weather"):
            manifest = parse_csv(path)
        assert manifest.camids.tolist() == [UNKNOWN]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["pid,camid", "1,2"], "column 'path' .* got pid, camid"),
            (["path,pid"], "expected rows below the first line"),
            ([""], "expected a first line of different column names"),
            (["path,path", "a,b"], "different column names"),
            (["path,pid", "a.jpg,1", "b.jpg"], "expected 2 cells in .*, line 3, got 1"),
            (["path,pid", "a.jpg,1", "", "b.jpg,one"], "integer in column 'pid' of .*, line 4, got 'one'"),
            (["path,pid", "a.jpg,99999999999999999999"], "integer in column 'pid'"),
            (["path,time", "a.jpg,"], "integer in column 'time' of .*, line 2, got ''"),
            (["path,pid", ",1"], "path in .*, line 2, got an empty cell"),
            (["path,split", "a.jpg,test"], "train, query, gallery in .*, line 2, got 'test'"),
            (["path,pid", '"a.jpg,1'], "readable CSV"),
        ],
    )
    def test_mistakes_are_refused_with_their_line(self, tmp_path: Path, lines: list[str], message: str) -> None:
        with pytest.raises(DataError, match=message):
            parse_csv(write(tmp_path / "m.csv", *lines))

    def test_unreadable_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"readable CSV file in UTF-8 at .*gone\.csv"):
            parse_csv(tmp_path / "gone.csv")
        (tmp_path / "latin.csv").write_bytes(b"path\nM\xfcller.jpg\n")
        with pytest.raises(DataError, match=r"UTF-8 at .*latin\.csv"):
            parse_csv(tmp_path / "latin.csv")

    @given(
        rows=st.lists(
            st.tuples(
                st.text("ab/,\"' é", min_size=1).map(str.strip).filter(bool),
                st.integers(-2, 10**17),
                st.sampled_from(["train", "query", "gallery"]),
            ),
            min_size=1,
        )
    )
    def test_what_is_written_is_read_back(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]]
    ) -> None:
        def quoted(cell: str) -> str:
            return '"' + cell.replace('"', '""') + '"'

        path = tmp_path_factory.mktemp("csv") / "m.csv"
        write(path, "path,pid,split", *(f"{quoted(file)},{pid},{split}" for file, pid, split in rows))
        manifest = parse_csv(path)
        assert manifest.paths == tuple(path.parent / file for file, _, _ in rows)
        assert np.array_equal(manifest.pids, [pid for _, pid, _ in rows])
        assert manifest.splits == tuple(split for _, _, split in rows)


class TestParse:
    def test_takes_what_it_finds(self, market: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        assert len(parse(market)) == 6
        plain = tmp_path_factory.mktemp("plain")
        touch(plain, "query/a.jpg", "b.jpg")
        assert parse(plain).splits == ("gallery", "gallery")
        assert parse(write(plain / "list.CSV", "path", "b.jpg")).paths == (plain / "b.jpg",)

    def test_refuses_anything_else(self, tmp_path: Path) -> None:
        touch(tmp_path, "notes.txt")
        with pytest.raises(DataError, match=r"folder of pictures or a \.csv manifest at .*gone, got nothing"):
            parse(tmp_path / "gone")
        with pytest.raises(DataError, match=r"notes\.txt, got a file"):
            parse(tmp_path / "notes.txt")
