"""The arguments of the command line."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from bitreid import __version__
from bitreid.commands.gallery_arguments import add_gallery_commands

Command = Callable[[argparse.Namespace], int]
"""What a command does with its arguments: returns its exit code."""


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of the command line; what it finds has the chosen one of the `commands` as `command`."""
    parser = argparse.ArgumentParser(
        prog="bitreid", description="Find the same person across cameras with binary codes."
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, help: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=help, description=help)
        sub.set_defaults(command=commands[name])
        return sub

    train = add("train", "train a model: recipe and pictures to an artifact")
    train.add_argument("recipe", help="YAML file, or the name of one that bitreid ships, e.g. drawn_tiny")
    _add_data(train)
    train.add_argument(
        "--pattern",
        metavar="REGEX",
        help="where DATA is a folder of pictures: what their names say, e.g. '(?P<pid>[0-9]+)_c(?P<camid>[0-9]+)'",
    )
    train.add_argument("--out", type=Path, required=True, help="folder of the run; the artifact will be OUT/artifact")
    train.add_argument(
        "--attributes", type=Path, help="attribute labels, CSV or .mat (default: the one beside the data)"
    )
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting, e.g. network.n_bits=512"
    )
    train.add_argument("--resume", action="store_true", help="continue a stopped run exactly where it stopped")
    train.add_argument(
        "--init", type=Path, metavar="ARTIFACT", help="start from this model's weights, or from a run's folder"
    )

    evaluate = add("evaluate", "score a model, or anybody's features, on a data set's queries and gallery")
    evaluate.add_argument("artifact", type=Path, nargs="?", help="the model; not with --features")
    _add_data(evaluate, required=False)
    evaluate.add_argument(
        "--features",
        type=Path,
        nargs=2,
        metavar=("QUERY.npz", "GALLERY.npz"),
        help="score these files of any program instead: arrays features (float) or codes (packed bits), pids, camids",
    )
    evaluate.add_argument(
        "--protocol",
        default="market1501",
        metavar="NAME",
        help="market1501, cuhk03_np, msmt17, no_cameras, single_shot, multi_query or tracklets (default %(default)s)",
    )
    evaluate.add_argument(
        "--w",
        help="short lists of two-stage search: rows or shares (default 1%%,2%%,5%%,10%%,20%% with attribute codes)",
    )
    evaluate.add_argument(
        "--rerank", metavar="W", help="also re-rank this many rows, or share: k-reciprocal encoding, query expansion"
    )
    evaluate.add_argument("--memory-mb", type=float, default=512, help="bound for comparisons (default %(default)s)")
    evaluate.add_argument("--threads", type=int, help="default: one a processor")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write all scores, also of each query")
    evaluate.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet of some queries")
    evaluate.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write a page to read: scores, charts, queries"
    )
    evaluate.add_argument(
        "--fpir",
        default="1%",
        help="false alarms per search of somebody who is not there, for the report's threshold (default 1%%)",
    )
    evaluate.add_argument("--no-pictures", action="store_true", help="no pictures and no names of files in the report")

    compare = add("compare", "compare two models by the scores that `evaluate --json` wrote of each")
    compare.add_argument("a", type=Path, metavar="A.json")
    compare.add_argument("b", type=Path, metavar="B.json")
    compare.add_argument(
        "--descriptor",
        choices=["main", "codes", "floats"],
        default="main",
        help="what is compared: codes, float features, or codes where there are any (default %(default)s)",
    )
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the comparison")

    encode = add("encode", "pictures to codes")
    encode.add_argument("artifact", type=Path)
    encode.add_argument("inputs", type=Path, nargs="+", help="pictures, folders or a CSV")
    encode.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    encode.add_argument("--features", action="store_true", help="also write the float features")
    encode.add_argument(
        "--split", choices=["train", "query", "gallery"], help="of a data set, only these pictures (default: all)"
    )

    search = add("search", "find a person: query pictures against a gallery")
    search.add_argument("artifact", type=Path)
    search.add_argument("--query", type=Path, nargs="+", required=True, help="pictures of one person: one query")
    search.add_argument(
        "--gallery", type=Path, nargs="+", required=True, help="a FILE.npz of codes, or pictures, folders, a CSV"
    )
    search.add_argument("-k", type=int, default=10, help="hits to show (default %(default)s)")
    search.add_argument(
        "--w", help="two-stage search: rows that stage 1 keeps, e.g. 100 or 1%% (default: exact search)"
    )
    search.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet")
    search.add_argument("--json", type=Path, metavar="FILE", help="write the hits")

    add_gallery_commands(add("gallery", "galleries that last: add, search, filter, forget"))

    calibrate = add("calibrate", "fit what distances mean on the people that training held out")
    calibrate.add_argument("artifact", type=Path, help="the model; its card is written anew")
    _add_data(calibrate)

    draw = add("draw", "draw people: a data set in Market-1501's layout")
    draw.add_argument("out", type=Path)
    draw.add_argument("--identities", type=int, default=200, help="training identities (default %(default)s)")
    draw.add_argument("--test-identities", type=int, default=100, help="test identities (default %(default)s)")
    draw.add_argument("--pictures", type=int, default=2, help="of each identity by each camera (default %(default)s)")
    draw.add_argument("--height", type=int, default=128, help="pixels (default %(default)s)")
    draw.add_argument("--width", type=int, default=64, help="pixels (default %(default)s)")
    draw.add_argument("--seed", type=int, default=0)

    convert = add("convert", "a data set's own file to crops in Market-1501's layout")
    convert.add_argument("dataset", choices=["cuhk03"])
    convert.add_argument("file", type=Path, help="cuhk-03.mat")
    convert.add_argument("out", type=Path)
    convert.add_argument("--kind", choices=["detected", "labeled"], default="detected", help="(default %(default)s)")
    convert.add_argument(
        "--split",
        type=Path,
        metavar="FILE.mat",
        help="list of the new protocol, of the same kind (default: the old one)",
    )
    convert.add_argument("--set", type=int, default=1, help="test set of the old protocol (default %(default)s)")
    convert.add_argument("--height", type=int, default=128, help="pixels (default %(default)s)")
    convert.add_argument("--width", type=int, default=64, help="pixels (default %(default)s)")
    convert.add_argument("--suffix", choices=["jpg", "png"], default="jpg", help="(default %(default)s)")

    demo = add("demo", "draw people, train, evaluate against a tanh twin, search, make a ranked sheet")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder (default %(default)s)")
    demo.add_argument("--epochs", type=int, help="passes of each training (default: the recipe's)")

    info = add("info", "what a model's card says, and which way of searching runs here")
    info.add_argument("artifact", type=Path, nargs="?")
    return parser


def _add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        required=required,
        help="data set: a folder in the layout of Market-1501, DukeMTMC-reID or MSMT17, or a CSV or Parquet table",
    )
