"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bitreid.commands.arguments import Command, parser
from bitreid.errors import BitreidError, DataWarning

if TYPE_CHECKING:
    from rich.console import Console


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of a command: 0 done, 1 an error that was explained, 130 stopped and saved."""
    commands = {
        "train": _train,
        "evaluate": _evaluate,
        "compare": _compare,
        "encode": _encode,
        "search": _search,
        "gallery": _gallery,
        "calibrate": _calibrate,
        "draw": _draw,
        "convert": _convert,
        "demo": _demo,
        "info": _info,
    }
    arguments = parser(commands).parse_args(argv)
    command: Command = arguments.command
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


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    # Names of files may look like markup or emoji codes, and are to be shown as they are.
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr)


def _say(console: Console, text: str) -> None:
    """A line that is never broken, so that the path in it can be copied."""
    console.print(text, soft_wrap=True)


def _train(arguments: argparse.Namespace) -> int:
    from bitreid.commands.console import TrainingReporter, progress_of
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
    from bitreid.commands import evaluate
    from bitreid.commands.console import evaluation_table
    from bitreid.data.files import check_outputs

    check_outputs(
        [arguments.json, arguments.report, arguments.sheet],
        [arguments.artifact, arguments.data, *(arguments.features or ())],
    )
    settings = evaluate.Settings(
        arguments.protocol, arguments.w, arguments.rerank, arguments.fpir, arguments.memory_mb, arguments.threads
    )
    console = _console()
    subject = evaluate.subject_of(arguments.artifact, arguments.data, arguments.features, console)
    evaluate.warn_of_distractors(subject)
    evaluate.warn_of_same_pictures(subject, console)
    subject = evaluate.merge_subject(subject, settings)
    evaluation = evaluate.score(subject, settings)
    console.print(evaluation_table(subject.name, evaluation))
    if arguments.json:
        evaluate.write_scores(arguments.json, subject, evaluation, settings.protocol)
    if arguments.report:
        command, pictures = _command_of(arguments), not arguments.no_pictures
        evaluate.write_page(arguments.report, subject, evaluation, settings, command, pictures)
        _say(console, f"report: {arguments.report}")
    if arguments.sheet:
        evaluate.write_sheet(arguments.sheet, subject, settings)
        _say(console, f"ranked sheet: {arguments.sheet}")
    return 0


def _command_of(arguments: argparse.Namespace) -> list[str | Path]:
    """The command that asks for an evaluation, without what changes no score."""
    words: list[str | Path] = ["bitreid", "evaluate"]
    words += ["--features", *arguments.features] if arguments.features else []
    words += [arguments.artifact, "--data", arguments.data] if arguments.artifact else []
    words += ["--protocol", arguments.protocol] if arguments.protocol != "market1501" else []
    words += ["--w", arguments.w] if arguments.w is not None else []
    words += ["--rerank", arguments.rerank] if arguments.rerank else []
    words += ["--fpir", arguments.fpir] if arguments.fpir != "1%" else []
    return [*words, "--report", arguments.report, *(["--no-pictures"] if arguments.no_pictures else [])]


def _compare(arguments: argparse.Namespace) -> int:
    from bitreid.commands.console import comparison_table
    from bitreid.commands.evaluate import compare_scores, read_scores, write_json
    from bitreid.data.files import check_outputs

    check_outputs([arguments.json], [arguments.a, arguments.b])
    a, b = read_scores(arguments.a), read_scores(arguments.b)
    compared = compare_scores(a, b, arguments.descriptor)
    _console().print(comparison_table(a.name, b.name, compared))
    if arguments.json:
        write_json(arguments.json, {name: asdict(each) for name, each in compared.items()})
    return 0


def _encode(arguments: argparse.Namespace) -> int:
    from bitreid.commands.console import progress_of
    from bitreid.data.files import check_outputs
    from bitreid.encoding.files import encode_manifest, manifest_of, save_encoded
    from bitreid.training.load import load_encoder

    check_outputs([arguments.out], [arguments.artifact, *arguments.inputs])
    encoder = load_encoder(arguments.artifact)
    manifest = manifest_of(arguments.inputs)
    manifest = manifest.split(arguments.split) if arguments.split else manifest
    console = _console()
    with progress_of(console, "encoding") as progress:
        encoded = encode_manifest(encoder, manifest, progress)
    save_encoded(arguments.out, encoded, arguments.features)
    _say(console, f"{len(manifest)} codes of {encoded.codes.n_bits} bits: {arguments.out}")
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from bitreid.commands.console import hits_table, progress_of
    from bitreid.commands.evaluate import parse_rows, write_json
    from bitreid.data.files import check_outputs
    from bitreid.encoding.files import encode_manifest, load_encoded, manifest_of, search_person
    from bitreid.training.load import load_encoder

    check_outputs([arguments.json, arguments.sheet], [arguments.artifact, *arguments.query, *arguments.gallery])
    encoder = load_encoder(arguments.artifact)
    console = _console()
    with progress_of(console, "encoding") as progress:
        pictures = manifest_of(arguments.query).paths
        query = encoder.merge(encoder.encode_files(pictures))
        if len(arguments.gallery) == 1 and arguments.gallery[0].suffix == ".npz":
            gallery = load_encoded(arguments.gallery[0])
        else:
            gallery = encode_manifest(encoder, manifest_of(arguments.gallery), progress)
    w = parse_rows(arguments.w, len(gallery)) if arguments.w else None
    ranking = search_person(encoder, query, gallery, arguments.k, w)
    console.print(hits_table(gallery, ranking))
    if arguments.json:
        hits = [
            {"path": str(gallery.paths[row]), "distance": int(distance)}
            for row, distance in zip(ranking.positions[0], ranking.distances[0], strict=True)
        ]
        write_json(arguments.json, hits)
    if arguments.sheet:
        from bitreid.evaluation.sheets import sheet_of_search

        sheet_of_search(pictures, gallery.paths, ranking, arguments.sheet)
        _say(console, f"ranked sheet: {arguments.sheet}")
    return 0


def _gallery(arguments: argparse.Namespace) -> int:
    from bitreid.commands.gallery import STDOUT, run

    run(arguments, _console(stderr=arguments.json == STDOUT))
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from bitreid.commands.console import progress_of, thresholds_text
    from bitreid.data.parsers import parse
    from bitreid.training.validation import calibrate_artifact

    console = _console()
    with progress_of(console, "encoding") as progress:
        calibration = calibrate_artifact(arguments.artifact, parse(arguments.data), progress).calibration
    assert calibration is not None, "it was just fitted"
    _say(console, f"calibrated on {calibration.pictures} pictures of {calibration.identities} people held out")
    _say(console, f"same person within {thresholds_text(calibration)}")
    return 0


def _draw(arguments: argparse.Namespace) -> int:
    from bitreid.commands.console import progress_of
    from bitreid.drawn.data_set import DrawnSettings, draw_people

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
    from bitreid.commands.console import progress_of
    from bitreid.data.parsers.cuhk03 import convert_cuhk03

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
    from bitreid.commands.demo import run_demo

    run_demo(arguments.out, arguments.epochs, _console())
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from bitreid.artifact import fingerprint, load_artifact
    from bitreid.commands.console import card_table, search_text

    console = _console()
    if arguments.artifact:
        card = load_artifact(arguments.artifact).card
        console.print(card_table(card, fingerprint(card)))
    _say(console, f"search: {search_text()}")
    return 0
