"""MSMT17: what its lists say, and how they may be wrong. No parser opens a picture: empty files do."""

from pathlib import Path

import pytest

from bitreid.data.parsers.msmt17 import TEST_PIDS_FROM, has_msmt17_lists, parse_msmt17
from bitreid.errors import DataError, DataWarning
from tests.data.cases import touch, write

LISTS = {
    "list_train.txt": ["0001/0001_000_01_0303morning_0015_0.jpg 1", "0000/0000_002_14_0113noon_0020_1.jpg 0"],
    "list_val.txt": ["0001/0001_005_03_0302afternoon_1015_0.jpg 1"],
    "list_query.txt": ["0000/0000_000_05_0303morning_0015_0.jpg 0"],
    "list_gallery.txt": ["0000/0000_001_06_0303morning_0016_0.jpg 0", "3059/3059_000_15_0303morning_0000_2.jpg 3059"],
}


def make(root: Path, train: str = "train", test: str = "test") -> Path:
    for name, lines in LISTS.items():
        write(root / name, *lines)
        folder = train if name in ("list_train.txt", "list_val.txt") else test
        touch(root, *(f"{folder}/{line.split()[0]}" for line in lines))
    return root


@pytest.mark.parametrize("folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_rows_follow_the_lists(tmp_path: Path, folders: tuple[str, str]) -> None:
    manifest = parse_msmt17(make(tmp_path, *folders))
    assert [path.relative_to(tmp_path).as_posix() for path in manifest.paths] == [
        f"{folder}/{line.split()[0]}"
        for folder, name in zip((folders[0], *folders, folders[1]), ("train", "val", "query", "gallery"), strict=True)
        for line in LISTS[f"list_{name}.txt"]
        for folder in [folders[0] if name in ("train", "val") else folders[1]]
    ]
    assert manifest.camids.tolist() == [1, 14, 3, 5, 6, 15]
    assert manifest.splits == ("train", "train", "train", "query", "gallery", "gallery")
    assert manifest.times is None


def test_identities_of_train_and_test_are_different_people_and_no_distractors(tmp_path: Path) -> None:
    manifest = parse_msmt17(make(tmp_path))
    assert manifest.pids.tolist() == [2, 1, 2, 10_000, 10_000, 13_059]
    assert manifest.identities().tolist() == [1, 2, 10_000, 13_059]


def test_the_last_identity_of_train_is_below_the_first_of_test(tmp_path: Path) -> None:
    touch(tmp_path, "train/9999/9999_000_01_a_0_0.jpg", "test/0000/0000_000_01_a_0_0.jpg")
    write(tmp_path / "list_train.txt", "9999/9999_000_01_a_0_0.jpg 9998")
    write(tmp_path / "list_query.txt", "0000/0000_000_01_a_0_0.jpg 0")
    assert parse_msmt17(tmp_path).pids.tolist() == [9_999, TEST_PIDS_FROM]


def test_test_identities_keep_their_pids_without_the_training_half(tmp_path: Path) -> None:
    make(tmp_path)
    for name in ("list_train.txt", "list_val.txt"):
        (tmp_path / name).unlink()
    manifest = parse_msmt17(tmp_path)
    assert manifest.pids.tolist() == [10_000, 10_000, 13_059]
    with pytest.raises(DataError, match="split 'train', got none"):
        manifest.split("train")


def test_line_ends_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "list_train.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n  \r\n")
    assert len(parse_msmt17(tmp_path)) == 6


def test_absent_pictures_are_counted_and_left_out(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train" / LISTS["list_train.txt"][1].split()[0]).unlink()
    (tmp_path / "test" / LISTS["list_gallery.txt"][0].split()[0]).unlink()
    with pytest.warns(DataWarning, match=r"^2 pictures that the lists in .* absent and left out; first: .*0000_002_14"):
        manifest = parse_msmt17(tmp_path)
    assert manifest.pids.tolist() == [2, 2, 10_000, 13_059]


def test_a_list_without_a_single_picture_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "test" / LISTS["list_query.txt"][0].split()[0]).unlink()
    with pytest.raises(DataError, match=r"that .*list_query\.txt names in .*test, got none of 1"):
        parse_msmt17(tmp_path)


def test_missing_lists_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one or more of the lists list_train\.txt, .* got a folder with 0"):
        parse_msmt17(tmp_path)
    with pytest.raises(DataError, match="got nothing"):
        parse_msmt17(tmp_path / "gone")
    make(tmp_path, test="tset")
    with pytest.raises(DataError, match=r"folder test or mask_test_v2 beside .*list_query\.txt, got neither"):
        parse_msmt17(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "0000/0000_000_01_0303morning_0015_0.jpg",
        "0000/0000_000_01_0303morning_0015_0.jpg one",
        "0000/0000_000_01_0303morning_0015_0.jpg -1",
        "0000/0000_000_01_0303morning_0015_0.jpg 10000",
        "0000/0000_000_door_0303morning_0015_0.jpg 0",
        "0000/0000_000.jpg 0",
        "0 0000/0000_000_01_0303morning_0015_0.jpg",
    ],
)
def test_lines_that_make_no_sense_are_refused_with_their_number(tmp_path: Path, line: str) -> None:
    make(tmp_path)
    write(tmp_path / "list_train.txt", LISTS["list_train.txt"][0], "", line)
    with pytest.raises(DataError, match=rf"a line like .* in .*list_train\.txt, line 3, got '{line}'"):
        parse_msmt17(tmp_path)


def test_lists_that_are_empty_or_no_text_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "list_train.txt", "")
    with pytest.raises(DataError, match=r"lines that name pictures in .*list_train\.txt, got none"):
        parse_msmt17(tmp_path)
    (tmp_path / "list_train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"in UTF-8 at .*list_train\.txt"):
        parse_msmt17(tmp_path)


def test_the_layout_is_a_list_beside_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "list_train.txt", "")
    assert not has_msmt17_lists(tmp_path)
    (tmp_path / "mask_test_v2").mkdir()
    assert has_msmt17_lists(tmp_path)
    (tmp_path / "list_train.txt").unlink()
    assert not has_msmt17_lists(tmp_path)
