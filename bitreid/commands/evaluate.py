"""`bitreid evaluate`: scores of a model, or of anybody's features."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bitreid.commands.options import add_bits, add_data, add_encoding, add_model, add_pattern, add_threads, encoder_of
from bitreid.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from bitreid.evaluation.settings import EvaluationSettings
    from bitreid.evaluation.subjects import Subject

HELP = "score a model, or anybody's features, on a data set's queries and gallery"
EXAMPLES = (
    "bitreid evaluate runs/people/artifact --data people --json scores.json --report report.html",
    "bitreid evaluate runs/people/artifact --data people --recall 0.9,0.95 --rescore 200",
    "bitreid evaluate --features query.npz gallery.npz --protocol single_shot",
)


_OF_MODELS = ("pattern", "n_bits", "flip", "engine")
"""Arguments that are about encoding a data set's pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid evaluate`."""
    from bitreid.evaluation.protocol import PROTOCOLS
    from bitreid.evaluation.settings import USUAL_W, EvaluationSettings

    defaults = EvaluationSettings()
    *names, last = PROTOCOLS
    add_model(parser, "not with --features", nargs="?")
    add_data(parser, required=False)
    add_encoding(parser)
    add_pattern(parser)
    add_bits(parser)
    parser.add_argument(
        "--features",
        type=Path,
        nargs=2,
        metavar=("QUERY.npz", "GALLERY.npz"),
        help="score these files of any program instead: arrays features (float) or codes (packed bits), pids, camids; "
        "or twice a .mat with query_f, query_label, query_cam, gallery_f and so on",
    )
    parser.add_argument(
        "--protocol",
        default=defaults.protocol,
        metavar="NAME",
        help=f"{', '.join(names)} or {last} (default %(default)s)",
    )
    usual = USUAL_W.replace("%", "%%")
    parser.add_argument(
        "--w", help=f"short lists of two-stage search: rows or shares (default {usual} with short codes)"
    )
    parser.add_argument(
        "--recall",
        metavar="SHARE",
        help="instead of --w: shares of the matches to keep, e.g. 0.95, for which the model's coarse code knows w",
    )
    parser.add_argument(
        "--rescore",
        metavar="W",
        help="rows, or share, that are also scored in the order of the query's float features against their bits "
        "(default 100 where both files, or the model, have them)",
    )
    parser.add_argument(
        "--rerank", metavar="W", help="also re-rank this many rows, or share: k-reciprocal encoding, query expansion"
    )
    parser.add_argument(
        "--memory-mb",
        type=float,
        metavar="N",
        default=defaults.memory_mb,
        help="most memory for comparisons, in MiB (default %(default)s)",
    )
    add_threads(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores, also of each query")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet of some queries")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page: scores, charts, queries")
    parser.add_argument(
        "--fpir",
        metavar="SHARE",
        default=defaults.fpir,
        help="false alarms per search of somebody who is not there, for the report's threshold (default %(default)s)",
    )
    parser.add_argument("--no-pictures", action="store_true", help="no pictures and no names of files in the report")


def run(arguments: argparse.Namespace) -> int:
    """Score what is named; show the scores and write what is asked for."""
    from bitreid.commands.console import console_of, evaluation_table, say
    from bitreid.data.files import check_outputs
    from bitreid.evaluation.report import write_report
    from bitreid.evaluation.report.build import labels_beside, report_of
    from bitreid.evaluation.score_files import write_scores
    from bitreid.evaluation.settings import EvaluationSettings, parse_share
    from bitreid.evaluation.sheets import sheet_of_queries
    from bitreid.evaluation.subjects import score_subject

    check_outputs(
        [arguments.json, arguments.report, arguments.sheet],
        [arguments.artifact, arguments.data, *(arguments.features or ())],
    )
    settings = EvaluationSettings(
        arguments.protocol,
        arguments.w,
        arguments.rerank,
        arguments.rescore,
        arguments.fpir,
        arguments.memory_mb,
        arguments.threads,
        arguments.recall,
    )
    console = console_of()
    subject = _subject(arguments, settings, console).merged(settings)
    evaluation = score_subject(subject, settings)
    console.print(evaluation_table(subject.name, evaluation))
    if arguments.json:
        write_scores(arguments.json, subject, evaluation, settings.protocol)
    if arguments.report:
        card, folder = subject.card, subject.data_path
        report = report_of(
            f"{subject.name} on {subject.data}",
            card,
            subject.query,
            subject.gallery,
            evaluation,
            subject.data,
            command=_command_of(arguments),
            labels=None if card is None or folder is None else labels_beside(folder, card.attributes),
            fpir=parse_share(settings.fpir),
            protocol=settings.rules,
            memory_mb=settings.memory_mb,
            pictures=not arguments.no_pictures,
        )
        write_report(report, arguments.report)
        say(console, f"report: {arguments.report}")
    if arguments.sheet:
        title = f"{subject.name}: queries and their ten nearest"
        sheet_of_queries(subject.query, subject.gallery, arguments.sheet, title, cameras=settings.rules.cameras)
        say(console, f"ranked sheet: {arguments.sheet}")
    return 0


def _subject(arguments: argparse.Namespace, settings: EvaluationSettings, console: Console) -> Subject:
    """Return a model's codes of a data set, or what two files hold; `SettingsError` for both or neither.

    Warns of what makes scores wrong.
    """
    from bitreid.commands.console import progress_of
    from bitreid.encoding.files import subject_of_model
    from bitreid.evaluation.subjects import (
        subject_of_files,
        warn_of_cameras,
        warn_of_distractors,
        warn_of_same_pictures,
    )

    artifact, data, files = arguments.artifact, arguments.data, arguments.features
    if artifact and data and not files:
        encoder = encoder_of(artifact, arguments)
        with progress_of(console, "encoding") as progress:
            subject = subject_of_model(encoder, data, progress, arguments.pattern, settings.rules.merge_queries)
    elif files and not (artifact or data) and all(getattr(arguments, name) is None for name in _OF_MODELS):
        subject = subject_of_files(*files)
    else:
        given = {"a model": artifact, "--data": data, "--features": files, "--pattern": arguments.pattern}
        given["--bits"] = arguments.n_bits
        given |= {"--flip": arguments.flip is not None, "--engine": arguments.engine}
        found = " and ".join(name for name, value in given.items() if value) or "neither"
        raise SettingsError(f"expected a model and --data, or --features QUERY.npz GALLERY.npz alone, got {found}")
    warn_of_distractors(subject)
    warn_of_cameras(subject, settings.rules)
    with progress_of(console, "comparing pictures") as progress:
        warn_of_same_pictures(subject, settings.rules, progress)
    return subject


def _command_of(arguments: argparse.Namespace) -> list[str | Path]:
    """Return the command that asks for this report, without what changes no score."""
    from bitreid.evaluation.settings import EvaluationSettings

    usual = EvaluationSettings()
    words: list[str | Path] = ["bitreid", "evaluate"]
    words += ["--features", *arguments.features] if arguments.features else []
    words += [arguments.artifact, "--data", arguments.data] if arguments.artifact else []
    words += [] if arguments.flip is None else ["--flip" if arguments.flip else "--no-flip"]
    words += ["--engine", arguments.engine] if arguments.engine else []
    words += ["--pattern", arguments.pattern] if arguments.pattern is not None else []
    words += ["--bits", str(arguments.n_bits)] if arguments.n_bits is not None else []
    words += ["--protocol", arguments.protocol] if arguments.protocol != usual.protocol else []
    words += ["--w", arguments.w] if arguments.w is not None else []
    words += ["--recall", arguments.recall] if arguments.recall is not None else []
    words += ["--rescore", arguments.rescore] if arguments.rescore else []
    words += ["--rerank", arguments.rerank] if arguments.rerank else []
    words += ["--fpir", arguments.fpir] if arguments.fpir != usual.fpir else []
    return [*words, "--report", arguments.report, *(["--no-pictures"] if arguments.no_pictures else [])]
