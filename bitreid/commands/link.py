"""`bitreid link`: who of one gallery is in another."""

import argparse
from pathlib import Path

HELP = "find all pairs of items of two galleries that are near: who of one camera or site is at another"
EXAMPLES = (
    "bitreid link site_a.gallery site_b.gallery --out pairs",
    "bitreid link people.gallery people.gallery --where 'camera = 1' --where-right 'camera = 2' "
    "--max-distance 400 --out pairs",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid link`."""
    from bitreid.commands.options import add_threads

    parser.add_argument("left", metavar="LEFT", help="a gallery: a file, or milvus://HOST:PORT/NAME")
    parser.add_argument("right", metavar="RIGHT", help="another one of the same model, or the same one")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="write the pairs here, as Parquet files"
    )
    parser.add_argument(
        "--max-distance",
        type=int,
        metavar="N",
        help="pairs are at most so many bits apart (default: what is certain in RIGHT, by its calibration and --fpir)",
    )
    parser.add_argument(
        "--fpir",
        metavar="SHARE",
        default="1%",
        help="a pair is certain where at most this share of the searches in RIGHT for somebody absent would find "
        "anybody as near (default %(default)s)",
    )
    parser.add_argument("--where", metavar="FILTER", help="only these items of LEFT, e.g. 'camera = 1'")
    parser.add_argument("--where-right", metavar="FILTER", help="only these items of RIGHT")
    add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the pairs and say how many there are."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.evaluation.settings import parse_share
    from bitreid.gallery import open_gallery
    from bitreid.gallery.link import link_galleries
    from bitreid.text import printable

    console = console_of()
    with (
        open_gallery(arguments.left, read_only=True) as left,
        open_gallery(arguments.right, read_only=True) as right,
        progress_of(console, "linking") as progress,
    ):
        linked = link_galleries(
            left,
            right,
            arguments.out,
            max_distance=arguments.max_distance,
            where=arguments.where,
            where_right=arguments.where_right,
            fpir=parse_share(arguments.fpir),
            progress=progress,
            n_threads=arguments.threads,
        )
    say(
        console,
        f"{linked.n_pairs} pairs of {linked.n_left} and {linked.n_right} items, at most {linked.max_distance} bits "
        f"apart: {printable(str(arguments.out))}",
    )
    return 0
