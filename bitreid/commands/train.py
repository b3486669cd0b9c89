"""`bitreid train`: a recipe and pictures to a model."""

import argparse
from pathlib import Path

from bitreid.commands.options import add_data

HELP = "train a model: recipe and pictures to an artifact"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid train`."""
    parser.add_argument("recipe", help="YAML file, or the name of one that bitreid ships, e.g. drawn_tiny")
    add_data(parser)
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="where DATA is a folder of pictures: what their names say, e.g. '(?P<pid>[0-9]+)_c(?P<camid>[0-9]+)'",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; the artifact will be OUT/artifact")
    parser.add_argument(
        "--attributes", type=Path, help="attribute labels, CSV or .mat (default: the one beside the data)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting, e.g. network.n_bits=512"
    )
    parser.add_argument("--resume", action="store_true", help="continue a stopped run exactly where it stopped")
    parser.add_argument(
        "--init", type=Path, metavar="ARTIFACT", help="start from this model's weights, or from a run's folder"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, show each pass, and say where the artifact is; 130 if the run was stopped and saved."""
    from bitreid.commands.console import TrainingReporter, console_of, progress_of, say
    from bitreid.training.fit import Interrupted
    from bitreid.training.recipe import load_recipe
    from bitreid.training.run import check_run_folder, train
    from bitreid.training.task import task_from

    recipe = load_recipe(arguments.recipe, arguments.set)
    check_run_folder(arguments.out, arguments.resume)
    console = console_of()
    with progress_of(console, "reading pictures") as progress:
        task = task_from(recipe, arguments.data, arguments.attributes, progress, arguments.pattern)
    say(
        console,
        f"{len(task.split.train)} pictures of {len(task.identities)} identities to train on, "
        f"{len(task.split.query)} + {len(task.split.gallery)} of {recipe.held_out_identities} held out",
    )
    try:
        with TrainingReporter(console, recipe.epochs) as reporter:
            train(recipe, task, arguments.out, reporter, resume=arguments.resume, init=arguments.init)
    except Interrupted:
        say(console, f"stopped and saved; continue with: bitreid train ... --out {arguments.out} --resume")
        return 130
    say(console, f"artifact: {arguments.out / 'artifact'}")
    return 0
