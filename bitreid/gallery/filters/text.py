"""Filters as people write them: text to `Filter` and back.

    camera in (1, 2) and time >= 2026-01-01 and backpack and not upper_colour = red

- `or` binds less than `and`, `and` less than `not`; parentheses decide otherwise.
- `camera = 3`, `!=`, `in (1, 2)`, `not in (1, 2)`; so too `person`, `tracklet`, `id` and `metadata.KEY`, where KEY is a
  key of the item's metadata itself. Who or what is unknown passes `!=` and `not in`: `person != "P 7"` lets items
  through that nobody knows. A camera that has a name may be called by it: `camera in (entrance, 2)`. Cameras count
  their tracklets each for itself: `camera = 1 and tracklet = 7` is one.
- `time >= 2026-01-01`, `<`, `<=` and `>`; times are `2026-01-01`, its first moment, or `2026-01-01T12:30`, with
  seconds and up to six decimals of them, and with `Z` or `+02:00`. A time that does not say its offset is UTC.
- Any other name is an attribute: `backpack`; `upper_colour = red` is the attribute `upper_colour=red`, and
  `upper_colour in (red, pink)` one of two. In quotes a name is always an attribute: `"time"`, `"long sleeve"`.
- Text stands in " or ' with backslashes as in JSON, or as it is if it is made of letters, digits and `_ . : + -`.
- `id = 17` is the number, `id = "17"` the text. Values of metadata are text, numbers, true, false or null.
- Keywords and the names of fields are read in capitals too.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from bitreid.errors import FilterError
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import microseconds, time_of
from bitreid.gallery.filters.tokens import KEYWORDS, Token, error_at, is_word, tokens
from bitreid.gallery.filters.types import (
    And,
    CameraIn,
    Filter,
    HasAttribute,
    IdIn,
    MetadataIs,
    Not,
    Or,
    PersonIn,
    Scalar,
    TimeBetween,
    TrackletIn,
    check_filter,
)
from bitreid.gallery.items import Id
from bitreid.text import brief

MOST_NESTED = 100
"""Parentheses and `not` within one another that a filter's text may have."""

_Value = TypeVar("_Value", bound=Id)

_FIELDS = ("camera", "time", "person", "tracklet", "id", "metadata")
_METADATA = "metadata."
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_LIKE_A_NUMBER = re.compile(r"[+-]?\.?[0-9]")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_FIRST_TIME = microseconds(datetime.min.replace(tzinfo=UTC))
_LAST_TIME = microseconds(datetime.max.replace(tzinfo=UTC))


def parse_filter(text: str, contract: Contract, camera_names: Mapping[int, str] = MappingProxyType({})) -> Filter:
    """Return the filter that a text says, for a gallery of this contract and these cameras.

    This module's docstring describes the language.

    `FilterError` says what was expected and what came instead, and shows the place.

    >>> parse_filter("camera in (1, 2) and not hat", Contract(64, attributes=("hat",)))
    And(parts=(CameraIn(cameras=frozenset({1, 2})), Not(part=HasAttribute(name='hat'))))
    >>> parse_filter("camera in (1, 2", Contract(64))
    Traceback (most recent call last):
    bitreid.errors.FilterError: at character 16: expected ',' or ')', got the end of the text
    camera in (1, 2
                   ^
    """
    return _Parser(text, contract, camera_names).whole()


def format_filter(filter: Filter) -> str:
    """The text that `parse_filter` reads as a filter that lets the same items through.

    `FilterError` for `OlderThan`, which has no text form. Times before the year 1 and after 9999, which no item's time
    can be told as, become the first and the last moment of those years.

    >>> format_filter(Not(CameraIn(frozenset({3})) | PersonIn(frozenset({"P 7"}))))
    'not (camera = 3 or person = "P 7")'
    """
    match _simplest(filter):
        case And(parts):
            return " and ".join(_within(part, And, Or) for part in parts)
        case Or(parts):
            return " or ".join(_within(part, Or) for part in parts)
        case Not(part):
            return f"not {_within(part, And, Or)}"
        case plain:
            return _predicate_text(plain)


class _Parser:
    """Reads a text by recursive descent: a method for each level of binding."""

    def __init__(self, text: str, contract: Contract, camera_names: Mapping[int, str]) -> None:
        self.text, self.contract = text, contract
        self.cameras = {name: number for number, name in camera_names.items()}
        self.tokens = list(tokens(text))
        self.next, self.nested = 0, 0

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def whole(self) -> Filter:
        filter = self.either()
        if self.token.kind != "end":
            raise self.error("expected 'and', 'or' or the end of the text")
        return filter

    def either(self) -> Filter:
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def both(self) -> Filter:
        parts = [self.single()]
        while self.take("and"):
            parts.append(self.single())
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def single(self) -> Filter:
        opening = self.token
        if self.take("not"):
            with self.deeper(opening):
                return Not(self.single())
        if self.take("("):
            with self.deeper(opening):
                inside = self.either()
                if not self.take(")"):
                    raise self.error(f"expected 'and', 'or' or the ')' for the '(' at character {opening.at + 1}")
                return inside
        return self.predicate()

    def predicate(self) -> Filter:
        name = self.token
        if name.kind not in ("word", "string") or name.says(*KEYWORDS):
            raise self.error("expected a predicate such as camera = 3, or the name of an attribute")
        self.next += 1
        field = name.text.lower() if name.kind == "word" else ""
        match field:
            case "time":
                return self.time()
            case "camera":
                return self.one_of(CameraIn, self.camera)
            case "person":
                return self.one_of(PersonIn, self.words)
            case "tracklet":
                return self.one_of(TrackletIn, self.words)
            case "id":
                return self.one_of(IdIn, self.id)
        if field == "metadata" or field.startswith(_METADATA):
            return self.metadata(name)
        return self.attribute(name)

    def time(self) -> Filter:
        sign = self.token
        if not self.take("<", "<=", ">", ">="):
            raise self.error("expected '<', '<=', '>' or '>=' after time")
        value = self.token
        self.next += 1
        try:
            if value.kind not in ("word", "string") or not _TIME.fullmatch(value.text.upper()):
                raise ValueError
            time = datetime.fromisoformat(value.text.upper())
        except ValueError:
            wanted = "expected a time such as 2026-01-31 or 2026-01-31T12:30:00Z"
            raise self.error(wanted, value) from None
        at = microseconds(time if time.tzinfo else time.replace(tzinfo=UTC))
        if not _FIRST_TIME <= at <= _LAST_TIME:
            raise self.error("expected a time of the years 1 to 9999 in UTC", value)
        at += sign.text in (">", "<=")
        return TimeBetween(at, None) if sign.text.startswith(">") else TimeBetween(None, at)

    def one_of(self, kind: Callable[[frozenset[_Value]], Filter], read: Callable[[Token], _Value]) -> Filter:
        """A predicate on a field by a set of values; each is tried alone, so that an error points at it."""

        def among(tokens: list[Token]) -> Filter:
            values = [read(token) for token in tokens]
            for token, value in zip(tokens, values, strict=True):
                with self.pointing_at(token):
                    kind(frozenset({value}))
            return kind(frozenset(values))

        return self.compared(among)

    def metadata(self, name: Token) -> Filter:
        key = name.text[len(_METADATA) :]
        if not key and name.text.endswith(".") and self.token.kind == "string":
            key = self.token.text
            self.next += 1
        elif not key:
            raise self.error("expected a key, as in metadata.zone = north", name)

        def among(tokens: list[Token]) -> Filter:
            parts = []
            for token in tokens:
                value = self.scalar(token)
                with self.pointing_at(token):
                    parts.append(MetadataIs(key, value))
            return self.any_of(parts)

        return self.compared(among)

    def attribute(self, name: Token) -> Filter:
        if not (self.token.says("=", "==", "!=", "in") or self.not_in()):
            return self.known(name, name.text)
        valued = {attribute.partition("=")[0] for attribute in self.contract.attributes if "=" in attribute}
        if name.text not in valued:
            known = [*_FIELDS, *sorted(valued)]
            close = get_close_matches(name.text.lower(), known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            if name.text in self.contract.attributes:
                hint = f"; {name.text} or not {name.text} is all that can be asked of this attribute"
            raise error_at(self.text, name.at, f"expected a field ({', '.join(known)}), got {name}{hint}")
        return self.compared(
            lambda tokens: self.any_of([self.known(token, f"{name.text}={self.words(token)}") for token in tokens])
        )

    def known(self, token: Token, name: str) -> Filter:
        with self.pointing_at(token):
            filter = HasAttribute(name)
            check_filter(filter, self.contract)
        return filter

    def any_of(self, parts: Sequence[Filter]) -> Filter:
        if not parts:
            raise self.error("expected at least one value between '(' and ')'", self.tokens[self.next - 1])
        if len(parts) == 1:
            return parts[0]
        with self.deeper(self.tokens[self.next - 1]):  # as its text form is
            return Or(tuple(parts))

    def compared(self, among: Callable[[list[Token]], Filter]) -> Filter:
        """The filter that `among` makes of the values after a sign, or what does not pass it."""
        sign = self.token
        if self.take("=", "=="):
            return among([self.value()])
        negated = self.take("!=") or (self.not_in() and self.take("not"))
        if not negated and not self.token.says("in"):
            raise self.error("expected '=', '!=', 'in' or 'not in'")
        if not negated:
            return among(self.values())
        with self.deeper(sign):
            return Not(among([self.value()] if sign.says("!=") else self.values()))

    def values(self) -> list[Token]:
        """The values of a list in parentheses, after `in`."""
        self.next += 1
        if not self.take("("):
            raise self.error("expected '(' after in")
        if self.take(")"):
            return []
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        if not self.take(")"):
            raise self.error("expected ',' or ')'")
        return values

    def value(self) -> Token:
        value = self.token
        if value.kind not in ("word", "string") or value.says("and", "or", "not", "in"):
            raise self.error("expected a value (quotes make text of a keyword)")
        self.next += 1
        return value

    def camera(self, token: Token) -> int:
        if token.kind == "word" and _WHOLE.fullmatch(token.text):
            return int(token.text)
        if token.text not in self.cameras:
            named = f" or a camera's name ({brief(', '.join(self.cameras))})" if self.cameras else ""
            raise self.error(f"expected a whole number of 64 bits{named}", token)
        return self.cameras[token.text]

    def words(self, token: Token) -> str:
        if token.says(*KEYWORDS):
            raise self.error("expected text (quotes make text of a keyword)", token)
        return token.text

    def id(self, token: Token) -> Id:
        if token.kind == "word" and _LIKE_A_NUMBER.match(token.text):
            if not _WHOLE.fullmatch(token.text):
                raise self.error("expected a whole number of 64 bits, or text in quotes", token)
            return int(token.text)
        return self.words(token)

    def scalar(self, token: Token) -> Scalar:
        like_a_number = token.kind == "word" and _LIKE_A_NUMBER.match(token.text)
        if not like_a_number and not token.says("true", "false", "null"):
            return token.text
        try:
            value: Scalar = json.loads(token.text.lower())
        except ValueError:
            raise self.error("expected a number, or text in quotes", token) from None
        return value

    def take(self, *wanted: str) -> bool:
        """Whether the next token is one of these; goes past it if so."""
        found = self.token.says(*wanted)
        self.next += found
        return found

    def not_in(self) -> bool:
        return self.token.says("not") and self.tokens[self.next + 1].says("in")

    @contextmanager
    def deeper(self, token: Token) -> Iterator[None]:
        self.nested += 1
        if self.nested > MOST_NESTED:
            raise self.error(f"expected at most {MOST_NESTED} parentheses and not within one another", token)
        yield
        self.nested -= 1

    @contextmanager
    def pointing_at(self, token: Token) -> Iterator[None]:
        """Errors of making a filter get the place of the value that it was made of."""
        try:
            yield
        except FilterError as error:
            raise error_at(self.text, token.at, str(error)) from error

    def error(self, expected: str, token: Token | None = None) -> FilterError:
        found = self.token if token is None else token
        return error_at(self.text, found.at, f"{expected}, got {found}")


def _simplest(filter: Filter) -> Filter:
    """The same filter as the text form knows it: a time has one limit, and `And` and `Or` have several parts."""
    match filter:
        case TimeBetween(None, None):
            return TimeBetween(_FIRST_TIME, None)
        case TimeBetween(int() as start, int() as stop):
            return And((TimeBetween(start, None), TimeBetween(None, stop)))
        case And((part,)) | Or((part,)):
            return _simplest(part)
    return filter


def _within(part: Filter, *looser: type[Filter]) -> str:
    simple = _simplest(part)
    return f"({format_filter(simple)})" if isinstance(simple, looser) else format_filter(simple)


def _predicate_text(filter: Filter) -> str:
    match filter:
        case CameraIn(cameras):
            return _among("camera", map(str, sorted(cameras)))
        case PersonIn(persons):
            return _among("person", map(_quoted, sorted(persons)))
        case TrackletIn(tracklets):
            return _among("tracklet", map(_quoted, sorted(tracklets)))
        case IdIn(ids):
            return _among("id", map(_quoted, sorted(ids, key=lambda id: (isinstance(id, str), id))))
        case MetadataIs(key, value):
            return f"{_METADATA}{key if is_word(key) else _quoted(key)} = {_quoted(value)}"
        case HasAttribute(name):
            field, sign, value = name.partition("=")
            return f"{_name(field)} = {value if is_word(value) else _quoted(value)}" if sign else _name(field)
        case TimeBetween(int() as start, None):
            return f"time > {_time(_LAST_TIME)}" if start > _LAST_TIME else f"time >= {_time(start)}"
        case TimeBetween(None, int() as stop):
            return f"time <= {_time(_LAST_TIME)}" if stop > _LAST_TIME else f"time < {_time(stop)}"
    raise FilterError(f"expected a filter that has a text form, got {filter!r:.80}")


def _among(field: str, values: Iterable[str]) -> str:
    texts = list(values)
    return f"{field} = {texts[0]}" if len(texts) == 1 else f"{field} in ({', '.join(texts)})"


def _name(name: str) -> str:
    field = name.lower()
    return name if is_word(name) and field not in _FIELDS and not field.startswith(_METADATA) else _quoted(name)


def _quoted(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


def _time(at: int) -> str:
    time = time_of(max(at, _FIRST_TIME))
    assert time is not None, "it is a time"
    return time.isoformat().replace("+00:00", "Z")
