"""Ranked sheets: which hits they show, what they say of them, and how they are drawn."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bitreid.codes import Codes
from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.encoding.files import EncodedSet, side_of
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation.sheets import (
    SheetHit,
    SheetRow,
    details_of,
    draw_ranked_sheet,
    sheet_of_queries,
    sheet_of_search,
)

Pixels = npt.NDArray[np.uint8]
GREEN, RED, GREY = (21, 128, 61), (200, 30, 30), (140, 149, 159)
BLUE, YELLOW = (0, 0, 250), (250, 250, 0)


def picture(path: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (32, 64), colour).save(path)
    return path


@pytest.fixture
def query(tmp_path: Path) -> Path:
    return picture(tmp_path / "query.png", BLUE)


@pytest.fixture
def hit(tmp_path: Path) -> Path:
    return picture(tmp_path / "hit.png", YELLOW)


def sheet_of(rows: list[SheetRow], out: Path, title: str = "Nearest") -> Pixels:
    draw_ranked_sheet(rows, out, title)
    with Image.open(out) as sheet:
        return np.array(sheet.convert("RGB"))


def count(sheet: Pixels, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=2).sum())


def columns(sheet: Pixels, colour: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """The columns of the sheet where a colour is seen."""
    return np.flatnonzero((sheet == colour).all(axis=2).any(axis=0))


def test_the_query_is_left_of_its_hits_in_their_order(tmp_path: Path, query: Path) -> None:
    first, second = picture(tmp_path / "1.png", (250, 0, 250)), picture(tmp_path / "2.png", (0, 250, 250))
    sheet = sheet_of([SheetRow(query, (SheetHit(first, 1), SheetHit(second, 2)))], tmp_path / "sheet.png")
    lefts = [columns(sheet, colour) for colour in (BLUE, (250, 0, 250), (0, 250, 250))]
    assert lefts[0].max() < lefts[1].min() <= lefts[1].max() < lefts[2].min()
    assert count(sheet, BLUE) == count(sheet, (0, 250, 250)) == 96 * 192


@pytest.mark.parametrize(
    ("right", "colour"), [(True, GREEN), (False, RED), (None, GREY)], ids=["right", "wrong", "unknown"]
)
def test_each_hit_has_the_frame_of_what_it_is(
    tmp_path: Path, query: Path, hit: Path, right: bool | None, colour: tuple[int, int, int]
) -> None:
    sheet = sheet_of([SheetRow(query, (SheetHit(hit, 1, right),))], tmp_path / "sheet.png")
    for each in (GREEN, RED, GREY):
        assert (count(sheet, each) > 1500) == (each == colour)
    # A mark that does not rest on colour covers a corner of a hit whose identity is known, and of no other.
    assert (count(sheet, YELLOW) < 96 * 192) == (right is not None)


def test_ticks_and_crosses_differ_in_shape(tmp_path: Path, query: Path, hit: Path) -> None:
    marks = []
    for right, colour in ((True, GREEN), (False, RED)):
        sheet = sheet_of([SheetRow(query, (SheetHit(hit, 1, right),))], tmp_path / "sheet.png")
        below_legend = sheet[116:]
        corner = columns(below_legend, colour).max() + 1
        marks.append((below_legend[:22, corner - 22 : corner] == 255).all(axis=2))
    tick, cross = marks
    assert 20 < tick.sum() < 200
    assert 20 < cross.sum() < 200
    assert (tick != cross).sum() > 20


def test_rows_and_hits_make_the_sheet_larger(tmp_path: Path, query: Path, hit: Path) -> None:
    out = tmp_path / "sheet.png"
    small = sheet_of([SheetRow(query, (SheetHit(hit, 1),) * 5)], out)
    tall = sheet_of([SheetRow(query, (SheetHit(hit, 1),) * 5), SheetRow(query, ())], out)
    wide = sheet_of([SheetRow(query, (SheetHit(hit, 1),) * 10)], out)
    assert tall.shape[0] > small.shape[0] + 192
    assert wide.shape[1] > small.shape[1] + 5 * 96
    assert count(tall, BLUE) == 2 * 96 * 192


def test_a_long_title_widens_the_sheet(tmp_path: Path, query: Path) -> None:
    short = sheet_of([SheetRow(query, ())], tmp_path / "sheet.png")
    long = sheet_of([SheetRow(query, ())], tmp_path / "sheet.png", "Nearest " * 20)
    assert long.shape[1] > short.shape[1]
    assert (long[:, -28:] == 255).all()


def test_ranks_and_distances_are_written(tmp_path: Path, query: Path, hit: Path) -> None:
    near, far = (
        sheet_of([SheetRow(query, (SheetHit(hit, distance),))], tmp_path / "sheet.png") for distance in (1, 2048)
    )
    assert near.shape == far.shape
    changed = np.flatnonzero((near != far).any(axis=(1, 2)))
    assert changed.size
    assert changed.min() > 116 + 192


def test_a_sheet_appears_as_a_whole_in_a_new_folder(
    tmp_path: Path, query: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "sheet.JPG"
    draw_ranked_sheet([SheetRow(query, ())], out, "Nearest")
    with Image.open(out) as picture:
        assert picture.format == "JPEG"
    before = out.read_bytes()

    def stop(_: Image.Image, file: Path, kind: str) -> None:
        file.write_bytes(kind.encode())
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        draw_ranked_sheet([SheetRow(query, ())], out, "Nearest")
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, query: Path, hit: Path) -> None:
    rows = [SheetRow(query, (SheetHit(hit, 1),))]
    with pytest.raises(SettingsError, match="at least one query"):
        draw_ranked_sheet([], tmp_path / "sheet.png", "Nearest")
    with pytest.raises(SettingsError, match=r"end in .png or .jpg, got 'sheet.txt'"):
        draw_ranked_sheet(rows, tmp_path / "sheet.txt", "Nearest")
    with pytest.raises(DataError, match="expected to write the sheet"):
        draw_ranked_sheet(rows, query / "sheet.png", "Nearest")
    with pytest.raises(DataError, match=r"gone\.png"):
        draw_ranked_sheet([SheetRow(tmp_path / "gone.png", ())], tmp_path / "sheet.png", "Nearest")


def encoded(folder: Path, people: list[tuple[int, int, int]]) -> EncodedSet:
    """Pictures of (pid, camid, byte of the code)."""
    paths = []
    for i, _ in enumerate(people):
        paths.append(folder / f"{i}.png")
        Image.new("RGB", (8, 16), (20 * i, 0, 0)).save(paths[-1])
    pids, camids, codes = (np.array(column) for column in zip(*people, strict=True))
    return EncodedSet(tuple(paths), Codes(codes.astype(np.uint8)[:, None], 8), None, None, pids, camids, "model")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[SheetRow]:
    """The rows of the sheets that were drawn, and still are."""
    rows: list[SheetRow] = []

    def draw_and_keep(given: list[SheetRow], out: Path, title: str) -> None:
        rows.extend(given)
        draw_ranked_sheet(given, out, title)

    monkeypatch.setattr("bitreid.evaluation.sheets.draw_ranked_sheet", draw_and_keep)
    return rows


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_sheet_leaves_out_and_judges_as_the_evaluation_does(tmp_path: Path, drawn: list[SheetRow]) -> None:
    query = encoded(folder(tmp_path / "query"), [(7, 1, 0b0)])
    gallery = encoded(
        folder(tmp_path / "gallery"),
        [
            (7, 2, 0b111),  # right
            (7, 1, 0b0),  # the query's own camera
            (JUNK, 2, 0b0),
            (UNKNOWN, 2, 0b0),
            (DISTRACTOR, 2, 0b1),
            (8, 1, 0b11),  # wrong
        ],
    )
    sheet_of_queries(side_of(query), side_of(gallery), tmp_path / "sheet.png", "Title")
    (row,) = drawn
    assert row.query == query.paths[0]
    assert row.label == "0007, camera 1"
    shown = [(hit.path, hit.distance, hit.right) for hit in row.hits]
    assert shown == [(gallery.paths[4], 1, False), (gallery.paths[5], 2, False), (gallery.paths[0], 3, True)]
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels: npt.NDArray[np.uint8] = np.array(sheet)
    assert pixels.std() > 10


@pytest.mark.parametrize(("n_queries", "shown"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 4, 8])])
def test_the_queries_are_spread_over_all(
    n_queries: int, shown: list[int], tmp_path: Path, drawn: list[SheetRow]
) -> None:
    query = encoded(folder(tmp_path / "query"), [(i + 1, 1, i) for i in range(n_queries)])
    gallery = encoded(folder(tmp_path / "gallery"), [(1, 2, 0), (2, 2, 1), (3, 2, 2)])
    sheet_of_queries(side_of(query), side_of(gallery), tmp_path / "sheet.png", "Title", n_rows=3, k=2)
    assert [row.query.stem for row in drawn] == [str(i) for i in shown]
    assert all(len(row.hits) == 2 for row in drawn)


def test_a_query_with_nothing_to_find_has_an_empty_row(tmp_path: Path, drawn: list[SheetRow]) -> None:
    query = encoded(folder(tmp_path / "query"), [(7, 1, 0)])
    gallery = encoded(folder(tmp_path / "gallery"), [(JUNK, 1, 0), (7, 1, 3)])
    sheet_of_queries(side_of(query), side_of(gallery), tmp_path / "sheet.png", "Title")
    assert drawn[0].hits == ()
    assert (tmp_path / "sheet.png").is_file()


def test_features_are_ranked_by_cosine_distance(tmp_path: Path, drawn: list[SheetRow]) -> None:
    query = side_of(encoded(folder(tmp_path / "query"), [(7, 1, 0)]))
    gallery = side_of(encoded(folder(tmp_path / "gallery"), [(8, 2, 0), (7, 2, 0), (7, 1, 0)]))
    query = replace(query, codes=None, features=np.array([[1, 0]], np.float32))
    gallery = replace(gallery, codes=None, features=np.array([[0, 2], [3, 4], [1, 0]], np.float32))
    sheet_of_queries(query, gallery, tmp_path / "sheet.png", "Title")
    (row,) = drawn
    assert [hit.right for hit in row.hits] == [True, False]
    assert [hit.distance for hit in row.hits] == pytest.approx([0.4, 1.0])


def test_cameras_and_times_stand_under_pictures(query: Path, hit: Path, tmp_path: Path) -> None:
    assert details_of(None, None) == ()
    assert details_of(3, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == ("camera 3", "2026-01-02", "03:04:05")
    assert details_of(3, None, "entrance") == ("camera 3 entrance",)
    plain = sheet_of([SheetRow(query, (SheetHit(hit, 1),) * 2)], tmp_path / "sheet.png")
    detailed = sheet_of(
        [SheetRow(query, (SheetHit(hit, 1), SheetHit(hit, 1, None, ("camera 3",))))], tmp_path / "b.png"
    )
    height = plain.shape[0]
    assert detailed.shape[0] > height
    margin = 28
    assert np.array_equal(detailed[: height - margin], plain[: height - margin]), "all else stays"
    assert (detailed[height - margin : -margin] < 128).any(), "words"


def test_a_sheet_needs_pictures(tmp_path: Path) -> None:
    side = replace(side_of(encoded(folder(tmp_path / "query"), [(7, 1, 0)])), paths=())
    with pytest.raises(DataError, match="expected to know the pictures' files"):
        sheet_of_queries(side, side, tmp_path / "sheet.png", "Title")


def test_a_search_is_not_judged(tmp_path: Path, drawn: list[SheetRow]) -> None:
    query = encoded(folder(tmp_path / "query"), [(7, 1, 0), (7, 1, 1)])
    gallery = encoded(folder(tmp_path / "gallery"), [(7, 1, 3), (8, 1, 0)])
    hits = [SheetHit(gallery.paths[1], 0.0), SheetHit(gallery.paths[0], 2.0)]
    sheet_of_search(query.paths, hits, tmp_path / "sheet.png")
    sheet_of_search(query.paths[:1], hits, tmp_path / "sheet.png")
    assert [row.label for row in drawn] == ["query, 2 pictures", "query"]
    for row in drawn:
        assert [(hit.path, hit.distance, hit.right) for hit in row.hits] == [
            (gallery.paths[1], 0, None),
            (gallery.paths[0], 2, None),
        ]
