"""What the console shows of a run: a bar on a terminal, a line now and then elsewhere."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from bitreid.coarse import CoarseCode
from bitreid.commands.console import (
    TrainingReporter,
    as_markdown,
    comparison_table,
    evaluation_table,
    progress_of,
    recall_text,
    relaxation_label,
    show,
)
from bitreid.encoding.paces import Pace, Paces
from bitreid.evaluation.confidence import compare
from bitreid.evaluation.summary import evaluate_model
from bitreid.training.checkpoint import Position
from tests.evaluation.report.cases import sides

LOSSES = {"total": 3.25, "agreement": 0.5}


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def test_elsewhere_a_line_comes_now_and_then() -> None:
    out = console(terminal=False)
    with TrainingReporter(out, epochs=3, every_s=0) as reporter:
        reporter.on_step(Position(1, 2), 5, LOSSES, 80.4)
    with TrainingReporter(out, epochs=3, every_s=1000) as reporter:
        reporter.on_step(Position(1, 3), 5, LOSSES, 80.4)
    assert text_of(out) == "pass 2/3  total 3.250 agreement 0.500  80 pictures/s  7/15\n"


def test_on_a_terminal_a_bar_names_losses_and_speed() -> None:
    out = console(terminal=True)
    with TrainingReporter(out, epochs=3, every_s=0) as reporter:
        reporter.on_step(Position(1, 2), 5, LOSSES, 80.4)
        reporter.bar.refresh()
    assert "pass 2/3  total 3.250 agreement 0.500  80 pictures/s" in text_of(out)
    assert "7/15" in text_of(out)


def test_a_pass_is_a_line_that_is_never_broken() -> None:
    out = console(terminal=False)
    record = {"epoch": 2, "pictures_per_s": 91.0} | {f"val_{i}": i / 10 for i in range(30)}
    TrainingReporter(out, epochs=3).on_epoch(record)
    text = text_of(out)
    assert text.startswith("pass 2/3  val_0 0.000 val_1 0.100 ")
    assert text.endswith("val_29 2.900  91 pictures/s\n")
    assert text.count("\n") == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_on_terminals_only(terminal: bool) -> None:
    out = console(terminal)
    with progress_of(out, "reading pictures") as progress:
        progress(3, 4)
    assert ("reading pictures" in text_of(out)) == terminal
    assert ("3/4" in text_of(out)) == terminal
    assert terminal or text_of(out) == ""


def test_progress_shows_what_is_beside_it_as_it_is_then() -> None:
    out, paces = console(terminal=True), Paces()
    with progress_of(out, "encoding", paces) as progress:
        paces.reading = Pace(600, 2.0)
        progress(3, 4)
    assert "encoding reading 300, encoding -, writing - pictures/s" in text_of(out)


def test_a_table_becomes_markdown_without_its_title() -> None:
    table = Table("bits", "mAP", title="scores")
    table.add_row("128", "20.1")
    out = console(terminal=False)
    out.print(as_markdown(table))
    assert [line.split() for line in text_of(out).split("\n") if line.strip()] == [
        ["|", "bits", "|", "mAP", "|"],
        ["|------|------|"],
        ["|", "128", "|", "20.1", "|"],
    ]


@pytest.mark.parametrize(
    ("agreement", "label"),
    [(None, "ssr"), (0.9, "ssr"), (0.95, "ssr"), (0.894, "ssr (does not distil: bit agreement 0.89)")],
)
def test_a_student_that_did_not_learn_the_bits_is_called_so(agreement: float | None, label: str) -> None:
    assert relaxation_label("ssr", agreement) == label


@pytest.mark.parametrize("coarse", [None, CoarseCode((0,), tuple(range(7)), ((0.5, 0.1), (0.9, 0.125)))])
def test_scores_by_coarse_code_come_after_those_by_attribute_code(coarse: CoarseCode | None) -> None:
    query, gallery = sides()
    evaluation = evaluate_model(query, gallery, [3, 6], coarse=coarse)
    rows = [row for row in cells_of(evaluation_table("model", evaluation)) if "w = " in row[0]]
    kept = [f"{100 * each.kept:.1f}" for each in (*evaluation.afr, *evaluation.coarse_afr)]
    ways = ["AFR, w = 3 (5 %)", "AFR, w = 6 (10 %)", "coarse, w = 3 (5 %)", "coarse, w = 6 (10 %)"]
    assert [(row[0], row[-1]) for row in rows] == list(zip(ways if coarse else ways[:2], kept, strict=True))
    if coarse:
        assert recall_text(coarse) == "50% in 10 %, 90% in 12.5 %"


def cells_of(table: Table) -> list[list[str]]:
    """The cells of a table's rows, as they are shown."""
    out = console(terminal=False)
    out.print(as_markdown(table))
    lines = [line for line in text_of(out).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_scores_are_shown_of_what_there_is() -> None:
    query, gallery = sides()
    evaluation = evaluate_model(query, gallery, [], rerank_w=20)
    rows = {row[0]: row[1:] for row in cells_of(evaluation_table("model", evaluation))}
    assert list(rows) == ["float", "64 bits", "k-reciprocal, w = 20", "query expansion, w = 20"]
    for name, metrics in {"64 bits": evaluation.codes, **evaluation.reranked, "float": evaluation.floats}.items():
        assert metrics is not None
        scores = metrics.expected
        values = (scores.rank1, scores.cmc[4], scores.mAP, scores.mINP)
        assert rows[name][:4] == [f"{100 * value:.1f}" for value in values]
    codes = evaluation.main
    assert rows["64 bits"][4] == f"{100 * codes.worst.mAP:.1f}..{100 * codes.best.mAP:.1f}"
    floats_only = evaluate_model(replace(query, codes=None), gallery, [3])
    table = evaluation_table("theirs", floats_only)
    assert table.title == "theirs: 12 queries, gallery of 60"
    assert [row[0] for row in cells_of(table)] == ["float"]


def test_rescored_codes_have_a_row_beside_the_codes() -> None:
    query, gallery = sides()
    evaluation = evaluate_model(query, gallery, [], rescore_w=20)
    rows = cells_of(evaluation_table("model", evaluation))
    assert [row[0] for row in rows] == ["float", "64 bits", "64 bits, rescored w = 20"]
    assert rows[2][3] == f"{100 * evaluation.rescored['64 bits, rescored w = 20'].expected.mAP:.1f}"


@pytest.mark.parametrize(("overflow", "widest"), [("ellipsis", 191), ("fold", 40)])
def test_only_facts_are_folded_so_that_ids_can_be_copied(overflow: Any, widest: int) -> None:
    file = io.StringIO()
    table = Table("fact")
    table.add_column("value", overflow=overflow)
    table.add_row("name", "backpack, " * 18)
    show(Console(file=file, width=40), table)
    assert max(map(len, file.getvalue().splitlines())) == widest


def test_a_comparison_is_in_points() -> None:
    # Differences of 0.2, -0.1 and 0.4 in the score of three people.
    found = compare(np.array([0.6, 0.4, 0.9]), np.array([0.4, 0.5, 0.5]), np.array([1, 2, 3]))
    one = compare(np.array([0.5, 0.25]), np.array([0.625, 0.25]), np.array([1, 1]))
    table = comparison_table("ours", "theirs", {"mAP": found, "mINP": one})
    interval = f"{100 * found.low:+.1f} .. {100 * found.high:+.1f}"
    assert cells_of(table) == [
        ["mAP", "63.3", "46.7", "+16.7", interval, f"{found.p_value:.2g}"],
        ["mINP", "37.5", "43.8", "-6.2", "unknown", "1"],
    ]
    assert table.caption == "95 % intervals over 3 people on 3 queries"
