"""Decoding: sizes, colours, damaged files, and the store."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bitreid.data import pictures
from bitreid.data.pictures import (
    PictureStore,
    check_pictures,
    load_picture,
    load_pictures,
    read_pictures,
    same_pictures,
)
from bitreid.errors import DataError, DataWarning, SettingsError
from tests.data.kinds import KINDS
from tests.reference.resize import resize_bilinear


def noise(seed: int, height: int = 16, width: int = 8) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for i, path in enumerate(paths):
        Image.fromarray(noise(i)).save(path)
    return paths


@pytest.fixture
def bad_files(tmp_path: Path) -> list[Path]:
    """One missing, one empty, one truncated, one that is text."""
    whole = tmp_path / "whole.jpg"
    Image.fromarray(noise(9, 64, 64)).save(whole)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "truncated.jpg").write_bytes(whole.read_bytes()[:-900])
    (tmp_path / "text.jpg").write_text("hello")
    return [tmp_path / f"{name}.jpg" for name in ("missing", "empty", "truncated", "text")]


class TestLoadPicture:
    def test_a_picture_of_the_right_size_is_unchanged(self, files: list[Path]) -> None:
        loaded = load_picture(files[3], 16, 8)
        assert loaded.dtype == np.uint8
        assert np.array_equal(loaded, noise(3))
        assert loaded.flags.writeable

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
    def test_resizing_agrees_with_the_textbook(
        self, tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int
    ) -> None:
        picture = noise(seed, 13, 17)
        path = tmp_path_factory.mktemp("resize") / "a.png"
        Image.fromarray(picture).save(path)
        loaded = load_picture(path, height, width)
        assert loaded.shape == (height, width, 3)
        # Pillow rounds twice, to whole pixels across and then down: up to a half each time.
        assert np.abs(loaded - resize_bilinear(picture, height, width)).max() < 1.001

    def test_bad_files_are_named(self, bad_files: list[Path]) -> None:
        for path in bad_files:
            with pytest.raises(DataError, match=f"expected a readable picture at .*{path.name}, got: ."):
                load_picture(path, 4, 4)

    @pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
    @given(data=st.data())
    def test_damage_gives_a_picture_or_a_data_error(
        self, tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.mktemp("damage") / f"a.{suffix}"
        Image.fromarray(noise(1)).save(path)
        content = bytearray(path.read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        message = str(path)
        try:
            loaded = load_picture(path, 4, 4)
        except DataError as error:
            message = str(error)
        else:
            assert loaded.shape == (4, 4, 3)
        assert str(path) in message

    @pytest.mark.parametrize(("height", "width"), [(0, 4), (4, 0), (-1, 4)])
    def test_impossible_sizes_are_refused(self, files: list[Path], height: int, width: int) -> None:
        with pytest.raises(SettingsError, match=f"1 x 1 pixels, got {height} x {width}"):
            load_picture(files[0], height, width)
        with pytest.raises(SettingsError, match=f"1 x 1 pixels, got {height} x {width}"):
            load_pictures(files, height, width)


class TestLoadPictures:
    def test_order_is_kept_and_progress_counts(self, files: list[Path]) -> None:
        seen: list[tuple[int, int]] = []
        loaded = load_pictures(files, 16, 8, lambda done, total: seen.append((done, total)))
        assert np.array_equal(loaded, np.stack([noise(i) for i in range(6)]))
        assert seen == [(done, 6) for done in range(1, 7)]

    def test_no_pictures_give_an_empty_array(self) -> None:
        assert load_pictures([], 4, 2).shape == (0, 4, 2, 3)

    def test_one_bad_file_gives_its_own_error(self, files: list[Path], bad_files: list[Path]) -> None:
        with pytest.raises(DataError, match=r"^expected a readable picture at .*truncated\.jpg"):
            load_pictures([*files, bad_files[2]], 4, 4)

    def test_all_bad_files_are_counted_and_the_first_named(
        self, files: list[Path], bad_files: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pictures, "NAMED_FILES", 2)
        for attempt in (lambda paths: load_pictures(paths, 4, 4), check_pictures):
            with pytest.raises(DataError, match=r"expected 10 readable pictures, got 4 bad ones") as caught:
                attempt([*files, *bad_files])
            assert "missing.jpg" in str(caught.value)
            assert "empty.jpg" in str(caught.value)
            assert "truncated.jpg" not in str(caught.value)

    def test_check_pictures_accepts_good_ones(self, files: list[Path]) -> None:
        seen: list[int] = []
        check_pictures(files, lambda done, total: seen.append(done))
        assert seen == [1, 2, 3, 4, 5, 6]


class TestReadPictures:
    def test_bad_pictures_are_left_out_and_told(self, files: list[Path], bad_files: list[Path]) -> None:
        paths = [bad_files[0], *files[:2], bad_files[2], files[2]]
        loaded, rows, findings = read_pictures(paths, 16, 8)
        assert rows.tolist() == [1, 2, 4]
        assert np.array_equal(loaded, np.stack([noise(i) for i in range(3)]))
        assert [error.path for error in findings.bad] == [bad_files[0], bad_files[2]]
        assert findings.bad[0].reason == "no such file or directory"
        assert findings.odd == []

    def test_only_bad_pictures_are_no_pictures(self, bad_files: list[Path]) -> None:
        loaded, rows, findings = read_pictures(bad_files, 4, 2)
        assert (loaded.shape, len(rows), len(findings.bad)) == ((0, 4, 2, 3), 0, 4)

    def test_odd_pictures_are_counted_in_one_warning(self, files: list[Path], tmp_path: Path) -> None:
        odd = [tmp_path / "dot.png", tmp_path / "line.png"]
        Image.fromarray(noise(0, 1, 1)).save(odd[0])
        Image.fromarray(noise(0, 100, 5)).save(odd[1])
        assert [each.path for each in read_pictures([files[0], *odd], 4, 4)[2].odd] == odd
        expected = r"^2 pictures hardly show a person, .*; first: .*dot\.png \(1 x 1 pixels\)$"
        for work in (lambda paths: load_pictures(paths, 4, 4), check_pictures):
            with pytest.warns(DataWarning, match=expected) as caught:
                work([files[0], *odd])
            assert len(caught) == 1

    def test_a_store_on_demand_tells_of_odd_pictures_once(self, tmp_path: Path) -> None:
        Image.fromarray(noise(0, 1, 1)).save(tmp_path / "dot.png")
        with pytest.warns(DataWarning, match="1 pictures hardly show"):
            store = PictureStore([tmp_path / "dot.png"], 4, 4, 0)
        assert store[np.array([0, 0])].shape == (2, 4, 4, 3)


class TestSamePictures:
    def test_the_same_pixels_in_another_file_are_found(self, files: list[Path], tmp_path: Path) -> None:
        copy, other_format, with_text = (tmp_path / name for name in ("copy.png", "b.bmp", "text.png"))
        copy.write_bytes(files[0].read_bytes())
        text = PngInfo()
        text.add_text("Comment", "saved again")
        with Image.open(files[1]) as picture:
            picture.save(other_format)
            picture.save(with_text, pnginfo=text)
        gallery = [files[3], with_text, copy, files[2], other_format]
        seen: list[tuple[int, int]] = []
        pairs = same_pictures(files[:3], gallery, lambda done, total: seen.append((done, total)))
        assert pairs.dtype == np.int64
        assert pairs.tolist() == [[0, 2], [1, 1], [1, 4], [2, 3]]
        assert seen == [(done, 7) for done in range(1, 8)], "the picture on both sides is decoded once"

    def test_grey_and_colour_files_of_the_same_picture_are_the_same(self, tmp_path: Path) -> None:
        grey = Image.fromarray(noise(0)).convert("L")
        grey.save(tmp_path / "grey.png")
        grey.convert("RGB").save(tmp_path / "rgb.png")
        assert same_pictures([tmp_path / "grey.png"], [tmp_path / "rgb.png"]).tolist() == [[0, 0]]

    def test_pictures_that_only_come_close_differ(self, tmp_path: Path) -> None:
        pixels = np.zeros((6, 4, 3), dtype=np.uint8)
        changed = pixels.copy()
        changed[5, 3, 2] = 1
        others = [changed, pixels.reshape(4, 6, 3), pixels[:5]]
        paths = [tmp_path / f"{i}.png" for i in range(4)]
        for path, each in zip(paths, [pixels, *others], strict=True):
            Image.fromarray(each).save(path)
        assert same_pictures(paths[:1], paths[1:]).shape == (0, 2)

    def test_empty_sides_have_no_pairs(self, files: list[Path]) -> None:
        for query, gallery in (([], files), (files, []), ([], [])):
            assert same_pictures(query, gallery).shape == (0, 2)

    def test_bad_files_are_counted(self, files: list[Path], bad_files: list[Path]) -> None:
        with pytest.raises(DataError, match="expected 10 readable pictures, got 4 bad ones"):
            same_pictures(files, bad_files)

    def test_turned_and_cut_out_twins_are_the_same(self, tmp_path: Path) -> None:
        """What a picture shows counts, not how it is stored."""
        words = ("PNG", "PNG, EXIF orientation 6", "PNG, transparent", "PNG, transparent, other pixels below")
        paths = [tmp_path / f"{i}.png" for i in range(4)]
        kinds = {kind.words: kind for kind in KINDS}
        for path, each in zip(paths, words, strict=True):
            kinds[each].write(path)
        assert same_pictures(paths, paths).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [2, 3], [3, 2], [3, 3]]

    @given(st.lists(st.integers(0, 3), max_size=5), st.lists(st.integers(0, 3), max_size=5))
    def test_all_pairs_are_what_comparing_each_with_each_finds(
        self, tmp_path_factory: pytest.TempPathFactory, query: list[int], gallery: list[int]
    ) -> None:
        folder = tmp_path_factory.mktemp("same")
        for side, seeds in (("q", query), ("g", gallery)):
            for i, seed in enumerate(seeds):
                Image.fromarray(noise(seed, 3, 2)).save(folder / f"{side}{i}.{'png' if i % 2 else 'bmp'}")
        expected = [[i, j] for i, one in enumerate(query) for j, other in enumerate(gallery) if one == other]
        assert same_pictures(sorted(folder.glob("q*")), sorted(folder.glob("g*"))).tolist() == expected


class TestPictureStore:
    @pytest.mark.parametrize(("memory_bytes", "in_memory"), [(6 * 16 * 8 * 3, True), (6 * 16 * 8 * 3 - 1, False)])
    def test_rows_are_the_same_in_memory_and_on_demand(
        self, files: list[Path], memory_bytes: int, in_memory: bool
    ) -> None:
        store = PictureStore(files, 16, 8, memory_bytes)
        assert store.in_memory is in_memory
        assert len(store) == 6
        assert np.array_equal(store[np.array([4, 0, 4])], np.stack([noise(4), noise(0), noise(4)]))
        assert store[np.array([], dtype=np.int64)].shape == (0, 16, 8, 3)

    def test_a_batch_is_a_copy(self, files: list[Path]) -> None:
        store = PictureStore(files, 16, 8)
        store[np.array([0])][:] = 0
        assert np.array_equal(store[np.array([0])][0], noise(0))

    @pytest.mark.parametrize("memory_bytes", [0, 10**9])
    def test_bad_files_are_found_when_the_store_is_made(self, bad_files: list[Path], memory_bytes: int) -> None:
        with pytest.raises(DataError, match="got 4 bad ones"):
            PictureStore(bad_files, 4, 4, memory_bytes)
