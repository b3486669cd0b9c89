"""`bitreid draw`: a data set of people who do not exist."""

import argparse
from pathlib import Path

HELP = "draw people: a data set in Market-1501's layout"
EXAMPLES = ("bitreid draw people --identities 40 --test-identities 20",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid draw`."""
    from bitreid.drawn.data_set import DrawnSettings

    parser.add_argument("out", type=Path, metavar="FOLDER", help="a new folder for the data set")
    for option, name, help in (
        ("--identities", "n_train", "training identities"),
        ("--test-identities", "n_test", "test identities"),
        ("--pictures", "n_pictures", "of each identity by each camera"),
        ("--height", "height", "pixels"),
        ("--width", "width", "pixels"),
        ("--seed", "seed", "another seed draws other people"),
    ):
        default = getattr(DrawnSettings, name)
        parser.add_argument(
            option, dest=name, metavar="N", type=int, default=default, help=f"{help} (default %(default)s)"
        )
    parser.add_argument(
        "--distractors", metavar="N", type=int, help="gallery pictures of others (default: 3 a test identity)"
    )
    parser.add_argument(
        "--junk", metavar="N", type=int, help="gallery pictures of fragments (default: 0.6 a test identity)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw the people and say where they are."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.drawn.data_set import DrawnSettings, draw_people

    settings = DrawnSettings(
        n_train=arguments.n_train,
        n_test=arguments.n_test,
        n_pictures=arguments.n_pictures,
        n_distractors=3 * arguments.n_test if arguments.distractors is None else arguments.distractors,
        n_junk=3 * arguments.n_test // 5 if arguments.junk is None else arguments.junk,
        height=arguments.height,
        width=arguments.width,
        seed=arguments.seed,
    )
    console = console_of()
    with progress_of(console, "drawing people") as progress:
        draw_people(arguments.out, settings, progress)
    say(console, f"data set: {arguments.out}")
    return 0
