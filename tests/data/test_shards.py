"""Folders of shards: which count, which go on, and what is refused."""

import json
from pathlib import Path

import pytest

from bitreid.data.shards import INDEX, Shards, is_codes, is_folder_of_shards
from bitreid.errors import DataError


def filled(folder: Path, n: int = 5, size: int = 2) -> Shards:
    shards = Shards.begin(folder, {"model": "abc"}, n, size)
    for i in range(len(shards)):
        shards.file(i).write_bytes(bytes([i] * 9))
        shards.commit(i, {"number": i})
    return shards


def test_rows_are_shared_out(tmp_path: Path) -> None:
    shards = Shards.begin(tmp_path / "new" / "codes", {}, 5, 2)
    assert [list(shards.rows(i)) for i in range(len(shards))] == [[0, 1], [2, 3], [4]]
    assert len(Shards.begin(tmp_path / "even", {}, 4, 2)) == 2


def test_a_shard_counts_once_it_is_committed(tmp_path: Path) -> None:
    shards = Shards.begin(tmp_path / "codes", {"model": "abc"}, 5, 2)
    shards.file(1).write_bytes(b"codes")
    assert [shards.note(i) for i in range(3)] == [None] * 3
    shards.commit(1, "told")
    assert [shards.note(i) for i in range(3)] == [None, "told", None]
    with pytest.raises(DataError, match=r"3 whole shards in .*, got 2 missing or damaged, first codes-000000\.npz"):
        shards.files()
    whole = filled(tmp_path / "whole")
    assert Shards.open(tmp_path / "whole") == whole
    assert whole.files() == [tmp_path / "whole" / f"codes-00000{i}.npz" for i in range(3)]


@pytest.mark.parametrize("what", ["a bit", "cut", "gone", "a seal that is none"])
def test_a_damaged_shard_does_not_count(what: str, tmp_path: Path) -> None:
    shards = filled(tmp_path / "codes")
    file = shards.file(1)
    if what == "a bit":
        file.write_bytes(bytes([1] * 8 + [0]))
    elif what == "cut":
        file.write_bytes(bytes([1] * 8))
    elif what == "gone":
        file.unlink()
    else:
        file.with_suffix(".json").write_text("[]", encoding="utf-8")
    assert [shards.note(i) is None for i in range(3)] == [False, True, False]
    with pytest.raises(DataError, match="got 1 missing or damaged, first codes-000001"):
        shards.files()


def test_a_folder_goes_on_with_the_same_alone(tmp_path: Path) -> None:
    folder = tmp_path / "codes"
    filled(folder)
    (folder / ".codes-000001.npz.ab12").write_bytes(b"half")
    assert Shards.begin(folder, {"model": "abc"}, 5, 2).note(2) == {"number": 2}
    assert not list(folder.glob(".*"))
    for about, n, size, told in (
        ({"model": "xyz"}, 5, 2, r"\(model abc\), got model xyz"),
        ({"model": "abc"}, 6, 2, r"\(pictures 5\), got pictures 6"),
        ({"model": "abc"}, 5, 3, r"\(shard 2\), got shard 3"),
        ({"model": "abc", "flip": True}, 5, 2, r"\(flip None\), got flip True"),
        ({}, 5, 2, r"\(model abc\), got model None"),
    ):
        with pytest.raises(DataError, match=f"begun with {told}; choose another folder"):
            Shards.begin(folder, about, n, size)
    assert Shards.open(folder).about == {"model": "abc"}


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(DataError, match="a new or empty folder, or one of shards"):
            Shards.begin(place, {}, 1, 1)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
    begun = tmp_path / "begun"  # killed before the index had its name
    begun.mkdir()
    (begun / f".{INDEX}.ab12").write_text("{", encoding="utf-8")
    assert len(Shards.begin(begun, {}, 1, 1)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "sound encoding.json"),
        ("[]", "sound encoding.json"),
        ('{"format_version": 1}', "sound encoding.json"),
        (json.dumps({"format_version": 3}), "format 3 is newer than 2, update bitreid"),
        (json.dumps({"format_version": 2, "about": {"suffix": "/../a.npz"}}), r"files that end in /\.\./a\.npz"),
    ],
)
def test_a_damaged_index_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        Shards.open(tmp_path)


def test_codes_are_known_by_their_looks(tmp_path: Path) -> None:
    filled(tmp_path / "codes")
    assert is_folder_of_shards(tmp_path / "codes")
    assert [is_codes(each) for each in (tmp_path / "codes", Path("a.npz"), tmp_path, Path("a.jpg"))] == [
        True, True, False, False,
    ]  # fmt: skip
