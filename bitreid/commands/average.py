"""`bitreid average`: the mean of several runs' weights as a model."""

import argparse
from dataclasses import replace
from pathlib import Path

from bitreid.commands.options import add_data

HELP = "average the weights of several runs of one training, say of its stages, and save the artifact"
EXAMPLES = ("bitreid average runs/second runs/third --data CUHK03_NP --out runs/mean",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid average`."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folders of runs of one network, each a later stage of another of them (`bitreid train --init RUN`)",
    )
    add_data(parser)
    parser.add_argument(
        "--attributes",
        type=Path,
        metavar="FILE",
        help="attribute labels, CSV or .mat (default: the one beside the data)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="NEW",
        help="folder of the new run; the artifact will be NEW/artifact",
    )
    parser.add_argument("--notes", metavar="TEXT", help="what whoever uses the model should know of the pictures")


def run(arguments: argparse.Namespace) -> int:
    """Average, and say where the artifact is."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.training.recipe import load_recipe
    from bitreid.training.run import average, check_run_folder
    from bitreid.training.task import task_from

    check_run_folder(arguments.out, resume=False)
    console = console_of()
    recipe = load_recipe(str(arguments.runs[-1] / "recipe.yaml"))
    with progress_of(console, "reading pictures") as progress:
        task = task_from(recipe, arguments.data, arguments.attributes, progress)
    if arguments.notes is not None:
        task = replace(task, about=replace(task.about, notes=arguments.notes))
    say(console, "averaged weights are nested, calibrated and exported: minutes")
    average(arguments.runs, task, arguments.out)
    say(console, f"artifact: {arguments.out / 'artifact'}")
    return 0
