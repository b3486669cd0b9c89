"""`bitreid`: puts the commands together, runs the one that is asked for, and turns errors into exit codes.

The files of the commands import what they need inside their functions, and only the command that is asked for adds its
arguments, so that `bitreid --help` is quick.
"""

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bitreid import __version__
from bitreid.commands import (
    average,
    calibrate,
    compare,
    completion,
    convert,
    crops,
    demo,
    draw,
    encode,
    evaluate,
    export,
    gallery,
    import_features,
    info,
    keys,
    link,
    models,
    recipes,
    search,
    serve,
    train,
)
from bitreid.commands.options import ending
from bitreid.errors import BitreidError, DataWarning, FilterError
from bitreid.text import printable


class Command(Protocol):
    """A command's file: what the command is for, the arguments that it takes, and what it does with them."""

    HELP: str

    @property
    def EXAMPLES(self) -> Sequence[str]:
        """Calls that the command's help ends with."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return its exit code."""


COMMANDS: Mapping[str, Command] = {
    # To see what it is.
    "demo": demo,
    "models": models,
    "info": info,
    # To search.
    "encode": encode,
    "crops": crops,
    "import": import_features,
    "search": search,
    "gallery": gallery,
    "link": link,
    "serve": serve,
    "keys": keys,
    # To train.
    "train": train,
    "average": average,
    "recipes": recipes,
    "calibrate": calibrate,
    "export": export,
    # To score.
    "evaluate": evaluate,
    "compare": compare,
    # Data sets, and the shell.
    "draw": draw,
    "convert": convert,
    "completion": completion,
}

_EXTRAS = {
    "av": "video",
    "cv2": "drawn",
    "fastapi": "service",
    "h5py": "convert",
    "httpx": "client",
    "jinja2": "report",
    "multipart": "service",
    "pillow_heif": "heic",
    "prometheus_client": "service",
    "pyarrow": "parquet",
    "pymilvus": "milvus",
    "ray": "ray",
    "scipy": "attributes",
    "simplejpeg": "jpeg",
    "uvicorn": "service",
}
"""The extra that brings a package, where that is not `train`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 an error that was explained, 3 done but for pictures that could not be read, 130 stopped and saved.
    """
    words = sys.argv[1:] if argv is None else argv
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = _show_warning
        try:
            arguments = arguments_of(words)
            command: Command = arguments.command
            return command.run(arguments)
        except BitreidError as error:
            # A filter's error points at a character in a line of its own.
            return _explain(str(error) if not isinstance(error, FilterError) else str(error).split("\n"))
        except OSError as error:
            at = f" at {error.filename}" if error.filename else ""
            return _explain(
                f"expected a file or folder that can be read or written{at}, got: {error.strerror or error}"
            )
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(str(error.name).partition(".")[0], "train")
            return _explain(f"expected the package {error.name}, got none; pip install 'bitreid[{extra}]' brings it")
        except KeyboardInterrupt:
            print("bitreid: stopped", file=sys.stderr)
            return 130


def arguments_of(words: Sequence[str]) -> argparse.Namespace:
    """Return what the words say; without any, the help is shown, and the exit code is 2.

    argparse takes no positional arguments any longer where options stand between them and those before; here
    `gallery search PLACE --model MODEL QUERY` is as good as `gallery search PLACE QUERY --model MODEL`.
    """
    parser = parser_of(words)
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(2)
    arguments, left = parser.parse_known_args(words)
    if left and getattr(arguments, "inputs", None) == [] and not any(word.startswith("-") for word in left):
        arguments.inputs = [Path(word) for word in left]
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return arguments


def parser_of(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser of these words: it knows all commands by name, and the arguments of those among the words."""
    parser = argparse.ArgumentParser(
        prog="bitreid",
        description="Find the same person across cameras with binary codes.",
        **ending(["bitreid demo", "bitreid gallery --help", "bitreid train --help"]),
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = subparsers.add_parser(name, help=command.HELP, description=command.HELP, **ending(command.EXAMPLES))
        sub.set_defaults(command=command)
        if name in words:
            command.add_arguments(sub)
    return parser


def _explain(error: str | Sequence[str]) -> int:
    """Show an error, a line or several, whatever the names of files and other texts of strangers in it hold."""
    lines = [error] if isinstance(error, str) else error
    print("bitreid: " + "\n".join(map(printable, lines)), file=sys.stderr)
    return 1


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    """Show what is wrong with the data in one line; other warnings with their place in the code, as usual."""
    if issubclass(category, DataWarning):
        print(f"bitreid: warning: {printable(str(message))}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
