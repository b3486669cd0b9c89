"""Feature files of any program: what is read of them, what is refused, and which features are one picture's."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import savemat

from bitreid.codes import unpack
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.evaluation.side import Side
from bitreid.evaluation.vectors import check_sides, load_vectors, same_features
from tests.reference import codes as twin

PIDS = np.array([3, 0, -1, -2])


def saved(path: Path, **arrays: Any) -> Path:
    """A file with pids and four features, or whatever else is given; None leaves an array out."""
    kept = {"pids": PIDS, "features": np.eye(4, 5)} | arrays
    np.savez(path, allow_pickle=True, **{name: value for name, value in kept.items() if value is not None})
    return path


def pairs(found: list[tuple[int, npt.NDArray[np.int64]]]) -> list[list[int]]:
    return [[i, j] for i, rows in found for j in rows.tolist()]


def test_all_that_a_file_may_say_is_read(tmp_path: Path) -> None:
    packed = np.array([[1, 255], [2, 0], [3, 7], [4, 128]], np.uint8)
    side = load_vectors(
        saved(
            tmp_path / "x.npz",
            codes=packed,
            camids=np.array([1, 2, 3, UNKNOWN], np.int32),
            tracklets=np.array([9, 9, 8, UNKNOWN], np.int16),
            paths=np.array(["a.jpg", "b/c.jpg", "", "d é"]),
            attribute_codes=packed[:, :1],
        )
    )
    assert side.codes is not None
    assert side.attribute_codes is not None
    assert side.features is not None
    text = ["".join(str(int(bit)) for bit in row) for row in unpack(side.codes)]
    assert [twin.packed_bytes(row) for row in text] == packed.tolist()
    assert (side.codes.n_bits, side.attribute_codes.n_bits, side.features.shape) == (16, 8, (4, 5))
    assert side.camids.tolist() == [1, 2, 3, UNKNOWN]
    assert side.tracklets is not None
    assert side.tracklets.tolist() == [9, 9, 8, UNKNOWN]
    assert side.paths == (Path("a.jpg"), Path("b/c.jpg"), Path(), Path("d é"))
    assert {column.dtype for column in (side.pids, side.camids, side.tracklets)} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("given", "found"),
    [("float16", "float32"), ("float32", "float32"), (">f4", "float32"), ("float64", "float64"), (">f8", "float64")],
)
def test_features_of_any_float_type_keep_their_values(given: str, found: str, tmp_path: Path) -> None:
    features = np.linspace(-2, 2, 20).reshape(4, 5).astype(given)
    side = load_vectors(saved(tmp_path / "x.npz", features=features))
    assert side.features is not None
    assert side.features.dtype == np.dtype(found)
    assert side.features.tolist() == features.tolist()


@pytest.mark.parametrize("dtype", ["int8", "int32", ">i4", "uint16", "int64"])
def test_pids_of_any_whole_type_and_nothing_else_suffice(dtype: str, tmp_path: Path) -> None:
    side = load_vectors(saved(tmp_path / "x.npz", pids=np.array([7, 0, 1, 2], dtype)))
    assert side.pids.tolist() == [7, 0, 1, 2]
    assert side.camids.tolist() == [UNKNOWN] * 4
    assert (side.codes, side.attribute_codes, side.tracklets, side.paths) == (None, None, None, ())


def test_other_arrays_are_passed_over_whatever_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", settings=np.array([{"a": 1}], dtype=object), paths=np.array([b"a.jpg"] * 4))
    assert load_vectors(path).paths == (Path("a.jpg"),) * 4


def test_an_empty_side_is_a_side(tmp_path: Path) -> None:
    side = load_vectors(saved(tmp_path / "x.npz", pids=np.zeros(0, np.int64), features=np.zeros((0, 5))))
    assert len(side) == 0


BAD: list[tuple[dict[str, Any], str]] = [
    ({"pids": None}, "expected pids and features or codes, got features"),
    ({"features": None}, "expected pids and features or codes, got pids"),
    ({"features": None, "feats": np.eye(4)}, "got pids, feats"),
    ({"features": None, "pids": None}, "got no arrays"),
    ({"pids": PIDS.astype(np.float64)}, "expected pids as whole numbers (n,), got float64 of shape (4,)"),
    ({"pids": PIDS[:, None]}, "expected pids as whole numbers (n,), got int64 of shape (4, 1)"),
    ({"pids": np.array(["1", "2", "3", "4"])}, "expected pids as whole numbers"),
    ({"pids": PIDS - 1}, "expected pids of at least -2 (unknown), got -3"),
    ({"pids": PIDS[:3]}, "expected features for each of 3 pictures, got 4"),
    ({"camids": PIDS[:3]}, "expected camids for each of 4 pictures, got 3"),
    ({"camids": PIDS * 0.5}, "expected camids as whole numbers"),
    ({"tracklets": PIDS[:3]}, "expected tracklets for each of 4 pictures, got 3"),
    ({"paths": np.array([], np.str_)}, "expected paths for each of 4 pictures, got 0"),
    ({"paths": PIDS}, "expected paths as text (n,), got int64"),
    ({"paths": np.array([b"\xff.jpg"] * 4)}, "can't decode"),
    ({"features": np.eye(4, dtype=np.int64)}, "expected features (n, d) float, got int64 of shape (4, 4)"),
    ({"features": np.ones(4)}, "expected features (n, d) float, got float64 of shape (4,)"),
    ({"features": np.ones((4, 0))}, "expected features (n, d) float"),
    ({"features": np.array([[1.0], [2], [np.nan], [np.inf]])}, "got NaN or infinity, first in row 2"),
    ({"codes": np.ones((4, 2), np.int8)}, "expected packed codes (n, bytes) uint8, got int8"),
    ({"codes": np.ones((4, 0), np.uint8)}, "expected packed codes (n, bytes) uint8"),
    ({"codes": np.ones((3, 2), np.uint8)}, "expected codes for each of 4 pictures, got 3"),
    ({"codes": np.eye(4, 64, dtype=np.uint8)}, "got bytes of 0 and 1; pack them with np.packbits"),
    ({"attribute_codes": np.ones(4, np.uint8)}, "expected packed attribute_codes (n, bytes) uint8"),
    ({"pids": np.array([{}] * 4, dtype=object)}, "Python objects, which are never loaded"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD, ids=[message for _, message in BAD])
def test_what_cannot_be_scored_is_refused_in_one_line(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load_vectors(saved(tmp_path / "x.npz", **arrays))
    text = str(error.value)
    assert message in text
    assert str(tmp_path / "x.npz") in text
    assert "arrays features (n, d) float or codes (n, bytes) uint8, pids (n,)" in text
    assert "\n" not in text


def test_other_and_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.npz").read_bytes()
    features = whole.index(np.eye(4, 5).tobytes())
    np.save(tmp_path / "array.npy", PIDS)
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.npz").write_bytes(whole[:features] + b"\x01" + whole[features + 1 :])
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("pid,feature\n1,2\n", encoding="utf-8")
    for name in ("array.npy", "half.npz", "flipped.npz", "empty.npz", "text.npz", "gone.npz", "."):
        with pytest.raises(DataError, match=r"expected an \.npz file of features or codes at ") as error:
            load_vectors(tmp_path / name)
        assert "\n" not in str(error.value)


def loaded(tmp_path: Path, **arrays: Any) -> Side:
    return load_vectors(saved(tmp_path / "x.npz", **arrays))


def test_sides_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    codes = np.full((4, 2), 3, np.uint8)
    both = loaded(tmp_path, codes=codes, attribute_codes=codes)
    of_codes, of_features = loaded(tmp_path, codes=codes, features=None), loaded(tmp_path)
    for query, gallery in ((both, both), (both, of_codes), (of_features, both), (of_codes, of_codes)):
        check_sides(query, gallery)
    with pytest.raises(DataError, match="got features in one and codes in one"):
        check_sides(of_codes, of_features)
    with pytest.raises(DataError, match="expected features of one width in both files, got 5 and 6"):
        check_sides(both, replace(both, features=np.eye(4, 6)))
    for name in ("codes", "attribute_codes"):
        short = replace(both, **{name: getattr(both, name).prefix(8)})
        with pytest.raises(DataError, match=f"expected {name} of one width in both files, got 16 and 8"):
            check_sides(both, short)


# Equal features


def slow_pairs(query: npt.NDArray[Any], gallery: npt.NDArray[Any]) -> list[list[int]]:
    """Every query beside every gallery row, number by number."""
    found = []
    for i, a in enumerate(query.tolist()):
        same = [j for j, b in enumerate(gallery.tolist()) if a == b]
        found += [[i, j] for j in same] if any(a) else []
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_features_are_found(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    query, gallery = (rng.integers(-1, 2, (n, 3)).astype(dtype) * dtype(0.1) for n in (30, 60))
    query[0], gallery[7] = [-0.0, 0.25, 0.0], [0.0, 0.25, -0.0]
    query[1] = [0, 0, -0.0]
    query[2] = [9, 9, 9]
    wanted = slow_pairs(query, gallery)
    assert [0, 7] in wanted
    assert pairs(same_features(query, gallery)) == wanted
    assert 50 < len(wanted) < 120
    assert same_features(query[:0], gallery) == same_features(query, gallery[:0]) == []


def test_features_of_two_types_are_compared_as_float32() -> None:
    values = np.array([[0.1, 1 / 3]])
    assert same_features(values, values.astype(np.float32))[0][0] == 0
    assert same_features(values, np.nextafter(values.astype(np.float32), np.float32(1))) == []


def test_a_network_that_gives_everybody_one_feature_is_no_burden() -> None:
    ones = np.ones((5000, 8), np.float32)
    found = same_features(ones, ones)
    assert len(found) == 5000
    assert {id(rows) for _, rows in found} == {id(found[0][1])}


def test_both_sides_of_a_mat_file_are_read(tmp_path: Path) -> None:
    """As a well-known baseline writes them, with SciPy's savemat."""
    rng = np.random.default_rng(0)
    variables = {
        "query_f": rng.standard_normal((1, 5)),
        "query_label": np.array([7]),
        "query_cam": np.array([2]),
        "gallery_f": rng.standard_normal((3, 5)).astype(np.float32),
        "gallery_label": np.array([[7.0, -1.0, 0.0]]),
    }
    path = tmp_path / "result.mat"
    savemat(path, variables)
    query, gallery = load_vectors(path, "query"), load_vectors(path, "gallery")
    check_sides(query, gallery)
    assert query.features is not None
    assert gallery.features is not None
    assert np.array_equal(query.features, variables["query_f"])
    assert np.array_equal(gallery.features, variables["gallery_f"])
    assert (query.pids.tolist(), query.camids.tolist()) == ([7], [2])
    assert (gallery.pids.tolist(), set(gallery.camids.tolist())) == ([7, -1, 0], {UNKNOWN})


def test_another_mat_file_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"features": np.eye(2)})
    with pytest.raises(DataError, match=r"a\.mat: expected the variables query_f, query_label .* got features; save"):
        load_vectors(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"query_f": np.eye(2), "query_label": np.array([1.5, 2])})
    with pytest.raises(DataError, match="pids as whole numbers"):
        load_vectors(tmp_path / "a.mat")
    (tmp_path / "page.mat").write_text("<html>" + "x" * 1000)
    with pytest.raises(DataError, match=r"\.mat file of version 5 to 7 at .*page\.mat, got: something else"):
        load_vectors(tmp_path / "page.mat")


def test_a_damaged_byte_is_read_or_refused_without_bad_advice(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz")
    whole = path.read_bytes()
    rng = random.Random(0)
    errors = []
    for n in range(300):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged if n else b"\x80")
        try:
            load_vectors(path)
        except DataError as error:
            errors.append(str(error))
    assert len(errors) > 50
    assert max(map(len, errors)) < 1000 + len(str(path))
    assert not [error for error in errors if "unsafe" in error or "allow_pickle" in error]
