"""`bitreid encode`: pictures to a file of codes."""

import argparse
from pathlib import Path

HELP = "pictures to codes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid encode`."""
    parser.add_argument("artifact", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+", help="pictures, folders or a CSV")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--features", action="store_true", help="also write the float features")
    parser.add_argument(
        "--split", choices=["train", "query", "gallery"], help="of a data set, only these pictures (default: all)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Encode pictures and write their codes."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.data.files import check_outputs
    from bitreid.encoding.files import encode_manifest, manifest_of, save_encoded
    from bitreid.training.load import load_encoder

    check_outputs([arguments.out], [arguments.artifact, *arguments.inputs])
    encoder = load_encoder(arguments.artifact)
    manifest = manifest_of(arguments.inputs)
    manifest = manifest.split(arguments.split) if arguments.split else manifest
    console = console_of()
    with progress_of(console, "encoding") as progress:
        encoded = encode_manifest(encoder, manifest, progress)
    save_encoded(arguments.out, encoded, arguments.features)
    say(console, f"{len(manifest)} codes of {encoded.codes.n_bits} bits: {arguments.out}")
    return 0
