"""Features and what is known about their pictures: from a list, from the file itself, or nobody."""

from pathlib import Path

import numpy as np
import pytest

from bitreid.data.manifest import UNKNOWN
from bitreid.encoding.imported.features import read_features, save_features
from bitreid.errors import DataError, DataWarning, SettingsError
from bitreid.evaluation import evaluate_ranking
from bitreid.evaluation.vectors import load_vectors
from tests.encoding.imported.cases import features_of, random_features, written


def test_a_list_of_names_says_who_is_shown(tmp_path: Path) -> None:
    found = features_of(3)
    path, names = written(found, tmp_path / "a.npy")
    read = read_features(path, names)
    np.testing.assert_array_equal(read.features, found.features)
    assert read.manifest.pids.tolist() == found.manifest.pids.tolist()
    assert read.manifest.camids.tolist() == found.manifest.camids.tolist()
    assert read.manifest.paths[0] == Path("data/query") / found.manifest.paths[0]


def test_a_pattern_reads_other_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", random_features(3, 0))
    names = tmp_path / "a.txt"
    names.write_text("cam4/anna/1.jpg\ncam5/anna/2.jpg\ncam4/berta/1.jpg\n")
    manifest = read_features(tmp_path / "a.npy", names, pattern="cam(?P<camid>[0-9])/(?P<pid>[a-z]+)").manifest
    assert (manifest.pids.tolist(), manifest.camids.tolist()) == ([1, 1, 2], [4, 5, 4])
    assert manifest.person_names == {1: "anna", 2: "berta"}
    unknown = read_features(tmp_path / "a.npy", names).manifest
    assert (unknown.pids == UNKNOWN).all()


def test_a_table_has_the_last_word_and_gaps_are_the_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=random_features(2, 0), pids=[5, 6], camids=[1, 2])
    table = tmp_path / "a.csv"
    table.write_text("path,pid,tracklet\nx/1.jpg,7,3\nx/2.jpg,8,3\n")
    manifest = read_features(tmp_path / "a.npz", table).manifest
    assert (manifest.pids.tolist(), manifest.camids.tolist()) == ([7, 8], [1, 2])
    assert manifest.tracklets is not None
    assert manifest.tracklets.tolist() == [3, 3]
    with pytest.raises(SettingsError, match="leave --pattern out"):
        read_features(tmp_path / "a.npz", table, pattern="(?P<pid>[0-9])")


def test_people_that_are_counted_from_zero(tmp_path: Path) -> None:
    """As torchreid and fast-reid count those of training; 0 is nobody here, and junk stays junk."""
    np.savez(tmp_path / "a.npz", features=random_features(3, 0), pids=[0, 1, -1])
    assert read_features(tmp_path / "a.npz", from_zero=True).manifest.pids.tolist() == [1, 2, -1]
    assert read_features(tmp_path / "a.npz").manifest.pids.tolist() == [0, 1, -1]


def test_pictures_without_names_are_called_after_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", random_features(2, 0))
    assert read_features(tmp_path / "night.npy").manifest.paths == (Path("night-0000000"), Path("night-0000001"))


def test_names_that_mostly_say_something(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", random_features(3, 0))
    (tmp_path / "a.txt").write_text("0001_c1s1_000001_00.jpg\n0002_c2s1_000001_00.jpg\nsomebody.jpg\n")
    with pytest.warns(DataWarning, match="1 pictures do not have names like"):
        manifest = read_features(tmp_path / "a.npy", tmp_path / "a.txt").manifest
    assert manifest.pids.tolist() == [1, 2, UNKNOWN]


def test_the_saved_features_have_the_scores_of_the_file_that_they_came_from(tmp_path: Path) -> None:
    sides = [features_of(12, seed=1), features_of(12, seed=2)]
    for side, found in zip(("query", "gallery"), sides, strict=True):
        path, names = written(found, tmp_path / f"{side}.npy")
        save_features(tmp_path / f"{side}.npz", read_features(path, names))
    read = [load_vectors(tmp_path / f"{side}.npz") for side in ("query", "gallery")]
    assert read[0].features is not None
    assert read[1].features is not None
    people = (read[0].pids, read[0].camids, read[1].pids, read[1].camids)
    saved = evaluate_ranking(read[0].features, read[1].features, *people).expected
    who = [each.manifest for each in sides]
    people = (who[0].pids, who[0].camids, who[1].pids, who[1].camids)
    direct = evaluate_ranking(sides[0].features, sides[1].features, *people).expected
    assert (saved.mAP, saved.rank1) == (direct.mAP, direct.rank1)
    assert 0.5 < direct.mAP < 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"a.jpg\n", "a picture in .* for each of the 2 features .* got 1"),
        (b"a.jpg\n\nb.jpg\n", "got an empty line 2"),
        (b"", "got an empty file"),
        (b"\xff\xfe\n\x00\n", "text in UTF-8"),
    ],
)
def test_lists_that_cannot_be(lines: bytes, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", random_features(2, 0))
    (tmp_path / "a.txt").write_bytes(lines)
    with pytest.raises(DataError, match=words):
        read_features(tmp_path / "a.npy", tmp_path / "a.txt")


def test_features_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array, words in (
        (np.full((2, 3), np.nan), "NaN or infinity, first in row 0"),
        (np.zeros((2, 3), np.int64), r"features \(n, d\) float"),
        (np.zeros((2, 3, 4)), r"features \(n, d\) float"),
        (np.zeros((0, 4)), "at least one picture"),
    ):
        np.save(path, array)
        with pytest.raises(DataError, match=words):
            read_features(path)
    np.savez(tmp_path / "a.npz", features=np.eye(2), pids=[1, 2, 3])
    with pytest.raises(DataError, match="each of 3 pictures, got 2"):
        read_features(tmp_path / "a.npz")
