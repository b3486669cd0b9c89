"""Filters about what no item of a gallery has: a person, a camera or a key of metadata that nobody knows."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from bitreid.errors import DataWarning
from bitreid.gallery.filters.text import format_filter
from bitreid.gallery.filters.types import Filter, OlderThan, predicates

if TYPE_CHECKING:
    from bitreid.gallery.base import Gallery

_MOST = 20  # predicates that are looked at, as each is a question to the gallery
_TOLD: ContextVar[list[str] | None] = ContextVar("told", default=None)


@contextmanager
def unmet_told() -> Iterator[list[str]]:
    """Within the block, put what filters of searches ask that no item has into the list given, instead of warning.

    It holds for this thread or task, as `audit.acting_as` does.
    """
    told: list[str] = []
    token = _TOLD.set(told)
    try:
        yield told
    finally:
        _TOLD.reset(token)


def unmet(gallery: "Gallery", where: Filter) -> list[str]:
    """Return, as text, what a filter asks that is true of no item; each value of `in (...)` is looked at by itself.

    Not more than twenty are looked at. Nothing is said of an empty gallery, nor of ages.
    """
    alone = dict.fromkeys(single for each in predicates(where) for single in _singles(each))
    some = [each for each in alone if not isinstance(each, OlderThan)][:_MOST]
    return [format_filter(each) for each in some if not gallery.count(each)] if gallery.count() else []


def warn_of_unmet(gallery: "Gallery", where: Filter) -> None:
    """Warn, with a `DataWarning`, of a filter that asks for what no item has; called by a search that found nothing.

    Within `unmet_told` it is told there instead.
    """
    alone, told = unmet(gallery, where), _TOLD.get()
    if told is not None:
        told += alone
    elif alone:
        warnings.warn(
            f"expected a filter that some items pass, got one that none passes: no item has {' or '.join(alone)}",
            DataWarning,
            stacklevel=4,
        )


def nearest_person(gallery: "Gallery", name: str) -> str | None:
    """Return the known person whose name is nearest to a name; None if no name is near. Reads all items."""
    persons = sorted({person for batch in gallery.scan() for person in batch.persons if person is not None})
    same = [person for person in persons if person.lstrip("0") == name.lstrip("0")]
    return next(iter(same or get_close_matches(name, persons, 1)), None)


def _singles(predicate: Filter) -> Iterator[Filter]:
    """Yield a predicate for each of the values that one asks for."""
    kind: Any = predicate  # each filter is a dataclass
    for field in fields(kind):
        values = getattr(predicate, field.name)
        if isinstance(values, frozenset):
            for value in sorted(values, key=str):
                yield replace(kind, **{field.name: frozenset([value])})
            return
    yield predicate
