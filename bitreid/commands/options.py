"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, get_args

from bitreid.errors import ArtifactError, SettingsError

if TYPE_CHECKING:
    from bitreid.encoding.encoder import Encoder
    from bitreid.encoding.engine import Engine

_EXAMPLES = "example"


class Ending(TypedDict):
    """What a parser is told so that its help ends with examples."""

    epilog: str
    formatter_class: type[argparse.HelpFormatter]


class _Formatter(argparse.HelpFormatter):
    """Leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(_EXAMPLES):
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in text.splitlines())


def ending(examples: Sequence[str]) -> Ending:
    """Return what makes a command's help end with these examples."""
    title = _EXAMPLES + ("s:" if len(examples) > 1 else ":")
    return {"epilog": "\n  ".join([title, *examples]).replace("%", "%%"), "formatter_class": _Formatter}


def add_model(parser: argparse.ArgumentParser, help: str = "", *, nargs: str | None = None) -> None:
    """Add `artifact`, the model that a command is about: a folder, or the name of a model that comes with bitreid."""
    text = "the model: its folder, or a name that `bitreid models` lists"
    parser.add_argument("artifact", type=Path, metavar="MODEL", nargs=nargs, help=f"{text}; {help}" if help else text)


def add_bits(parser: argparse.ArgumentParser) -> None:
    """Add `--bits`, a length of a model's codes."""
    parser.add_argument(
        "--bits",
        dest="n_bits",
        type=int,
        metavar="N",
        help="length of the codes, one that the model was trained to be cut to: see `bitreid info` (default: whole)",
    )


def add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add `--data`, a data set."""
    parser.add_argument(
        "--data",
        type=Path,
        required=required,
        help="data set: a folder in the layout of Market-1501, DukeMTMC-reID or MSMT17, or a CSV or Parquet table",
    )


def add_pattern(parser: argparse.ArgumentParser) -> None:
    """Add `--pattern`, which reads folders of pictures in any layout."""
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="what the paths in a folder of pictures say, in any layout, e.g. '(?P<pid>[0-9]+)_c(?P<camid>[0-9]+)'; "
        "(?P<split>...) may catch train, query or gallery",
    )


def add_one_person(parser: argparse.ArgumentParser) -> None:
    """Add `--one-person`, which makes one query of all pictures."""
    parser.add_argument(
        "--one-person",
        action="store_true",
        help="all query pictures show one person: one query (default: one for each person whom a table or the names in "
        "a known data set tell)",
    )


def add_people(parser: argparse.ArgumentParser) -> None:
    """Add `--same-people`, which says whether several inputs number the same people."""
    parser.add_argument(
        "--same-people",
        action=argparse.BooleanOptionalAction,
        help="several inputs that share numbers or names of people show the same people, or others, who are numbered "
        "apart (default: such inputs are refused)",
    )


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Add `--flip`, which averages each picture with its mirror image, and `--engine`, which runs the model."""
    from bitreid.encoding.encoder import ENGINES

    parser.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="encode each picture as the mean over it and its mirror image, in twice the time, or as it is; codes of "
        "either kind are the same model's (default: as the model's card says)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="what runs the model: an engine that `bitreid export` made, or torch (default: onnx where the model has "
        "it)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`."""
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads to use (default: BITREID_THREADS, else one for each core)"
    )


def add_time_unit(parser: argparse.ArgumentParser) -> None:
    """Add `--time-unit`."""
    from bitreid.data.times import TimeUnit

    parser.add_argument(
        "--time-unit",
        choices=get_args(TimeUnit),
        help="a table's numbers of time count so from 1970 on (default: they are left out; dates are always kept, and "
        "files of codes have them)",
    )


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add what every search of a gallery takes."""
    from bitreid.gallery.query import SearchRequest

    defaults = SearchRequest()
    parser.add_argument("-k", type=int, default=defaults.k, help="hits to show (default %(default)s)")
    parser.add_argument(
        "--w", help="two-stage search: items that stage 1 keeps, e.g. 100 or 1%% (default: exact search)"
    )
    parser.add_argument(
        "--recall",
        metavar="SHARE",
        help="two-stage search that keeps this share of the matches, e.g. 0.95: the coarse code knows what it takes",
    )
    parser.add_argument(
        "--only-certain",
        action="store_true",
        help="leave out hits that are not certain (default: all are shown, with a line where certainty ends)",
    )
    parser.add_argument(
        "--rescore",
        action="store_true",
        help="order the nearest items by the query's float features against their bits: better, most of all with short "
        "codes; distances stay those of the codes, and need not ascend",
    )
    parser.add_argument("--max-distance", type=int, metavar="N", help="leave out hits that are more bits away")
    parser.add_argument(
        "--fpir",
        metavar="SHARE",
        default=f"{100 * defaults.fpir:g}%",
        help="a hit is certain where at most this share of the searches for somebody absent would find one as near, "
        "which the model's calibration says for a gallery of any size (default %(default)s)",
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet: pictures of the hits")
    add_threads(parser)


def loader_of(arguments: argparse.Namespace) -> Callable[[], Encoder]:
    """Return what loads the model that encodes pictures, `--model`, as `--flip` and `--engine` say.

    It raises `SettingsError` where no model is named, and so do `--flip` and `--engine` without one.
    """
    for name in ("flip", "engine"):
        if arguments.model is None and getattr(arguments, name) is not None:
            raise SettingsError(f"expected --model MODEL with --{name}, which is about encoding pictures, got none")

    def load() -> Encoder:
        if arguments.model is None:
            raise SettingsError(
                "expected --model MODEL to encode pictures with, got none; or name a file of codes, .npz"
            )
        return encoder_of(arguments.model, arguments)

    return load


def encoder_of(model: Path, arguments: argparse.Namespace) -> Encoder:
    """Return the encoder of a model, by its folder or name, as `--flip`, `--engine`, `--bits` and `--threads` say where
    the command has them."""
    from bitreid.encoding.encoder import Encoder

    return Encoder.open(
        model,
        getattr(arguments, "engine", None),
        n_bits=getattr(arguments, "n_bits", None),
        flip=getattr(arguments, "flip", None),
        threads=getattr(arguments, "threads", None),
        load_torch=_load_torch,
    )


def _load_torch(artifact: Path) -> Engine:
    try:
        from bitreid.training.load import load_torch
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"expected PyTorch to run the weights in {artifact}, or an exported model there, got neither; "
            "pip install 'bitreid[train]', or let whoever has PyTorch `bitreid export` it"
        ) from error
    return load_torch(artifact)
