"""What a search found, as the command line shows it: a table, and how much of it is certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from bitreid.gallery.items import Hit, Hits
    from bitreid.gallery.query import SearchRequest


def titles_of(names: Sequence[str], n_pictures: Sequence[int]) -> list[str]:
    """Return what stands before the hits of each query: its name where there are several, and how many pictures were
    taken as one person's, which nobody may have meant."""
    titles = [f"{name}: " if len(names) > 1 else "" for name in names]
    for i, n in enumerate(n_pictures):
        titles[i] += f"{n} pictures as one person: " if n > 1 else ""
    return titles


def hits_shown(title: str, hits: Hits, request: SearchRequest) -> list[str | Table]:
    """Return what a search found: a line or a table, and a line that says how much of it is certain."""
    if not hits:
        return [f"{title}{_nothing_text(hits, request)}"]
    return [hits_table(title, hits), *([] if hits.threshold is None else [_certainty_text(hits, request)])]


def hits_table(title: str, hits: Hits) -> Table:
    """Return the hits of a query in order, with a line where certainty ends; a column where certain hits are scattered,
    as after rescoring.

    A column of which nothing is known is left out.
    """
    scattered = hits.scattered
    cells: dict[str, Callable[[Hit], object]] = {
        "id": lambda hit: hit.id,
        "distance": lambda hit: f"{hit.distance:.2f}".removesuffix(".00"),
        "probability": lambda hit: None if hit.probability is None else f"{hit.probability:.3f}",
        "camera": lambda hit: None if hit.camera is None else f"{hit.camera} {hits.camera_name(hit) or ''}".rstrip(),
        "time": lambda hit: None if hit.time is None else hit.time.isoformat(" ", "seconds"),
        "tracklet": lambda hit: hit.tracklet,
        "person": lambda hit: hit.person,
        "certain": lambda hit: ("yes" if hit.distance <= (hits.threshold or 0) else "no") if scattered else None,
        "votes": lambda hit: hit.votes if any(each.votes > 1 for each in hits) else None,
    }
    visited = f", {hits.n_visited:,} of them compared" if hits.n_visited < hits.n_gallery else ""
    table = Table("rank", title=f"{title}{len(hits)} of {hits.n_gallery:,} items{visited}")
    rows = [[cell(hit) for cell in cells.values()] for hit in hits]
    known = [i for i in range(len(cells)) if any(row[i] is not None for row in rows)]
    for i in known:
        table.add_column(list(cells)[i], no_wrap=True)  # an id that is cut off or broken cannot be copied
    for rank, row in enumerate(rows, 1):
        last_certain = rank == hits.n_certain and not scattered
        table.add_row(str(rank), *("" if row[i] is None else str(row[i]) for i in known), end_section=last_certain)
    return table


def _certainty_text(hits: Hits, request: SearchRequest) -> str:
    """Return how many of the hits are certain, and what that means."""
    assert hits.threshold is not None
    meaning = f"at most {100 * request.fpir:g} % of the searches for somebody absent find one as near (--fpir)"
    if hits.threshold < 0:
        return f"none is certain: among {hits.n_gallery:,} items no distance is small enough that {meaning}"
    limit = f"within {hits.threshold} bits, {meaning}"
    if not hits.n_certain:
        return f"none is certain: {limit}; these are the nearest, and may be anybody"
    if hits.n_certain == len(hits):
        return f"all are certain: {limit}"
    if hits.scattered:
        return f"certain where it says yes: {limit}; the others may be anybody"
    return f"certain above the line: {limit}; below it may be anybody"


def _nothing_text(hits: Hits, request: SearchRequest) -> str:
    """Return why a search has no hit at all."""
    if not hits.n_gallery:
        return "nobody: there is no item to compare with"
    if request.max_distance is None and not request.only_certain:
        return f"nobody: none of {hits.n_gallery:,} items is of a known {request.by}"
    if request.only_certain and hits.threshold is not None and hits.threshold < 0:
        return f"nobody: {_certainty_text(hits, request).removeprefix('none is certain: ')}"
    limits = (request.max_distance, hits.threshold if request.only_certain else None)
    return f"nobody: none of {hits.n_gallery:,} items is within {min(each for each in limits if each is not None)} bits"
