"""The fields of an item, described once: the table, SQLite, Milvus, Parquet and JSON follow `FIELDS`.

Each item has an id, an identity code and, where the model tells attributes, an attribute code. What may be known of it
besides are its fields. To add one, add a line to `FIELDS`, declare it in `GalleryItem`, `Items` and, if it is searched,
in `Hit`, and write a migration of SQLite files (`sqlite/schema.py`); a test compares all of them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.manifest import UNKNOWN
from bitreid.data.times import NO_TIME as NO_TIME
from bitreid.errors import BadRequest

Column = Ints | tuple[Any, ...]

MOST_TEXT = 4096
"""Bytes of UTF-8 of the longest id, tracklet, person or picture reference."""
MOST_METADATA = 32_768
"""Bytes of the longest metadata, as JSON."""

MOST_DEEP = 100
"""Objects and lists within one another that metadata may have."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (
    (end.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) for end in (datetime.min, datetime.max)
)


def microseconds(time: datetime) -> int:
    """Return the microseconds from 1970 on, in UTC; `BadRequest` for a time without its offset from UTC."""
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise BadRequest(f"expected a time that says its offset from UTC, got {time}; add tzinfo, for example UTC")
    return (time - _EPOCH) // timedelta(microseconds=1)


def nows(n: int) -> Ints:
    """Return the present `(n,)`, n times, in microseconds from 1970 on."""
    return np.full(n, microseconds(datetime.now(UTC)))


def time_of(microseconds: int) -> datetime | None:
    """Return the time of `microseconds` from 1970 on; None where it is unknown."""
    return None if microseconds == NO_TIME else _EPOCH + timedelta(0, 0, int(microseconds))


def is_whole_number(value: object) -> bool:
    """Return whether it is a whole number of 64 bits with sign, of Python or of numpy."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63


def check_text(name: str, text: object) -> None:
    """Check that a gallery can keep `text`; else `BadRequest`."""
    try:
        fits = isinstance(text, str) and 0 < len(text.encode()) <= MOST_TEXT and "\0" not in text
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise BadRequest(f"expected {name} of 1 to {MOST_TEXT} bytes of text without NUL, got {text!r:.80}")


def _check_metadata(name: str, metadata: object) -> None:
    try:
        text = json.dumps(metadata, allow_nan=False)
        fits = isinstance(metadata, dict) and len(text) <= MOST_METADATA and json.loads(text) == metadata
        fits = fits and _depth(metadata) <= MOST_DEEP
    except (TypeError, ValueError, RecursionError):
        fits = False
    if not fits:
        raise BadRequest(
            f"expected {name} that is a JSON object of at most {MOST_METADATA} bytes and {MOST_DEEP} levels, got "
            f"{_start(metadata)!r}"
        )


def _depth(value: object) -> int:
    """Return how many objects and lists are within one another, without recursion: there may be too many for that."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    return depth


def _start(value: object) -> str:
    try:
        return str(value)[:80]
    except RecursionError:
        return "objects within objects"


def _check_numbers(name: str, numbers: Ints) -> None:
    if len(numbers) and numbers.min() < UNKNOWN:
        raise BadRequest(f"expected {name} of at least {UNKNOWN} (unknown), got {numbers.min()}")


def _check_times(name: str, times: Ints) -> None:
    known = times[times != NO_TIME]
    if len(known) and not _FIRST <= known.min() <= known.max() <= _LAST:
        raise BadRequest(f"expected {name} of the years 1 to 9999 in microseconds from 1970 on, got others")


def _whole_number(name: str, value: object) -> int:
    if not is_whole_number(value):  # numpy would round or read it
        raise BadRequest(f"expected {name} that are whole numbers of 64 bits, got {value!r}")
    return int(cast(int, value))


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Kind:
    """How the values of a field look: to a caller, in a column of `Items`, and where they are stored.

    A column of numbers is an array `(n,) int64` in which `unknown` stands for None, as it does where it is stored. Any
    other column is a tuple of elements or None, which are stored as text or null.

    check  raises `BadRequest` for a column, of this name, that no gallery can keep; it gets an array of numbers, and of
           other columns each element other than None
    parse  the element of a column of this name for a caller's value other than None
    show   the caller's value of a number; other elements are shown as they are
    store  the text that an element other than a number is stored as
    load   the element of a stored text
    """

    check: Callable[[str, Any], None]
    unknown: int | None = None
    parse: Callable[[str, Any], Any] = lambda _, value: value
    show: Callable[[int], Any] = _same
    store: Callable[[Any], str] = _same
    load: Callable[[str], Any] = _same

    @property
    def is_number(self) -> bool:
        """Whether a column is an array of numbers."""
        return self.unknown is not None

    def column(self, name: str, values: Sequence[Any] | Ints | None, n: int) -> Column:
        """Return the column of a caller's values, None among them; no values are n unknown ones."""
        if self.unknown is None:
            return (None,) * n if values is None else tuple(values)
        if isinstance(values, np.ndarray):
            return values
        if values is None:
            return np.full(n, self.unknown, np.int64)
        return np.array([self.unknown if each is None else self.parse(name, each) for each in values], np.int64)

    def check_column(self, name: str, column: Column, n: int) -> None:
        """Check that a column of this name holds n values that a gallery can keep; else `BadRequest`."""
        if len(column) != n:
            raise BadRequest(f"expected {name} for each of {n} items, got {len(column)}")
        if isinstance(column, np.ndarray):
            if column.shape != (n,) or column.dtype != np.int64:
                raise BadRequest(f"expected {name} of shape ({n},) int64, got {column.dtype}")
            self.check(name, column)
        else:
            for element in column:
                if element is not None:
                    self.check(name, element)

    def shown(self, element: Any) -> Any:
        """Return what a caller sees of a column's element; None where it is unknown."""
        return None if element is None or element == self.unknown else self.show(element)

    def stored(self, column: Column) -> list[Any]:
        """Return what is stored of a column: whole numbers, or text and None."""
        if isinstance(column, np.ndarray):
            return list(column.tolist())
        return [None if element is None else self.store(element) for element in column]

    def loaded(self, stored: Any) -> Any:
        """Return the element of a column that was stored."""
        return None if stored is None else self.load(stored)


WHOLE_NUMBER = Kind(_check_numbers, UNKNOWN, _whole_number, int)
"""A whole number of at least `UNKNOWN`, which stands for None."""
TIME = Kind(_check_times, NO_TIME, lambda _, time: microseconds(time), time_of)
"""A moment, in microseconds from 1970 on in UTC; `NO_TIME` stands for None."""
TEXT = Kind(check_text)
"""Text of 1 to `MOST_TEXT` bytes."""
JSON_OBJECT = Kind(_check_metadata, store=json.dumps, load=json.loads)
"""A JSON object of at most `MOST_METADATA` bytes, stored as text."""


@dataclass(frozen=True)
class Field:
    """One field of an item.

    name      of a single value: in `GalleryItem`, SQLite, Milvus, Parquet and JSON
    column    of the values of a batch: in `Items`
    kind      how its values look and are stored
    searched  whether hits show it and a gallery keeps it in memory; else it is no number, and read when its item is
              asked for
    """

    name: str
    column: str
    kind: Kind
    searched: bool = False


FIELDS = (
    Field("camera", "cameras", WHOLE_NUMBER, searched=True),
    Field("time", "times", TIME, searched=True),
    Field("tracklet", "tracklets", TEXT, searched=True),
    Field("person", "persons", TEXT, searched=True),
    Field("metadata", "metadata", JSON_OBJECT),
    Field("picture", "pictures", TEXT),
)
"""In the order of `GalleryItem`."""

SEARCHED_NUMBERS = tuple(field for field in FIELDS if field.searched and field.kind.is_number)
SEARCHED_TEXTS = tuple(field for field in FIELDS if field.searched and not field.kind.is_number)
DETAILS = tuple(field for field in FIELDS if not field.searched)
"""Fields that are read only when an item is asked for."""
