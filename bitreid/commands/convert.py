"""`bitreid convert`: a data set's own file to pictures."""

import argparse
from pathlib import Path

HELP = "convert a data set's own file to crops in Market-1501's layout"
EXAMPLES = ("bitreid convert cuhk03 cuhk-03.mat CUHK03_NP --split cuhk03_new_protocol_config_detected.mat",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid convert`."""
    from inspect import signature

    from bitreid.data.parsers.cuhk03 import convert_cuhk03

    parser.add_argument("dataset", choices=["cuhk03"], help="the data set that the file is of")
    parser.add_argument("file", type=Path, metavar="FILE", help="the data set's file, cuhk-03.mat")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="a new folder for the crops")
    parser.add_argument(
        "--kind", choices=["detected", "labeled"], help="crops cut by a detector, or by hand (default %(default)s)"
    )
    parser.add_argument(
        "--split",
        type=Path,
        metavar="FILE.mat",
        help="the new protocol's lists of train, query and gallery, of the same kind (default: the old protocol)",
    )
    parser.add_argument(
        "--set",
        dest="test_set",
        type=int,
        metavar="N",
        help="which of the old protocol's test sets (default %(default)s)",
    )
    parser.add_argument("--height", type=int, metavar="N", help="of each crop, in pixels (default %(default)s)")
    parser.add_argument("--width", type=int, metavar="N", help="of each crop, in pixels (default %(default)s)")
    parser.add_argument("--suffix", choices=["jpg", "png"], help="kind of the crops' files (default %(default)s)")
    defaults = signature(convert_cuhk03).parameters
    parser.set_defaults(**{name: defaults[name].default for name in ("kind", "test_set", "height", "width", "suffix")})


def run(arguments: argparse.Namespace) -> int:
    """Write the crops and say how many there are of each split."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.data.parsers.cuhk03 import convert_cuhk03

    console = console_of()
    with progress_of(console, "writing crops") as progress:
        manifest = convert_cuhk03(
            arguments.file,
            arguments.out,
            kind=arguments.kind,
            split=arguments.split,
            test_set=arguments.test_set,
            height=arguments.height,
            width=arguments.width,
            suffix=arguments.suffix,
            progress=progress,
        )
    counts = ", ".join(f"{manifest.splits.count(split)} {split}" for split in ("train", "query", "gallery"))
    say(console, f"data set: {arguments.out} ({counts})")
    return 0
