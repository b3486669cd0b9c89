"""`bitreid gallery`: galleries that last. A file for each group of its commands."""

import argparse
import json
import sys
from pathlib import Path

from bitreid.commands.options import ending

HELP = "make, fill, search and keep galleries that last"
EXAMPLES = (
    "bitreid gallery create people.gallery --model runs/people/artifact",
    "bitreid gallery search people.gallery people/query/0057_*.jpg --model runs/people/artifact",
)

STDOUT = Path("-")
"""The file of `--json` that is the standard output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands on galleries, each with the arguments that all take and its own."""
    from bitreid.commands.gallery import add, delete, keeping, moving, people, search

    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in (keeping, add, search, delete, people, moving):
        for name, action in group.ACTIONS.items():
            sub = subparsers.add_parser(name, help=action.help, description=action.help, **ending(action.examples))
            sub.add_argument("place", metavar="PLACE", help="a file such as people.gallery, or milvus://HOST:PORT/NAME")
            sub.add_argument("--actor", metavar="NAME", help="who does this, for the audit log (default: your login)")
            sub.add_argument(
                "--json",
                type=Path,
                metavar="FILE",
                help="write the answer as JSON (-: print it, and all else to stderr)",
            )
            sub.set_defaults(answer=action.answer)
            action.add_arguments(sub)


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; show the answer, and write it on request."""
    from bitreid.commands.console import console_of, show
    from bitreid.commands.gallery.action import Answer
    from bitreid.data.files import check_outputs, new_file
    from bitreid.evaluation.summary import json_values

    console = console_of(stderr=arguments.json == STDOUT)
    out = None if arguments.json == STDOUT else arguments.json
    inputs = [Path(arguments.place), *getattr(arguments, "inputs", ())]
    check_outputs([out, *(getattr(arguments, name, None) for name in ("out", "report"))], inputs)
    answer: Answer = arguments.answer(arguments, console)
    for each in answer.shown:
        show(console, each)
    documents = answer.value if answer.lines else [answer.value]
    text = "".join(json.dumps(json_values(each), indent=None if answer.lines else 1) + "\n" for each in documents)
    if arguments.json == STDOUT:
        sys.stdout.write(text)
    elif out is not None:
        with new_file(out) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return answer.code
