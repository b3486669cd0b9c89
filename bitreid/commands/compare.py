"""`bitreid compare`: two models by the scores that `bitreid evaluate --json` wrote of each."""

import argparse
from dataclasses import asdict
from pathlib import Path

HELP = "compare two models by the scores that `evaluate --json` wrote of each"
EXAMPLES = ("bitreid compare a.json b.json --descriptor codes",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid compare`."""
    parser.add_argument("a", type=Path, metavar="A.json", help="scores of one model, which `evaluate --json` wrote")
    parser.add_argument("b", type=Path, metavar="B.json", help="scores of the other one, on the same data")
    parser.add_argument(
        "--descriptor",
        choices=["main", "codes", "floats"],
        default="main",
        help="what is compared: codes, float features, or codes where there are any (default %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the comparison")


def run(arguments: argparse.Namespace) -> int:
    """Show, and write on request, how two models' scores differ."""
    from bitreid.commands.console import comparison_table, console_of
    from bitreid.data.files import check_outputs
    from bitreid.evaluation.score_files import compare_scores, read_scores, write_json

    check_outputs([arguments.json], [arguments.a, arguments.b])
    a, b = read_scores(arguments.a), read_scores(arguments.b)
    compared = compare_scores(a, b, arguments.descriptor)
    console_of().print(comparison_table(a.name, b.name, compared))
    if arguments.json:
        write_json(arguments.json, {name: asdict(each) for name, each in compared.items()})
    return 0
