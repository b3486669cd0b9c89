"""Filters as Milvus reads them, and the columns that they are about.

Milvus knows no null here: what is unknown is `UNKNOWN`, `NO_TIME` or the empty text, so that every predicate is
true or false of every item, as in `filters`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from bitreid.errors import FilterError, Unsupported
from bitreid.gallery.description import Description
from bitreid.gallery.fields import NO_TIME
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
    Scalar,
    TimeBetween,
    TrackletIn,
)
from bitreid.gallery.items import Id, canonical, key_of

_LEAST = NO_TIME + 1
"""The least number that Milvus can read; there is one below it."""
_ALTERNATIVES = 64  # in a condition
MOST_ASKED = 12
"""Attributes in a description: all their combinations are tried, the best first."""


def expression(filter: Filter, attributes: Sequence[str]) -> str:
    """Return what Milvus is to evaluate, in a gallery whose attribute codes have these bits."""
    match filter:
        case CameraIn(cameras):
            return f"camera in {sorted(cameras)}"
        case TimeBetween(start, stop):
            after = f"time >= {_LEAST if start is None else start}"
            return after if stop is None else f"({after} and time < {stop})"
        case OlderThan(before):
            return f"((time >= {_LEAST} and time < {before}) or (time < {_LEAST} and added < {before}))"
        case HasAttribute(name):
            return f"array_contains(attributes, {attributes.index(name)})"
        case MetadataIs(key, value):
            return f"array_contains(metadata, {pair_number(key, value)})"
        case PersonIn(persons):
            return f"person in {_texts(persons)}"
        case TrackletIn(tracklets):
            return f"tracklet in {_texts(tracklets)}"
        case IdIn(ids):
            return _ids(ids)
        case And(parts):
            return f"({' and '.join(expression(part, attributes) for part in parts)})"
        case Or(parts):
            return f"({' or '.join(expression(part, attributes) for part in parts)})"
        case Not(part):
            return f"not ({expression(part, attributes)})"
    raise FilterError(f"expected a filter that Milvus can evaluate, got {filter!r:.80}")


def keys_in(keys: Iterable[int]) -> str:
    """Return the condition that an item's key is one of these."""
    chosen = sorted(keys)
    if chosen and chosen[0] < _LEAST:
        return f"(key < {_LEAST} or key in {chosen[1:]})"
    return f"key in {chosen}"


def above(key: int) -> str:
    """Return the condition that an item's key is larger."""
    return f"key >= {_LEAST}" if key < _LEAST else f"key > {key}"


def both(*conditions: str) -> str:
    """Return the condition that all of these hold; an empty one always does."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def pair_number(key: str, value: Scalar) -> int:
    """Return the number that stands for this value under this key of metadata: the same for equal values, and else
    another one but for a chance of 2**-63."""
    return key_of(f"{json.dumps(key)}:{canonical(value)}") >> 1


def levels(description: Description) -> Iterator[tuple[int, list[str]]]:
    """Yield each weighted distance in ascending order, and conditions one of which holds for the items that far away.

    `Unsupported` for more attributes than can be tried in all combinations.
    """
    asked = [i for i, weight in enumerate(description.weights) if weight]
    if len(asked) > MOST_ASKED:
        raise Unsupported(f"expected at most {MOST_ASKED} attributes in a description on Milvus, got {len(asked)}")
    at: dict[int, list[str]] = {}
    for wrong in product((False, True), repeat=len(asked)):
        weight = sum(description.weights[i] for i, flip in zip(asked, wrong, strict=True) if flip)
        has = [
            f"{'' if description.bits[i] != flip else 'not '}array_contains(attributes, {i})"
            for i, flip in zip(asked, wrong, strict=True)
        ]
        at.setdefault(weight, []).append(both(*has))
    for weight in sorted(at):
        found = at[weight]
        yield weight, [" or ".join(found[i : i + _ALTERNATIVES]) for i in range(0, len(found), _ALTERNATIVES)]


def _ids(ids: frozenset[Id]) -> str:
    # A number and a text may share a key: `text` is empty where the key is the id.
    numbers = [id for id in ids if not isinstance(id, str)]
    texts = [key_of(id) for id in ids if isinstance(id, str)]
    found = [f'({keys_in(keys)} and text {sign} "")' for keys, sign in ((numbers, "=="), (texts, "!=")) if keys]
    return f"({' or '.join(found)})" if found else keys_in(())


def _texts(texts: frozenset[str]) -> str:
    # Not as \uXXXX, which Milvus reads otherwise. No item has an empty text, or one with NUL.
    return json.dumps(sorted(text for text in texts if text and "\0" not in text), ensure_ascii=False)
