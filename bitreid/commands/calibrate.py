"""`bitreid calibrate`: what a model's distances mean."""

import argparse
from pathlib import Path

from bitreid.commands.options import add_data, add_pattern

HELP = "fit what distances mean on the people that training held out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid calibrate`."""
    parser.add_argument("artifact", type=Path, help="the model; its card is written anew")
    add_data(parser)
    add_pattern(parser)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate a model, and say at which distances it calls two pictures the same person."""
    from bitreid.commands.console import console_of, progress_of, say, thresholds_text
    from bitreid.data.parsers import parse
    from bitreid.training.validation import calibrate_artifact

    console = console_of()
    data = parse(arguments.data, arguments.pattern, None if arguments.pattern is None else "train")
    with progress_of(console, "encoding") as progress:
        calibration = calibrate_artifact(
            arguments.artifact,
            data,
            progress,
        ).calibration
    assert calibration is not None, "it was just fitted"
    say(console, f"calibrated on {calibration.pictures} pictures of {calibration.identities} people held out")
    say(console, f"same person within {thresholds_text(calibration)}")
    return 0
