"""CUHK03's own file, imitated with drawn people: which crops are written where, under which names."""

import random
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import savemat

from bitreid.commands.main import main
from bitreid.data.parsers.cuhk03 import convert_cuhk03
from bitreid.data.pictures import load_picture
from bitreid.errors import DataError, SettingsError

Pixels = npt.NDArray[np.uint8]
Cells = dict[tuple[int, int, int], Pixels]
"""Pictures by camera pair, identity in it and cell, all from 1."""

PEOPLE = (2, 1, 1)
"""Identities of each camera pair."""


def save_mat(path: Path, cells: dict[str, Cells], test_sets: list[list[tuple[int, int]]]) -> Path:
    """A file as MATLAB 7.3 writes it: a block of its own before HDF5, arrays transposed, cells as references, empty
    arrays as their shape."""
    with h5py.File(path, "w", userblock_size=512) as file:
        made = iter(range(10**6))

        def reference(data: npt.NDArray[Any]) -> Any:
            return file.create_dataset(f"#refs#/{next(made)}", data=data.T).ref

        def cell_array(rows: list[list[Any]]) -> npt.NDArray[np.object_]:
            return np.array(rows, dtype=h5py.ref_dtype)

        empty = reference(np.array([0, 0], dtype=np.uint64))
        for kind, pictures in cells.items():
            pairs = []
            for pair, n in enumerate(PEOPLE, 1):
                shots = [[pictures.get((pair, person, shot)) for shot in range(1, 11)] for person in range(1, n + 1)]
                references = [[empty if shot is None else reference(shot) for shot in row] for row in shots]
                pairs.append(reference(cell_array(references)))
            file[kind] = cell_array([[pair] for pair in pairs]).T
        sets = [reference(np.array(people, dtype=np.float64)) for people in test_sets]
        file["testsets"] = cell_array([[each] for each in sets]).T
    return path


def save_split(path: Path, **changes: Any) -> Path:
    """The new protocol's list: the first identity trains, the second and the third are searched for."""
    names = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_06.png", "1_002_2_07.png", "2_001_1_02.png"]
    columns = {
        "filelist": np.array(names, dtype=object)[:, None],
        "labels": np.array([[1], [1], [2], [2], [2], [3]], dtype=np.uint16),
        "camId": np.array([[1], [2], [1], [2], [2], [1]], dtype=np.uint8),
        "train_idx": np.array([[1], [2]], dtype=np.uint16),
        "query_idx": np.array([[3], [4]], dtype=np.uint16),
        "gallery_idx": np.array([[5], [6]], dtype=np.uint16),
    }
    columns.update(changes)
    savemat(path, {name: column for name, column in columns.items() if column is not None})
    return path


@pytest.fixture(scope="module")
def cells(people: Path) -> dict[str, Cells]:
    """Drawn people in cells: two shots of each identity and camera, none of the last identity by camera 2."""
    pictures = []
    for path in sorted((people / "bounding_box_train").iterdir()):
        with Image.open(path) as picture:
            pictures.append(np.array(picture.convert("RGB")))
    source = iter(pictures)
    detected: Cells = {}
    for pair, n in enumerate(PEOPLE, 1):
        for person in range(1, n + 1):
            for shot in (1, 2, 6, 7) if pair < 3 else (1, 2):
                # Crops of a detector differ in size.
                detected[pair, person, shot] = next(source)[: 90 - 3 * shot, : 30 - pair]
    labeled = {(1, 1, 1): next(source)} | {cell: next(source) for cell in detected if cell[1] == 2}
    return {"detected": detected, "labeled": labeled}


@pytest.fixture(scope="module")
def mat(cells: dict[str, Cells], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_mat(tmp_path_factory.mktemp("cuhk03") / "cuhk-03.mat", cells, [[(1, 2)], [(2, 1), (3, 1)]])


def names_in(out: Path) -> dict[str, list[str]]:
    return {folder.name: sorted(path.name for path in folder.iterdir()) for folder in out.iterdir() if folder.is_dir()}


def crop_of(pixels: Pixels, height: int, width: int) -> Pixels:
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


class TestOldProtocol:
    def test_the_test_set_is_query_and_gallery_and_the_others_train(self, mat: Path, tmp_path: Path) -> None:
        manifest = convert_cuhk03(mat, tmp_path / "out")
        assert names_in(tmp_path / "out") == {
            "bounding_box_train": [
                "0001_c1s1_000001_00.jpg",
                "0001_c1s1_000002_00.jpg",
                "0001_c2s1_000006_00.jpg",
                "0001_c2s1_000007_00.jpg",
                "0003_c1s2_000001_00.jpg",
                "0003_c1s2_000002_00.jpg",
                "0003_c2s2_000006_00.jpg",
                "0003_c2s2_000007_00.jpg",
                "0004_c1s3_000001_00.jpg",
                "0004_c1s3_000002_00.jpg",
            ],
            "query": ["0002_c1s1_000001_00.jpg", "0002_c1s1_000002_00.jpg"],
            "bounding_box_test": ["0002_c2s1_000006_00.jpg", "0002_c2s1_000007_00.jpg"],
        }
        assert manifest.split("train").pids.tolist() == [1] * 4 + [3] * 4 + [4] * 2
        assert manifest.split("query").camids.tolist() == [1, 1]
        assert manifest.split("gallery").camids.tolist() == [2, 2]
        assert "detected crops, 128 x 64" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    def test_another_test_set(self, mat: Path, tmp_path: Path) -> None:
        manifest = convert_cuhk03(mat, tmp_path / "out", test_set=2)
        assert manifest.split("query").pids.tolist() == [3, 3, 4, 4]
        assert manifest.split("gallery").pids.tolist() == [3, 3]
        assert manifest.split("train").identities().tolist() == [1, 2]

    def test_identities_are_numbered_alike_for_both_kinds(self, mat: Path, tmp_path: Path) -> None:
        manifest = convert_cuhk03(mat, tmp_path / "out", kind="labeled")
        assert manifest.pids.tolist() == [1, 2, 2, 2, 2]

    @pytest.mark.parametrize("number", [0, 3, -1])
    def test_test_sets_that_are_not_there_are_refused(self, mat: Path, tmp_path: Path, number: int) -> None:
        with pytest.raises(SettingsError, match=f"test set from 1 to 2, got {number}"):
            convert_cuhk03(mat, tmp_path / "out", test_set=number)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("tested", [[(1, 3)], [(4, 1)], [(0, 1)]])
    def test_test_sets_of_others_are_refused(
        self, cells: dict[str, Cells], tmp_path: Path, tested: list[tuple[int, int]]
    ) -> None:
        mat = save_mat(tmp_path / "cuhk-03.mat", cells, [tested])
        with pytest.raises(DataError, match=r"camera pairs and identities in test set 1 of .*, got others"):
            convert_cuhk03(mat, tmp_path / "out")


class TestNewProtocol:
    def test_the_list_says_what_goes_where(self, mat: Path, tmp_path: Path) -> None:
        split = save_split(tmp_path / "split.mat")
        manifest = convert_cuhk03(mat, tmp_path / "out", split=split)
        assert names_in(tmp_path / "out") == {
            "bounding_box_train": ["0001_c1s1_000001_00.jpg", "0001_c2s1_000006_00.jpg"],
            "query": ["0002_c1s1_000001_00.jpg", "0002_c2s1_000006_00.jpg"],
            "bounding_box_test": ["0002_c2s1_000007_00.jpg", "0003_c1s2_000002_00.jpg"],
        }
        assert manifest.pids.tolist() == [1, 1, 2, 2, 2, 3]
        assert manifest.camids.tolist() == [1, 2, 1, 2, 2, 1]

    def test_labels_are_the_identities(self, mat: Path, tmp_path: Path) -> None:
        split = save_split(tmp_path / "split.mat", labels=np.array([7.0, 7, 1467, 1467, 1467, 9]))
        assert convert_cuhk03(mat, tmp_path / "out", split=split).identities().tolist() == [7, 9, 1467]

    def test_the_list_of_the_other_kind_is_refused(self, mat: Path, tmp_path: Path) -> None:
        split = save_split(tmp_path / "split.mat")
        with pytest.raises(DataError, match=r"6 pictures of .* got 2 that are not there, .*pair=1, person=1, shot=6"):
            convert_cuhk03(mat, tmp_path / "out", kind="labeled", split=split)
        assert [path.name for path in tmp_path.iterdir()] == ["split.mat"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": None}, r"list of CUHK03's new protocol at .*split\.mat, got none of labels"),
            ({"labels": np.array([1, 1, 2])}, "a label and a camId for each of 6 names"),
            ({"labels": np.array([1, 1, 2, 2, 2, 0])}, "numbers from 1 in labels"),
            ({"camId": np.array(["a"] * 6, dtype=object)}, "numbers from 1 in camId"),
            ({"query_idx": np.array([3, 7])}, r"names like 1_001_1_01\.png in query_idx of .*, got row 7"),
            ({"query_idx": np.array([0, 3])}, "numbers from 1 in query_idx"),
            ({"query_idx": np.array([3, 5])}, "each picture once in train_idx, query_idx, gallery_idx"),
            ({"filelist": np.array(["x.png"] * 6, dtype=object)}, "names like .* in train_idx of .*, got row 1"),
            ({"filelist": np.array(["1_009_1_01.png"] * 6, dtype=object)}, "got 6 that are not there"),
            ({"filelist": np.array(["9_001_1_01.png"] * 6, dtype=object)}, "got 6 that are not there"),
            ({"filelist": np.array(["1_001_1_11.png"] * 6, dtype=object)}, "got 6 that are not there"),
        ],
    )
    def test_mistakes_in_the_list_are_refused(
        self, mat: Path, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        split = save_split(tmp_path / "split.mat", **changes)
        with pytest.raises(DataError, match=message):
            convert_cuhk03(mat, tmp_path / "out", split=split)
        assert [path.name for path in tmp_path.iterdir()] == ["split.mat"]

    def test_a_list_and_a_test_set_are_too_much(self, mat: Path, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="list or a test set of the old one, got"):
            convert_cuhk03(mat, tmp_path / "out", split=save_split(tmp_path / "split.mat"), test_set=2)


class TestCrops:
    def test_pngs_are_the_pictures_resized(self, mat: Path, cells: dict[str, Cells], tmp_path: Path) -> None:
        manifest = convert_cuhk03(mat, tmp_path / "out", suffix="png", height=64, width=24)
        people = {1: (1, 1), 2: (1, 2), 3: (2, 1), 4: (3, 1)}
        for path, pid in zip(manifest.paths, manifest.pids.tolist(), strict=True):
            shot = int(path.name.split("_")[2])
            expected = crop_of(cells["detected"][*people[pid], shot], 64, 24)
            assert np.array_equal(load_picture(path, 64, 24), expected), path.name

    def test_jpegs_come_close(self, mat: Path, cells: dict[str, Cells], tmp_path: Path) -> None:
        manifest = convert_cuhk03(mat, tmp_path / "out")
        expected = crop_of(cells["detected"][1, 1, 1], 128, 64).astype(int)
        assert np.abs(load_picture(manifest.paths[0], 128, 64) - expected).mean() < 5

    def test_progress_counts_the_crops(self, mat: Path, tmp_path: Path) -> None:
        seen: list[tuple[int, int]] = []
        convert_cuhk03(mat, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
        assert seen == [(done, 14) for done in range(1, 15)]

    def test_a_stopped_run_leaves_nothing(self, mat: Path, tmp_path: Path) -> None:
        def stop(done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            convert_cuhk03(mat, tmp_path / "out", progress=stop)
        assert not list(tmp_path.iterdir())

    def test_a_folder_with_something_in_it_is_left_alone(self, mat: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(DataError, match="new or empty folder"):
            convert_cuhk03(mat, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class TestFile:
    def test_other_files_are_refused(self, mat: Path, cells: dict[str, Cells], tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cuhk-03\.mat \(MATLAB 7\.3, HDF5\) at .*gone\.mat"):
            convert_cuhk03(tmp_path / "gone.mat", tmp_path / "out")
        with pytest.raises(DataError, match=r"expected a \.mat file at .*gone\.mat, got nothing"):
            convert_cuhk03(mat, tmp_path / "out", split=tmp_path / "gone.mat")
        with pytest.raises(DataError, match=r"HDF5\) at .*split\.mat"):
            convert_cuhk03(save_split(tmp_path / "split.mat"), tmp_path / "out")
        save_mat(tmp_path / "half.mat", {"labeled": cells["labeled"]}, [])
        with pytest.raises(DataError, match=r"cell array 'detected' in .*, got: "):
            convert_cuhk03(tmp_path / "half.mat", tmp_path / "out")
        (tmp_path / "cut.mat").write_bytes(mat.read_bytes()[:3000])
        with pytest.raises(DataError):
            convert_cuhk03(tmp_path / "cut.mat", tmp_path / "out")

    def test_arrays_that_are_no_cells_of_ten_pictures_are_refused(self, tmp_path: Path) -> None:
        for shape in ((9, 2), (10, 2)):
            with h5py.File(tmp_path / "numbers.mat", "w") as file:
                numbers = file.create_dataset("numbers", data=np.zeros(shape))
                file["detected"] = np.array([[numbers.ref]], dtype=h5py.ref_dtype)
            with pytest.raises(DataError, match="cells of identities x 10 pictures in 'detected'"):
                convert_cuhk03(tmp_path / "numbers.mat", tmp_path / "out")

    def test_a_file_of_empty_cells_is_refused(self, tmp_path: Path) -> None:
        mat = save_mat(tmp_path / "cuhk-03.mat", {"detected": {}}, [[(1, 2)]])
        with pytest.raises(DataError, match=r"expected detected pictures of the old protocol in .*, got none"):
            convert_cuhk03(mat, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("pixels", [np.zeros((8, 4, 3)), np.zeros((8, 4, 4), dtype=np.uint8)])
    def test_pictures_of_another_kind_are_refused(self, tmp_path: Path, pixels: Any) -> None:
        mat = save_mat(tmp_path / "cuhk-03.mat", {"detected": {(1, 1, 1): pixels}}, [[(1, 2)]])
        with pytest.raises(DataError, match=r"pictures of \(height, width, 3\) uint8 in .*, got \(8, 4, [34]\)"):
            convert_cuhk03(mat, tmp_path / "out")

    @pytest.mark.parametrize(
        "settings", [{"kind": "drawn"}, {"suffix": "gif"}, {"height": 0}, {"width": -1}], ids=lambda each: str(each)
    )
    def test_impossible_settings_are_refused(self, mat: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
        with pytest.raises(SettingsError, match="a kind among detected, labeled, a suffix among jpg, png"):
            convert_cuhk03(mat, tmp_path / "out", **settings)

    @pytest.mark.parametrize("package", ["h5py", "PIL"])
    def test_a_missing_package_is_named(
        self, mat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(DataError, match=r"got none; install bitreid\[convert\]"):
            convert_cuhk03(mat, tmp_path / "out")


def test_the_command(mat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["convert", "cuhk03", str(mat), str(tmp_path / "out"), "--suffix", "png", "--height", "32", "--width", "16"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"data set: {tmp_path / 'out'} (10 train, 2 query, 2 gallery)\n"
    with Image.open(tmp_path / "out" / "query" / "0002_c1s1_000001_00.png") as picture:
        assert picture.size == (16, 32)
    assert main(words) == 1
    assert "new or empty folder" in capsys.readouterr().err
    split = save_split(tmp_path / "split.mat")
    assert main([*words[:3], str(tmp_path / "new"), "--split", str(split), "--kind", "detected"]) == 0
    assert "(2 train, 2 query, 2 gallery)" in capsys.readouterr().out
    assert main([*words[:3], str(tmp_path / "set"), "--set", "9"]) == 1
    assert "from 1 to 2, got 9" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_byte_is_read_or_refused(mat: Path, tmp_path: Path) -> None:
    whole = mat.read_bytes()
    damaged = tmp_path / "damaged.mat"
    rng = random.Random(0)
    refused = []
    for i in range(60):
        data = bytearray(whole)
        data[rng.randrange(512, 6000)] = rng.randrange(256)
        damaged.write_bytes(data)
        try:
            convert_cuhk03(damaged, tmp_path / f"out{i}")
        except DataError as error:
            refused.append(len(str(error)))
    assert refused
    assert max(refused) < 1000 + len(str(damaged))
