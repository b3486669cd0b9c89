"""What the commands on galleries share: what such a command is, how it opens its gallery, and words that they read."""

import argparse
import getpass
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bitreid.commands.console import progress_of
from bitreid.errors import SettingsError
from bitreid.gallery import Gallery, open_gallery

_AGE = re.compile(r"([0-9]{1,5})([hdw])")


class Answer(NamedTuple):
    """What a command shows people, and the same as JSON; a JSON document of each entry where there are `lines`.

    `code` is the exit code: 1 where what was asked for was not there, 3 where pictures were left out.
    """

    shown: Sequence[str | Table]
    value: Any
    lines: bool = False
    code: int = 0


class Action(NamedTuple):
    """A command on a gallery: what it is for, how it adds its arguments (beside the gallery's place), what it does, and
    examples."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    answer: Callable[[argparse.Namespace, Console], Answer]
    examples: tuple[str, ...]


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: the gallery's place says it all."""


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add `--where`, a filter."""
    parser.add_argument(
        "--where",
        metavar="FILTER",
        help="e.g. 'camera in (1, 2) and time >= 2026-01-01 and not jacket' (docs/galleries.md)",
    )


def actor_of(arguments: argparse.Namespace) -> str:
    """Return who does this, for the audit log."""
    try:
        return str(arguments.actor or getpass.getuser())
    except (KeyError, OSError):  # a process may run under a number that has no name
        return ""


def open_place(arguments: argparse.Namespace, read_only: bool = False) -> Gallery:
    """Open the gallery that the command line names."""
    return open_gallery(arguments.place, actor=actor_of(arguments), read_only=read_only)


@contextmanager
def writing_shown(gallery: Gallery, console: Console) -> Iterator[None]:
    """Show within it how much is written of what the gallery writes to be searched from."""
    with progress_of(console, "writing") as progress:
        gallery.on_writing = lambda share: progress(round(100 * share), 100)
        try:
            yield
        finally:
            gallery.on_writing = None


def words_of(text: str | None) -> tuple[str, ...]:
    """Return the words of a list such as `head, legs`."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def moment_of(text: str) -> datetime:
    """Return the time that an age such as `30d`, `12h` or `2w`, or a time such as `2026-01-31` (UTC) means."""
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            unit = {"h": timedelta(hours=1), "d": timedelta(1), "w": timedelta(7)}[age[2]]
            return datetime.now(UTC) - int(age[1]) * unit
        time = datetime.fromisoformat(text)
    # An age may lie before the first year that there is.
    except (ValueError, OverflowError):
        raise SettingsError(
            f"expected an age such as 30d, 12h or 2w, or a time such as 2026-01-31, got {text!r}"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
