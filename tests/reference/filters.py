"""Filters judged by hand, one item and one predicate at a time."""

import json
from datetime import UTC, datetime, timedelta

from bitreid.gallery.filters.types import (
    And,
    CameraIn,
    Filter,
    HasAttribute,
    IdIn,
    MetadataIs,
    Not,
    OlderThan,
    Or,
    PersonIn,
    TimeBetween,
    TrackletIn,
)
from bitreid.gallery.items import GalleryItem


def passes(filter: Filter, item: GalleryItem, added: datetime, attributes: tuple[str, ...]) -> bool:
    """Whether an item, added at `added`, passes; `attributes` name the bits of its attribute code."""
    if isinstance(filter, And):
        return all(passes(part, item, added, attributes) for part in filter.parts)
    if isinstance(filter, Or):
        return any(passes(part, item, added, attributes) for part in filter.parts)
    if isinstance(filter, Not):
        return not passes(filter.part, item, added, attributes)
    if isinstance(filter, CameraIn):
        return item.camera in filter.cameras
    if isinstance(filter, PersonIn):
        return item.person in filter.persons
    if isinstance(filter, TrackletIn):
        return item.tracklet in filter.tracklets
    if isinstance(filter, IdIn):
        return item.id in filter.ids
    if isinstance(filter, HasAttribute):
        assert item.attribute_code is not None
        bits = "".join(f"{byte:08b}" for byte in item.attribute_code)
        return dict(zip(attributes, bits, strict=False))[filter.name] == "1"
    if isinstance(filter, MetadataIs):
        found = (item.metadata or {}).get(filter.key, ...)
        return found is not ... and _written(found) == _written(filter.value)
    if isinstance(filter, OlderThan):
        return (item.time or added) < _moment(filter.before)
    assert isinstance(filter, TimeBetween)
    after = filter.start is None or (item.time is not None and item.time >= _moment(filter.start))
    before = filter.stop is None or (item.time is not None and item.time < _moment(filter.stop))
    return item.time is not None and after and before


def _written(value: object) -> str:
    """A value as JSON, numbers without a needless fraction."""
    return json.dumps(value).removesuffix(".0")


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
