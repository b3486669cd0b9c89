"""`bitreid import`: features that another program made, to be scored, or as codes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bitreid.errors import DataError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from bitreid.arrays import Floats32, Ints
    from bitreid.encoding.imported.feature_map import Affine
    from bitreid.encoding.imported.features import FeatureSet

HELP = "take features of another toolkit: to be scored, or as codes that galleries and search take"
EXAMPLES = (
    "bitreid import query.npy --names query.txt --out query.npz",
    "bitreid import train.npy --names train.txt --fit itq --source 'osnet_x1_0 msmt17' --bits 512 --model osnet.map",
    "bitreid import gallery.npy --names gallery.txt --model osnet.map --out gallery.npz",
    "bitreid import pytorch_result.mat --side gallery --model pcb.map --out gallery.npz",
)

_OF_FIT = ("source", "bits", "held_out", "seed", "licence", "notes")
"""Arguments that are about fitting."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid import`."""
    from bitreid.encoding.imported.arrays import MADE_BY, SideName
    from bitreid.encoding.imported.fitting import BITS, HELD_OUT, FitName, FitSettings

    parser.add_argument(
        "features",
        type=Path,
        metavar="FEATURES",
        help=f"a file ({', '.join(MADE_BY)}), or a folder with an .npy for each picture, as fast-reid's demo writes",
    )
    parser.add_argument(
        "--names",
        type=Path,
        metavar="LIST",
        help="the pictures in the order of the features: a text with a path on each line, or a table with the columns "
        "path, pid, camid (default: what the file says itself)",
    )
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="what the paths in a text say, e.g. '(?P<pid>[0-9]+)_c(?P<camid>[0-9]+)' (default: as the usual data sets "
        "name their pictures)",
    )
    parser.add_argument(
        "--side", choices=get_args(SideName), help="which side of a file that has both, as pytorch_result.mat"
    )
    parser.add_argument(
        "--from-zero",
        action="store_true",
        help="people are counted from 0, as torchreid and fast-reid count those to train on: each gets the next number "
        "(default: 0 is a distractor, nobody)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.npz",
        help="write codes by --model, as `bitreid encode` does; without --model the features, for `bitreid evaluate "
        "--features`",
    )
    parser.add_argument(
        "--keep-features",
        action="store_true",
        help="with codes, also write the values whose signs they are, which rescoring takes",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="the map from features to codes; with --fit a new one"
    )
    fit = parser.add_argument_group("a new map, fitted on these features")
    fit.add_argument(
        "--fit",
        choices=get_args(FitName),
        help="sign: each feature's sign is a bit, nothing is learned. itq: rotated principal directions; nobody has to "
        "be known. ssr: a head trained on people, minutes on a CPU; needs PyTorch",
    )
    fit.add_argument("--source", metavar="NAME", help="what made the features, e.g. 'osnet_x1_0 msmt17'")
    fit.add_argument("--bits", type=int, metavar="N", help=f"length of the codes (default: {BITS}, or as features are)")
    fit.add_argument(
        "--held-out",
        type=int,
        metavar="N",
        help=f"people to score and calibrate on instead (default: {HELD_OUT}, or a fifth of those known)",
    )
    fit.add_argument("--seed", type=int, help=f"decides who is held out (default: {FitSettings('sign', 'x').seed})")
    fit.add_argument("--licence", metavar="TEXT", help="what the features' network and pictures allow, for the card")
    fit.add_argument("--notes", metavar="TEXT", help="what whoever uses the map should know")


def run(arguments: argparse.Namespace) -> int:
    """Read the features; fit a map, write codes or write the features, as is asked for."""
    from bitreid.commands.console import console_of, say
    from bitreid.data.files import check_outputs
    from bitreid.encoding.files import save_encoded
    from bitreid.encoding.imported.feature_map import FeatureMap
    from bitreid.encoding.imported.features import read_features, save_features
    from bitreid.text import printable

    _check(arguments)
    check_outputs([arguments.out], [arguments.features, arguments.names])
    found = read_features(
        arguments.features,
        arguments.names,
        side=arguments.side,
        pattern=arguments.pattern,
        from_zero=arguments.from_zero,
        load_tensors=_load_tensors,
    )
    console = console_of()
    known = found.manifest.identities()
    say(console, f"{len(found)} pictures of {len(known)} known people, {found.n_features} features of each")
    out = arguments.out
    if arguments.fit is not None:
        feature_map = _fit(arguments, found, console)
    elif arguments.model is not None:
        feature_map = FeatureMap.open(arguments.model)
    else:
        save_features(out, found)
        say(console, f"features: {printable(str(out))}")
        return 0
    if out is not None:
        encoded = feature_map.encode_set(found)
        save_encoded(out, encoded, arguments.keep_features)
        say(console, f"{len(encoded)} codes of {encoded.codes.n_bits} bits: {printable(str(out))}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that do not go together, before anything is read."""
    if arguments.fit is None:
        of_fit = [name for name in _OF_FIT if getattr(arguments, name) is not None]
        if of_fit:
            raise SettingsError(f"expected --fit with --{of_fit[0].replace('_', '-')}, got none; leave that out")
        if arguments.out is None:
            raise SettingsError("expected --out FILE.npz to write to, or --fit to make a map of features, got neither")
    elif arguments.model is None or arguments.source is None:
        raise SettingsError("expected --model FOLDER for the new map and --source NAME of the features with --fit")
    elif arguments.model.exists() and (not arguments.model.is_dir() or any(arguments.model.iterdir())):
        raise SettingsError(f"expected a new or empty folder for the map, got {arguments.model}; choose another")
    if arguments.keep_features and (arguments.model is None or arguments.out is None):
        raise SettingsError("expected --model and --out with --keep-features, which is about codes; leave it out")


def _fit(arguments: argparse.Namespace, found: FeatureSet, console: Console) -> Any:
    from bitreid.commands.console import calibration_text, say
    from bitreid.encoding.imported.fitting import FitSettings, fit_features
    from bitreid.text import printable

    asked = {"n_bits": arguments.bits, "held_out": arguments.held_out, "seed": arguments.seed}
    asked |= {"licence": arguments.licence, "notes": arguments.notes}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    settings = FitSettings(arguments.fit, arguments.source, **given)
    fitted = fit_features(found, settings, arguments.model, _train_head)
    if fitted.scores:
        console.print(_table(fitted.scores))
    calibrated = calibration_text(fitted.map.card)
    say(console, f"calibrated on {calibrated}" if calibrated else "not calibrated: too few known people were held out")
    say(console, f"map: {printable(str(arguments.model))} ({fitted.map.card.n_bits} bits, {fitted.map.model})")
    return fitted.map


def _table(scores: Mapping[int, Mapping[str, float]]) -> Any:
    from rich.table import Table

    table = Table("held-out people", "rank-1", "mAP", title="what the codes cost")
    for n_bits, marks in scores.items():
        name = f"{n_bits} bits" if n_bits else "float features"
        table.add_row(name, f"{100 * marks['rank1']:.1f}", f"{100 * marks['mAP']:.1f}")
    return table


def _load_tensors(path: Path, most_bytes: int) -> Mapping[str, Any]:
    try:
        from bitreid.training.tensors import load_tensors
    except ModuleNotFoundError as error:
        raise DataError(
            f"expected PyTorch to read {path}, got none; pip install 'bitreid[train]', or save the features with "
            "numpy.save"
        ) from error
    return load_tensors(path, most_bytes)


def _train_head(x: Floats32, classes: Ints, n_bits: int, seed: int) -> Affine:
    try:
        from bitreid.training.heads import train_feature_head
    except ModuleNotFoundError as error:
        raise SettingsError(
            "expected PyTorch to train a head, got none; pip install 'bitreid[train]', or choose --fit itq, which "
            "needs numpy alone"
        ) from error
    return train_feature_head(x, classes, n_bits, seed)
