"""Tables as pandas, R and spreadsheets write them, and damaged ones: each is read right or refused in one sentence."""

import random
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from bitreid.data.manifest import UNKNOWN
from bitreid.data.parsers.listing import parse_table
from bitreid.data.table import GAPS, read_csv
from bitreid.errors import DataError, DataWarning
from tests.data.cases import write

GOOD = {"path": ["a/1.jpg", "b.jpg"], "pid": ["121", "122"], "camid": ["1", "2"]}


@pytest.mark.parametrize(
    "text",
    [
        "path,pid,camid\na/1.jpg,121,1\nb.jpg,122,2\n",
        "\ufeffpath;pid;camid\r\na/1.jpg;121;1\r\nb.jpg;122;2\r\n",
        "path\tpid\tcamid\na/1.jpg\t121\t1\nb.jpg\t122\t2\n",
        ",path,pid,camid\n0,a/1.jpg,121,1\n1,b.jpg,122,2\n",
        "Unnamed: 0,path,pid,camid\n0,a/1.jpg,121,1\n1,b.jpg,122,2\n",
        "path,pid,camid,\na/1.jpg,121,1,\nb.jpg,122,2,\n,,,\n",
        "path,pid,camid\na/1.jpg,121,1,\nb.jpg,122,2,\n",
        'path;"pid";camid,\n"a/1.jpg";121;1\nb.jpg;122;2\n'.replace(",", ""),
    ],
)
def test_what_programs_write_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.csv"
    for encoding in ("utf-8", "utf-16"):
        path.write_text(text.lstrip("\ufeff") if encoding == "utf-16" else text, encoding=encoding)
        assert read_csv(path).columns == GOOD


def test_whole_floats_and_gaps_of_all_kinds(tmp_path: Path) -> None:
    gaps = sorted(GAPS)
    rows = [f"{i}.jpg,{i}.0,{gap},{gap},{gap}" for i, gap in enumerate(gaps, start=1)]
    manifest = parse_table(write(tmp_path / "m.csv", "path,pid,camid,time,tracklet", *rows))
    assert manifest.pids.tolist() == list(range(1, len(gaps) + 1))
    assert manifest.times is not None
    assert manifest.tracklets is not None
    for column in (manifest.camids, manifest.times, manifest.tracklets):
        assert set(column.tolist()) == {UNKNOWN}


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    manifest = parse_table(write(tmp_path / "m.csv", "path", "site\\a\\1.jpg"))
    assert manifest.paths == (tmp_path / "site" / "a" / "1.jpg",)


def test_names_are_numbered_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "path,pid,camid", "1.jpg,zoe,yard", "2.jpg,anna,entrance", "3.jpg,,yard")
    with pytest.warns(DataWarning) as said:
        manifest = parse_table(path)
    assert [str(each.message).rpartition(": ")[2] for each in said] == ["1 anna, 2 zoe", "1 entrance, 2 yard"]
    assert manifest.pids.tolist() == [2, 1, UNKNOWN]
    assert manifest.camids.tolist() == [2, 1, 2]
    assert manifest.camera_names == {1: "entrance", 2: "yard"}
    assert manifest.person_names == {1: "anna", 2: "zoe"}


@pytest.mark.parametrize(
    ("date", "microseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01 00:00:01", 1_000_000),
        ("1970-01-01T01:00:00.5+01:00", 500_000),
        ("2026-11-30T08:15:00Z", 1_796_026_500_000_000),
        ("1969-12-31T23:59:59", -1_000_000),
    ],
)
def test_dates_are_microseconds_in_utc(tmp_path: Path, date: str, microseconds: int) -> None:
    manifest = parse_table(write(tmp_path / "m.csv", "path,time", f"a.jpg,{date}", "b.jpg,"))
    assert manifest.dated
    assert manifest.times is not None
    assert manifest.times.tolist() == [microseconds, UNKNOWN]


def test_further_columns_are_kept_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "path,score,note,floor", "a.jpg,0.5,x,1", "b.jpg,,,2.0")
    with pytest.warns(DataWarning, match="passing over score, floor"):
        manifest = parse_table(path, metadata=["note"])
    assert manifest.metadata == {"note": ("x", None)}
    whole = parse_table(path, metadata="all").take(np.array([1, 0]))
    assert whole.metadata == {"score": (None, 0.5), "note": (None, "x"), "floor": (2, 1)}
    with pytest.raises(DataError, match="the column 'colour' to keep"):
        parse_table(path, metadata=["colour"])


def test_a_text_that_a_file_holds_once_is_held_once(tmp_path: Path) -> None:
    """Without the dictionary kept, a file of some kB would become 400 MB of text."""
    notes = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(20_000, np.int32)), ["x" * 20_000])
    paths = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(20_000, np.int32)), ["a.jpg"])
    parquet.write_table(pyarrow.table({"path": paths, "note": notes}), tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").stat().st_size < 1_000_000
    manifest = parse_table(tmp_path / "m.parquet", metadata=["note"])
    assert manifest.metadata["note"][19_999] == "x" * 20_000
    assert len({id(text) for text in manifest.metadata["note"]}) == 1


@pytest.mark.filterwarnings("ignore::bitreid.errors.DataWarning")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_damaged_byte_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".csv":
        write(path, "path,pid,camid,split,time", *(f"{i}.jpg,{i},2,query,2026-11-30T08:15:0{i}Z" for i in range(1, 9)))
    else:
        parquet.write_table(pyarrow.table({"path": [f"{i}.jpg" for i in range(9)], "pid": [*range(9)]}), path)
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = []
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            parse_table(path, metadata="all")
        except DataError as error:
            refused.append(len(str(error)))
    assert len(refused) > 20
    assert max(refused) < 1000 + len(str(path))
