"""Scores of each query in a file, so that two models can be compared query by query."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import AnyArray, Floats, Ints
from bitreid.data.files import new_file
from bitreid.errors import BitreidError, DataError
from bitreid.evaluation.confidence import PairedComparison, compare
from bitreid.evaluation.subjects import Subject
from bitreid.evaluation.summary import Evaluation, json_values

FORMAT_VERSION = 1
"""The newest format of a file of scores that this bitreid reads, and the one that it writes."""

_SCORES = {"rank-1": "first_right", "mAP": "average_precision", "mINP": "inverse_penalty"}


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
    """Return the scores that `write_scores` wrote; `DataError` for another file, a damaged or a newer one."""
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


def _column(values: AnyArray, n: int, name: str) -> AnyArray:
    if values.shape != (n,):
        raise DataError(f"a {name} for other than each of {n} queries, shape {values.shape}")
    return values


def compare_scores(a: ScoredQueries, b: ScoredQueries, descriptor: str = "main") -> dict[str, PairedComparison]:
    """Compare two models by each score.

    `descriptor` says which: the codes ("codes"), the float features ("floats"), or of each model what it is searched by
    ("main"). `DataError` for other queries, another protocol or another gallery.
    """
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
