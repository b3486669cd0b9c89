"""People: what items vote for, and what somebody decided about who is who.

A tracklet is a camera and a name: cameras count their tracklets each for itself.

**Votes**, from single pictures to tracklets and persons. A picture may be bad, so that its distance says little;
several pictures of one walk past a camera say more. The items nearest to the query, 1,000 of them, vote; where they are
of fewer groups than were asked for, four times as many do, and so on. A group, that is a tracklet or a person, is as
near as the mean distance of its three nearest items among those that vote; of fewer, if it has no more. Items of no
known tracklet (or person) do not vote where tracklets (or persons) are asked for. Groups of equal distance are ordered
by the key of their nearest item, which stands for the group.

**Decisions**: confirm, reject, merge. Each is kept as a note that says which items it was about and who they were
before, so that it can be undone and an item that was rejected as somebody is not offered as that person again. What
somebody decided outlives that the item is replaced.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bitreid.errors import BadRequest, ItemNotFound
from bitreid.gallery.fields import check_text
from bitreid.gallery.filters.types import CameraIn, Filter, TrackletIn
from bitreid.gallery.items import GalleryItem, Hit, Id, Items, key_of
from bitreid.gallery.requests import Found, Request

if TYPE_CHECKING:
    from bitreid.gallery.base import Gallery

By = Literal["item", "tracklet", "person"]
POOL = 1000
"""Items nearest to a query that vote, at least."""
VOTES = 3
"""Nearest items of a group whose mean distance is the group's; `benchmarks/accuracy/voting.py` compares others."""


def voted(hits: Sequence[Hit], by: By, votes: int = VOTES) -> list[Hit]:
    """Return the groups that `hits`, nearest first, vote for, nearest first; "item": the hits themselves.

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
        raise BadRequest(f"expected hits by item, tracklet or person, got {by!r}")
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        name = hit.tracklet if by == "tracklet" else hit.person
        if name is not None:
            groups.setdefault((hit.camera, name) if by == "tracklet" else name, []).append(hit)
    found = [
        nearest[0]._replace(distance=_mean([hit.distance for hit in nearest[:votes]]), votes=len(nearest))
        for nearest in groups.values()
    ]
    return sorted(found, key=lambda hit: (hit.distance, key_of(hit.id)))


def find_groups(gallery: "Gallery", request: Request, by: By) -> Found:
    """Return enough of the nearest items, `POOL` or more, that they are of `k` groups, or all that can be found.

    Of each query by itself, so that its hits do not depend on the other queries.
    """
    most = gallery._most
    asked = max(request.k, POOL if most is None else min(POOL, most))
    found = gallery._find(request._replace(k=asked))
    hits, n_visited = list(found.hits), list(found.n_visited)
    while most is None or asked < most:
        lacking = [i for i, each in enumerate(hits) if len(each) == asked and len(voted(each, by)) < request.k]
        if not lacking:
            break
        asked, rows = 4 * asked if most is None else min(4 * asked, most), np.array(lacking)
        short = None if request.short is None else request.short[rows]
        more = gallery._find(request._replace(queries=request.queries[rows], short=short, k=asked))
        for i, each, n in zip(lacking, more.hits, more.n_visited, strict=True):
            hits[i], n_visited[i] = each, n
    return found._replace(hits=hits, n_visited=n_visited)


def with_tracklets(gallery: "Gallery", ids: Sequence[Id]) -> list[GalleryItem]:
    """Return the items of the ids and of their tracklets; `ItemNotFound` for an id that is not there."""
    found = gallery.get(ids)
    missing = [id for id, item in zip(ids, found, strict=True) if item is None]
    if missing:
        raise ItemNotFound(f"expected ids of items in the gallery, got {missing[0]!r}, which is not there")
    items = {item.id: item for item in found if item is not None}
    tracklets = {(item.camera, item.tracklet) for item in items.values() if item.tracklet is not None}
    if tracklets:
        where: Filter = TrackletIn(frozenset(name for _, name in tracklets))
        cameras = frozenset(camera for camera, _ in tracklets if camera is not None)
        if all(camera is not None for camera, _ in tracklets):
            where &= CameraIn(cameras)
        others = (item for batch in gallery.scan(where) for item in batch)
        items |= {item.id: item for item in others if (item.camera, item.tracklet) in tracklets}
    return list(items.values())


def decide(gallery: "Gallery", action: str, find: Callable[[], Sequence[GalleryItem]], person: str) -> int:
    """Keep a decision about the items that `find` returns, and assign them; return how many they are.

    A rejection makes nobody's those that were taken for `person`, and leaves alone who are somebody else.
    """
    if not person:
        raise BadRequest("expected the name of a person, got none")
    check_text("persons", person)
    with gallery._transaction():
        items = find()  # nobody else changes or deletes them from here on
        if not items:
            return 0
        before = [(item.id, item.person) for item in items]
        gallery._note({"action": action, "person": person, "before": before})
        rejects = action == "reject"
        now = None if rejects else person
        gallery._assign({item.id: now for item in items if not rejects or item.person == person})
        gallery._record(action, [item.id for item in items])
    return len(items)


def undo(gallery: "Gallery") -> str | None:
    """Undo the last decision; return what it was, or None if there is none (see `Gallery.undo`)."""
    with gallery._transaction():
        decisions = decisions_of(gallery)
        if not decisions:
            return None
        number, last = decisions[-1]
        now = {item.id: item for item in gallery.get([id for id, _ in last["before"]]) if item is not None}
        rejects = last["action"] == "reject"  # which changed only those who were taken for that person
        after = None if rejects else last["person"]
        changed = [(id, was) for id, was in last["before"] if not rejects or was == last["person"]]
        gallery._assign({id: was for id, was in changed if id in now and now[id].person == after})
        gallery._forget_note(number)
        gallery._record(f"undo {last['action']}", [id for id, _ in last["before"]])
        return f"{last['action']} {last['person']}"


def rejected(gallery: "Gallery", person: str) -> frozenset[Id]:
    """Return the ids of the items rejected as `person` (see `Gallery.rejected`)."""
    decisions, names = decisions_of(gallery), {person}
    for _, decision in reversed(decisions):
        if decision["action"] == "merge" and decision["person"] in names:
            names |= {was for _, was in decision["before"]}
    rejected: set[Id] = set()
    for _, decision in decisions:
        if decision["person"] in names:
            ids = {id for id, _ in decision["before"]}
            rejected = rejected | ids if decision["action"] == "reject" else rejected - ids
    return frozenset(rejected)


def as_decided(gallery: "Gallery", batch: Items) -> Items:
    """Return items as somebody decided who they are: confirmed or merged persons instead of what the items say, and
    nobody instead of the person that they were rejected as."""
    persons = dict(zip(batch.ids, batch.persons, strict=True))
    decided = False
    for _, decision in decisions_of(gallery):
        for id in [id for id, _ in decision["before"] if id in persons]:
            decided = True
            if decision["action"] != "reject":
                persons[id] = decision["person"]
            elif persons[id] == decision["person"]:
                persons[id] = None
    return replace(batch, persons=tuple(persons[id] for id in batch.ids)) if decided else batch


def decisions_of(gallery: "Gallery") -> list[tuple[int, dict[str, Any]]]:
    """Return all decisions, oldest first, with their numbers."""
    return [(n, {**note, "before": [(id, was) for id, was in note["before"]]}) for n, note in gallery._notes()]


def forget(gallery: "Gallery", ids: Sequence[Id], persons: frozenset[str]) -> None:
    """Take items and persons that are forgotten out of the decisions."""
    gone = set(ids)
    for number, decision in decisions_of(gallery) if gone or persons else ():
        kept = [(id, None if was in persons else was) for id, was in decision["before"] if id not in gone]
        if not kept or decision["person"] in persons:
            gallery._forget_note(number)
        elif kept != decision["before"]:
            gallery._rewrite_note(number, {**decision, "before": kept})


def _mean(distances: Sequence[float]) -> float:
    return distances[0] if len(distances) == 1 else sum(distances) / len(distances)
