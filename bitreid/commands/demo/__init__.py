"""`bitreid demo`: drawn people, from nothing to a ranked sheet and a report."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from bitreid.errors import SettingsError

HELP = "draw people, find them with the model that comes with bitreid, make a ranked sheet and a report"
EXAMPLES = ("bitreid demo --out demo", "bitreid demo --train --out demo")

_MARK = "demo.txt"
_OURS = ("people", "people.gallery", "ssr", "tanh", "scores.json", "found.png", "sheet.png", "report.html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid demo`."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="FOLDER",
        help="the folder to write; what an earlier demo made there is replaced (default %(default)s)",
    )
    parser.add_argument(
        "--train",
        action="store_true",
        help="train a small model instead, beside the same with tanh, the usual relaxation: minutes; needs PyTorch",
    )
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="with --train: passes of each training (default: the recipe's)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from bitreid.commands.console import console_of
    from bitreid.commands.demo.quick import quick_demo
    from bitreid.commands.demo.training import train_demo
    from bitreid.drawn.data_set import DrawnSettings

    if arguments.epochs is not None and not arguments.train:
        raise SettingsError("expected --train with --epochs, got --epochs alone; say --train, or leave --epochs out")
    data = make_room(arguments.out)
    if arguments.train:
        train_demo(data, arguments.out, arguments.epochs, console_of(), DrawnSettings(n_train=120, n_test=60))
    else:
        quick_demo(data, arguments.out, console_of(), DrawnSettings(n_train=2, n_test=50, n_distractors=100, n_junk=0))
    return 0


def make_room(out: Path) -> Path:
    """Return the folder for a demo's people in `out`, without what an earlier demo left there.

    `out` is a new or empty folder, or that of an earlier demo; `SettingsError` for any other.
    """
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / _MARK).is_file())):
        raise SettingsError(f"expected a new or empty folder for the demo, got {out}; choose one with --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).write_text(
        "Made by `bitreid demo`, which replaces what it made when it runs again.\n", encoding="utf-8"
    )
    for path in (out / name for name in _OURS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return out / "people"
