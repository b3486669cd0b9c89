"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitreid.errors import BitreidError, DataWarning, SettingsError

if TYPE_CHECKING:
    from rich.console import Console


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of a command: 0 done, 1 an error that was explained, 130 stopped and saved."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = _show_warning
        try:
            return command(arguments)
        except BitreidError as error:
            return _explain(str(error))
        except OSError as error:
            at = f" at {error.filename}" if error.filename else ""
            return _explain(
                f"expected a file or folder that can be read or written{at}, got: {error.strerror or error}"
            )
        except ModuleNotFoundError as error:
            return _explain(f"expected the package {error.name}, got none; pip install 'bitreid[train]' brings it")
        except KeyboardInterrupt:
            print("bitreid: stopped", file=sys.stderr)
            return 130


def _explain(error: str) -> int:
    print(f"bitreid: {error}", file=sys.stderr)
    return 1


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    """What is wrong with the data in one line; other warnings with the place in the code, as usual."""
    if issubclass(category, DataWarning):
        print(f"bitreid: warning: {message}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def _parser() -> argparse.ArgumentParser:
    from bitreid import __version__

    parser = argparse.ArgumentParser(
        prog="bitreid", description="Find the same person across cameras with binary codes."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(command=command)
        return sub

    train = add("train", _train, "train a model: recipe and pictures to an artifact")
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

    evaluate = add("evaluate", _evaluate, "score a model on a data set's queries and gallery")
    evaluate.add_argument("artifact", type=Path)
    _add_data(evaluate)
    evaluate.add_argument(
        "--w", default="1%,2%,5%,10%,20%", help="short lists of two-stage search: rows or shares (default %(default)s)"
    )
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write all scores")
    evaluate.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet of some queries")
    evaluate.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write a page to read: scores, charts, queries"
    )
    evaluate.add_argument("--no-pictures", action="store_true", help="no pictures and no names of files in the report")

    encode = add("encode", _encode, "pictures to codes")
    encode.add_argument("artifact", type=Path)
    encode.add_argument("inputs", type=Path, nargs="+", help="pictures, folders or a CSV")
    encode.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    encode.add_argument("--features", action="store_true", help="also write the float features")

    search = add("search", _search, "find a person: query pictures against a gallery")
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

    draw = add("draw", _draw, "draw people: a data set in Market-1501's layout")
    draw.add_argument("out", type=Path)
    draw.add_argument("--identities", type=int, default=200, help="training identities (default %(default)s)")
    draw.add_argument("--test-identities", type=int, default=100, help="test identities (default %(default)s)")
    draw.add_argument("--pictures", type=int, default=2, help="of each identity by each camera (default %(default)s)")
    draw.add_argument("--height", type=int, default=128, help="pixels (default %(default)s)")
    draw.add_argument("--width", type=int, default=64, help="pixels (default %(default)s)")
    draw.add_argument("--seed", type=int, default=0)

    convert = add("convert", _convert, "a data set's own file to crops in Market-1501's layout")
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

    demo = add("demo", _demo, "draw people, train, evaluate against a tanh twin, search, make a ranked sheet")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder (default %(default)s)")
    demo.add_argument("--epochs", type=int, help="passes of each training (default: the recipe's)")

    info = add("info", _info, "what a model's card says")
    info.add_argument("artifact", type=Path)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="data set: a folder in the layout of Market-1501, DukeMTMC-reID or MSMT17, or a CSV or Parquet table",
    )


def _console() -> Console:
    from rich.console import Console

    # Names of files may look like markup or emoji codes, and are to be shown as they are.
    return Console(markup=False, emoji=False, highlight=False)


def _say(console: Console, text: str) -> None:
    """A line that is never broken, so that the path in it can be copied."""
    console.print(text, soft_wrap=True)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _train(arguments: argparse.Namespace) -> int:
    from bitreid.console import TrainingReporter, progress_of
    from bitreid.training.fit import Interrupted
    from bitreid.training.recipe import load_recipe
    from bitreid.training.run import check_run_folder, train
    from bitreid.training.task import task_from

    recipe = load_recipe(arguments.recipe, arguments.set)
    check_run_folder(arguments.out, arguments.resume)
    console = _console()
    with progress_of(console, "reading pictures") as progress:
        task = task_from(recipe, arguments.data, arguments.attributes, progress, arguments.pattern)
    _say(
        console,
        f"{len(task.split.train)} pictures of {len(task.identities)} identities to train on, "
        f"{len(task.split.query)} + {len(task.split.gallery)} of {recipe.held_out_identities} held out",
    )
    try:
        with TrainingReporter(console, recipe.epochs) as reporter:
            train(recipe, task, arguments.out, reporter, resume=arguments.resume, init=arguments.init)
    except Interrupted:
        _say(console, f"stopped and saved; continue with: bitreid train ... --out {arguments.out} --resume")
        return 130
    _say(console, f"artifact: {arguments.out / 'artifact'}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from bitreid.console import evaluation_table, progress_of
    from bitreid.data.parsers import parse
    from bitreid.data.pictures import same_pictures
    from bitreid.encoding.pipeline import encode_manifest, side_of
    from bitreid.evaluation.summary import evaluate_model
    from bitreid.training.load import load_encoder

    encoder = load_encoder(arguments.artifact)
    manifest = parse(arguments.data)
    n_gallery = len(manifest.split("gallery"))
    ws = [parse_rows(text, n_gallery) for text in arguments.w.split(",")] if arguments.w else []
    console = _console()
    sides = []
    for split in ("query", "gallery"):
        with progress_of(console, f"encoding {split}") as progress:
            sides.append(encode_manifest(encoder, manifest.split(split), progress))
    query, gallery = sides
    with progress_of(console, "comparing pictures") as progress:
        same = same_pictures(query.paths, gallery.paths, progress)
    if len(same):
        first = f"{query.paths[same[0, 0]]} and {gallery.paths[same[0, 1]]}"
        what = "pairs of a query and a gallery picture have the same content, which inflates scores"
        warnings.warn(f"{len(same)} {what}; first: {first}", DataWarning, stacklevel=2)
    evaluation = evaluate_model(side_of(query), side_of(gallery), ws)
    console.print(evaluation_table(encoder.card.name, evaluation))
    if arguments.json:
        _write_json(arguments.json, evaluation.to_json())
    if arguments.sheet:
        from bitreid.encoding.sheets import sheet_of_queries

        sheet_of_queries(query, gallery, arguments.sheet, f"{encoder.card.name}: queries and their ten nearest")
        _say(console, f"ranked sheet: {arguments.sheet}")
    if arguments.report:
        from bitreid.encoding.reports import labels_beside, report_of
        from bitreid.evaluation.report import write_report

        command = ["bitreid", "evaluate", arguments.artifact, "--data", arguments.data, "--w", arguments.w]
        command += ["--report", arguments.report] + ["--no-pictures"] * arguments.no_pictures
        labels = labels_beside(arguments.data, encoder.card.attributes)
        people = (query, gallery, evaluation, arguments.data)
        report = report_of(encoder.card, *people, command=command, labels=labels, pictures=not arguments.no_pictures)
        write_report(report, arguments.report)
        _say(console, f"report: {arguments.report}")
    return 0


def parse_rows(text: str, n_gallery: int) -> int:
    """The rows that a number (`100`) or a share of the gallery (`1%`) means."""
    from bitreid.evaluation.summary import short_list

    share = text.endswith("%")
    try:
        value = float(text[:-1]) / 100 if share else int(text)
    except ValueError:
        value = 0
    if not 0 < value <= (1 if share else float("inf")):
        raise SettingsError(
            f"expected a number of rows such as 100, or a share of the gallery such as 1%, above 0, got {text!r}"
        )
    return short_list(value, n_gallery) if share else int(value)


def _encode(arguments: argparse.Namespace) -> int:
    from bitreid.console import progress_of
    from bitreid.encoding.pipeline import encode_manifest, manifest_of, save_encoded
    from bitreid.training.load import load_encoder

    encoder = load_encoder(arguments.artifact)
    manifest = manifest_of(arguments.inputs)
    console = _console()
    with progress_of(console, "encoding") as progress:
        encoded = encode_manifest(encoder, manifest, progress)
    save_encoded(arguments.out, encoded, arguments.features)
    _say(console, f"{len(manifest)} codes of {encoded.codes.n_bits} bits: {arguments.out}")
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from bitreid.console import hits_table, progress_of
    from bitreid.encoding.pipeline import encode_manifest, load_encoded, manifest_of, search_person
    from bitreid.training.load import load_encoder

    encoder = load_encoder(arguments.artifact)
    console = _console()
    with progress_of(console, "encoding") as progress:
        pictures = manifest_of(arguments.query).paths
        query = encoder.merge(encoder.encode_files(pictures))
        if len(arguments.gallery) == 1 and arguments.gallery[0].suffix == ".npz":
            gallery = load_encoded(arguments.gallery[0])
        else:
            gallery = encode_manifest(encoder, manifest_of(arguments.gallery), progress)
    w = parse_rows(arguments.w, len(gallery.paths)) if arguments.w else None
    ranking = search_person(encoder, query, gallery, arguments.k, w)
    console.print(hits_table(gallery, ranking))
    if arguments.json:
        hits = [
            {"path": str(gallery.paths[row]), "distance": int(distance)}
            for row, distance in zip(ranking.positions[0], ranking.distances[0], strict=True)
        ]
        _write_json(arguments.json, hits)
    if arguments.sheet:
        from bitreid.encoding.sheets import sheet_of_search

        sheet_of_search(pictures, gallery, ranking, arguments.sheet)
        _say(console, f"ranked sheet: {arguments.sheet}")
    return 0


def _draw(arguments: argparse.Namespace) -> int:
    from bitreid.console import progress_of
    from bitreid.data.drawn import DrawnSettings, draw_people

    settings = DrawnSettings(
        n_train=arguments.identities,
        n_test=arguments.test_identities,
        n_pictures=arguments.pictures,
        height=arguments.height,
        width=arguments.width,
        seed=arguments.seed,
    )
    console = _console()
    with progress_of(console, "drawing people") as progress:
        draw_people(arguments.out, settings, progress)
    _say(console, f"data set: {arguments.out}")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    from bitreid.console import progress_of
    from bitreid.data.cuhk03 import convert_cuhk03

    console = _console()
    with progress_of(console, "writing crops") as progress:
        manifest = convert_cuhk03(
            arguments.file,
            arguments.out,
            kind=arguments.kind,
            split=arguments.split,
            test_set=arguments.set,
            height=arguments.height,
            width=arguments.width,
            suffix=arguments.suffix,
            progress=progress,
        )
    counts = ", ".join(f"{manifest.splits.count(split)} {split}" for split in ("train", "query", "gallery"))
    _say(console, f"data set: {arguments.out} ({counts})")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from bitreid.demo import run_demo

    run_demo(arguments.out, arguments.epochs, _console())
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from bitreid.artifact import fingerprint, load_artifact
    from bitreid.console import card_table

    card = load_artifact(arguments.artifact).card
    _console().print(card_table(card, fingerprint(card)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
