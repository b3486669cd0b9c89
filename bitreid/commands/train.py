"""`bitreid train`: a recipe and pictures to a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bitreid.commands.options import add_data
from bitreid.errors import SettingsError

if TYPE_CHECKING:
    from bitreid.data.about import Facts

HELP = "train a model with a recipe on pictures, and save its artifact"
EXAMPLES = (
    "bitreid train drawn_lite0 --data people --out runs/people",
    "bitreid train --resume --out runs/people",
    "bitreid train drawn --data people --init drawn --set epochs=3 --set learning_rate=1e-4 --out runs/tuned",
    "bitreid train drawn_lite0 --data people --teacher runs/larger --out runs/taught",
    "bitreid train drawn_lite0 --data people --set held_out_identities=0 --twin runs/people --out runs/all",
)

COMMAND = "command.json"
"""The file in a run's folder that says what it was asked to learn from, so that it can be resumed without."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid train`."""
    parser.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="YAML file, or the name of one that bitreid ships, e.g. drawn_tiny (`bitreid recipes` lists them)",
    )
    add_data(parser, required=False)
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="where DATA is a folder of pictures: what their names say, e.g. '(?P<pid>[0-9]+)_c(?P<camid>[0-9]+)'",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run; the artifact will be RUN/artifact"
    )
    parser.add_argument(
        "--attributes",
        type=Path,
        metavar="FILE",
        help="attribute labels, CSV or .mat (default: the one beside the data)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, e.g. network.n_bits=512 (`bitreid recipes` lists them)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the stopped run in RUN exactly where it stopped; nothing else has to be given",
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="MODEL",
        help="start from the weights of this model, a folder or a name (fine-tuning), or from a run's folder",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="MODEL",
        help="learn how alike pictures are from this model too, a folder or a name, say a larger one (distillation)",
    )
    parser.add_argument(
        "--twin",
        type=Path,
        metavar="MODEL",
        help="where nobody is held out (--set held_out_identities=0): take calibration and scores over from this model "
        "of the same recipe, which held people out",
    )
    told = parser.add_argument_group("what the model's card says of the pictures (default: what their about.json says)")
    told.add_argument("--licence", metavar="TEXT", help="what the data allows to do with weights trained on it")
    told.add_argument("--licence-file", type=Path, metavar="FILE", help="a text that is to lie beside the weights")
    told.add_argument("--notes", metavar="TEXT", help="what whoever uses the model should know of the pictures")


def run(arguments: argparse.Namespace) -> int:
    """Train, show each pass, and say where the artifact is; 130 if the run was stopped and saved."""
    from bitreid.commands.console import TrainingReporter, console_of, progress_of, say
    from bitreid.data.files import new_file
    from bitreid.training.fit import Interrupted
    from bitreid.training.recipe import load_recipe
    from bitreid.training.run import check_run_folder, train
    from bitreid.training.task import task_from

    check_run_folder(arguments.out, arguments.resume)
    asked = _asked(arguments)
    recipe = load_recipe(asked.recipe, arguments.set)
    console = console_of()
    with progress_of(console, "reading pictures") as progress:
        task = task_from(recipe, asked.data, asked.attributes, progress, asked.pattern)
    task = replace(task, about=_about(task.about, arguments))
    say(
        console,
        f"{len(task.split.train)} pictures of {len(task.identities)} identities to train on, "
        f"{len(task.split.query)} + {len(task.split.gallery)} of {recipe.held_out_identities} held out",
    )
    if not arguments.resume:
        with new_file(arguments.out / COMMAND) as unfinished:
            told = {
                "data": str(asked.data.absolute()),
                "attributes": _absolute(asked.attributes),
                "pattern": asked.pattern,
                "teacher": _absolute(asked.teacher),
                "twin": _absolute(asked.twin),
            }
            unfinished.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    try:
        with TrainingReporter(console, recipe.epochs) as reporter:
            train(
                recipe,
                task,
                arguments.out,
                reporter,
                resume=arguments.resume,
                init=_folder_of(arguments.init),
                teacher=asked.teacher,
                twin=asked.twin,
            )
    except Interrupted:
        say(console, f"stopped and saved; continue with: bitreid train --resume --out {arguments.out}")
        return 130
    say(console, f"artifact: {arguments.out / 'artifact'}")
    return 0


class _Asked(NamedTuple):
    """What a run learns from."""

    recipe: str
    data: Path
    attributes: Path | None
    pattern: str | None
    teacher: Path | None
    twin: Path | None


def _asked(arguments: argparse.Namespace) -> _Asked:
    """Return what the run learns from: as given, else as it was asked when it began."""
    given = (arguments.recipe, arguments.data)
    teacher, twin = _folder_of(arguments.teacher), _folder_of(arguments.twin)
    if all(given):
        return _Asked(arguments.recipe, arguments.data, arguments.attributes, arguments.pattern, teacher, twin)
    if not arguments.resume:
        missing = " and ".join(name for name, value in zip(("a recipe", "--data"), given, strict=True) if not value)
        raise SettingsError(
            f"expected a recipe and --data to train on, got no {missing.removeprefix('a ')}; "
            "`bitreid recipes` lists recipes (a stopped run needs --resume --out alone)"
        )
    path = arguments.out / COMMAND
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        data, pattern = Path(asked["data"]), asked["pattern"]
        # Older runs had no teacher, or no twin.
        attributes, taught_by, twin_before = (_path(asked.get(name)) for name in ("attributes", "teacher", "twin"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(
            f"expected {path} to say what the run learns from, could not read it ({type(error).__name__}); "
            "older runs have none: give the recipe and --data as when the run began, and --resume"
        ) from error
    return _Asked(
        arguments.recipe or str(arguments.out / "recipe.yaml"),
        arguments.data or data,
        arguments.attributes or attributes,
        arguments.pattern or pattern,
        teacher or taught_by,
        twin or twin_before,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _folder_of(model: Path | None) -> Path | None:
    """Return the folder of a model or a run; a folder that is there comes before a shipped model of its name."""
    from bitreid.artifact.shipped import folder_of

    return model if model is None or model.is_dir() else folder_of(model)


def _about(of_data: Facts, arguments: argparse.Namespace) -> Facts:
    """Return what is told of the data: on the command line, else by its folder."""
    about = of_data
    if arguments.licence is not None or arguments.licence_file is not None:  # one that is told replaces all of another
        text = "" if arguments.licence_file is None else arguments.licence_file.read_text(encoding="utf-8")
        about = replace(about, licence=arguments.licence or "see LICENSE", licence_text=text)
    return about if arguments.notes is None else replace(about, notes=arguments.notes)
