"""`bitreid encode`: pictures to a file of codes."""

import argparse
import warnings
from pathlib import Path

from bitreid.commands import left_out

HELP = "encode pictures as codes"
EXAMPLES = (
    "bitreid encode runs/people/artifact people/bounding_box_test --out gallery.npz",
    "bitreid encode runs/nested/artifact people/bounding_box_test --bits 512 --out short.npz",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid encode`."""
    from bitreid.commands.options import add_bits, add_encoding, add_pattern, add_people, add_time_unit

    parser.add_argument("artifact", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+", help="pictures, folders or a CSV")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    add_bits(parser)
    parser.add_argument("--features", action="store_true", help="also write the float features")
    parser.add_argument(
        "--split", choices=["train", "query", "gallery"], help="of a data set, only these pictures (default: all)"
    )
    add_encoding(parser)
    add_pattern(parser)
    add_people(parser)
    add_time_unit(parser)
    left_out.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Encode the pictures that can be read and write their codes."""
    from bitreid.commands.console import console_of, progress_of, say
    from bitreid.commands.options import encoder_of
    from bitreid.data.files import check_outputs
    from bitreid.data.parsers.inputs import manifest_of
    from bitreid.data.pictures import check_pictures
    from bitreid.data.times import with_dates
    from bitreid.encoding.files import encode_readable, save_encoded
    from bitreid.errors import DataWarning
    from bitreid.text import printable

    check_outputs([arguments.out, arguments.report], [arguments.artifact, *arguments.inputs])
    encoder = encoder_of(arguments.artifact, arguments)
    manifest = manifest_of(arguments.inputs, arguments.pattern, arguments.same_people)
    manifest = manifest.split(arguments.split) if arguments.split else manifest
    manifest = with_dates(manifest, arguments.time_unit)
    if manifest.times is not None and not manifest.dated:
        text = "the pictures have times that nobody told the unit of, and they are left out; --time-unit says it"
        warnings.warn(text, DataWarning, stacklevel=1)
    console = console_of()
    if arguments.strict:
        with progress_of(console, "checking") as progress:
            check_pictures(manifest.paths, progress)
    with progress_of(console, "encoding") as progress:
        encoded, _, findings = encode_readable(encoder, manifest, progress, features=arguments.features)
    if not len(encoded):
        findings.refuse_bad(len(manifest))
    save_encoded(arguments.out, encoded, arguments.features)
    say(console, f"{len(encoded)} codes of {encoded.codes.n_bits} bits: {printable(str(arguments.out))}")
    return left_out.tell(findings, arguments.report)
