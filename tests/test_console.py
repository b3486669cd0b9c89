"""What the console shows of a run: a bar on a terminal, a line now and then elsewhere."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from bitreid.console import TrainingReporter, as_markdown, progress_of, relaxation_label
from bitreid.training.checkpoint import Position

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
