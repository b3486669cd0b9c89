"""Ranked sheets: pictures that show queries and what was found for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bitreid.arrays import Bools, Ints, Numbers
from bitreid.codes import Codes
from bitreid.data.files import new_file
from bitreid.data.manifest import UNKNOWN
from bitreid.data.pictures import load_picture
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import rerank
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.side import Side, labels_of
from bitreid.hamming import search_exact

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# All sizes are in pixels.
_WIDTH, _HEIGHT = 96, 192  # of each picture
_FRAME = 6
_GAP = 16
_QUERY_GAP = 44  # the query stands apart from its hits
_MARGIN = 28
_TITLE, _LEGEND = 42, 46  # the lines on top
_CAPTION = 30  # the line under a picture
_DETAIL = 18  # each further line
_TITLE_SIZE, _TEXT_SIZE, _DETAIL_SIZE = 24, 16, 14
_BADGE = 22
_COLUMN = _WIDTH + 2 * _FRAME
_ROW = _HEIGHT + 2 * _FRAME + _CAPTION + _GAP

_PAPER, _INK = "#ffffff", "#1b1f24"
_FRAMES = {True: "#15803d", False: "#c81e1e", None: "#8c959f"}
_MEANINGS = {True: "same person", False: "another person", None: "not known if the same person"}
_NOTE = "under each: #rank, distance"
NEAREST = "Nearest in the gallery, distance in bits"
"""The title of a sheet of searches, in which nobody knows what is right."""


@dataclass(frozen=True)
class SheetHit:
    """A picture that was found: its file, its distance, whether it is right (None: not known), and what else is known
    of it, a line each."""

    path: Path
    distance: float
    right: bool | None = None
    details: tuple[str, ...] = ()


def details_of(camera: int | None, time: datetime | None, name: str | None = None) -> tuple[str, ...]:
    """Return the lines under a picture: its camera, by number and name, its day and its time, as far as known."""
    day = () if time is None else (f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}")
    return (*(() if camera is None else (f"camera {camera} {name or ''}".rstrip(),)), *day)


@dataclass(frozen=True)
class SheetRow:
    """A query picture, the words under it, and its hits, nearest first."""

    query: Path
    hits: tuple[SheetHit, ...]
    label: str = "query"


def sheet_of_queries(
    query: Side, gallery: Side, out: Path, title: str, n_rows: int = 8, k: int = 10, *, cameras: bool = True
) -> None:
    """Write a sheet of `n_rows` queries, evenly spread over all of them, each with its `k` nearest gallery pictures.

    Pictures are left out and judged as in the evaluation (see `Protocol`); `cameras` says whether its settings look at
    cameras. `DataError` if the pictures' files are not known.
    """
    if not query.paths or not gallery.paths:
        raise DataError("expected to know the pictures' files for a ranked sheet, got none; write one without a sheet")
    protocol = labels_of(query, gallery, cameras)
    rows = []
    for i in np.unique(np.linspace(0, len(query) - 1, n_rows).astype(np.int64)):
        found = zip(*nearest_of_query(query, gallery, protocol, i, k), strict=True)
        hits = tuple(
            SheetHit(gallery.paths[row], float(distance), bool(right), details_of(_camera_of(gallery, row), None))
            for row, distance, right in found
        )
        camera = f", camera {query.camids[i]}" if query.camids[i] != UNKNOWN else ""
        rows.append(SheetRow(query.paths[i], hits, f"{query.pids[i]:04d}{camera}"))
    draw_ranked_sheet(rows, out, title)


def _camera_of(side: Side, row: int) -> int | None:
    return None if side.camids[row] == UNKNOWN else int(side.camids[row])


def nearest_of_query(query: Side, gallery: Side, protocol: Protocol, i: int, k: int) -> tuple[Ints, Numbers, Bools]:
    """Return the `k` nearest gallery rows of query `i` that the protocol keeps, their distances, and which are right.

    Distances are bits, of features cosine distances.
    """
    match, left_out = (mask[0] for mask in protocol.masks(slice(i, i + 1)))
    keep = np.flatnonzero(~left_out)
    one, others = query.main[i : i + 1], gallery.main[keep]
    distances: Numbers
    if isinstance(one, Codes) and isinstance(others, Codes):
        ranking = search_exact(one, others, k)
        found, distances = ranking.positions, ranking.distances
    else:
        found = rerank.nearest_rows(one, others, k)
        distances = rerank.short_list_distances(one, others, found)
    rows = keep[found[0]]
    return rows, distances[0], match[rows]


def sheet_of_search(pictures: Sequence[Path], hits: Sequence[SheetHit], out: Path) -> None:
    """Write a sheet of one search: its first picture, and its hits, none judged right or wrong."""
    label = "query" if len(pictures) == 1 else f"query, {len(pictures)} pictures"
    draw_ranked_sheet([SheetRow(pictures[0], tuple(hits), label)], out, NEAREST)


def draw_ranked_sheet(rows: Sequence[SheetRow], out: Path, title: str) -> None:
    """Write a picture with a row for each query: the query, then all its hits. The suffix of `out` chooses the format.

    Right hits have a green frame and a tick, wrong ones a red frame and a cross, so that nothing rests on colour
    alone; hits of unknown identity have a grey frame and no mark. Under each hit are its rank, its distance and its
    details.
    Pictures are stretched to one size, as networks see them. Raises `SettingsError` without rows or for a suffix that
    is not a picture's (.png, .jpg), `DataError` if a picture cannot be read or the sheet cannot be written.
    """
    from PIL import Image

    if not rows:
        raise SettingsError("expected at least one query to draw a sheet of, got none")
    kind = Image.registered_extensions().get(out.suffix.lower())
    if kind not in Image.SAVE:
        raise SettingsError(f"expected the sheet's name to end in .png or .jpg, got {out.name!r}")
    meanings = [right for right in _FRAMES if any(hit.right is right for row in rows for hit in row.hits)]
    height = _ROW + _DETAIL * max((len(hit.details) for row in rows for hit in row.hits), default=0)
    sheet = Image.new("RGB", _size(rows, meanings, title, height), _PAPER)
    _draw_head(sheet, title, meanings)
    for i, row in enumerate(rows):
        top = _MARGIN + _TITLE + _LEGEND + i * height
        _draw_picture(sheet, row.query, (_MARGIN, top), _INK, row.label)
        for rank, hit in enumerate(row.hits, 1):
            at = (_MARGIN + _COLUMN + _QUERY_GAP + (rank - 1) * (_COLUMN + _GAP), top)
            _draw_picture(sheet, hit.path, at, _FRAMES[hit.right], f"#{rank}   {hit.distance:.4g}", hit.details)
            if hit.right is not None:
                _draw_badge(sheet, (at[0] + _COLUMN - _BADGE, at[1]), hit.right)
    try:
        with new_file(out) as unfinished:
            sheet.save(unfinished, kind)
    except OSError as error:
        raise DataError(f"expected to write the sheet to {out}, got: {error}") from error


def _size(rows: Sequence[SheetRow], meanings: list[bool | None], title: str, height: int) -> tuple[int, int]:
    """Return the width and height of a sheet whose rows have this height."""
    n_hits = max(len(row.hits) for row in rows)
    pictures = _COLUMN + (_QUERY_GAP - _GAP if n_hits else 0) + n_hits * (_COLUMN + _GAP)
    words = _legend_lefts(meanings)[-1] - _MARGIN + _font(_TEXT_SIZE).getlength(_NOTE)
    width = max(pictures, words, _font(_TITLE_SIZE).getlength(title))
    return 2 * _MARGIN + int(width), 2 * _MARGIN + _TITLE + _LEGEND + len(rows) * height - _GAP


def _draw_head(sheet: Image.Image, title: str, meanings: list[bool | None]) -> None:
    """Draw the title, and a line that says what the frames and the numbers mean."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=_font(_TITLE_SIZE))
    middle = _MARGIN + _TITLE + _BADGE // 2
    *lefts, left_of_note = _legend_lefts(meanings)
    for left, right in zip(lefts, meanings, strict=True):
        _draw_badge(sheet, (left, middle - _BADGE // 2), right)
        draw.text((left + _BADGE + 8, middle), _MEANINGS[right], fill=_INK, font=_font(_TEXT_SIZE), anchor="lm")
    draw.text((left_of_note, middle), _NOTE, fill=_INK, font=_font(_TEXT_SIZE), anchor="lm")


def _legend_lefts(meanings: list[bool | None]) -> list[int]:
    """Return where each meaning begins in the legend, and, last, where the note does."""
    lefts = [_MARGIN]
    for right in meanings:
        lefts.append(lefts[-1] + _BADGE + 8 + int(_font(_TEXT_SIZE).getlength(_MEANINGS[right])) + 28)
    return lefts


def _draw_picture(
    sheet: Image.Image, path: Path, at: tuple[int, int], frame: str, caption: str, details: Sequence[str] = ()
) -> None:
    """Draw a framed picture whose upper left corner, frame included, is `at`, with lines of words under it."""
    from PIL import Image, ImageDraw

    left, top = at
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left, top, left + _COLUMN - 1, top + _HEIGHT + 2 * _FRAME - 1), fill=frame)
    sheet.paste(Image.fromarray(load_picture(path, _HEIGHT, _WIDTH)), (left + _FRAME, top + _FRAME))
    centre, bottom = left + _COLUMN // 2, top + _HEIGHT + 2 * _FRAME
    draw.text((centre, bottom + _CAPTION // 2), caption, fill=_INK, font=_font(_TEXT_SIZE), anchor="mm")
    for i, detail in enumerate(details):
        middle = bottom + _CAPTION + i * _DETAIL + _DETAIL // 2
        draw.text((centre, middle), detail, fill=_INK, font=_font(_DETAIL_SIZE), anchor="mm")


def _draw_badge(sheet: Image.Image, at: tuple[int, int], right: bool | None) -> None:
    """Draw a square in the frame's colour with a tick, a cross or nothing in it; its upper left corner is `at`."""
    from PIL import ImageDraw

    left, top = at
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left, top, left + _BADGE - 1, top + _BADGE - 1), fill=_FRAMES[right])
    strokes: dict[bool | None, list[list[tuple[float, float]]]] = {
        True: [[(0.22, 0.52), (0.42, 0.72), (0.78, 0.28)]],
        False: [[(0.26, 0.26), (0.74, 0.74)], [(0.74, 0.26), (0.26, 0.74)]],
        None: [],
    }
    for stroke in strokes[right]:
        draw.line([(left + x * _BADGE, top + y * _BADGE) for x, y in stroke], fill=_PAPER, width=3, joint="curve")


def _font(size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size)
