"""Items vote: from single pictures to tracklets and persons.

A picture may be bad, so that its distance says little; several pictures of one walk past a camera say more. The items
nearest to the query, 1,000 of them, vote. A group, that is a tracklet or a person, is as near as the mean distance of
its three nearest items among those that vote; of fewer, if it has no more. Items of no known tracklet (or person) do
not vote where tracklets (or persons) are asked for. Groups of equal distance are ordered by the key of their nearest
item, which stands for the group.
"""

from collections.abc import Sequence
from typing import Literal

from bitreid.errors import GalleryError
from bitreid.gallery.items import Hit, key_of

By = Literal["item", "tracklet", "person"]
VOTES = 3
"""Nearest items of a group whose mean distance is the group's; `benchmarks/accuracy/voting.py` compares others."""


def voted(hits: Sequence[Hit], by: By, votes: int = VOTES) -> list[Hit]:
    """The groups that `hits`, nearest first, vote for, nearest first; "item": the hits themselves.

    The nearest `votes` items of a group make its distance.

    >>> def hit(id: int, distance: int, person: str | None) -> Hit:
    ...     return Hit(id, distance, None, None, None, None, person)
    >>> hits = [hit(1, 10, "A"), hit(2, 12, "B"), hit(3, 20, "A")]
    >>> [(each.person, each.distance, each.votes) for each in voted(hits, "person")]
    [('B', 12, 1), ('A', 15.0, 2)]
    """
    if by == "item":
        return list(hits)
    if by not in ("tracklet", "person"):
        raise GalleryError(f"expected hits by item, tracklet or person, got {by!r}")
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        name = hit.tracklet if by == "tracklet" else hit.person
        if name is not None:
            groups.setdefault(name, []).append(hit)
    found = [
        nearest[0]._replace(distance=_mean([hit.distance for hit in nearest[:votes]]), votes=len(nearest))
        for nearest in groups.values()
    ]
    return sorted(found, key=lambda hit: (hit.distance, key_of(hit.id)))


def _mean(distances: Sequence[float]) -> float:
    return distances[0] if len(distances) == 1 else sum(distances) / len(distances)
