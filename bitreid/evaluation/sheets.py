"""Ranked sheets of encoded pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.evaluation import rerank
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.sheet import SheetHit, SheetRow, draw_ranked_sheet
from bitreid.evaluation.summary import Side
from bitreid.hamming import Ranking, search_exact


def sheet_of_queries(
    query: Side, gallery: Side, out: Path, title: str, n_rows: int = 8, k: int = 10, *, cameras: bool = True
) -> None:
    """Write a sheet of `n_rows` queries, evenly spread over all, each with its `k` nearest.

    What is left out, and what is right or wrong, is as in the evaluation (see `Protocol`), whose settings say whether
    `cameras` count. `DataError` where the files of the pictures are not known.
    """
    if not query.paths or not gallery.paths:
        raise DataError("expected to know the pictures' files for a ranked sheet, got none; write one without a sheet")
    protocol = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    protocol = protocol if cameras else protocol.without_cameras()
    rows = []
    for i in np.unique(np.linspace(0, len(query) - 1, n_rows).astype(np.int64)):
        hits = _hits(gallery.paths, *nearest_rows(query, gallery, protocol, i, k))
        camera = f", camera {query.camids[i]}" if query.camids[i] != UNKNOWN else ""
        rows.append(SheetRow(query.paths[i], hits, f"{query.pids[i]:04d}{camera}"))
    draw_ranked_sheet(rows, out, title)


def nearest_rows(
    query: Side, gallery: Side, protocol: Protocol, i: int, k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.number], npt.NDArray[np.bool_]]:
    """The `k` gallery rows nearest to query `i` that the protocol does not leave out, their distances (bits; cosine
    distances of features), and whether they are right."""
    match, left_out = (mask[0] for mask in protocol.masks(slice(i, i + 1)))
    keep = np.flatnonzero(~left_out)
    one, others = query.main[i : i + 1], gallery.main[keep]
    distances: npt.NDArray[np.number]
    if isinstance(one, Codes) and isinstance(others, Codes):
        ranking = search_exact(one, others, k)
        found, distances = ranking.positions, ranking.distances
    else:
        found = rerank.nearest_rows(one, others, k)
        distances = rerank.short_list_distances(one, others, found)
    rows = keep[found[0]]
    return rows, distances[0], match[rows]


def sheet_of_search(pictures: Sequence[Path], gallery: Sequence[Path], ranking: Ranking, out: Path) -> None:
    """Write a sheet of one search: its first picture and the hits among the gallery's pictures, whose identity nobody
    judges."""
    label = "query" if len(pictures) == 1 else f"query, {len(pictures)} pictures"
    hits = _hits(gallery, ranking.positions[0], ranking.distances[0], None)
    draw_ranked_sheet([SheetRow(pictures[0], hits, label)], out, "Nearest in the gallery, distance in bits")


def _hits(
    paths: Sequence[Path],
    positions: npt.NDArray[np.int64],
    distances: npt.NDArray[np.number],
    right: npt.NDArray[np.bool_] | None,
) -> tuple[SheetHit, ...]:
    return tuple(
        SheetHit(paths[row], float(distance), None if right is None else bool(right[i]))
        for i, (row, distance) in enumerate(zip(positions, distances, strict=True))
    )
