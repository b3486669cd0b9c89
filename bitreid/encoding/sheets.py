"""Ranked sheets of encoded pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.encoding.pipeline import EncodedSet
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.sheet import SheetHit, SheetRow, draw_ranked_sheet
from bitreid.hamming import Ranking, search_exact


def sheet_of_queries(
    query: EncodedSet, gallery: EncodedSet, out: Path, title: str, n_rows: int = 8, k: int = 10
) -> None:
    """Write a sheet of `n_rows` queries, evenly spread over all, each with its `k` nearest.

    What is left out, and what is right or wrong, is as in the evaluation (see `Protocol`).
    """
    protocol = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    rows = []
    for i in np.unique(np.linspace(0, len(query) - 1, n_rows).astype(np.int64)):
        hits = _hits(gallery, *nearest_rows(query, gallery, protocol, i, k))
        rows.append(SheetRow(query.paths[i], hits, f"{query.pids[i]:04d}, camera {query.camids[i]}"))
    draw_ranked_sheet(rows, out, title)


def nearest_rows(
    query: EncodedSet, gallery: EncodedSet, protocol: Protocol, i: int, k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The `k` gallery rows nearest to query `i` that the protocol does not leave out, their distances (bits), and
    whether they are right."""
    match, left_out = (mask[0] for mask in protocol.masks(slice(i, i + 1)))
    keep = np.flatnonzero(~left_out)
    ranking = search_exact(query.codes[i : i + 1], gallery.codes[keep], k)
    rows = keep[ranking.positions[0]]
    return rows, ranking.distances[0], match[rows]


def sheet_of_search(pictures: Sequence[Path], gallery: EncodedSet, ranking: Ranking, out: Path) -> None:
    """Write a sheet of one search: its first picture and the hits, whose identity nobody judges."""
    label = "query" if len(pictures) == 1 else f"query, {len(pictures)} pictures"
    hits = _hits(gallery, ranking.positions[0], ranking.distances[0], None)
    draw_ranked_sheet([SheetRow(pictures[0], hits, label)], out, "Nearest in the gallery, distance in bits")


def _hits(
    gallery: EncodedSet,
    positions: npt.NDArray[np.int64],
    distances: npt.NDArray[np.int32],
    right: npt.NDArray[np.bool_] | None,
) -> tuple[SheetHit, ...]:
    return tuple(
        SheetHit(gallery.paths[row], float(distance), None if right is None else bool(right[i]))
        for i, (row, distance) in enumerate(zip(positions, distances, strict=True))
    )
