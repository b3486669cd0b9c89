"""What the command line shows: progress bars and tables (rich)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from bitreid.artifact import Calibration, Card
    from bitreid.data.pictures import Progress as Report
    from bitreid.evaluation.confidence import PairedComparison
    from bitreid.evaluation.scores import Scores
    from bitreid.evaluation.summary import Evaluation
    from bitreid.gallery.items import Hit, Hits
    from bitreid.training.checkpoint import Position


DISTILLED = 0.9
"""Bit agreement of student and teacher on held-out identities below which nothing is called SSR without a warning."""


def relaxation_label(relaxation: str, agreement: float | None) -> str:
    """A relaxation's name, with a warning if its student (None: it has none) has not learned the teacher's bits."""
    if agreement is None or agreement >= DISTILLED:
        return relaxation
    return f"{relaxation} (does not distil: bit agreement {agreement:.2f})"


def console_of(stderr: bool = False) -> Console:
    """The console that a command writes to."""
    # Names of files may look like markup or emoji codes, and are to be shown as they are.
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr)


def say(console: Console, text: str) -> None:
    """Print a line that is never broken, so that a path in it can be copied."""
    console.print(text, soft_wrap=True)


@contextmanager
def progress_of(console: Console, title: str) -> Iterator[Report]:
    """Show a bar that the function given, `(done, total)`, moves; only where the output is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class TrainingReporter:
    """Shows a run: a bar with the named losses and pictures a second, and a line for each pass.

    Where the output is no terminal, the bar gives way to a line now and then.
    """

    def __init__(self, console: Console, epochs: int, every_s: float = 30.0) -> None:
        self.console = console
        self.epochs = epochs
        self.every_s = every_s
        self.last = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("training", total=None)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def on_step(self, position: Position, n_steps: int, losses: dict[str, float], pictures_per_s: float) -> None:
        text = f"pass {position.epoch + 1}/{self.epochs}  {_named(losses)}  {pictures_per_s:.0f} pictures/s"
        done, total = position.epoch * n_steps + position.step, self.epochs * n_steps
        self.bar.update(self.task, description=text, completed=done, total=total)
        if not self.console.is_terminal and time.monotonic() - self.last > self.every_s:
            self.last = time.monotonic()
            self.console.print(f"{text}  {done}/{total}", soft_wrap=True)

    def on_epoch(self, record: dict[str, Any]) -> None:
        scores = {name: value for name, value in record.items() if name not in ("epoch", "pictures_per_s")}
        rate = record["pictures_per_s"]
        self.console.print(
            f"pass {record['epoch']}/{self.epochs}  {_named(scores)}  {rate:.0f} pictures/s",
            soft_wrap=True,
            highlight=False,
        )


def _named(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in values.items())


def evaluation_table(name: str, evaluation: Evaluation) -> Table:
    """Scores in per cent; after a code's, the span of its mAP from worst to best tie order."""
    title = f"{name}: {evaluation.main.n_queries} queries, gallery of {evaluation.n_gallery}"
    # Narrow enough for 80 columns.
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("descriptor", no_wrap=True)
    for column in ("rank-1", "rank-5", "mAP", "mINP", "by tie order", "matches kept"):
        table.add_column(column, justify="right")

    def row(title: str, scores: Scores, span: str = "", kept: str = "") -> None:
        cells = (scores.rank1, float(scores.cmc[min(4, len(scores.cmc) - 1)]), scores.mAP, scores.mINP)
        table.add_row(title, *(f"{100 * each:.1f}" for each in cells), span, kept)

    if evaluation.floats is not None:
        row("float", evaluation.floats.expected)
    codes = evaluation.codes
    if codes is not None:
        row(f"{evaluation.n_bits} bits", codes.expected, f"{100 * codes.worst.mAP:.1f}..{100 * codes.best.mAP:.1f}")
    for way, metrics in evaluation.reranked.items():
        row(way, metrics.expected)
    for way, metrics_of_ws in (("AFR", evaluation.afr), ("weighted", evaluation.weighted_afr)):
        for afr in metrics_of_ws:
            row(f"{way}, w = {afr.w} ({_percent(afr.share)} %)", afr.expected, kept=f"{100 * afr.kept:.1f}")
    if evaluation.main.n_without_match:
        table.caption = f"{evaluation.main.n_without_match} queries have no match in the gallery and are left out"
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


def comparison_table(a: str, b: str, compared: Mapping[str, PairedComparison]) -> Table:
    """The difference of two models' scores in points of a per cent, above 0 where the first is better."""
    table = Table("score", title=f"{a} (a) against {b} (b)")
    for column in ("a", "b", "a - b", "interval", "p"):
        table.add_column(column, justify="right")
    for name, each in compared.items():
        scores = (f"{100 * value:.1f}" for value in (each.mean_a, each.mean_b))
        difference, low, high = (f"{100 * value:+.1f}" for value in (each.difference, each.low, each.high))
        interval = f"{low} .. {high}" if each.n_identities > 1 else "unknown"
        table.add_row(name, *scores, difference, interval, f"{each.p_value:.2g}")
    one = next(iter(compared.values()))
    table.caption = f"{100 * one.level:g} % intervals over {one.n_identities} people on {one.n_queries} queries"
    return table


def as_markdown(table: Table) -> Table:
    """The same table, drawn as Markdown."""
    table.box, table.title = box.MARKDOWN, None
    return table


def hits_table(title: str, hits: Hits) -> Table:
    """The hits of a query, nearest first; a column of which nothing is known is left out."""
    cells: dict[str, Callable[[Hit], object]] = {
        "id": lambda hit: hit.id,
        "distance": lambda hit: f"{hit.distance:.2f}".removesuffix(".00"),
        "probability": lambda hit: None if hit.probability is None else f"{hit.probability:.3f}",
        "camera": lambda hit: hit.camera,
        "time": lambda hit: None if hit.time is None else hit.time.isoformat(" ", "seconds"),
        "tracklet": lambda hit: hit.tracklet,
        "person": lambda hit: hit.person,
        "votes": lambda hit: hit.votes if any(each.votes > 1 for each in hits) else None,
    }
    limit = "" if hits.threshold is None else f", at most {hits.threshold} bits"
    table = Table("rank", title=f"{title}{len(hits)} of {hits.n_gallery:,} items{limit}")
    rows = [[cell(hit) for cell in cells.values()] for hit in hits]
    known = [i for i in range(len(cells)) if any(row[i] is not None for row in rows)]
    for i in known:
        table.add_column(list(cells)[i], overflow="fold")  # a path that is cut off is of no use
    for rank, row in enumerate(rows, 1):
        table.add_row(str(rank), *("" if row[i] is None else str(row[i]) for i in known))
    return table


def nobody_text(hits: Hits, by: str, fpir: float) -> str:
    """Why a search found nobody."""
    if not hits.n_gallery:
        return "nobody: there is no item to compare with"
    if hits.threshold is None:
        return f"nobody: none of {hits.n_gallery:,} items is of a known {by}"
    if hits.threshold < 0:
        return f"nobody: among {hits.n_gallery:,} items no distance is small enough to be sure (--fpir {fpir:g})"
    return f"nobody: none of {hits.n_gallery:,} items is within {hits.threshold} bits"


def thresholds_text(
    calibration: Calibration, fpir: float = 0.01, sizes: Sequence[int] = (1_000, 100_000, 1_000_000)
) -> str:
    """The largest distances at which a search for somebody absent is answered at this rate, for galleries of sizes."""
    bits = {n: calibration.open_set.threshold(fpir, n) for n in sizes}
    found = ", ".join(f"{f'{at} bits' if at >= 0 else 'no distance'} in {n:,} rows" for n, at in bits.items())
    return f"{found} ({fpir:.0%} false alarms a search)"


def card_table(card: Card, model: str) -> Table:
    """The card of a model, a line a fact."""
    table = Table("fact", title=card.name)
    table.add_column("value", overflow="fold")
    picture, fitted = card.input, card.calibration
    rows = {
        "fingerprint": model,
        "input": f"{picture.height}x{picture.width} {picture.colour_order}, {picture.resize}",
        "identity code": f"{card.n_bits} bits: " + ", ".join(f"{part.name} {part.n_bits}" for part in card.parts),
        "attribute code": f"{card.attributes.n_code_bits} bits" if card.attributes else "none",
        "network": ", ".join(f"{name} {value}" for name, value in card.model.items()),
        "trained on": f"{card.training.get('data')}: {card.training.get('pictures')} pictures of "
        f"{card.training.get('identities')} identities",
        "calibrated on": f"{fitted.pictures} pictures of {fitted.identities} people held out" if fitted else "nothing",
        **({"same person within": thresholds_text(fitted)} if fitted else {}),
        "weights": f"{card.weights_bytes / 1e6:.1f} MB",
        "licence": card.licence,
        "notes": card.notes,
        **{name: f"{value:.3f}" for name, value in card.metrics.items()},
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def search_text() -> str:
    """Which search path runs here, and which can."""
    from bitreid.hamming import kernel

    paths = kernel.available_paths()
    if len(paths) == 1:
        return f"numpy (the native kernel {kernel.why_not})"
    return f"{kernel.path()} (available: {', '.join(paths)})"
