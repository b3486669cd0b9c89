"""Files of features: what each kind holds, and that no file costs more than it may before it is refused."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bitreid.encoding.imported import arrays as module
from bitreid.encoding.imported.arrays import read_arrays
from bitreid.errors import BitreidError, DataError, SettingsError
from tests.encoding.imported.cases import as_market_mat, features_of, random_features

X = random_features(5, 0)
PIDS, CAMIDS = [3, 3, 4, 4, 9], [0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("features", "pids", "camids"),
    [("features", "pids", "camids"), ("feats", "labels", "cams"), ("embeddings", "pid", "camera_ids")],
)
def test_names_that_programs_use(features: str, pids: str, camids: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    values: dict[str, Any] = {features: X, pids: PIDS, camids: CAMIDS, "other": np.zeros(3)}
    np.savez(path, img_paths=["a.jpg"] * 5, **values)
    found = read_arrays(path)
    assert sorted(found) == ["camids", "features", "paths", "pids"]
    np.testing.assert_array_equal(found["features"], X)
    assert (found["pids"].tolist(), found["camids"].tolist()) == (PIDS, CAMIDS)


def test_one_array_alone(tmp_path: Path) -> None:
    for array in (X, X.astype(np.float64), np.asfortranarray(X), X.astype(np.float16)):
        np.save(tmp_path / "a.npy", array)
        np.savez(tmp_path / "a.npz", array)
        np.savez_compressed(tmp_path / "b.npz", array)
        for name in ("a.npy", "a.npz", "b.npz"):
            np.testing.assert_array_equal(read_arrays(tmp_path / name)["features"], array)


@pytest.mark.parametrize("names", [("qf", "q_pids", "q_camids"), ("query_f", "query_label", "query_cam")])
def test_a_file_of_both_sides(names: tuple[str, str, str], tmp_path: Path) -> None:
    values: dict[str, Any] = dict(zip(names, (X[:2], PIDS[:2], CAMIDS[:2]), strict=True))
    others = [name.replace("query", "gallery") if "query" in name else "g" + name[1:] for name in names]
    values |= dict(zip(others, (X[2:], PIDS[2:], CAMIDS[2:]), strict=True))
    path = tmp_path / "a.npz"
    np.savez(path, **values)
    for side, rows in (("query", slice(0, 2)), ("gallery", slice(2, 5))):
        found = read_arrays(path, side)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found["features"], X[rows])
        assert (found["pids"].tolist(), found["camids"].tolist()) == (PIDS[rows], CAMIDS[rows])
    with pytest.raises(SettingsError, match="expected --side query or gallery"):
        read_arrays(path)
    np.savez(path, features=X)
    with pytest.raises(SettingsError, match="leave --side out"):
        read_arrays(path, "query")


def test_the_mat_of_market_evaluation_code(tmp_path: Path) -> None:
    query, gallery = features_of(3), features_of(4, seed=1)
    savemat(tmp_path / "pytorch_result.mat", as_market_mat(query, gallery))
    found = read_arrays(tmp_path / "pytorch_result.mat", "gallery")
    np.testing.assert_array_equal(found["features"], gallery.features)
    assert found["pids"].dtype.kind == "i"
    assert found["pids"].tolist() == gallery.manifest.pids.tolist()
    one = query.take(np.array([2]))
    savemat(tmp_path / "one.mat", as_market_mat(one, gallery))
    np.testing.assert_array_equal(read_arrays(tmp_path / "one.mat", "query")["features"], one.features)


@pytest.mark.parametrize("shape", [(1, -1), (-1,)])
def test_a_folder_with_an_npy_for_each_picture(shape: tuple[int, ...], tmp_path: Path) -> None:
    for name, row in zip(("0007_c2s1_1_00", "0003_c1s1_1_00"), X, strict=False):
        np.save(tmp_path / f"{name}.npy", row.reshape(shape))
    (tmp_path / "notes.txt").write_text("not a feature")
    found = read_arrays(tmp_path)
    assert found["paths"].tolist() == ["0003_c1s1_1_00", "0007_c2s1_1_00"]
    np.testing.assert_array_equal(found["features"], X[[1, 0]])
    np.save(tmp_path / "0009.npy", X[0, :-1])
    with pytest.raises(DataError, match=r"features of one length .* got 64 .* and 63 in 0009.npy"):
        read_arrays(tmp_path)
    np.save(tmp_path / "0009.npy", X)
    with pytest.raises(DataError, match="features of one picture"):
        read_arrays(tmp_path)


def npy_with_header(shape: tuple[int, ...], n_bytes: int) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return out.getvalue() + bytes(n_bytes)


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    """No memory is taken for it: 2**60 numbers would not fit anywhere."""
    for shape in ((2**30, 2**30), (4, 5), (-1, -2)):
        data = npy_with_header(shape, 8)
        (tmp_path / "a.npy").write_bytes(data)
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("features.npy", data)
        for name in ("a.npy", "a.npz"):
            with pytest.raises(DataError, match="8 bytes where an array of"):
                read_arrays(tmp_path / name)


def test_pickles_are_refused(tmp_path: Path) -> None:
    bad = np.array([[1, "two"]], dtype=object)
    np.save(tmp_path / "a.npy", bad, allow_pickle=True)
    np.savez(tmp_path / "a.npz", features=X, paths=bad)
    (tmp_path / "b.npy").write_bytes(b"\x80\x04N.")
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(DataError) as caught:
            read_arrays(tmp_path / name)
        assert "allow_pickle" not in str(caught.value)


def test_files_and_folders_past_the_limit_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = np.zeros((1000, 100), np.float32)
    np.save(tmp_path / "a.npy", zeros)
    np.savez_compressed(tmp_path / "a.npz", features=zeros)
    (tmp_path / "folder").mkdir()
    for i in range(5):
        np.save(tmp_path / "folder" / f"{i}.npy", X[0])
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    monkeypatch.setattr(module, "_row", lambda file: X[0])
    for name in ("a.npy", "a.npz", "folder"):
        with pytest.raises(DataError, match="at most 1000 bytes"):
            read_arrays(tmp_path / name)


def test_damage_is_an_error_of_ours_or_another_value(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", X)
    np.savez(tmp_path / "a.npz", features=X, pids=PIDS)
    for name in ("a.npy", "a.npz"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            if rng.random() < 0.3:
                del data[rng.integers(len(data)) :]
            (tmp_path / f"bad{name[1:]}").write_bytes(data)
            with suppress(BitreidError):
                read_arrays(tmp_path / f"bad{name[1:]}")


def test_what_is_no_file_of_features(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    (tmp_path / "a.pt").write_bytes(b"PK")
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "two.npz", a=X, b=X)
    np.savez(tmp_path / "cube.npz", features=np.zeros((2, 3, 4)), pids=["a", "b"])
    for name, words in {
        "a.csv": r"ends in \.npy, \.npz",
        "nothing.npy": "got nothing",
        "a.pt": "expected PyTorch",
        "folder": "a folder of 1 to",
        "two.npz": "expected features in .* got a, b; give an array features",
    }.items():
        with pytest.raises(DataError, match=words):
            read_arrays(tmp_path / name)
