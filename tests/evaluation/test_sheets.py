"""Which hits a ranked sheet shows, and what it says of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bitreid.codes import Codes
from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.encoding.files import EncodedSet, side_of
from bitreid.errors import DataError
from bitreid.evaluation.sheet import SheetRow, draw_ranked_sheet
from bitreid.evaluation.sheets import sheet_of_queries, sheet_of_search
from bitreid.hamming import search_exact


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


def test_a_sheet_needs_pictures(tmp_path: Path) -> None:
    side = replace(side_of(encoded(folder(tmp_path / "query"), [(7, 1, 0)])), paths=())
    with pytest.raises(DataError, match="expected to know the pictures' files"):
        sheet_of_queries(side, side, tmp_path / "sheet.png", "Title")


def test_a_search_is_not_judged(tmp_path: Path, drawn: list[SheetRow]) -> None:
    query = encoded(folder(tmp_path / "query"), [(7, 1, 0), (7, 1, 1)])
    gallery = encoded(folder(tmp_path / "gallery"), [(7, 1, 3), (8, 1, 0)])
    ranking = search_exact(query.codes[:1], gallery.codes, 5)
    sheet_of_search(query.paths, gallery.paths, ranking, tmp_path / "sheet.png")
    sheet_of_search(query.paths[:1], gallery.paths, ranking, tmp_path / "sheet.png")
    assert [row.label for row in drawn] == ["query, 2 pictures", "query"]
    for row in drawn:
        assert [(hit.path, hit.distance, hit.right) for hit in row.hits] == [
            (gallery.paths[1], 0, None),
            (gallery.paths[0], 2, None),
        ]
