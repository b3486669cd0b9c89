"""What commands do about pictures that cannot be read: leave them out and tell, or refuse."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitreid.data.pictures import Findings

LEFT_OUT = 3
"""Exit code of a command that is done, but left out pictures that could not be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--strict` and `--report`."""
    parser.add_argument(
        "--strict", action="store_true", help="refuse, before anything is encoded, if a picture cannot be read"
    )
    add_report(parser)


def add_report(parser: argparse.ArgumentParser, what: str = "pictures") -> None:
    """Add `--report`."""
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help=f"write which {what} were left out, and why, as JSON"
    )


def tell(findings: Findings, report: Path | None = None, what: tuple[str, str] = ("picture", "pictures")) -> int:
    """Say which pictures were left out or look odd, write the report on request, and return the exit code.

    `what` are words for one and for several of what is left out.
    """
    from bitreid.data.pictures import NAMED_FILES
    from bitreid.evaluation.score_files import write_json
    from bitreid.text import printable

    findings.warn_of_odd()
    if report is not None:
        bad = [{"path": str(error.path), "left_out": True, "reason": error.reason} for error in findings.bad]
        odd = [{"path": str(each.path), "left_out": False, "reason": each.what} for each in findings.odd]
        write_json(report, [*bad, *odd])
    if not findings.bad:
        return 0
    n = f"{len(findings.bad)} {what[1]} were" if len(findings.bad) > 1 else f"1 {what[0]} was"
    print(f"bitreid: {n} left out:", file=sys.stderr)
    for error in findings.bad[:NAMED_FILES]:
        print(f"  {printable(str(error.path))}: {error.reason}", file=sys.stderr)
    if len(findings.bad) > NAMED_FILES:
        all_of_them = report or "--report FILE"
        print(f"  and {len(findings.bad) - NAMED_FILES} more; {all_of_them} lists all", file=sys.stderr)
    return LEFT_OUT
