"""Charts in the units of their data; `layout` places them on the page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bitreid.arrays import Floats, Ints
from bitreid.evaluation.report.data import RankedQuery

Point = tuple[float, float]
MOST_BINS = 64


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high` (above 0 if `log`), its ticks, and a label with what it measures and the unit.

    A line break in a tick's label makes two lines.
    """

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value is along the axis: 0 at `low`, 1 at `high`; values beyond are at the nearer end.

        >>> Axis("bits", 1, 100, (), log=True).share(10)
        0.5
        """
        if self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class Series:
    """Points of one kind, ascending in x, in one of four tones (1 to 4), each with a dash and a marker of its own.

    line    a line through the points, `label` at its right end
    marked  the same with a marker at each point
    dots    markers alone
    area    a filled outline, `label` over its peak
    band    a filled outline, quiet, without a label

    The label's first line is its name; more lines follow it.
    """

    label: tuple[str, ...]
    points: tuple[Point, ...]
    tone: int = 1
    kind: Literal["line", "marked", "dots", "area", "band"] = "line"


@dataclass(frozen=True)
class Mark:
    """A vertical line at a value of x, with a label on top."""

    x: float
    label: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header. The first column holds names; the others numbers, unless `numeric` is false.

    `bars` are values between 0 and 1, one a row, that a last column draws as bars; None is no bar. Without `bars` there
    is no such column. `bars_header` is its header.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: bool = True
    bars: tuple[float | None, ...] = ()
    bars_header: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart: a title that states the finding, a description for readers who cannot see it, curves and numbers."""

    id: str
    title: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: Table
    marks: tuple[Mark, ...] = ()


def percent_axis(label: str, shares: Iterable[float]) -> Axis:
    """Return an axis of per cent around shares from 0 to 1: from a round start to 100, or from 0 to a round end.

    >>> [label for _, label in percent_axis("mAP, %", [0.83, 0.97]).ticks]
    ['80', '84', '88', '92', '96', '100']
    """
    values = list(shares)
    low = max(start for start in (0.0, 0.5, 0.8, 0.9) if start <= max(min(values, default=0), 0))
    high = 1.0 if low else min(end for end in (0.1, 0.2, 0.5, 1.0) if end >= min(max(values, default=1), 1))
    ticks = [low + (high - low) * i / 5 for i in range(6)]
    return Axis(label, low, high, tuple((tick, f"{round(100 * tick, 6):g}") for tick in ticks))


def round_axis(label: str, low: float, high: float) -> Axis:
    """Return a linear axis from `low` to `high` with four to nine ticks at round numbers.

    >>> [label for _, label in round_axis("bits", 90, 1210).ticks]
    ['200', '400', '600', '800', '1,000', '1,200']
    """
    if high - low <= 1e-9 * max(abs(low), 1e-9):  # one value, as far as a reader can see
        low, high = low - 1, high + 1
    rough = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(label, low, high, tuple((i * step, f"{round(i * step, 9):,g}") for i in range(first, last + 1)))


def log_axis(label: str, low: float, high: float, ticks: Sequence[tuple[float, str]]) -> Axis:
    """Return a logarithmic axis from `low` to `high`, both above 0, with the ticks that lie within it."""
    if high <= low:
        low, high = low / 2, high * 2
    inside = [(value, text) for value, text in ticks if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return Axis(label, low, high, tuple(inside), log=True)


def rate_axis(label: str, lowest: float) -> Axis:
    """Return a logarithmic axis of rates in per cent, from a power of ten at or below `lowest` (at least 1e-6) to 1."""
    powers = range(max(math.floor(math.log10(max(lowest, 1e-6)) + 1e-9), -6), 1)
    ticks = [(10.0**power, f"{10.0 ** (power + 2):g}") for power in powers]
    return log_axis(label, min(ticks[0][0], 0.1), 1.0, ticks)


@dataclass(frozen=True)
class Histogram:
    """Shares of pairs by distance: `edges (n + 1,)` of the bins, and the share in each, `(n,)`, of either kind."""

    edges: Floats
    genuine: Floats
    impostor: Floats


def histogram(genuine: Ints, impostor: Ints, unit: float) -> Histogram:
    """Return the shares of two kinds of pairs, counted at the distances 0, 1, ... times `unit`, in at most 64 bins.

    All bins hold equally many distances and reach from the nearest pair to the farthest. A kind without pairs has
    shares of 0; without any pairs there are no bins.

    >>> histogram(np.array([0, 3, 1]), np.array([0, 0, 2]), 1.0)
    Histogram(edges=array([0.5, 1.5, 2.5]), genuine=array([0.75, 0.25]), impostor=array([0., 1.]))
    """
    levels = np.flatnonzero(genuine + impostor)
    if not len(levels):
        nothing = np.zeros(0)
        return Histogram(np.zeros(1), nothing, nothing)
    first, n_levels = int(levels[0]), int(levels[-1] - levels[0] + 1)
    width = -(-n_levels // MOST_BINS)
    starts = np.arange(first, first + n_levels, width)
    edges = (np.append(starts, starts[-1] + width) - 0.5) * unit
    shares = [np.add.reduceat(counts[: starts[-1] + width], starts) for counts in (genuine, impostor)]
    return Histogram(edges, *(counts / max(counts.sum(), 1) for counts in shares))


def outline(edges: Floats, heights: Floats) -> tuple[Point, ...]:
    """Return the corners of a histogram's upper edge, left to right, from 0 to 0.

    >>> outline(np.array([0.0, 1.0, 2.0]), np.array([3.0, 4.0]))
    ((0.0, 0.0), (0.0, 3.0), (1.0, 3.0), (1.0, 4.0), (2.0, 4.0), (2.0, 0.0))
    """
    x = np.repeat(edges, 2)
    y = np.concatenate([[0], np.repeat(heights, 2), [0]])
    return tuple((float(a), float(b)) for a, b in zip(x, y, strict=True))


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading: paragraphs, then charts, tables and ranked queries under their headings."""

    id: str
    heading: str
    text: tuple[str, ...]
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    queries: tuple[tuple[str, tuple[RankedQuery, ...]], ...] = ()
