"""What `bitreid evaluate` scores and writes, and how `bitreid compare` compares two such scores."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Floats, Ints
from bitreid.commands.console import progress_of
from bitreid.data.files import new_file
from bitreid.data.manifest import DISTRACTOR, UNKNOWN
from bitreid.errors import BitreidError, DataError, DataWarning, SettingsError
from bitreid.evaluation.confidence import PairedComparison, compare
from bitreid.evaluation.protocol import PROTOCOLS, ProtocolSettings
from bitreid.evaluation.ranking import check_settings
from bitreid.evaluation.side import Side, merged
from bitreid.evaluation.summary import Evaluation, evaluate_model, json_values, rows_of_share

if TYPE_CHECKING:
    from rich.console import Console

    from bitreid.artifact import Card

DEFAULT_W = "1%,2%,5%,10%,20%"
FORMAT_VERSION = 1
"""The newest format of a file of scores that this bitreid reads, and the one that it writes."""

_SCORES = {"rank-1": "first_right", "mAP": "average_precision", "mINP": "inverse_penalty"}


@dataclass(frozen=True)
class Settings:
    """How a subject is scored, in the words of the command line.

    What is impossible for any subject raises `SettingsError` here, before a model has encoded a data set for it.
    """

    protocol: str = "market1501"
    """A name in `PROTOCOLS`."""

    w: str | None = None
    """Short lists of two-stage search, such as `100,1%`; None for the usual ones where there are attribute codes."""

    rerank: str | None = None
    """Rows to re-rank, such as `100` or `1%`; None not to."""

    fpir: str = "1%"
    """False alarms per search of somebody who is not there, for the report's threshold."""

    memory_mb: float = 512
    """Bound for comparisons."""

    n_threads: int | None = None
    """None for one a processor."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise SettingsError(f"expected a protocol among {', '.join(PROTOCOLS)}, got {self.protocol!r}")
        if self.w:
            parse_list(self.w, 1)
        if self.rerank:
            parse_rows(self.rerank, 1)
        if (self.w or self.rerank) and self.rules.single_shots:
            raise SettingsError(
                "expected a protocol of the whole gallery for short lists (--w, --rerank), got single shots; "
                "choose another protocol or leave them out"
            )
        parse_share(self.fpir)
        check_settings(1, self.memory_mb)
        if self.n_threads is not None and self.n_threads < 1:
            raise SettingsError(f"expected at least one thread, got {self.n_threads}; leave it out for one a processor")

    @property
    def rules(self) -> ProtocolSettings:
        """The protocol's own settings."""
        return PROTOCOLS[self.protocol]


@dataclass(frozen=True)
class Subject:
    """What is scored: a name, that of the data set, both sides, and of a model its card and where the data set lies
    (None of features that others made)."""

    name: str
    data: str
    query: Side
    gallery: Side
    card: Card | None = None
    data_path: Path | None = None


def subject_of(artifact: Path | None, data: Path | None, files: Sequence[Path] | None, console: Console) -> Subject:
    """A model's codes of a data set, or the two files of anybody's features; `SettingsError` for both or neither."""
    if artifact and data and not files:
        return subject_of_model(artifact, data, console)
    if files and not artifact and not data:
        return subject_of_files(*files)
    given = {"a model": artifact, "--data": data, "--features": files}
    found = " and ".join(name for name, value in given.items() if value) or "neither"
    raise SettingsError(f"expected a model and --data, or --features QUERY.npz GALLERY.npz alone, got {found}")


def subject_of_model(artifact: Path, data: Path, console: Console) -> Subject:
    """A model's codes of a data set's queries and gallery."""
    from bitreid.data.parsers import parse
    from bitreid.encoding.files import encode_manifest, side_of
    from bitreid.training.load import load_encoder

    encoder = load_encoder(artifact)
    manifest = parse(data)
    sides = []
    for split in ("query", "gallery"):
        with progress_of(console, f"encoding {split}") as progress:
            sides.append(side_of(encode_manifest(encoder, manifest.split(split), progress)))
    name = data.resolve().name if data.is_dir() else data.resolve().stem
    return Subject(encoder.card.name, name, sides[0], sides[1], encoder.card, data)


def subject_of_files(query: Path, gallery: Path) -> Subject:
    """Features or codes that any program made, see `load_vectors`."""
    from bitreid.evaluation.vectors import check_sides, load_vectors

    sides = []
    for side in (load_vectors(query), load_vectors(gallery)):
        # Names of files that are not here, as when another machine made the features, are of no use.
        sides.append(side if all(path.is_file() for path in side.paths) else replace(side, paths=()))
    check_sides(sides[0], sides[1])
    with_cameras = [file for file, side in zip((query, gallery), sides, strict=True) if (side.camids != UNKNOWN).any()]
    if len(with_cameras) == 1:
        text = f"expected cameras in both files or in neither, got some in {with_cameras[0]} only"
        warnings.warn(f"{text}; pictures by a query's own camera count as found", DataWarning, stacklevel=2)
    return Subject(query.stem, gallery.stem, sides[0], sides[1])


def warn_of_distractors(subject: Subject) -> None:
    """Nothing; a `DataWarning` counts queries with the pid of distractors: many programs count people from 0."""
    n_queries = int((subject.query.pids == DISTRACTOR).sum())
    if n_queries and (subject.gallery.pids == DISTRACTOR).any():
        text = f"{n_queries} queries have pid 0, that of distractors, and no match"
        warnings.warn(f"{text}; if it is a person's, count people from 1 on both sides", DataWarning, stacklevel=2)


def warn_of_same_pictures(subject: Subject, console: Console) -> None:
    """Nothing; a `DataWarning` counts the pictures that are a query and a gallery picture: they inflate scores.

    They are found by what their files hold; where others made the features, by equal features.
    """
    from bitreid.data.pictures import same_pictures
    from bitreid.evaluation.vectors import same_features

    query, gallery = subject.query, subject.gallery
    if subject.card is not None:
        with progress_of(console, "comparing pictures") as progress:
            pairs = same_pictures(query.paths, gallery.paths, progress)
        names = [f"{query.paths[i]} and {gallery.paths[j]}" for i, j in pairs[:1]]
    elif query.features is not None and gallery.features is not None:
        pairs = same_features(query.features, gallery.features)
        names = [f"row {i} and row {j}" for i, j in pairs[:1]]
    else:
        return
    if len(pairs):
        what = "content" if subject.card is not None else "features"
        text = f"pairs of a query and a gallery picture have the same {what}, which inflates scores"
        warnings.warn(f"{len(pairs)} {text}; first: {names[0]}", DataWarning, stacklevel=2)


def merge_subject(subject: Subject, settings: Settings) -> Subject:
    """The subject with its pictures merged as the protocol has it, and what both of its sides have."""
    query, gallery = merged(subject.query, subject.gallery, settings.rules)
    return replace(subject, query=query, gallery=gallery)


def short_lists(text: str | None, subject: Subject, protocol: ProtocolSettings) -> list[int]:
    """The rows that each of several short lists keeps, from text such as `100,1%`.

    None means the usual ones where two-stage search is possible: with attribute codes and codes, and a whole gallery.
    `SettingsError` for wanting some without codes.
    """
    sides = subject.query, subject.gallery
    possible = all(side.attribute_codes is not None and side.codes is not None for side in sides)
    if text and not possible:
        raise SettingsError("expected codes and attribute codes for two-stage search, got none; leave out --w")
    if text is None:
        text = DEFAULT_W if possible and not protocol.single_shots else ""
    return parse_list(text, len(subject.gallery)) if text else []


def parse_list(text: str, n_gallery: int) -> list[int]:
    """The rows that several numbers or shares of the gallery mean (`100,1%`)."""
    return [parse_rows(each, n_gallery) for each in text.split(",")]


def parse_rows(text: str, n_gallery: int) -> int:
    """The rows that a number (`100`) or a share of the gallery (`1%`) means."""
    share = text.endswith("%")
    try:
        value = float(text[:-1]) / 100 if share else int(text)
    except ValueError:
        value = 0
    if not 0 < value <= (1 if share else float("inf")):
        raise SettingsError(
            f"expected a number of rows such as 100, or a share of the gallery such as 1%, above 0, got {text!r}"
        )
    return rows_of_share(value, n_gallery) if share else int(value)


def parse_share(text: str) -> float:
    """The share that `1%` or `0.01` means, between 0 and 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise SettingsError(f"expected a share such as 1% or 0.01, between 0 and 1, got {text!r}")
    return value


def score(subject: Subject, settings: Settings) -> Evaluation:
    """All scores of a merged subject."""
    calibration = subject.card.calibration if subject.card else None
    return evaluate_model(
        subject.query,
        subject.gallery,
        short_lists(settings.w, subject, settings.rules),
        settings.rules.after_merging(),
        settings.memory_mb,
        settings.n_threads,
        rerank_w=parse_rows(settings.rerank, len(subject.gallery)) if settings.rerank else None,
        attribute_weights=calibration.attribute_weights if calibration else (),
    )


def write_sheet(path: Path, subject: Subject, settings: Settings) -> None:
    """Write a ranked sheet of some queries of a merged subject."""
    from bitreid.evaluation.sheets import sheet_of_queries

    title = f"{subject.name}: queries and their ten nearest"
    sheet_of_queries(subject.query, subject.gallery, path, title, cameras=settings.rules.cameras)


def write_page(
    path: Path,
    subject: Subject,
    evaluation: Evaluation,
    settings: Settings,
    command: Sequence[str | Path],
    pictures: bool,
) -> None:
    """Write the report of a merged subject that a `command` asked for."""
    from bitreid.evaluation.report import write_report
    from bitreid.evaluation.report.build import labels_beside, report_of

    labels = None
    if subject.card is not None and subject.data_path is not None:
        labels = labels_beside(subject.data_path, subject.card.attributes)
    report = report_of(
        f"{subject.name} on {subject.data}",
        subject.card,
        subject.query,
        subject.gallery,
        evaluation,
        subject.data,
        command=command,
        labels=labels,
        fpir=parse_share(settings.fpir),
        protocol=settings.rules,
        memory_mb=settings.memory_mb,
        pictures=pictures,
    )
    write_report(report, path)


def write_scores(path: Path, subject: Subject, evaluation: Evaluation, protocol: str) -> None:
    """Write all scores as JSON: those of each query too, with who is on it, so that two models can be compared."""
    record = {
        "format_version": FORMAT_VERSION,
        "name": subject.name,
        "data": subject.data,
        "protocol": protocol,
        "query_pids": subject.query.pids,
        "query_camids": subject.query.camids,
        **evaluation.to_json(),
    }
    write_json(path, record)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, as a whole or not at all; NaN becomes null."""
    with new_file(path) as unfinished:
        unfinished.write_text(json.dumps(json_values(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class ScoredQueries:
    """What `write_scores` wrote of each query.

    pids, camids   (n,) int64, who is on the queries
    codes, floats  each score `(n,)` of the codes and of the float features, by its name, NaN for a query without a
                   match; None where the model has none
    """

    name: str
    protocol: str
    n_gallery: int
    pids: Ints
    camids: Ints
    codes: Mapping[str, Floats] | None
    floats: Mapping[str, Floats] | None


def read_scores(path: Path) -> ScoredQueries:
    """The scores of each query in a file of `write_scores`; `DataError` for another file, a damaged or a newer one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version = int(record["format_version"])
        if version > FORMAT_VERSION:
            raise DataError(f"format {version} is newer than {FORMAT_VERSION}, update bitreid")
        pids, camids = (np.array(record[name], np.int64) for name in ("query_pids", "query_camids"))
        return ScoredQueries(
            str(record["name"]),
            str(record["protocol"]),
            int(record["n_gallery"]),
            pids,
            _column(camids, len(pids), "camera"),
            _columns(record["codes"], len(pids)),
            _columns(record["floats"], len(pids)),
        )
    # What is in a file of somebody else is of any type.
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, BitreidError) as error:
        what = str(error) if isinstance(error, BitreidError) else f"another ({type(error).__name__}: {error})"
        raise DataError(
            f"expected scores that `bitreid evaluate --json` wrote at {path}, got: {what}; evaluate again"
        ) from error


def _columns(metrics: Mapping[str, Any] | None, n: int) -> Mapping[str, Floats] | None:
    if metrics is None:
        return None
    return {name: _column(np.array(metrics[key], np.float64), n, name) for name, key in _SCORES.items()}


def _column(values: npt.NDArray[Any], n: int, name: str) -> npt.NDArray[Any]:
    if values.shape != (n,):
        raise DataError(f"a {name} for other than each of {n} queries, shape {values.shape}")
    return values


def compare_scores(a: ScoredQueries, b: ScoredQueries, descriptor: str = "main") -> dict[str, PairedComparison]:
    """The paired comparison of two models by each score: of the codes (`codes`), the float features (`floats`), or of
    each what it is searched by (`main`). `DataError` for other queries, another protocol or another gallery."""
    same = {
        "protocol": a.protocol == b.protocol,
        "gallery": a.n_gallery == b.n_gallery,
        "queries": np.array_equal(a.pids, b.pids) and np.array_equal(a.camids, b.camids),
    }
    for what, is_same in same.items():
        if not is_same:
            raise DataError(
                "expected scores under one protocol and gallery, of the same queries in the same order, got another "
                f"{what} in {a.name} and {b.name}; evaluate both models in the same way"
            )
    of_a, of_b = _scores_of(a, descriptor), _scores_of(b, descriptor)
    return {name: compare(of_a[name], of_b[name], a.pids) for name in _SCORES}


def _scores_of(scored: ScoredQueries, descriptor: str) -> Mapping[str, Floats]:
    found = {"codes": scored.codes, "floats": scored.floats, "main": scored.codes or scored.floats}[descriptor]
    if found is None:
        raise DataError(f"expected scores of {descriptor} in those of {scored.name}, got none; choose the other")
    return found
