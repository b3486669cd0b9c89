"""Inputs of several sources as one manifest: who is the same, and who is only called the same."""

from pathlib import Path

import pytest

from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.parsers.inputs import manifest_of
from bitreid.errors import DataError, DataWarning
from tests.data.cases import touch, write


@pytest.fixture
def sites(tmp_path: Path) -> list[Path]:
    """Two sites that both count their people from 1."""
    for site in ("site_a", "site_b"):
        touch(tmp_path / site, *(f"bounding_box_test/000{pid}_c1s1_000001_00.jpg" for pid in (1, 2)))
        touch(tmp_path / site, "query/0001_c2s1_000001_00.jpg", "bounding_box_test/-1_c1s1_000001_00.jpg")
    return [tmp_path / "site_a", tmp_path / "site_b"]


def apart(inputs: list[Path]) -> Manifest:
    with pytest.warns(DataWarning, match="people of 2 inputs are numbered apart"):
        return manifest_of(inputs, same_people=False)


def test_sources_that_share_people_have_to_be_told_apart(sites: list[Path]) -> None:
    with pytest.raises(
        DataError, match=r"got person 1 in site_a and in site_b \(2 persons in all\); say --same-people"
    ):
        manifest_of(sites)
    assert manifest_of(sites, same_people=True).identities().tolist() == [1, 2]


def test_people_are_numbered_apart(sites: list[Path]) -> None:
    manifest = apart(sites)
    assert manifest.pids.tolist() == [1, -1, 1, 2, 1001, -1, 1001, 1002]
    assert manifest.person_names == {1: "site_a/1", 2: "site_a/2", 1001: "site_b/1", 1002: "site_b/2"}


def test_folders_of_one_data_set_are_one_source(sites: list[Path]) -> None:
    manifest = manifest_of([sites[0] / "query", sites[0] / "bounding_box_test", sites[0]])
    assert manifest.identities().tolist() == [1, 2]
    assert manifest.splits[0] == "query"


def test_sites_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for building in ("north", "south"):
        touch(tmp_path, f"{building}/hall/bounding_box_test/0001_c1s1_000001_00.jpg")
    manifest = apart([tmp_path / "north" / "hall", tmp_path / "south" / "hall"])
    assert set(manifest.person_names.values()) == {f"{tmp_path}/north/hall/1", f"{tmp_path}/south/hall/1"}


@pytest.mark.filterwarnings("ignore:2 names in column")
@pytest.mark.filterwarnings("ignore:1 names in column")
def test_names_are_the_same_people_and_cameras_only_where_they_are_equal(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "path,pid,camid", "1.jpg,zoe,yard", "2.jpg,anna,door")
    b = write(tmp_path / "b.csv", "path,pid,camid", "3.jpg,ben,yard")
    c = write(tmp_path / "c.csv", "path,pid,camid", "4.jpg,2,1", "5.jpg,zoe 2,2".replace("zoe 2", "3"))
    manifest = manifest_of([a, b, c])
    assert manifest.person_names == {1001: "anna", 1002: "ben", 1003: "zoe"}
    assert manifest.pids.tolist() == [1003, 1001, 1002, 2, 3]
    assert manifest.camera_names == {1001: "door", 1002: "yard"}
    assert manifest.camids.tolist() == [1002, 1001, 1002, 1, 2]
    write(b, "path,pid", "3.jpg,zoe")
    with pytest.raises(DataError, match="got person zoe in a and in b"):
        manifest_of([a, b])
    assert manifest_of([a, b], same_people=True).pids.tolist() == [2, 1, 2]


def test_tracklets_of_one_camera_are_told_apart(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "path,camid,tracklet", "1.jpg,1,0", "2.jpg,1,")
    b = write(tmp_path / "b.csv", "path,camid,tracklet", "3.jpg,1,0", "4.jpg,2,7")
    with pytest.raises(DataError, match="got tracklet 0 of camera 1 in a and in b"):
        manifest_of([a, b])
    tracklets = manifest_of([a, b], same_people=False).tracklets
    assert tracklets is not None
    assert tracklets.tolist() == [0, UNKNOWN, 1000, 1007]
    write(b, "path,camid,tracklet", "3.jpg,2,0")
    assert len(manifest_of([a, b])) == 3


def test_a_pattern_reads_all_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a/p1_1.jpg", "b/p2_1.jpg")
    assert manifest_of([tmp_path / "a", tmp_path / "b"], r"p(?P<pid>\d)").pids.tolist() == [1, 2]


def test_times_are_of_one_kind_and_columns_are_joined(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", "path,time", "1.jpg,2026-11-30")
    b = write(tmp_path / "b.csv", "path,time", "2.jpg,17")
    touch(tmp_path, "3.jpg")
    joined = manifest_of([a, tmp_path / "3.jpg"])
    assert joined.dated
    assert joined.times is not None
    assert joined.times[1] == UNKNOWN
    with pytest.raises(DataError, match="times of one kind"):
        manifest_of([a, b])
