"""`bitreid export`: a model's weights to an engine that needs no PyTorch, proved to give the same codes."""

import argparse
from pathlib import Path

from bitreid.commands.options import add_pattern

HELP = "export a model for onnxruntime into its own folder, proved to give the same codes"
EXAMPLES = (
    "bitreid export runs/people/artifact",
    "bitreid export runs/people/artifact --int8 --data people",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid export`."""
    parser.add_argument(
        "artifact", type=Path, metavar="MODEL", help="the model's folder; its card will say what was measured"
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="compute in whole numbers of 8 bits: faster, and some bits differ; needs --data to find their ranges",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="the data set that the model was trained on: the engine is proved on the people whom training held out "
        "(default: on random colours)",
    )
    add_pattern(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="export even an engine whose codes differ more than the limits allow; they count as another model's",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export an engine, and say how near to the weights it is."""
    from bitreid.artifact import load_card
    from bitreid.artifact.engines import FILES
    from bitreid.artifact.shipped import own_folder_of
    from bitreid.commands.console import console_of, progress_of, proof_text, say
    from bitreid.data.parsers import parse
    from bitreid.training.exporting import export_engine, known_of

    console, name = console_of(), "onnx-int8" if arguments.int8 else "onnx"
    folder = own_folder_of(arguments.artifact)
    card = load_card(folder)
    known = None
    if arguments.data:
        data = parse(arguments.data, arguments.pattern, None if arguments.pattern is None else "train")
        with progress_of(console, "reading pictures") as progress:
            known = known_of(card, data, arguments.data.resolve().name, progress)
    card = export_engine(folder, name, known, force=arguments.force)
    engine = card.engines[name]
    say(console, f"{name}: {folder / FILES[name]} ({engine.size / 1e6:.1f} MB)")
    say(console, proof_text(name, engine.proof))
    return 0
