"""Ranked sheets of encoded pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.data.manifest import JUNK, UNKNOWN
from bitreid.encoding.pipeline import EncodedSet
from bitreid.evaluation.sheet import SheetHit, SheetRow, draw_ranked_sheet
from bitreid.hamming import Ranking, search_exact


def sheet_of_queries(
    query: EncodedSet, gallery: EncodedSet, out: Path, title: str, n_rows: int = 8, k: int = 10
) -> None:
    """Write a sheet of `n_rows` queries, evenly spread over all, each with its `k` nearest.

    As in the evaluation, junk and pictures of the query's identity by its own camera are left out.
    """
    rows = []
    for i in np.unique(np.linspace(0, len(query.codes) - 1, n_rows).astype(np.int64)):
        keep = np.flatnonzero(~_left_out(query, int(i), gallery))
        ranking = search_exact(query.codes[i : i + 1], gallery.codes[keep], k)
        hits = _hits(gallery, keep[ranking.positions[0]], ranking.distances[0], int(query.pids[i]))
        rows.append(SheetRow(query.paths[i], hits, f"{query.pids[i]:04d}, camera {query.camids[i]}"))
    draw_ranked_sheet(rows, out, title)


def sheet_of_search(pictures: Sequence[Path], gallery: EncodedSet, ranking: Ranking, out: Path) -> None:
    """Write a sheet of one search: its first picture and the hits, whose identity nobody judges."""
    label = "query" if len(pictures) == 1 else f"query, {len(pictures)} pictures"
    hits = _hits(gallery, ranking.positions[0], ranking.distances[0], UNKNOWN)
    draw_ranked_sheet([SheetRow(pictures[0], hits, label)], out, "Nearest in the gallery, distance in bits")


def _left_out(query: EncodedSet, i: int, gallery: EncodedSet) -> npt.NDArray[np.bool_]:
    same_camera = (gallery.camids == query.camids[i]) & (query.camids[i] != UNKNOWN)
    out: npt.NDArray[np.bool_] = (gallery.pids == JUNK) | ((gallery.pids == query.pids[i]) & same_camera)
    return out


def _hits(
    gallery: EncodedSet, positions: npt.NDArray[np.int64], distances: npt.NDArray[np.int32], pid: int
) -> tuple[SheetHit, ...]:
    def right(row: int) -> bool | None:
        return None if UNKNOWN in (pid, gallery.pids[row]) else bool(gallery.pids[row] == pid)

    return tuple(
        SheetHit(gallery.paths[row], float(distance), right(int(row)))
        for row, distance in zip(positions, distances, strict=True)
    )
