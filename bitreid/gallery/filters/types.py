"""What limits a search or a deletion: typed filters, and which rows of a gallery's columns they let through.

Filters are values: they compare and hash, and `&`, `|` and `~` combine them. Each is true or false of every item; what
nobody told us makes a predicate false, and so its `Not` true: `~CameraIn(...)` lets items of unknown camera through.
`bitreid.gallery.filters.text` is their text form.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol

import numpy as np

from bitreid.arrays import Bools, Ints
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import FilterError
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import NO_TIME
from bitreid.gallery.items import Id

Scalar = str | int | float | bool | None

_FEW_CAMERAS = 32  # so many comparisons of a column cost less than one np.isin
_STOP = 2**63


class Filter:
    """What an item must be to pass: one of this module's frozen dataclasses.

    >>> CameraIn(frozenset({1, 2})) & ~HasAttribute("hat")
    And(parts=(CameraIn(cameras=frozenset({1, 2})), Not(part=HasAttribute(name='hat'))))
    """

    def __and__(self, other: "Filter") -> "And":
        return And((*_alternatives(self, And), *_alternatives(other, And)))

    def __or__(self, other: "Filter") -> "Or":
        return Or((*_alternatives(self, Or), *_alternatives(other, Or)))

    def __invert__(self) -> "Not":
        return Not(self)

    def __bool__(self) -> bool:
        # `a and b` would silently be b alone, and a deletion by it would delete too much.
        raise FilterError("expected filters to be combined by &, | and ~, got and, or, not, if or bool()")


@dataclass(frozen=True)
class CameraIn(Filter):
    """Items of these cameras."""

    cameras: frozenset[int]

    def __post_init__(self) -> None:
        _check_set("cameras", self.cameras, lambda camera: _whole(camera, UNKNOWN + 1), "whole numbers from -1 on")


@dataclass(frozen=True)
class TimeBetween(Filter):
    """Items of `start <= time < stop`, in microseconds from 1970 on, UTC; None is no limit. Both None: time known."""

    start: int | None
    stop: int | None

    def __post_init__(self) -> None:
        for limit in (self.start, self.stop):
            if limit is not None:
                _check_time(limit)


@dataclass(frozen=True)
class HasAttribute(Filter):
    """Items whose attribute code has the bit of this name; `check_filter` says whether there is such a bit."""

    name: str

    def __post_init__(self) -> None:
        _check_text("the name of an attribute", self.name)


@dataclass(frozen=True)
class MetadataIs(Filter):
    """Items whose metadata have this value under this key of the object itself, not of one inside it.

    Values compare as JSON does: 1 is 1.0, but neither `True` nor "1". None is JSON's null: a key without a value does
    not pass where the key is missing.
    """

    key: str
    value: Scalar
    # Python calls 1 and True equal; two filters by them are not.
    _truth: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_text("the key of metadata", self.key)
        object.__setattr__(self, "_truth", isinstance(self.value, bool))
        if isinstance(self.value, str):
            _check_text("a value of metadata", self.value)
        elif not (self.value is None or self._truth or _whole(self.value, NO_TIME) or _real(self.value)):
            raise FilterError(
                f"expected metadata of text, a finite number of 64 bits, true, false or null, got {self.value!r:.80}"
            )


@dataclass(frozen=True)
class PersonIn(Filter):
    """Items known to show one of these persons."""

    persons: frozenset[str]

    def __post_init__(self) -> None:
        _check_set("persons", self.persons, _text, "text")


@dataclass(frozen=True)
class TrackletIn(Filter):
    """Items of these tracklets of any camera; with `CameraIn` those of one camera, which counts for itself."""

    tracklets: frozenset[str]

    def __post_init__(self) -> None:
        _check_set("tracklets", self.tracklets, _text, "text")


@dataclass(frozen=True)
class IdIn(Filter):
    """These items; the number 7 and the text "7" are different ids."""

    ids: frozenset[Id]

    def __post_init__(self) -> None:
        _check_set("ids", self.ids, lambda id: _whole(id, NO_TIME) or _text(id), "whole numbers of 64 bits or text")


@dataclass(frozen=True)
class OlderThan(Filter):
    """Items whose time, or time of addition where theirs is unknown, is before `before`, in microseconds, UTC."""

    before: int

    def __post_init__(self) -> None:
        _check_time(self.before)


@dataclass(frozen=True)
class And(Filter):
    """Items that pass all parts, of which there is at least one: what lets everything through is no filter."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)


@dataclass(frozen=True)
class Or(Filter):
    """Items that pass at least one of the parts."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)


@dataclass(frozen=True)
class Not(Filter):
    """Items that do not pass the part."""

    part: Filter

    def __post_init__(self) -> None:
        _check_parts((self.part,))


class Columns(Protocol):
    """What filters ask of a gallery of n rows. They write to none of the arrays, all of length n.

    `cameras` holds `UNKNOWN`, and `times` `NO_TIME`, where it is unknown; `added` is when the row was added, in
    microseconds as times are. `person_in` and the like are false where it is unknown.
    """

    def __len__(self) -> int: ...
    @property
    def cameras(self) -> Ints: ...
    @property
    def times(self) -> Ints: ...
    @property
    def added(self) -> Ints: ...
    def attribute(self, name: str) -> Bools: ...
    def person_in(self, persons: frozenset[str]) -> Bools: ...
    def tracklet_in(self, tracklets: frozenset[str]) -> Bools: ...
    def id_in(self, ids: frozenset[Id]) -> Bools: ...
    def metadata_is(self, key: str, value: Scalar) -> Bools: ...


def mask(filter: Filter, columns: Columns) -> Bools:
    """Return the rows that pass, `(len(columns),) bool`; not to be written to, as it may be one of the columns."""
    match filter:
        case CameraIn(cameras):
            return _camera_in(cameras, columns.cameras)
        case TimeBetween(start, stop):
            return _time_between(start, stop, columns.times)
        case OlderThan(before):
            return np.where(columns.times == NO_TIME, columns.added, columns.times) < before
        case HasAttribute(name):
            return columns.attribute(name)
        case MetadataIs(key, value):
            return columns.metadata_is(key, value)
        case PersonIn(persons):
            return columns.person_in(persons)
        case TrackletIn(tracklets):
            return columns.tracklet_in(tracklets)
        case IdIn(ids):
            return columns.id_in(ids)
        case And(parts):
            return _joined(np.logical_and, (mask(part, columns) for part in parts))
        case Or(parts):
            return _joined(np.logical_or, (mask(part, columns) for part in parts))
        case Not(part):
            return ~mask(part, columns)
    raise _no_filter(filter)


def predicates(filter: Filter) -> Iterator[Filter]:
    """Yield the predicates that a filter is made of: all that is not `And`, `Or` or `Not`, from left to right."""
    match filter:
        case And(parts) | Or(parts):
            for part in parts:
                yield from predicates(part)
        case Not(part):
            yield from predicates(part)
        case _:
            yield filter


def check_filter(filter: Filter, contract: Contract) -> None:
    """Check that the gallery's attribute codes have all attributes of the filter; else `FilterError`."""
    _check_parts((filter,))
    for predicate in predicates(filter):
        if isinstance(predicate, HasAttribute) and predicate.name not in contract.attributes:
            close = get_close_matches(predicate.name, contract.attributes, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            known = ", ".join(contract.attributes) or "there are none"
            raise FilterError(
                f"expected an attribute that the gallery's codes have ({known}), got {predicate.name!r:.80}{hint}"
            )


def _joined(join: np.ufunc, masks: Iterator[Bools]) -> Bools:
    # In one array of our own: fresh memory for each step costs more than the step.
    joined = next(masks).copy()
    for more in masks:
        join(joined, more, out=joined)
    return joined


def _camera_in(cameras: frozenset[int], column: Ints) -> Bools:
    if len(cameras) > _FEW_CAMERAS:
        return np.isin(column, np.fromiter(cameras, np.int64, len(cameras)))
    if not cameras:
        return np.zeros(len(column), np.bool_)
    first, *others = cameras
    found: Bools = column == first
    for camera in others:
        found |= column == camera
    return found


def _time_between(start: int | None, stop: int | None, column: Ints) -> Bools:
    # An unknown time is the smallest number: whatever has a start leaves it out.
    after: Bools = column > NO_TIME if start is None else column >= start
    return after if stop is None else np.logical_and(after, column < stop, out=after)


def _alternatives(filter: Filter, kind: type[And] | type[Or]) -> tuple[Filter, ...]:
    return filter.parts if isinstance(filter, kind) else (filter,)


def _no_filter(found: object) -> FilterError:
    return FilterError(f"expected a filter, got {found!r:.80}; parse_filter makes one of a text")


def _check_parts(parts: object) -> None:
    if not isinstance(parts, tuple) or not parts:
        raise FilterError(f"expected a tuple of at least one filter, got {parts!r:.80}")
    for part in parts:
        if not isinstance(part, Filter):
            raise _no_filter(part)


def _check_set(name: str, values: object, fits: Callable[[object], bool], wanted: str) -> None:
    if not isinstance(values, frozenset):
        raise FilterError(f"expected a frozenset of {name}, got {values!r:.80}")
    strange = [value for value in values if not fits(value)]
    if strange:
        raise FilterError(f"expected {name} to be {wanted}, got {strange[0]!r:.80}")


def _check_time(time: object) -> None:
    if not _whole(time, NO_TIME + 1):
        raise FilterError(f"expected a time in whole microseconds from 1970 on, of 64 bits, got {time!r:.80}")


def _check_text(name: str, text: object) -> None:
    if not _text(text):
        raise FilterError(f"expected {name} to be text, got {text!r:.80}")


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < _STOP


def _real(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _text(value: object) -> bool:
    """Whether it is text that can be written; half of a surrogate pair, which JSON can spell, cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
