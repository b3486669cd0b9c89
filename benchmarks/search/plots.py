"""The plots of the benchmark of searching: speed against the size of the gallery, and against recall."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.search.rivals import module_of
from benchmarks.search.timing import FLAT, FLOAT, TWO_STAGE, Timing

Point = tuple[float, float]
Scale = Callable[[Any, Sequence[float]], float]

# Okabe and Ito's colours, which people who see colours differently tell apart; markers differ as well.
LOOKS = {
    "exact": ("bitreid, exact", "#0072B2", "o"),
    "two-stage": ("bitreid, two-stage", "#D55E00", "o"),
    FLAT: ("faiss flat", "#009E73", "s"),
    TWO_STAGE: ("faiss two-stage", "#CC79A7", "s"),
    "usearch": ("usearch exact", "#56B4E9", "^"),
    "numpy": ("numpy", "#666666", "v"),
    FLOAT: ("2,048 floats, faiss", "#000000", "D"),
    "two-stage, prefix": ("bitreid, two-stage, prefix", "#D55E00", "o"),
    "two-stage, attributes": ("bitreid, two-stage, attributes", "#E69F00", "P"),
    "two stages, attribute code": ("two stages, attribute code", "#E69F00", "P"),
    "two stages, coarse code": ("two stages, coarse code", "#D55E00", "o"),
    "clustered": ("clustered", "#009E73", "s"),
    "IVF": ("faiss IVF", "#009E73", "s"),
    "HNSW": ("faiss HNSW", "#CC79A7", "^"),
    "hnswlib": ("hnswlib, float", "#56B4E9", "v"),
}
_GAP = 0.055  # between labels, of a panel's height


@dataclass
class Panel:
    """One set of axes: a line of points (x, y) for each way; of y more is better."""

    title: str
    lines: dict[str, list[Point]] = field(default_factory=dict)

    def add(self, way: str, x: float, y: float) -> None:
        """Add a point; of several at one `x`, the best stays."""
        points = dict(self.lines.get(way, []))
        points[x] = max(points.get(x, 0.0), y)
        self.lines[way] = sorted(points.items())


def draw(timings: Sequence[Timing], folder: Path) -> list[Path]:
    """Return the files written, `search_sizes.svg` and `search_recall.svg`, the latter if recall was measured."""
    speed = "queries a second, one thread"
    plots = {
        "search_sizes.svg": (size_panels(timings), "rows in the gallery", _log_x),
        "search_recall.svg": (recall_panels(timings), "recall of the 100 nearest rows, per cent", _recall_x),
    }
    return [
        draw_panels(folder / name, panels, [x_label] * len(panels), speed, scale)
        for name, (panels, x_label, scale) in plots.items()
        if panels
    ]


def draw_panels(
    path: Path,
    panels: Sequence[Panel],
    x_labels: Sequence[str],
    y_label: str,
    scale: Scale,
    y_log: bool = True,
) -> Path:
    """Write panels beside each other as an SVG, and return its path.

    `scale` sets the scale of x of the points that it is given, and returns where labels begin.
    """
    matplotlib, figures = module_of("matplotlib"), module_of("matplotlib.figure")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = figures.Figure(figsize=(6.2 * len(panels), 4.6), layout="constrained", facecolor="white")
    for axes, panel, x_label in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, x_labels, strict=True):
        _draw_panel(axes, panel, scale, y_log)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
    # Without a date and random names, the same figures make the same file.
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})
    return path


def size_panels(timings: Iterable[Timing]) -> list[Panel]:
    """Return panels for codes of 2,048 bits on one thread; two stages at w = 1 %."""
    panels: dict[int, Panel] = {}
    starts = {
        "exact": ("exact", FLAT, "usearch", "numpy"),
        "two-stage": ("two-stage", TWO_STAGE),
        "float": (FLOAT,),
    }
    for timing in timings:
        cell = timing.cell
        if (cell.n_bits, cell.threads) != (2048, 1) or cell.w not in (0, round(cell.rows / 100)):
            continue
        way = next((start for start in starts.get(cell.part, ()) if timing.way.startswith(start)), None)
        if way is not None:
            title = f"{cell.queries} at once" if cell.queries > 1 else "one query at a time"
            panels.setdefault(cell.queries, Panel(f"2,048 bits, w = 1 %, {title}")).add(
                way, cell.rows, timing.queries_per_s
            )
    return [panels[queries] for queries in sorted(panels)]


def recall_panels(timings: Iterable[Timing]) -> list[Panel]:
    """Return a model's codes, one query at a time."""
    panels: dict[int, Panel] = {}
    ways = ("two-stage, prefix", "two-stage, attributes", "exact", "IVF", "HNSW", "hnswlib")
    for timing in timings:
        if timing.cell.part == "real" and timing.cell.queries == 1 and timing.recall is not None:
            way = next(start for start in ways if timing.way.startswith(start))
            rows = timing.cell.rows
            panel = panels.setdefault(rows, Panel(f"a model's codes, {rows:,} rows, one query at a time"))
            panel.add(way, 100 * timing.recall, timing.queries_per_s)
    return [panels[rows] for rows in sorted(panels)[-2:]]


def _log_x(axes: Any, xs: Sequence[float]) -> float:
    """Set the scale with room for labels to the right of it, and return where these start."""
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.3, max(xs) * 12 * (max(xs) / min(xs)) ** 0.3)
    axes.set_xticks(sorted(set(xs)), [f"{x:,.0f}" for x in sorted(set(xs))])
    axes.minorticks_off()
    return max(xs) * 1.2


def _recall_x(axes: Any, _: Sequence[float]) -> float:
    axes.set_xlim(0, 160)
    axes.set_xticks(range(0, 101, 20))
    return 103.0


def _draw_panel(axes: Any, panel: Panel, scale: Scale, y_log: bool) -> None:
    axes.set_title(panel.title, fontsize=10)
    label_x = scale(axes, [x for points in panel.lines.values() for x, _ in points])
    axes.set_yscale("log" if y_log else "linear")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for way, points in panel.lines.items():
        _, colour, marker = LOOKS[way]
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.8)
    # Labels stand in a column to the right, at the heights of the last points, moved apart where these are close.
    axes.set_ylim(axes.get_ylim())
    height_of = (axes.transScale + axes.transLimits).transform
    ends = {way: float(height_of(points[-1])[1]) for way, points in panel.lines.items()}
    for way, height in spread(ends, _GAP).items():
        name, colour, _ = LOOKS[way]
        line = {"arrowstyle": "-", "color": colour, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 4}
        place = {"xytext": (label_x, height), "textcoords": axes.get_xaxis_transform(), "arrowprops": line}
        axes.annotate(name, xy=panel.lines[way][-1], color="#222222", fontsize=9, va="center", **place)


def spread(heights: dict[str, float], gap: float) -> dict[str, float]:
    """Return the heights in the same order, at least `gap` apart: groups too close are laid out around their mean."""
    groups: list[list[str]] = []
    middles: list[float] = []
    for name in sorted(heights, key=lambda each: heights[each]):
        groups.append([name])
        middles.append(heights[name])
        while len(groups) > 1 and middles[-1] - middles[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            last, before = groups.pop(), groups.pop()
            n, m = len(last), len(before)
            middles[-2:] = [(middles[-1] * n + middles[-2] * m) / (n + m)]
            groups.append(before + last)
    return {
        name: middle + gap * (i - (len(group) - 1) / 2)
        for group, middle in zip(groups, middles, strict=True)
        for i, name in enumerate(group)
    }
