"""Subjects of an evaluation: a model's codes, or any program's features, of a test set's queries and gallery."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from bitreid.artifact import Card
from bitreid.data.manifest import DISTRACTOR, UNKNOWN
from bitreid.data.pictures import Progress, same_pictures
from bitreid.errors import DataWarning, SettingsError
from bitreid.evaluation.protocol import ProtocolSettings
from bitreid.evaluation.settings import (
    USUAL_RESCORED,
    USUAL_W,
    EvaluationSettings,
    parse_list,
    parse_rows,
    parse_share,
)
from bitreid.evaluation.side import Side, labels_of, merged, signs_of_features
from bitreid.evaluation.summary import Evaluation, coarse_of, evaluate_model, rows_of_share
from bitreid.evaluation.vectors import check_sides, load_vectors, same_features


@dataclass(frozen=True)
class Subject:
    """The subject of an evaluation: a model, or features from another program, on a test set.

    name       of the model or the file of features
    data       the name of the data set
    query, gallery  both sides
    card       the model's card; None for features from another program
    data_path  where the data set lies; None for features from another program
    """

    name: str
    data: str
    query: Side
    gallery: Side
    card: Card | None = None
    data_path: Path | None = None

    def merged(self, settings: EvaluationSettings) -> Self:
        """Return the subject with its pictures merged as the protocol says, and only with what both sides have.

        A `DataWarning` says if the protocol merges pictures, and there were none to merge.
        """
        rules = settings.rules
        query, gallery = merged(self.query, self.gallery, rules)
        if (rules.merge_queries or rules.merge_tracklets) and (len(query), len(gallery)) == (
            len(self.query),
            len(self.gallery),
        ):
            same = "queries show one person by one camera" if rules.merge_queries else "pictures are of one tracklet"
            text = f"no two {same}, so that {settings.protocol} merged nothing and scores as market1501"
            warnings.warn(text, DataWarning, stacklevel=2)
        return replace(self, query=query, gallery=gallery)


def warn_of_distractors(subject: Subject) -> None:
    """Warn, with a `DataWarning`, of queries with the pid of distractors: many programs count people from 0."""
    n_queries = int((subject.query.pids == DISTRACTOR).sum())
    if n_queries and (subject.gallery.pids == DISTRACTOR).any():
        text = f"{n_queries} queries have pid 0, that of distractors, and no match"
        warnings.warn(f"{text}; if it is a person's, count people from 1 on both sides", DataWarning, stacklevel=2)


def warn_of_cameras(subject: Subject, rules: ProtocolSettings) -> None:
    """Warn, with a `DataWarning`, of unknown cameras among known ones: nothing is left out because of them."""
    for name, side in (("queries", subject.query), ("gallery pictures", subject.gallery)):
        unknown = int((side.camids == UNKNOWN).sum())
        if rules.cameras and 0 < unknown < len(side):
            text = f"{unknown} of {len(side)} {name} have no camera, so that pictures by the same one count as found"
            warnings.warn(f"{text}; fill them in, or score without: no_cameras", DataWarning, stacklevel=2)


def short_lists(subject: Subject, settings: EvaluationSettings) -> list[int]:
    """Return the rows that each short list of the settings keeps.

    Where the settings name none, the usual ones, if two-stage search is possible: with codes and attribute codes or a
    coarse code, and a whole gallery. `SettingsError` if they name some, but codes are missing.
    """
    sides = subject.query, subject.gallery
    coarse = subject.card.coarse if subject.card else None
    by_coarse = all(coarse_of(side, coarse) is not None for side in sides)
    possible = by_coarse or all(side.attribute_codes is not None and side.codes is not None for side in sides)
    if settings.recall is not None:
        if coarse is None or not by_coarse:
            raise SettingsError("expected a model with a coarse code for a wanted recall, got none; give w instead")
        shares = [coarse.share(parse_share(each)) for each in settings.recall.split(",")]
        return [rows_of_share(share, len(subject.gallery)) for share in shares]
    if settings.w and not possible:
        raise SettingsError("expected codes and attribute codes for two-stage search, got none; leave out w")
    usual = USUAL_W if possible and not settings.rules.single_shots else ""
    text = usual if settings.w is None else settings.w
    return parse_list(text, len(subject.gallery)) if text else []


def rows_to_rescore(subject: Subject, settings: EvaluationSettings) -> int | None:
    """Return the rows that are rescored by the queries' features; None where the settings name none and it cannot be.

    `SettingsError` if they name some, but the codes are not the signs of features.
    """
    possible = signs_of_features(subject.query) and subject.gallery.codes is not None
    if settings.rescore and not possible:
        raise SettingsError("expected features whose signs are the codes to rescore by, got others; leave out rescore")
    usual = USUAL_RESCORED if possible and not settings.rules.single_shots else ""
    text = settings.rescore or usual
    return parse_rows(text, len(subject.gallery)) if text else None


def score_subject(subject: Subject, settings: EvaluationSettings) -> Evaluation:
    """Return all scores of a merged subject, also at the lengths that its card names."""
    card, codes = subject.card, subject.query.codes
    lengths = [] if card is None or codes is None else [n for n in card.code_lengths if n < codes.n_bits]
    return evaluate_model(
        subject.query,
        subject.gallery,
        short_lists(subject, settings),
        settings.rules.after_merging(),
        settings.memory_mb,
        settings.n_threads,
        rescore_w=rows_to_rescore(subject, settings),
        rerank_w=parse_rows(settings.rerank, len(subject.gallery)) if settings.rerank else None,
        lengths=lengths,
        coarse=card.coarse if card else None,
    )


def subject_of_files(query: Path, gallery: Path) -> Subject:
    """Return the features or codes that any program made, see `load_vectors`.

    A `DataWarning` says if only one of the files has cameras.
    """
    sides = []
    for side in (load_vectors(query, "query"), load_vectors(gallery, "gallery")):
        # Names of files that are not here, as when another machine made the features, are of no use.
        sides.append(side if all(path.is_file() for path in side.paths) else replace(side, paths=()))
    check_sides(sides[0], sides[1])
    with_cameras = [file for file, side in zip((query, gallery), sides, strict=True) if (side.camids != UNKNOWN).any()]
    if len(with_cameras) == 1:
        text = f"expected cameras in both files or in neither, got some in {with_cameras[0]} only"
        warnings.warn(f"{text}; pictures by a query's own camera count as found", DataWarning, stacklevel=2)
    return Subject(query.stem, gallery.stem, sides[0], sides[1])


def warn_of_same_pictures(subject: Subject, rules: ProtocolSettings, progress: Progress | None = None) -> None:
    """Warn, with a `DataWarning`, of pictures that are a query and a gallery picture: they inflate scores.

    They are found by what their files hold; where others made the features, by equal features. Pairs that the protocol
    leaves out of the ranking, such as those of one camera, do not count.
    """
    query, gallery = subject.query, subject.gallery
    if subject.card is not None:
        what = "content"
        pairs = same_pictures(query.paths, gallery.paths, progress)
        queries, starts = np.unique(pairs[:, 0], return_index=True)
        twins = list(zip(queries.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True)) if len(pairs) else []
    elif query.features is not None and gallery.features is not None:
        what = "features"
        twins = same_features(query.features, gallery.features)
    else:
        return
    labels = labels_of(query, gallery, rules.cameras)
    n, pair = 0, (0, 0)
    for query_row, rows in twins:
        ranked = labels.ranked(query_row, rows)
        if len(ranked) and not n:
            pair = query_row, int(ranked[0])
        n += len(ranked)
    if n:
        i, j = pair
        first = f"{query.paths[i]} and {gallery.paths[j]}" if subject.card is not None else f"row {i} and row {j}"
        text = f"pairs of a query and a gallery picture have the same {what}, which inflates scores"
        warnings.warn(f"{n} {text}; first: {first}", DataWarning, stacklevel=2)
