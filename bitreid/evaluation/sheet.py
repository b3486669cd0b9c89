"""Ranked sheets: queries and what was found for them, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bitreid.data.pictures import load_picture
from bitreid.errors import DataError, SettingsError

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

    Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
    Draw = ImageDraw.ImageDraw

# All sizes are in pixels.
_WIDTH, _HEIGHT = 96, 192  # of each picture
_FRAME = 6
_GAP = 16
_MARGIN = 28
_CAPTION = 30  # the line under a picture
_QUERY_GAP = 40  # the query stands apart from its hits
_COLUMN = _WIDTH + 2 * _FRAME
_ROW = _HEIGHT + 2 * _FRAME + _CAPTION + _GAP
_TITLE, _LEGEND = 44, 44  # the lines on top
_BADGE = 24

_PAPER, _INK, _FAINT = "#ffffff", "#1b1f24", "#57606a"
_FRAMES = {True: "#15803d", False: "#c81e1e", None: "#8c959f"}
_MEANINGS = {True: "same person", False: "another person", None: "identity unknown"}


@dataclass(frozen=True)
class SheetHit:
    """A picture that was found: its file, its distance, and whether it is right (None: nobody knows)."""

    path: Path
    distance: float
    right: bool | None = None


@dataclass(frozen=True)
class SheetRow:
    """A query picture, the words under it, and its hits, nearest first."""

    query: Path
    hits: tuple[SheetHit, ...]
    label: str = "query"


def draw_ranked_sheet(rows: Sequence[SheetRow], out: Path, title: str) -> None:
    """Write a picture (its kind by the name of `out`: .png, .jpg) with a row a query: the query, then all its hits.

    Right hits have a green frame and a tick, wrong ones a red frame and a cross, so that nothing rests on colour
    alone; hits of unknown identity have a grey frame and no mark. Under each hit are its rank and its distance.
    Pictures are stretched to one size, as networks see them. Raises `SettingsError` without rows or when the name of
    `out` is no picture's, `DataError` when a picture cannot be read or the sheet cannot be written.
    """
    if not rows:
        raise SettingsError("expected at least one query to draw a sheet of, got none")
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise DataError("expected Pillow to draw a sheet, got none; install bitreid[pictures]") from error
    sheet = Image.new("RGB", _size(rows, title), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=_font(_TITLE_SIZE))
    _draw_legend(draw, _meanings(rows))
    for i, row in enumerate(rows):
        top = _MARGIN + _HEAD + i * _ROW
        _draw_picture(draw, row.query, _MARGIN, top, None, row.label)
        for rank, hit in enumerate(row.hits, 1):
            left = _MARGIN + _COLUMN + _QUERY_GAP + (rank - 1) * (_COLUMN + _GAP)
            _draw_hit(draw, hit, rank, left, top)
    try:
        sheet.save(out)
