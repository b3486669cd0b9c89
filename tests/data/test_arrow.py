"""Codes as Parquet: what data tools read, and what a file of somebody else may not do."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from bitreid.arrays import AnyArray
from bitreid.data.arrow import MOST_CHARACTERS, load_arrays, save_arrays
from bitreid.data.manifest import UNKNOWN
from bitreid.data.times import NO_TIME
from bitreid.errors import DataError

ABOUT = {"n_bits": 16, "model": "m", "engine": "onnx", "format_version": 2}


def arrays() -> dict[str, AnyArray]:
    """Three codes, with something unknown in each column that can lack it."""
    return {
        "paths": np.array(["a.jpg", "ü/b.jpg", "a.jpg"]),
        "codes": np.array([[0, 255], [1, 2], [128, 3]], np.uint8),
        "attribute_codes": np.array([[1], [2], [3]], np.uint8),
        "pids": np.array([4, 0, UNKNOWN]),
        "camids": np.array([UNKNOWN, 2, 3]),
        "tracklets": np.array([7, UNKNOWN, 9]),
        "times": np.array([1_700_000_000_000_000, NO_TIME, -5]),
        "features": np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 16),
        **{name: np.array(value) for name, value in ABOUT.items()},
    }


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path, given = tmp_path / "codes.parquet", arrays()
    save_arrays(path, given)
    found = load_arrays(path)
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert (found[name].dtype, found[name].tolist()) == (array.dtype, array.tolist()), name
    assert load_arrays(path, {"codes"}).keys() == {"codes", *ABOUT}
    none = {name: array[:0] if array.ndim else array for name, array in given.items()}
    save_arrays(path, none)
    assert {name: array.shape for name, array in load_arrays(path).items()} == {
        name: array.shape for name, array in none.items()
    }


def test_others_read_it(tmp_path: Path) -> None:
    save_arrays(tmp_path / "codes.parquet", arrays())
    columns = parquet.read_table(tmp_path / "codes.parquet").to_pydict()
    assert columns["code"] == [b"\x00\xff", b"\x01\x02", b"\x80\x03"]
    assert columns["path"] == ["a.jpg", "ü/b.jpg", "a.jpg"]
    assert columns["pid"] == [4, 0, None]
    assert columns["time"][:2] == [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), None]
    assert columns["feature"][1] == arrays()["features"][1].tolist()


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    given = arrays() | {"paths": np.array(["a.jpg", "\udcff.jpg", "b.jpg"])}
    with pytest.raises(DataError, match=r"paths in UTF-8 for Parquet, got .*rename the file"):
        save_arrays(tmp_path / "codes.parquet", given)
    assert list(tmp_path.iterdir()) == []


def codes(n: int, width: int = 2) -> Any:
    return pyarrow.array([bytes(width)] * n, pyarrow.binary(width))


def written(to: Path, n: int = 4, compression: str = "none", encoding: Any = None, **changed: Any) -> None:
    """Write n rows such as ours, but for columns (None: without one) and how they are stored."""
    columns: dict[str, Any] = {"path": ["a.jpg"] * n, "code": codes(n), "pid": [1] * n, "camid": [1] * n}
    table = pyarrow.table({name: column for name, column in (columns | changed).items() if column is not None})
    table = table.replace_schema_metadata({"bitreid.codes": json.dumps(ABOUT)})
    parquet.write_table(table, to, compression=compression, use_dictionary=encoding is None, column_encoding=encoding)


HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    "compressed": (r"compressed \(ZSTD", {"compression": "zstd"}),
    "paths by what they begin with": ("DELTA_BYTE_ARRAY", {"encoding": {"path": "DELTA_BYTE_ARRAY"}}),
    "one code for many rows": ("4 rows of 1048576 bytes in a file of", {"code": codes(4, 2**20)}),
    "one feature for many rows": (
        "9000 rows of 1026 bytes in a file of",
        {"n": 9000, "feature": pyarrow.array([[0.0] * 256] * 9000, pyarrow.list_(pyarrow.float32(), 256))},
    ),
    "a long path for many rows": (
        "paths of up to",
        {"n": 1001, "path": pyarrow.DictionaryArray.from_arrays([0] * 1001, ["a" * (MOST_CHARACTERS // 1000)])},
    ),
    "codes of any length": ("code of type binary", {"code": [b"ab"] * 4}),
    "lists of people": ("pid of type list", {"pid": [[1]] * 4}),
    "a code that is null": ("NoneType", {"code": pyarrow.array([b"ab", None, b"ab", b"ab"], pyarrow.binary(2))}),
    "no cameras": (r"other columns \(path, code, pid\)", {"camid": None}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_of_somebody_else_is_refused(kind: str, tmp_path: Path) -> None:
    told, changed = HOSTILE[kind]
    written(tmp_path / "codes.parquet", **changed)
    with pytest.raises(DataError, match=f"expected codes in Parquet at .*{told}"):
        load_arrays(tmp_path / "codes.parquet")


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    with pytest.raises(DataError, match=r"got: .*No such file"):
        load_arrays(path)
    path.write_bytes(b"PK" * 500)
    with pytest.raises(DataError, match="magic bytes not found"):
        load_arrays(path)
    written(path)
    assert load_arrays(path)["pids"].tolist() == [1] * 4
    parquet.write_table(parquet.read_table(path).replace_schema_metadata(), path, compression="none")
    with pytest.raises(DataError, match=r"bitreid\.codes"):
        load_arrays(path)


def test_damage_is_no_other_error(tmp_path: Path) -> None:
    """Cut, or with a byte changed, which a folder's checksums tell and the file alone may not."""
    path = tmp_path / "codes.parquet"
    save_arrays(path, arrays())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 150).tolist():
        path.write_bytes(whole[:at] if at % 3 == 0 else whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            load_arrays(path)
        except DataError:
            continue
