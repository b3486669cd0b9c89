"""Placing a chart on the page: shapes and words with coordinates, which the template writes as SVG.

A chart is laid out twice, for wide and for narrow pages, because a drawing that is scaled down is too small to read.
Coordinates are pixels from the upper left corner.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bitreid.evaluation.report.charts import Axis, Chart, Point, Series

_CHARACTER = 7.3  # an average one's width at the font size of the style sheet, 13 pixels; the page clips nothing
_BOLD = 8.2  # the same in the labels of series
_LINE = 16  # from one line of words to the next
_SAMPLE = 22  # the bit of line before a label
_ROW_OF_MARK = 20
_NEAR = 0.7  # points nearer than this to the one before are not drawn


@dataclass(frozen=True)
class Canvas:
    """The size of a drawing, and the most characters in a line of a label beside it."""

    name: str
    width: int
    height: int
    label_characters: int


WIDE = Canvas("wide", 880, 400, 24)
NARROW = Canvas("narrow", 360, 320, 10)


@dataclass(frozen=True)
class Words:
    """Lines of text; `(x, y)` is the baseline of the first, `anchor` SVG's, `style` a class of the style sheet."""

    x: float
    y: float
    lines: tuple[str, ...]
    anchor: str = "start"
    style: str = ""


@dataclass(frozen=True)
class Shape:
    """The data of an SVG path, and its classes."""

    path: str
    style: str


@dataclass(frozen=True)
class Plot:
    """A chart on a canvas: the frame of the drawing, the y of the grid's lines, the x of the ticks, and what is drawn,
    the last on top."""

    canvas: Canvas
    left: float
    right: float
    top: float
    bottom: float
    grid: tuple[float, ...]
    ticks: tuple[float, ...]
    shapes: tuple[Shape, ...]
    words: tuple[Words, ...]

    def at(self, chart: Chart, point: Point) -> Point:
        """Return the place on the canvas of a point of the chart's data."""
        return (
            self.left + chart.x.share(point[0]) * (self.right - self.left),
            self.bottom - chart.y.share(point[1]) * (self.bottom - self.top),
        )


def lay_out(chart: Chart, canvas: Canvas) -> Plot:
    """Return the chart on the canvas."""
    frame = _frame(chart, canvas)
    drawn = [(series, [frame.at(chart, point) for point in series.points]) for series in chart.series]
    shapes = [shape for series, points in drawn for shape in _shapes(series, points, frame.bottom)]
    ends = [(series, points) for series, points in drawn if points and series.label and series.kind != "area"]
    peaks = [(series, points) for series, points in drawn if points and series.label and series.kind == "area"]
    samples, labels = _end_labels(ends, frame)
    lines, captions = _marks(chart, frame)
    return Plot(
        canvas,
        frame.left,
        frame.right,
        frame.top,
        frame.bottom,
        tuple(frame.at(chart, (chart.x.low, value))[1] for value, _ in chart.y.ticks),
        tuple(frame.at(chart, (value, chart.y.low))[0] for value, _ in chart.x.ticks),
        tuple(shapes + samples + lines),
        tuple(_axis_words(chart, frame) + labels + _peak_labels(peaks, frame) + captions),
    )


def _frame(chart: Chart, canvas: Canvas) -> Plot:
    """Return the empty drawing, with room for the words around it."""
    labels = [_wrapped(series.label, canvas) for series in chart.series if series.kind not in ("area", "band")]
    longest = max((len(line) for lines in labels for line in lines), default=0)
    last_tick = max((len(part) for _, text in chart.x.ticks[-1:] for part in text.split("\n")), default=0)
    beside = max(longest * _BOLD + _SAMPLE + 14 if longest else 14, last_tick * _CHARACTER / 2 + 4)
    left = 12 + _CHARACTER * max((len(text) for _, text in chart.y.ticks), default=0)
    below = 12 + _LINE * (1 + max((text.count("\n") + 1 for _, text in chart.x.ticks), default=0))
    top = 30 + _ROW_OF_MARK * len(chart.marks)
    return Plot(canvas, left, canvas.width - beside, top, canvas.height - below, (), (), (), ())


def _wrapped(label: tuple[str, ...], canvas: Canvas) -> tuple[str, ...]:
    return tuple(part for line in label for part in textwrap.wrap(line, canvas.label_characters))


def _shapes(series: Series, points: list[Point], bottom: float) -> list[Shape]:
    tone = f"s{series.tone}"
    if not points:
        return []
    if series.kind == "band":
        return [Shape(_path(points) + "Z", f"band {tone}")]
    if series.kind == "area":
        closed = [(points[0][0], bottom), *points, (points[-1][0], bottom)]
        return [Shape(_path(closed) + "Z", f"area {tone}"), Shape(_path(points), f"line {tone}")]
    shapes = [] if series.kind == "dots" else [Shape(_path(_thinned(points)), f"line {tone}")]
    if series.kind != "line":
        shapes += [Shape(_marker(series.tone, *point), f"marker {tone}") for point in points]
    return shapes


def _path(points: Sequence[Point]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _thinned(points: list[Point]) -> list[Point]:
    """Return the points without those too near to the one before to be seen; the last one stays."""
    kept = points[:1]
    for x, y in points[1:-1]:
        if abs(x - kept[-1][0]) > _NEAR or abs(y - kept[-1][1]) > _NEAR:
            kept.append((x, y))
    return kept + points[1:][-1:]


def _marker(tone: int, x: float, y: float) -> str:
    """Return a circle, a square, a diamond or a triangle: tones differ in shape too."""
    if tone == 1:
        return f"M{x - 4:.1f} {y:.1f}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z"
    corners: dict[int, list[Point]] = {
        2: [(-4, -4), (4, -4), (4, 4), (-4, 4)],
        3: [(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)],
        4: [(0, -5), (5, 4), (-5, 4)],
    }
    return _path([(x + dx, y + dy) for dx, dy in corners[tone]]) + "Z"


def _end_labels(ends: list[tuple[Series, list[Point]]], frame: Plot) -> tuple[list[Shape], list[Words]]:
    """Return a sample of each line and its label, beside the line's right end, moved apart where they would touch."""
    ordered = sorted(ends, key=lambda end: end[1][-1][1])
    lines = [_wrapped(series.label, frame.canvas) for series, _ in ordered]
    heights = [_LINE * len(each) + 4.0 for each in lines]
    ideal = [points[-1][1] - _LINE / 2 for _, points in ordered]
    tops = _apart(ideal, heights, frame.top - _LINE / 2, frame.bottom + _LINE / 2)
    x = frame.right + 8
    samples, labels = [], []
    for (series, _), text, top in zip(ordered, lines, tops, strict=True):
        middle = top + _LINE / 2
        if series.kind != "dots":
            samples.append(Shape(_path([(x, middle), (x + _SAMPLE - 4, middle)]), f"line s{series.tone}"))
        if series.kind != "line":
            samples.append(Shape(_marker(series.tone, x + _SAMPLE / 2 - 2, middle), f"marker s{series.tone}"))
        labels.append(Words(x + _SAMPLE, middle + 4.5, text, style=f"label s{series.tone}"))
    return samples, labels


def _apart(ideal: list[float], heights: list[float], low: float, high: float) -> list[float]:
    """Return tops of boxes that do not overlap, in order and near the `ideal` tops, between `low` and `high` (or
    beyond `high` if there is no room)."""
    tops: list[float] = []
    floor = low
    for top, height in zip(ideal, heights, strict=True):
        tops.append(max(top, floor))
        floor = tops[-1] + height
    ceiling = max(high, low + sum(heights))
    for i in reversed(range(len(tops))):
        tops[i] = max(min(tops[i], ceiling - heights[i]), low)
        ceiling = tops[i]
    return tops


def _peak_labels(peaks: list[tuple[Series, list[Point]]], frame: Plot) -> list[Words]:
    """Return labels of areas, above what is drawn: the leftmost one ends at its peak, the others begin at theirs."""
    words: list[Words] = []
    sides = [side for _, points in peaks for side in pairwise(points)]
    at_peaks = sorted(
        (min(points, key=lambda point: point[1])[0], series.label, series.tone) for series, points in peaks
    )
    for peak, label, tone in at_peaks:
        width = max(map(len, label)) * _BOLD
        start = max(min(peak + (6 if words else -width - 6), frame.right - width), frame.left + 4)
        under = [min(a[1], b[1]) for a, b in sides if a[0] < start + width + 8 and b[0] > start - 8]
        y = min([*under, frame.bottom]) - 8
        if words and start < words[-1].x + len(words[-1].lines[0]) * _BOLD:
            y = min(y, words[-1].y - _LINE)
        words.append(Words(start, y, label, style=f"label s{tone}"))
    return words


def _marks(chart: Chart, frame: Plot) -> tuple[list[Shape], list[Words]]:
    """Return vertical lines and the words above them, each in a row of its own so that they do not touch."""
    lines, words = [], []
    for row, mark in enumerate(chart.marks):
        x, _ = frame.at(chart, (mark.x, chart.y.low))
        y = 30 + _ROW_OF_MARK * row
        lines.append(Shape(_path([(x, y - 10), (x, frame.bottom)]), "mark"))
        leftwards = x > frame.canvas.width / 2
        words.append(Words(x + (-6 if leftwards else 6), y, (mark.label,), "end" if leftwards else "start", "caption"))
    return lines, words


def _axis_words(chart: Chart, frame: Plot) -> list[Words]:
    below = frame.bottom + 6 + _LINE
    words = [
        Words(frame.left - 8, frame.at(chart, (chart.x.low, value))[1] + 4.5, (text,), "end", "tick")
        for value, text in chart.y.ticks
    ]
    words += [
        Words(frame.at(chart, (value, chart.y.low))[0], below, tuple(text.split("\n")), "middle", "tick")
        for value, text in _readable(chart.x, frame.right - frame.left)
    ]
    lines = max((text.count("\n") + 1 for _, text in chart.x.ticks), default=0)
    words.append(Words(frame.left, below + _LINE * lines + 2, (chart.x.label,), "start", "axis"))
    words.append(Words(0, 14, (chart.y.label,), "start", "axis"))
    return words


def _readable(axis: Axis, width: float) -> list[tuple[float, str]]:
    """Return the ticks, from the first on, whose labels have room beside those already chosen."""
    chosen: list[tuple[float, str]] = []
    end = -width
    for value, text in axis.ticks:
        half = max(map(len, text.split("\n"))) * _CHARACTER / 2
        middle = axis.share(value) * width
        if middle - half > end + 6:
            chosen.append((value, text))
            end = middle + half
    return chosen
