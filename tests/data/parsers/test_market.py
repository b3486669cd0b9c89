"""Market-1501's folders: what names say, and what is left out. No parser opens a picture: empty files do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.data.parsers.market import has_market_folders, parse_boxes, parse_market1501, parse_one_folder
from bitreid.errors import DataError, DataWarning
from tests.data.cases import touch


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
        touch(market, "query/holiday.jpg", "query/me_c1.jpg", "bounding_box_train/0002_camera_1.png")
        with pytest.warns(DataWarning, match=r"^3 pictures do not have names like .* left out; first: .*_1\.png$"):
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


@pytest.fixture
def duke(tmp_path: Path) -> Path:
    touch(
        tmp_path,
        "bounding_box_train/0001_c2_f0046182.jpg",
        "bounding_box_train/0001_c7_f0000900.jpg",
        "query/0005_c1_f0057817.jpg",
        "bounding_box_test/0005_c8_f0166032.jpg",
        "bounding_box_test/7140_c8_f0166000.jpg",
    )
    return tmp_path


class TestDuke:
    def test_names_say_identity_camera_and_time(self, duke: Path) -> None:
        manifest = parse_boxes(duke)
        assert [path.name for path in manifest.paths] == [
            "0001_c2_f0046182.jpg",
            "0001_c7_f0000900.jpg",
            "0005_c1_f0057817.jpg",
            "0005_c8_f0166032.jpg",
            "7140_c8_f0166000.jpg",
        ]
        assert manifest.pids.tolist() == [1, 1, 5, 5, 7140]
        assert manifest.camids.tolist() == [2, 7, 1, 8, 8]
        assert manifest.splits == ("train", "train", "query", "gallery", "gallery")
        assert manifest.times is not None
        assert manifest.times.tolist() == [46182, 900, 57817, 166032, 166000]

    def test_other_names_are_counted_and_left_out(self, duke: Path) -> None:
        touch(duke, "query/0005_c1s1_000001_00.jpg", "query/-1_c1_f0000001.jpg")
        with pytest.warns(DataWarning, match=r"^2 pictures do not have names like 0001_c2_f0046182\.jpg"):
            assert len(parse_boxes(duke)) == 5


class TestRealNames:
    def test_an_ending_that_comes_twice_changes_nothing(self, tmp_path: Path) -> None:
        for root, ending in (("once", ".jpg"), ("twice", ".jpg.jpg")):
            touch(tmp_path / root, *(f"query/1488_c{i}s1_00000{i}_00{ending}" for i in range(1, 7)))
            touch(
                tmp_path / root, f"bounding_box_test/-1_c1s1_000038_00{ending}", "bounding_box_test/0000_c1s1_1_0.jpg"
            )
        once, twice = parse_boxes(tmp_path / "once"), parse_boxes(tmp_path / "twice")
        assert twice.pids.tolist() == once.pids.tolist() == [1488] * 6 + [JUNK, DISTRACTOR]
        assert twice.camids.tolist() == once.camids.tolist()

    def test_cuhk03_np(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/0003_c1_21.png", "bounding_box_test/0003_c2_7.png")
        manifest = parse_boxes(tmp_path)
        assert (manifest.pids.tolist(), manifest.camids.tolist(), manifest.times) == ([3, 3], [1, 2], None)

    def test_mot17_reid(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/0000012_MOT17-02-FRCNN_0000151_acc_data.bmp")
        touch(tmp_path, "bounding_box_test/0000012_MOT17-04-FRCNN_0000301_acc_data.bmp")
        manifest = parse_boxes(tmp_path)
        assert (manifest.pids.tolist(), manifest.camids.tolist()) == ([12, 12], [2, 4])
        assert manifest.times is not None
        assert manifest.times.tolist() == [151, 301]

    def test_duke_with_an_ending_twice(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/0001_c2_f0046182.jpg.jpg")
        manifest = parse_boxes(tmp_path)
        assert manifest.times is not None
        assert manifest.times.tolist() == [46182]

    def test_identity_0_does_not_train_in_silence(self, tmp_path: Path) -> None:
        touch(tmp_path, "bounding_box_train/0000_c1s1_1_0.jpg", "bounding_box_train/0001_c1s1_1_0.jpg")
        with pytest.warns(DataWarning, match="^1 pictures to train on have identity 0, which is nobody's"):
            assert len(parse_boxes(tmp_path)) == 2


class TestMultiQuery:
    def test_further_pictures_of_a_query_are_queries(self, market: Path) -> None:
        touch(market, "gt_bbox/0007_c4s1_000010_00.jpg", "gt_bbox/0007_c4s1_000012_00.jpg", "gt_bbox/0002_c4s1_1_0.jpg")
        assert len(parse_market1501(market).split("query")) == 1
        queries = parse_market1501(market, multi_query=True).split("query")
        assert [f"{path.parent.name}/{path.name}" for path in queries.paths] == [
            "query/0007_c4s1_000010_00.jpg",
            "gt_bbox/0007_c4s1_000012_00.jpg",
        ]
        assert queries.camids.tolist() == [4, 4]


class TestOneFolder:
    @pytest.mark.parametrize(("name", "split"), [("query", "query"), ("bounding_box_test", "gallery")])
    def test_a_folder_of_the_layout_is_known(self, market: Path, name: str, split: str) -> None:
        manifest = parse_one_folder(market / name)
        assert manifest is not None
        whole = parse_market1501(market).split(split)
        assert manifest.paths == whole.paths
        assert manifest.pids.tolist() == whole.pids.tolist()
        assert manifest.splits == whole.splits

    def test_strange_names_are_kept_and_counted(self, market: Path) -> None:
        touch(market, "query/holiday.jpg")
        with pytest.warns(DataWarning, match="^1 pictures do not have names like"):
            manifest = parse_one_folder(market / "query")
        assert manifest is not None
        assert manifest.pids.tolist() == [7, UNKNOWN]

    def test_other_folders_are_not(self, market: Path, tmp_path: Path) -> None:
        touch(tmp_path, "site/0007_c4s1_000010_00.jpg", "mine/query/a.jpg", "mine/query/b.jpg")
        assert parse_one_folder(tmp_path / "site") is None
        assert parse_one_folder(tmp_path / "mine" / "query") is None


class TestWhich:
    def test_the_box_folders_make_the_layout(self, tmp_path: Path) -> None:
        touch(tmp_path, "query/0005_c1_f0057817.jpg")
        assert not has_market_folders(tmp_path)
        (tmp_path / "bounding_box_test").mkdir()
        assert has_market_folders(tmp_path)

    def test_the_first_fitting_name_decides(self, tmp_path: Path) -> None:
        touch(tmp_path, "bounding_box_train/readme.jpg", "query/0005_c1_f0057817.jpg")
        with pytest.raises(DataError, match=r"named like 0001_c2_f0046182\.jpg in .*, got none among 1 pictures"):
            parse_boxes(tmp_path)
        touch(tmp_path, "bounding_box_train/0002_c1s1_000451_03.jpg")
        with pytest.warns(DataWarning, match="^1 pictures do not have names like 0001_c1s1"):
            assert parse_boxes(tmp_path).times is None
