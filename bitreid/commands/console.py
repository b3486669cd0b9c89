"""What the command line shows: progress bars and tables (rich)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bitreid.codes import part_sizes
from bitreid.text import printable

if TYPE_CHECKING:
    from bitreid.artifact import Card, Proof
    from bitreid.coarse import CoarseCode
    from bitreid.data.pictures import Progress as Report
    from bitreid.evaluation.confidence import PairedComparison
    from bitreid.evaluation.scores import Scores
    from bitreid.evaluation.summary import Evaluation
    from bitreid.open_set import OpenSet
    from bitreid.training.checkpoint import Position
    from bitreid.training.recipe import Recipe, Setting


DISTILLED = 0.9
"""Bit agreement of student and teacher on held-out identities below which nothing is called SSR without a warning."""


def relaxation_label(relaxation: str, agreement: float | None) -> str:
    """A relaxation's name, with a warning if its student (None: it has none) has not learned the teacher's bits."""
    if agreement is None or agreement >= DISTILLED:
        return relaxation
    return f"{relaxation} (does not distil: bit agreement {agreement:.2f})"


_WIDEST = 1_000_000
"""Columns of a console on which no table is broken."""


class SafeConsole(Console):
    """A console on which names of files, ids, persons, cards and other texts of strangers are shown and never obeyed.

    Every text that is printed, and every cell, title and caption of a table, passes through `render_str`.
    """

    def __init__(self, **options: Any) -> None:
        # Names of files may look like markup or emoji codes, and are to be shown as they are.
        super().__init__(**options, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


def console_of(stderr: bool = False) -> Console:
    """Return the console that a command writes to."""
    return SafeConsole(stderr=stderr)


def say(console: Console, text: str) -> None:
    """Print a line that is never broken, so that a path in it can be copied."""
    console.print(text, soft_wrap=True)


def show(console: Console, shown: str | Table) -> None:
    """Print a line, or a table as wide as it is: neither is broken, so that ids in it can be copied.

    Only a table that has a column to be folded, of facts, say, is as wide as the console.
    """
    if isinstance(shown, str):
        say(console, shown)
        return
    if any(column.overflow == "fold" for column in shown.columns):
        console.print(shown)
        return
    wide = SafeConsole(file=console.file, width=_WIDEST, force_terminal=console.is_terminal)
    wide.width = max(wide.measure(shown).maximum, console.width)
    wide.print(shown, no_wrap=True)


@contextmanager
def progress_of(console: Console, title: str, beside: object = "") -> Iterator[Report]:
    """Show a bar that the function given, `(done, total)`, moves; only where the output is a terminal.

    The text of `beside` is shown as it is at that moment.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(
            task, completed=done, total=total, description=f"{title} {beside}".rstrip()
        )


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
    for column in ("rank-1", "rank-5", "mAP", "mINP"):
        table.add_column(column, justify="right")
    table.add_column("by tie order", justify="right", min_width=10)  # of "48.1..48.3"
    table.add_column("matches kept", justify="right")

    def row(title: str, scores: Scores, span: str = "", kept: str = "") -> None:
        cells = (scores.rank1, float(scores.cmc[min(4, len(scores.cmc) - 1)]), scores.mAP, scores.mINP)
        table.add_row(title, *(f"{100 * each:.1f}" for each in cells), span, kept)

    if evaluation.floats is not None:
        row("float", evaluation.floats.expected)
    codes = evaluation.codes
    if codes is not None:
        row(f"{evaluation.n_bits} bits", codes.expected, f"{100 * codes.worst.mAP:.1f}..{100 * codes.best.mAP:.1f}")
    for n_bits, scores in evaluation.lengths.items():
        row(f"first {n_bits} bits", scores)
    for way, metrics in (*evaluation.rescored.items(), *evaluation.reranked.items()):
        row(way, metrics.expected)
    for way, metrics_of_ws in (("AFR", evaluation.afr), ("coarse", evaluation.coarse_afr)):
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


def thresholds_text(open_set: OpenSet, fpir: float = 0.01, sizes: Sequence[int] = (1_000, 100_000, 1_000_000)) -> str:
    """The largest distances at which a search for somebody absent is answered at this rate, for galleries of sizes."""
    bits = {n: open_set.threshold(fpir, n) for n in sizes}
    found = ", ".join(f"{f'{at} bits' if at >= 0 else 'no distance'} in {n:,} rows" for n, at in bits.items())
    return f"{found} ({fpir:.0%} false alarms a search)"


def recall_text(coarse: CoarseCode) -> str:
    """Return which shares of the matches a search by coarse code keeps, and which shares of a gallery that takes."""
    return ", ".join(f"{wanted:.0%} in {_percent(share)} %" for wanted, share in coarse.recall)


def calibration_text(card: Card) -> str:
    """Return what a model was calibrated on; empty if it was not."""
    if card.calibration is None:
        return ""
    whose = card.training.get("calibrated_on")
    people = "people held out" if whose is None else f"people of {whose}, whom it was not trained on"
    others = f", searched for in {card.calibration.others:,} of other people" if card.calibration.others else ""
    return f"{card.calibration.pictures} pictures of {card.calibration.identities} {people}{others}"


def card_table(card: Card, model: str) -> Table:
    """The card of a model, a line a fact."""
    table = Table("fact", title=card.name)
    table.add_column("value", overflow="fold")
    for name, value in card_facts(card, model).items():
        table.add_row(name, value)
    return table


def card_facts(card: Card, model: str) -> dict[str, str]:
    """Return what a card says, by the name of each fact; `model` is its fingerprint."""
    picture, fitted = card.input, card.calibration
    return {
        "fingerprint": model,
        "input": f"{card.n_features} features"
        if card.takes_features
        else f"{picture.height}x{picture.width} {picture.colour_order}, {picture.resize}"
        + (", averaged with the mirror image" if picture.flip else ""),
        "identity code": f"{card.n_bits} bits"
        + (": " if card.parts else "")
        + ", ".join(f"{name} {n_bits}" for name, n_bits in part_sizes(card.parts).items()),
        **{
            f"{'all' if int(name) == card.n_bits else 'first'} {name} bits": _length_text(card, int(name))
            for name in card.lengths
        },
        "attribute code": f"{card.attributes.n_code_bits} bits" if card.attributes else "none",
        "coarse code": _coarse_text(card.coarse) if card.coarse else "none",
        "network": ", ".join(f"{name} {value}" for name, value in card.model.items()),
        "trained on": f"{card.training.get('data')}: {card.training.get('pictures')} pictures of "
        f"{card.training.get('identities')} identities",
        "calibrated on": calibration_text(card) or "nothing",
        **({"same person within": thresholds_text(fitted.open_set)} if fitted else {}),
        "weights": f"{card.weights_bytes / 1e6:.1f} MB",
        **{f"engine {name}": proof_text(name, engine.proof) for name, engine in card.engines.items()},
        "licence": card.licence,
        "notes": card.notes,
        **{name: f"{value:.3f}" for name, value in card.metrics.items()},
    }


def _length_text(card: Card, n_bits: int) -> str:
    """Return the scores of codes of this length, and what their distances mean where that was fitted."""
    scores = [f"{name} {value:.3f}" for name, value in card.lengths[str(n_bits)].items()]
    open_set = card.open_set_of(n_bits) if n_bits < card.n_bits else None
    return "; ".join(
        [
            *([", ".join(scores)] if scores else []),
            *([] if open_set is None else [f"same person within {thresholds_text(open_set)}"]),
        ]
    )


def _coarse_text(coarse: CoarseCode) -> str:
    n = len(coarse.attribute_bits), len(coarse.identity_bits)
    return f"{n[0]} attribute bits, {n[1]} identity bits; keeps of the matches {recall_text(coarse)} of a gallery"


def proof_text(name: str, proof: Proof) -> str:
    """Say how near to the weights an engine is."""
    from bitreid.artifact.engines import LIMITS

    before, after, mixed = proof.before, proof.after, proof.mixed
    scores = "".join(
        f"; {key} {100 * before[key]:.1f} with the weights, {100 * after[key]:.1f} with it, {100 * mixed[key]:.1f} its "
        "queries in a gallery of the weights"
        for key in before
    )
    past = LIMITS[name].broken_by(proof)
    return (
        f"{100 * proof.flipped:.3g} % of bits differ from those of the weights, largest difference of a feature "
        f"{proof.difference:.1g}{scores} ({proof.pictures} pictures: {proof.source})"
        + (f"; past its limits, so its codes are another model's: {past}" if past else "")
    )


def recipes_table(recipes: Mapping[str, Recipe]) -> Table:
    """Return recipes by the names that `bitreid train` takes, a line each."""
    table = Table("recipe", "network", "input", "passes", "notes", title="recipes, for `bitreid train`")
    for name, recipe in recipes.items():
        size = f"{recipe.input.height}x{recipe.input.width}"
        table.add_row(name, recipe.network.backbone, size, str(recipe.epochs), recipe.notes)
    return table


def settings_table(title: str, column: str, settings: Sequence[Setting]) -> Table:
    """Return settings of a recipe, a line each, with their values and what they mean."""
    table = Table("setting", column, "meaning", title=title)
    for setting in settings:
        choices = f" One of {', '.join(setting.choices)}." if setting.choices else ""
        value = "(to be given)" if setting.value is None else json.dumps(setting.value, ensure_ascii=False)
        table.add_row(setting.name, value.strip('"'), f"{setting.meaning}{choices}")
    return table


def search_text() -> str:
    """Which search path runs here, and which can."""
    from bitreid.hamming import kernel

    paths = kernel.available_paths()
    if len(paths) == 1:
        return f"numpy (the native kernel {kernel.why_not})"
    return f"{kernel.path()} (available: {', '.join(paths)})"
