"""Charts: scales, histograms, and where things go on the paper, against points computed by hand."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.arrays import Ints
from bitreid.evaluation.report.charts import (
    Axis,
    Chart,
    Mark,
    Series,
    Table,
    histogram,
    log_axis,
    outline,
    percent_axis,
    rate_axis,
    round_axis,
)
from bitreid.evaluation.report.layout import NARROW, WIDE, Canvas, Plot, Shape, lay_out
from tests.reference.report import share_between

SQUARE = Canvas("square", 430, 430, 10)
PERCENT = ((0.0, "0"), (0.5, "50"), (1.0, "100"))
CHART = Chart(
    "chart",
    "Title",
    "Description",
    Axis("x", 0, 10, ((0, "0"), (5, "5"), (10, "10"))),
    Axis("y", 0, 1, PERCENT),
    (Series((), ((0, 0), (5, 0.5), (10, 1))),),
    Table("", (), ()),
)


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d", path)]


def shape_of(plot: Plot, style: str) -> Shape:
    (found,) = [shape for shape in plot.shapes if shape.style == style]
    return found


# Coordinates


def test_a_line_goes_where_its_points_are() -> None:
    plot = lay_out(CHART, SQUARE)
    # "100" beside the axis needs 12 + 3 * 7.3; two lines of words under it need 12 + 2 * 16.
    left, right, top, bottom = 33.9, 416, 30, 386
    assert (plot.left, plot.right, plot.top, plot.bottom) == pytest.approx((left, right, top, bottom))
    points = numbers(shape_of(plot, "line s1").path)
    assert points == pytest.approx([left, bottom, (left + right) / 2, (top + bottom) / 2, right, top], abs=0.051)
    assert plot.grid == pytest.approx((386, 208, 30))
    assert plot.ticks == pytest.approx((33.9, 224.95, 416))


def test_words_are_at_the_ticks_and_at_the_ends_of_the_axes() -> None:
    words = {word.lines[0]: word for word in lay_out(CHART, SQUARE).words if word.lines[0] not in ("0",)}
    assert (words["50"].x, words["50"].y, words["50"].anchor) == pytest.approx((25.9, 212.5, "end"), abs=0.01)
    assert (words["5"].x, words["5"].y, words["5"].anchor) == pytest.approx((224.95, 408, "middle"), abs=0.01)
    assert words["x"].y == 408 + 16 + 2
    assert (words["y"].x, words["y"].y) == (0, 14)


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors() -> None:
    axis = log_axis("rank", 1, 100, [(1, "1"), (10, "10"), (100, "100"), (1000, "1000")])
    plot = lay_out(replace(CHART, x=axis), SQUARE)
    assert np.diff(plot.ticks) == pytest.approx([(plot.right - plot.left) / 2] * 2)
    assert axis.share(0) == 0, "what is below the axis lies at its start"


def test_an_area_is_closed_at_the_bottom() -> None:
    series = Series(("name",), outline(np.array([0.0, 5, 10]), np.array([1.0, 0.5])), 2, "area")
    plot = lay_out(replace(CHART, series=(series,)), SQUARE)
    left, right, top, bottom, middle = 33.9, 416, 30, 386, 224.95
    corners = [left, bottom, left, top, middle, top, middle, 208, right, 208, right, bottom]
    assert numbers(shape_of(plot, "line s2").path) == pytest.approx(corners, abs=0.051)
    area = shape_of(plot, "area s2").path
    assert area.endswith("Z")
    assert numbers(area) == pytest.approx([left, bottom, *corners, right, bottom], abs=0.051)


def test_a_mark_is_a_line_up_to_its_words() -> None:
    plot = lay_out(replace(CHART, marks=(Mark(2.5, "near"), Mark(7.5, "far"))), SQUARE)
    assert plot.top == 70, "a row for each mark"
    near, far = [word for word in plot.words if word.style == "caption"]
    x = 33.9 + (416 - 33.9) / 4
    assert (near.x, near.y, near.anchor) == pytest.approx((x + 6, 30, "start"))
    assert (far.y, far.anchor) == (50, "end")
    first = next(shape for shape in plot.shapes if shape.style == "mark")
    assert numbers(first.path) == pytest.approx([x, 20, x, 386], abs=0.051)


def test_tones_differ_in_shape() -> None:
    series = tuple(Series((), ((5, 0.5),), tone, "dots") for tone in (1, 2, 3, 4))
    paths = [shape.path for shape in lay_out(replace(CHART, series=series), SQUARE).shapes]
    assert len({re.sub(r"[\d.]+", "n", path) + str(len(numbers(path))) for path in paths}) >= 3
    assert len(set(paths)) == 4


def test_points_that_nobody_can_tell_apart_are_drawn_once() -> None:
    many = tuple((10 * i / 9999, i / 9999) for i in range(10_000))
    few = numbers(shape_of(lay_out(replace(CHART, series=(Series((), many),)), SQUARE), "line s1").path)
    assert 300 < len(few) / 2 < 1000
    assert few[-2:] == [416.0, 30.0]
    assert max(abs(a - b) for a, b in pairwise(few[::2])) < 2


def test_ticks_without_room_have_no_label() -> None:
    axis = log_axis("length", 32, 2048, [(2**i, f"{2**i:,}\n{2**i // 8} B") for i in range(5, 12)])
    plot = lay_out(replace(CHART, x=axis), Canvas("tiny", 200, 200, 10))
    labels = [word for word in plot.words if len(word.lines) == 2]
    assert len(plot.ticks) == 7
    assert labels[0].lines == ("32", "4 B")
    assert 2 <= len(labels) < 7


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.sampled_from([WIDE, NARROW]))
def test_labels_of_lines_never_touch(ends: list[float], canvas: Canvas) -> None:
    series = tuple(Series(("some name", "12.3 %"), ((0, 0), (10, end)), i) for i, end in enumerate(ends, 1))
    plot = lay_out(replace(CHART, series=series), canvas)
    labels = sorted((word for word in plot.words if word.style.startswith("label")), key=lambda word: word.y)
    assert len(labels) == len(ends)
    for above, below in pairwise(labels):
        assert above.y + 16 * len(above.lines) <= below.y
    for word in labels:
        assert word.x > plot.right
        assert word.x + 7 * max(map(len, word.lines)) <= canvas.width
        assert 0 < word.y < canvas.height - 16


counts = st.lists(st.integers(0, 50), min_size=3, max_size=100).map(lambda values: np.array(values, np.int64))


@given(counts, counts, st.sampled_from([WIDE, NARROW]))
def test_labels_of_areas_are_above_them_and_apart(one: Ints, two: Ints, canvas: Canvas) -> None:
    n = min(len(one), len(two))
    bars = histogram(one[:n], two[:n], 1.0)
    if not len(bars.genuine):
        return
    highest = max(bars.genuine.max(), bars.impostor.max())
    kinds = (("same person", bars.genuine), ("different people", bars.impostor))
    series = tuple(Series((name,), outline(bars.edges, shares), i, "area") for i, (name, shares) in enumerate(kinds, 1))
    x = round_axis("distance", bars.edges[0], bars.edges[-1])
    plot = lay_out(replace(CHART, x=x, y=Axis("y", 0, 1.12 * highest, ()), series=series), canvas)
    labels = [word for word in plot.words if word.style.startswith("label")]
    for word in labels:
        width = 8 * len(word.lines[0])
        assert plot.left <= word.x
        assert word.x + width <= plot.right + 4
        for _, shares in kinds:
            for low, high, share in zip(bars.edges, bars.edges[1:], shares, strict=False):
                start, y = plot.at(replace(CHART, x=x, y=Axis("", 0, 1.12 * highest, ())), (low, share))
                end, _ = plot.at(replace(CHART, x=x), (high, 0))
                if start < word.x + width and end > word.x:
                    assert word.y < y
    first, second = labels
    apart = first.x + 8 * len(first.lines[0]) <= second.x + 1 or abs(first.y - second.y) >= 16
    assert apart


# Scales


@pytest.mark.parametrize(
    ("shares", "low", "high"),
    [
        ([], 0, 1),
        ([0.0], 0, 0.1),
        ([0.04, 0.07], 0, 0.1),
        ([0.04, 0.3], 0, 0.5),
        ([0.3, 0.6], 0, 1),
        ([0.55, 0.6], 0.5, 1),
        ([0.81, 0.99], 0.8, 1),
        ([0.95, 1.0], 0.9, 1),
        ([1.0], 0.9, 1),
    ],
)
def test_an_axis_of_per_cent_fits_its_values(shares: list[float], low: float, high: float) -> None:
    axis = percent_axis("share, %", shares)
    assert (axis.low, axis.high) == (low, high)
    assert [value for value, _ in axis.ticks] == pytest.approx(np.linspace(low, high, 6))
    assert [float(text) for _, text in axis.ticks] == pytest.approx(100 * np.linspace(low, high, 6))


@given(st.floats(-1e5, 1e5), st.floats(0, 1e5))
def test_a_round_axis_has_a_few_round_ticks(low: float, length: float) -> None:
    axis = round_axis("bits", low, low + length)
    values = [value for value, _ in axis.ticks]
    assert axis.low < axis.high
    if length > 1e-3:
        assert 3 <= len(values) <= 9
        rounding = 1e-6 * length
        assert all(axis.low - rounding <= value <= axis.high + rounding for value in values)


@pytest.mark.parametrize(
    ("lowest", "first", "n"), [(0.5, 0.1, 2), (0.01, 0.01, 3), (0.0099, 0.001, 4), (3e-6, 1e-6, 7), (0.0, 1e-6, 7)]
)
def test_an_axis_of_rates_begins_at_a_power_of_ten(lowest: float, first: float, n: int) -> None:
    axis = rate_axis("rate, %", lowest)
    assert axis.log
    assert (axis.low, axis.high) == pytest.approx((first, 1))
    assert len(axis.ticks) == n
    assert axis.ticks[-1] == (1, "100")


def test_an_axis_of_one_value_has_a_length() -> None:
    assert log_axis("bits", 64, 64, [(64, "64")]).share(64) == pytest.approx(0.5)
    assert round_axis("bits", 7, 7).share(7) == pytest.approx(0.5)


# Histograms


@given(counts, counts, st.sampled_from([1.0, 1 / 4096]))
def test_a_histogram_counts_every_pair_once(one: Ints, two: Ints, unit: float) -> None:
    n = min(len(one), len(two))
    genuine, impostor = one[:n], two[:n]
    bars = histogram(genuine, impostor, unit)
    assert len(bars.genuine) == len(bars.impostor) == len(bars.edges) - 1 <= 64
    for levels, shares in ((genuine, bars.genuine), (impostor, bars.impostor)):
        distances = [level * unit for level, count in enumerate(levels) for _ in range(count)]
        if not distances:
            assert not shares.any()
            continue
        assert shares.sum() == pytest.approx(1)
        for low, high, share in zip(bars.edges, bars.edges[1:], shares, strict=False):
            assert share == pytest.approx(share_between(distances, low, high))
    if len(bars.genuine):
        assert np.diff(bars.edges) == pytest.approx(bars.edges[1] - bars.edges[0])


def test_a_histogram_of_nothing_has_no_bins() -> None:
    bars = histogram(np.zeros(5, np.int64), np.zeros(5, np.int64), 1.0)
    assert (len(bars.genuine), len(bars.impostor)) == (0, 0)
