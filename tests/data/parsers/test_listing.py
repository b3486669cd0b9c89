"""Manifests in CSV and Parquet files: what is read, what is refused, and that what is written is read back."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.listing import TABLE_SUFFIXES, parse_table, save_manifest
from bitreid.errors import DataError, DataWarning
from tests.data.cases import write


def table(file: Path, /, **columns: Any) -> Path:
    """A Parquet file of these columns."""
    parquet.write_table(pyarrow.table(columns), file)
    return file


def same(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests have the same rows, their paths taken as absolute."""
    columns = [(getattr(one, name), getattr(other, name)) for name in ("pids", "camids", "times", "tracklets")]
    return (
        [path.absolute() for path in one.paths] == [path.absolute() for path in other.paths]
        and one.splits == other.splits
        and all(np.array_equal(a, b) if a is not None and b is not None else a is b for a, b in columns)
    )


class TestCsv:
    def test_all_columns_in_any_order(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "m.csv",
            "split,camid,pid,tracklet,time,path",
            "train,1,5,3,100,a.jpg",
            "",
            f'query,2, 5 ,4,101,"{tmp_path}/b, c.jpg"',
        )
        manifest = parse_table(path)
        assert manifest.paths == (tmp_path / "a.jpg", tmp_path / "b, c.jpg")
        assert manifest.pids.tolist() == [5, 5]
        assert manifest.camids.tolist() == [1, 2]
        assert manifest.splits == ("train", "query")
        assert manifest.times is not None
        assert manifest.times.tolist() == [100, 101]
        assert manifest.tracklets is not None
        assert manifest.tracklets.tolist() == [3, 4]

    def test_only_paths_are_needed(self, tmp_path: Path) -> None:
        manifest = parse_table(write(tmp_path / "m.csv", "\ufeffpath", "x/a.jpg"))
        assert manifest.paths == (tmp_path / "x" / "a.jpg",)
        assert manifest.pids.tolist() == manifest.camids.tolist() == [UNKNOWN]
        assert manifest.splits == ("gallery",)
        assert manifest.times is None
        assert manifest.tracklets is None

    def test_empty_cells_are_unknown_and_gallery(self, tmp_path: Path) -> None:
        manifest = parse_table(write(tmp_path / "m.csv", "path,pid,camid,split", "a.jpg,,,", "b.jpg,1,2,train"))
        assert manifest.pids.tolist() == [UNKNOWN, 1]
        assert manifest.camids.tolist() == [UNKNOWN, 2]
        assert manifest.splits == ("gallery", "train")

    def test_other_columns_are_passed_over_with_a_warning(self, tmp_path: Path) -> None:
        path = write(tmp_path / "m.csv", "path,cam_id,weather", "a.jpg,1,rain")
        with pytest.warns(DataWarning, match="passing over cam_id, weather"):
            manifest = parse_table(path)
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
            (["path,time", "a.jpg,5", "b.jpg,2026-11-30"], "integer in column 'time' of .*, line 3, got '2026-11-30'"),
            (
                ["path,time", "a.jpg,2026-11-30", "b.jpg,noon"],
                "in column 'time' of .*, line 3, or a date .*, got 'noon'",
            ),
            (
                ["path,pid", "a.jpg,1", "b.jpg,2", "./a.jpg,3", "a.jpg,3"],
                "'a.jpg' with 1 in .*, line 2 and with 3 in line 5",
            ),
            (["path,pid,x,y,w,h", "a.jpg,1,0,0,9,9"], r"of one person in each row .*, got boxes \(x y w h\)"),
            (["path,X1,Y1,X2,Y2", "a.jpg,0,0,9,9"], "save it and list the crops instead"),
            (["path,pid", ",1"], "path in .*, line 2, got an empty cell"),
            (["path,split", "a.jpg,test"], "train, query, gallery in .*, line 2, got 'test'"),
            (["path,pid", '"a.jpg,1'], "readable CSV"),
        ],
    )
    def test_mistakes_are_refused_with_their_line(self, tmp_path: Path, lines: list[str], message: str) -> None:
        with pytest.raises(DataError, match=message):
            parse_table(write(tmp_path / "m.csv", *lines))

    def test_unreadable_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"readable CSV file in UTF-8 at .*gone\.csv"):
            parse_table(tmp_path / "gone.csv")
        (tmp_path / "latin.csv").write_bytes(b"path\nM\xfcller.jpg\n")
        with pytest.raises(DataError, match=r"UTF-8 at .*latin\.csv"):
            parse_table(tmp_path / "latin.csv")

    @given(
        rows=st.lists(
            st.tuples(
                st.text("ab/,\"' é", min_size=1).map(str.strip).filter(bool),
                st.integers(-2, 10**17),
                st.sampled_from(["train", "query", "gallery"]),
            ),
            min_size=1,
            unique_by=lambda row: Path(row[0]),
        )
    )
    def test_what_is_written_is_read_back(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]]
    ) -> None:
        def quoted(cell: str) -> str:
            return '"' + cell.replace('"', '""') + '"'

        path = tmp_path_factory.mktemp("csv") / "m.csv"
        write(path, "path,pid,split", *(f"{quoted(file)},{pid},{split}" for file, pid, split in rows))
        manifest = parse_table(path)
        assert manifest.paths == tuple(path.parent / file for file, _, _ in rows)
        assert np.array_equal(manifest.pids, [pid for _, pid, _ in rows])
        assert manifest.splits == tuple(split for _, _, split in rows)


class TestParquet:
    def test_all_columns_in_any_order(self, tmp_path: Path) -> None:
        path = table(
            tmp_path / "m.parquet",
            split=["train", None],
            time=[100, 101],
            camid=[1, None],
            pid=pyarrow.array([5, None], pyarrow.int32()),
            tracklet=[3, 4],
            path=["a.jpg", "/b.jpg"],
        )
        manifest = parse_table(path)
        assert manifest.paths == (tmp_path / "a.jpg", Path("/b.jpg"))
        assert manifest.pids.tolist() == [5, UNKNOWN]
        assert manifest.camids.tolist() == [1, UNKNOWN]
        assert manifest.splits == ("train", "gallery")
        assert manifest.times is not None
        assert manifest.times.tolist() == [100, 101]
        assert manifest.tracklets is not None
        assert manifest.tracklets.tolist() == [3, 4]

    def test_whole_floats_and_nan_are_integers_and_unknown(self, tmp_path: Path) -> None:
        path = table(tmp_path / "m.parquet", path=["a.jpg", "b.jpg"], pid=[3.0, float("nan")], camid=["2", ""])
        manifest = parse_table(path)
        assert manifest.pids.tolist() == [3, UNKNOWN]
        assert manifest.camids.tolist() == [2, UNKNOWN]

    def test_other_columns_are_passed_over_with_a_warning(self, tmp_path: Path) -> None:
        path = table(tmp_path / "m.parquet", path=["a.jpg"], feature=[[0.5, 0.5]])
        with pytest.warns(DataWarning, match="passing over feature"):
            assert len(parse_table(path)) == 1

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"pid": [1]}, "column 'path' .* got pid"),
            ({}, "expected rows in"),
            ({"path": pyarrow.array([], pyarrow.string())}, "expected rows in"),
            ({"path": ["a.jpg", "b.jpg"], "pid": [1.0, 1.5]}, r"integer in column 'pid' of .*, row 2, got '1\.5'"),
            ({"path": ["a.jpg"], "pid": [True]}, "integer in column 'pid' of .*, row 1, got 'True'"),
            ({"path": ["a.jpg"], "pid": [10**18]}, "integer in column 'pid' of .*, row 1"),
            (
                {"path": ["a.jpg", "b.jpg"], "tracklet": [1, None], "camid": [[1], [2]]},
                "single values in column 'camid'",
            ),
            ({"path": ["a" * 200_000]}, "cells of at most 131072 characters"),
            ({"path": ["a.jpg", None]}, "path in .*, row 2, got an empty cell"),
            ({"path": ["a.jpg"], "split": ["test"]}, "train, query, gallery in .*, row 1, got 'test'"),
        ],
    )
    def test_mistakes_are_refused_with_their_row(self, tmp_path: Path, columns: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            parse_table(table(tmp_path / "m.parquet", **columns))

    def test_a_column_that_comes_twice_is_refused(self, tmp_path: Path) -> None:
        twice = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["path", "path"])
        parquet.write_table(twice, tmp_path / "m.parquet")
        with pytest.raises(DataError, match=r"different column names in .*, got path, path"):
            parse_table(tmp_path / "m.parquet")

    def test_unreadable_files_are_refused(self, tmp_path: Path) -> None:
        whole = table(tmp_path / "m.parquet", path=["a.jpg"]).read_bytes()
        (tmp_path / "cut.parquet").write_bytes(whole[:-20])
        for name in ("gone.parquet", "cut.parquet"):
            with pytest.raises(DataError, match=f"readable Parquet file at .*{name}"):
                parse_table(tmp_path / name)

    def test_without_pyarrow_the_error_names_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = table(tmp_path / "m.parquet", path=["a.jpg"])
        manifest = parse_table(path)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(DataError, match=r"read and write Parquet files, got none; install bitreid\[parquet\]"):
            parse_table(path)
        with pytest.raises(DataError, match=r"read and write Parquet files, got none; install bitreid\[parquet\]"):
            save_manifest(manifest, tmp_path / "n.parquet")
        assert list(tmp_path.iterdir()) == [path]


NUMBERS = st.integers(UNKNOWN, 10**17)
ROWS = st.lists(
    st.tuples(
        st.text("ab/.,\"' é\n=+-@", min_size=1).map(str.strip).map(lambda name: f"{name}.jpg"),
        NUMBERS,
        NUMBERS,
        st.sampled_from(["train", "query", "gallery"]),
        st.integers(-(10**17), 10**17),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda row: Path(row[0]),
)


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
class TestSave:
    @given(rows=ROWS, with_times=st.booleans())
    def test_what_is_written_is_read_back(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        suffix: str,
        rows: list[tuple[str, int, int, str, int]],
        with_times: bool,
    ) -> None:
        folder = tmp_path_factory.mktemp("save")
        times = np.array([row[4] for row in rows], dtype=np.int64)
        manifest = Manifest(
            tuple(folder / row[0] for row in rows),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.int64),
            tuple(row[3] for row in rows),
            times if with_times else None,
            None if with_times else times,
        )
        path = folder / "lists" / f"m{suffix}"
        for target in (folder / f"m{suffix}", path):
            save_manifest(manifest, target)
            assert same(parse_table(target), manifest)

    def test_names_dates_and_further_columns_are_read_back(self, tmp_path: Path, suffix: str) -> None:
        numbers = np.array([2, 1, UNKNOWN], dtype=np.int64)
        written = Manifest(
            tuple(tmp_path / f"{i}.jpg" for i in range(3)),
            numbers,
            numbers,
            ("gallery",) * 3,
            np.array([1_764_490_500_000_000, UNKNOWN, 0], dtype=np.int64),
            numbers,
            True,
            {1: "anna", 2: "zoe"},
            {1: "entrance", 2: "yard"},
            {"weather": ("rain", None, "sun"), "score": (0.5, None, 2.0), "floor": (None, -1, 3)},
        )
        save_manifest(written, tmp_path / f"m{suffix}")
        with pytest.warns(
            DataWarning, match="2 names in column .* in alphabetical order: 1 anna, 2 zoe|1 entrance, 2 yard"
        ):
            read = parse_table(tmp_path / f"m{suffix}", metadata="all")
        assert same(read, written)
        assert (read.dated, read.person_names, read.camera_names) == (True, written.person_names, written.camera_names)
        assert read.metadata == written.metadata

    @pytest.mark.parametrize("word", ["=1+1", "@x", "nan", " x"])
    def test_text_that_is_a_formula_or_a_gap_is_refused(self, tmp_path: Path, suffix: str, word: str) -> None:
        one = np.array([1], dtype=np.int64)
        manifest = Manifest((tmp_path / "a.jpg",), one, one, ("query",), metadata={"note": (word,)})
        with pytest.raises(DataError, match="no formula"):
            save_manifest(manifest, tmp_path / f"m{suffix}")

    def test_no_cell_starts_with_a_formula(self, tmp_path: Path, suffix: str) -> None:
        ids = np.array([1, 2], dtype=np.int64)
        paths = (tmp_path / "=cmd.jpg", tmp_path / "-1_c1.jpg")
        save_manifest(Manifest(paths, ids, ids, ("query", "query")), tmp_path / f"m{suffix}")
        assert parse_table(tmp_path / f"m{suffix}").paths == paths
        if suffix == ".csv":
            cells = (tmp_path / "m.csv").read_text(encoding="utf-8").replace("\n", ",").split(",")
            assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]

    def test_paths_below_the_file_move_with_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ids = np.array([1, 2], dtype=np.int64)
        manifest = Manifest((Path("set/a/1.jpg"), Path("elsewhere/2.jpg")), ids, ids, ("query", "gallery"))
        save_manifest(manifest, Path("set") / f"m{suffix}")
        (tmp_path / "set").rename(tmp_path / "moved")
        read = parse_table(Path("moved") / f"m{suffix}")
        assert read.paths == (Path("moved/a/1.jpg"), tmp_path / "elsewhere/2.jpg")

    def test_what_cannot_be_read_back_is_refused(self, tmp_path: Path, suffix: str) -> None:
        one = np.array([1], dtype=np.int64)
        path = tmp_path / f"m{suffix}"
        for name in (" a.jpg", "a.jpg ", "\udcff.jpg"):
            with pytest.raises(DataError, match="text in UTF-8 without space at its ends"):
                save_manifest(Manifest((tmp_path / name,), one, one, ("query",)), path)
        with pytest.raises(DataError, match="manifest with rows to write"):
            save_manifest(Manifest((), one[:0], one[:0], ()), path)
        with pytest.raises(DataError, match=r"ends in \.csv or \.parquet, got .*m\.json"):
            save_manifest(Manifest((tmp_path,), one, one, ("query",)), path.with_suffix(".json"))
        assert not list(tmp_path.iterdir())
