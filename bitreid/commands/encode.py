"""`bitreid encode`: pictures to a file of codes, a folder of them, or a gallery."""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from bitreid.commands import left_out

HELP = "encode pictures as codes"
EXAMPLES = (
    "bitreid encode runs/people/artifact people/bounding_box_test --out gallery.npz",
    "bitreid encode runs/nested/artifact people/bounding_box_test --bits 512 --out short.npz",
    "bitreid encode runs/people/artifact many/ --out codes/",
    "bitreid encode runs/people/artifact many/ --out codes/ --parquet",
    "bitreid encode runs/people/artifact many/ --gallery people.gallery",
    "bitreid encode runs/people/artifact many/ --out codes/ --ray auto --workers 64",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid encode`."""
    from bitreid.commands.options import add_bits, add_encoding, add_model, add_pattern, add_people, add_time_unit

    add_model(parser)
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="pictures, folders or a CSV")
    out = parser.add_mutually_exclusive_group(required=True)
    out.add_argument(
        "--out",
        type=Path,
        metavar="FILE.npz|FOLDER",
        help="a file; or a folder of shards, written as it goes: the same command goes on with it where it was stopped",
    )
    out.add_argument("--gallery", metavar="PLACE", help="add to this gallery, as `bitreid gallery add` does")
    parser.add_argument("--shard", type=int, metavar="N", help="pictures in each shard of a folder (default: 4096)")
    parser.add_argument(
        "--parquet",
        action="store_true",
        help="write the shards of a folder as Parquet, which pandas and DuckDB read (default: .npz)",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="let workers on a Ray cluster make the shards of a folder: the address of one (auto: the one that runs "
        "here), or local for one of this machine that ends with the work",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="with --ray: workers of one thread (default: all processors)"
    )
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
    from bitreid.commands.gallery import add
    from bitreid.commands.options import encoder_of
    from bitreid.data.arrow import SUFFIX
    from bitreid.data.files import check_outputs
    from bitreid.data.parsers.inputs import manifest_of
    from bitreid.data.pictures import check_pictures
    from bitreid.data.shards import INDEX
    from bitreid.data.times import with_dates
    from bitreid.encoding.cluster import encode_on_cluster
    from bitreid.encoding.files import encode_readable, save_encoded
    from bitreid.encoding.paces import Paces
    from bitreid.encoding.shards import SHARD, encode_to_shards
    from bitreid.errors import DataWarning, SettingsError
    from bitreid.text import printable

    out: Path | None = arguments.out
    to_folder = out is not None and out.suffix != ".npz"
    if arguments.shard is not None and not to_folder:
        raise SettingsError(
            "expected --out FOLDER with --shard, which is about folders of shards, got none; leave it out"
        )
    if arguments.parquet and not to_folder:
        raise SettingsError("expected --out FOLDER with --parquet, whose shards are files of Parquet; name a folder")
    if to_folder and out is not None and out.suffix == SUFFIX:
        raise SettingsError(f"expected --out FILE.npz, or --out FOLDER --parquet, got {out}; name a folder")
    if arguments.ray is not None and not to_folder:
        raise SettingsError("expected --out FOLDER with --ray, whose workers write shards, got none; name a folder")
    if arguments.workers is not None and (arguments.ray is None or arguments.workers < 1):
        raise SettingsError(
            f"expected --ray ADDRESS with --workers, and one worker or more, got {arguments.workers} workers and "
            f"{'no --ray' if arguments.ray is None else '--ray'}; without Ray there is one process"
        )
    console = console_of()
    if out is None:
        check_outputs([arguments.report], [Path(arguments.gallery), *arguments.inputs])
        return add.add_encoded(arguments, console)
    check_outputs([out / INDEX if to_folder else out, arguments.report], [arguments.artifact, *arguments.inputs])
    encoder = encoder_of(arguments.artifact, arguments)
    manifest = manifest_of(arguments.inputs, arguments.pattern, arguments.same_people)
    manifest = manifest.split(arguments.split) if arguments.split else manifest
    manifest = with_dates(manifest, arguments.time_unit)
    if manifest.times is not None and not manifest.dated:
        text = "times are left out, because their unit is unknown; give it with --time-unit"
        warnings.warn(text, DataWarning, stacklevel=1)
    if arguments.strict:
        with progress_of(console, "checking") as progress:
            check_pictures(manifest.paths, progress)
    paces = Paces()
    start = time.perf_counter()
    with progress_of(console, "encoding", paces) as progress:
        if to_folder:
            how: dict[str, Any] = {
                "features": arguments.features,
                "parquet": arguments.parquet,
                "size": SHARD if arguments.shard is None else arguments.shard,
                "progress": progress,
                "paces": paces,
            }
            if arguments.ray is None:
                n, findings = encode_to_shards(encoder, manifest, out, **how)
            else:
                asked = {name: getattr(arguments, name) for name in ("engine", "n_bits", "flip")}
                load = partial(encoder_of, arguments.artifact, argparse.Namespace(**asked, threads=1))
                where = {"address": arguments.ray, "workers": arguments.workers}
                n, findings = encode_on_cluster(encoder, load, manifest, out, **where, **how)
        else:
            encoded, _, findings = encode_readable(
                encoder, manifest, progress, features=arguments.features, paces=paces
            )
            n = len(encoded)
            if n:
                with paces.writing.timed(n):
                    save_encoded(out, encoded, arguments.features)
    if not n:
        findings.refuse_bad(len(manifest))
    say(console, f"{n} codes of {encoder.n_bits} bits: {printable(str(out))}")
    say(console, paces.summary(time.perf_counter() - start))
    return left_out.tell(findings, arguments.report)
