"""Rendering a report as an HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitreid.artifact import fingerprint
from bitreid.data.files import new_file
from bitreid.errors import DataError
from bitreid.evaluation.confidence import Interval
from bitreid.evaluation.report.charts import Table
from bitreid.evaluation.report.code_sections import attributes, bits, queries
from bitreid.evaluation.report.data import Report
from bitreid.evaluation.report.layout import NARROW, WIDE, lay_out
from bitreid.evaluation.report.pair_sections import distances, searches
from bitreid.evaluation.report.ranking_sections import lengths, ranks, short_lists
from bitreid.evaluation.report.sheets import sheet_of
from bitreid.evaluation.report.words import bits_and_bytes, number, of_hundred, percent, points, share
from bitreid.text import printable

if TYPE_CHECKING:
    import jinja2

_SECTIONS = (ranks, lengths, short_lists, distances, searches, queries, attributes, bits)


def render_report(report: Report) -> str:
    """Return the page as HTML that needs no script, no other file and no network.

    All text from the report is escaped. `DataError` without Jinja2, and for a picture that cannot be read (files are
    opened only with `report.pictures`).
    """
    template = _environment().get_template("report.html.j2")
    sections = [section for make in _SECTIONS if (section := make(report)) is not None]
    return template.render(
        report=report,
        figures=figures_of(report),
        sentences=tuple(_sentences(report)),
        facts=tuple(_facts(report)),
        sections=sections,
        record=_record(report),
        made=f"{report.record.made.day} {report.record.made:%B %Y, %H:%M}" if report.record else "",
        command=_command(report),
        plots_of=lambda chart: [lay_out(chart, canvas) for canvas in (WIDE, NARROW)],
        sheet_of=partial(sheet_of, pictures=report.pictures),
    )


def write_report(report: Report, path: Path) -> None:
    """Write the page to `path`, under a temporary name first: a page is there as a whole or not at all."""
    page = render_report(report)
    with new_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", newline="\n")


def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise DataError("expected Jinja2 to write a report, got none; install bitreid[report]") from error

    def load(name: str) -> str:
        return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True)
class Figure:
    """A score at the top of the page, in per cent: that of the codes, with its interval, and that of the float feature.

    Text is empty where a number is not known.
    """

    name: str
    meaning: str
    value: str
    low: str
    high: str
    level: str
    floats: str


def figures_of(report: Report) -> tuple[Figure, ...]:
    """Return the scores at the top of the page; none without an evaluation."""
    if report.evaluation is None:
        return ()
    main, floats = report.evaluation.main.expected, report.evaluation.beside
    meanings = {
        "rank1": ("Rank-1", "searches whose first hit is right"),
        "mAP": ("mAP", "mean average precision: are all right pictures on top?"),
        "mINP": ("mINP", "how soon even the last right picture comes"),
    }
    figures = []
    for key, (name, meaning) in meanings.items():
        interval = report.intervals.get(key)
        known = interval is not None and interval.low == interval.low  # NaN: of one identity
        ends = (share(interval.low), share(interval.high), percent(interval.level)) if known and interval else ("",) * 3
        of_floats = "" if floats is None else share(getattr(floats.expected, key))
        figures.append(Figure(name, meaning, share(getattr(main, key)), *ends, of_floats))
    return tuple(figures)


def _sentences(report: Report) -> Iterator[str]:
    """Yield sentences that say what the scores mean."""
    if report.evaluation is None:
        return
    main, floats = report.evaluation.main.expected, report.evaluation.beside
    yield (
        f"In {of_hundred(main.rank1, 'searches')} the nearest picture in the gallery shows the person who was "
        f"searched for."
    )
    if floats is not None:
        change = main.mAP - floats.expected.mAP
        bytes_of_floats = 4 * report.evaluation.n_features
        price = f"at {'a cost' if change < 0 else 'a gain'} of {points(change)} of mAP"
        yield (
            f"The code of a picture takes {number(report.evaluation.n_bits / 8)} bytes instead of the "
            f"{number(bytes_of_floats)} of the float feature, {price if abs(change) >= 5e-4 else 'at no cost in mAP'}."
        )
    interval = report.intervals.get("mAP")
    if interval is not None:
        yield _interval_words(interval)


def _interval_words(interval: Interval) -> str:
    if interval.low != interval.low:
        return "The queries show one person, which says nothing about how people differ: there are no intervals."
    return (
        f"The intervals hold the true scores with {percent(interval.level)} confidence, as far as the "
        f"{interval.n_identities:,} people on the queries stand for others."
    )


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the names and values that say what was evaluated."""
    card, evaluation = report.card, report.evaluation
    if report.data:
        yield "Data set", report.data
    if evaluation is not None:
        yield "Queries", _queries_words(evaluation.main.n_queries, evaluation.main.n_without_match)
        yield "Gallery", f"{evaluation.n_gallery:,} pictures"
        if evaluation.codes is not None:
            yield "Code", bits_and_bytes(evaluation.n_bits) + ", compared by Hamming distance"
        else:
            yield "Feature", f"{evaluation.n_features:,} numbers, compared by cosine distance"
    if report.protocol:
        yield "Protocol", report.protocol
    if card is not None:
        yield "Model", card.name + (f" ({fingerprint(card)})" if card.weights_sha256 else "")
        yield "Input", f"{card.input.height} \u00d7 {card.input.width} pixels, height \u00d7 width"
        yield "Licence", card.licence
        if card.notes:
            yield "Notes", card.notes


def _queries_words(n_queries: int, n_without_match: int) -> str:
    text = f"{n_queries:,} pictures"
    if n_without_match:
        text += f", {n_without_match:,} of them without a match in the gallery, which the means leave out"
    return text


def _record(report: Report) -> tuple[Table, ...]:
    """Return tables of the run's record: versions, and how the model was trained."""
    tables = []
    if report.record is not None and report.record.versions:
        versions = tuple((name, version) for name, version in report.record.versions.items())
        tables.append(Table("Versions", ("package", "version"), versions, numeric=False))
    if report.card is not None:
        rows = tuple(_flat("", report.card.metrics)) + tuple(_flat("", report.card.training))
        if not report.pictures:
            # A recipe may name files of pictures or weights; plain counts cannot.
            rows = tuple((name, value) for name, value in rows if value.replace(".", "", 1).isdigit())
        if rows:
            tables.append(Table("The model\u2019s card: scores and training", ("fact", "value"), rows, numeric=False))
    return tuple(tables)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield nested values with dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _command(report: Report) -> str:
    """Return the command for a shell; a report without pictures has FILE in place of file names."""
    if report.record is None:
        return ""
    words = ["FILE" if isinstance(word, Path) and not report.pictures else str(word) for word in report.record.command]
    return printable(shlex.join(words))
