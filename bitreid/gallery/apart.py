"""People and tracklets of several sources do not become one another because they have the same number."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.gallery.base import Gallery
from bitreid.gallery.filters.types import PersonIn, TrackletIn
from bitreid.gallery.items import Id
from bitreid.gallery.requests import BATCH
from bitreid.text import printable

Tracklet = tuple[int, str]
"""A camera, or `UNKNOWN`, and a tracklet of it."""


class Known(NamedTuple):
    """Who an item shows, as far as that is known."""

    id: Id
    person: str | None
    tracklet: Tracklet | None


def check_apart(gallery: Gallery, items: Sequence[Known]) -> None:
    """Check that new items show no person and no tracklet that the gallery has from elsewhere; else `DataError`.

    `items` are all that somebody wants to add. Those whose ids are in the gallery are not new, and what the gallery has
    under these ids is not from elsewhere: adding that was stopped goes on.
    """
    named = [item for item in items if item.person is not None or item.tracklet is not None]
    new: list[Known] = []
    for start in range(0, len(named), BATCH):
        some = named[start : start + BATCH]
        there = gallery.get([item.id for item in some])
        new += [item for item, found in zip(some, there, strict=True) if found is None]
    own = frozenset(item.id for item in items)
    shared = _persons_elsewhere(gallery, own, {item.person for item in new if item.person is not None})
    if shared:
        what, first = "person", f"person {shared[0]}"
    else:
        pairs = _tracklets_elsewhere(gallery, own, {item.tracklet for item in new if item.tracklet is not None})
        shared = [f"tracklet {name} of {_camera(camera)}" for camera, name in pairs]
        if not shared:
            return
        what, first = "tracklet", shared[0]
    raise DataError(
        f"expected people of the source that the gallery has, or to be told whether they are the same, got "
        f"{printable(first)}, which it has from elsewhere ({len(shared)} {what}s in all); say --same-people if they "
        "are the same, or --source NAME to keep these apart, as NAME/1"
    )


def _persons_elsewhere(gallery: Gallery, own: frozenset[Id], persons: set[str]) -> list[str]:
    """Return those of the persons whom the gallery has in items other than these `own` ones, sorted."""
    found: set[str] = set()
    for some in _some(persons):
        for batch in gallery.scan(PersonIn(some)):
            pairs = zip(batch.ids, batch.persons, strict=True)
            found |= {who for id, who in pairs if who is not None and id not in own}
    return sorted(found)


def _tracklets_elsewhere(gallery: Gallery, own: frozenset[Id], tracklets: set[Tracklet]) -> list[Tracklet]:
    """Return those of the tracklets that the gallery has in items other than these `own` ones, sorted."""
    found: set[Tracklet] = set()
    for some in _some({name for _, name in tracklets}):
        for batch in gallery.scan(TrackletIn(some)):
            rows = zip(batch.ids, batch.cameras.tolist(), batch.tracklets, strict=True)
            found |= {(camera, name) for id, camera, name in rows if name is not None and id not in own}
    return sorted(found & tracklets)


def _some(names: set[str]) -> Iterator[frozenset[str]]:
    """Yield the names, so many at a time that every gallery can filter by them."""
    whole = sorted(names)
    return (frozenset(whole[start : start + BATCH]) for start in range(0, len(whole), BATCH))


def _camera(camera: int) -> str:
    return "an unknown camera" if camera == UNKNOWN else f"camera {camera}"
