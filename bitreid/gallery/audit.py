"""Entries of the audit log: who does what, and what they forget."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from bitreid.gallery.items import Id

_ACTING: ContextVar[str | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Within the block, name this one as the actor in the audit of every gallery, instead of the gallery's own.

    It holds for this thread or task, and for those that inherit its context: `asyncio.to_thread` and tasks do, a plain
    thread or an executor does not.
    """
    token = _ACTING.set(name)
    try:
        yield
    finally:
        _ACTING.reset(token)


def entry_of(actor: str, action: str, count: int, ids: Sequence[Id], n_queries: int | None = None) -> dict[str, Any]:
    """Return the entry that says what somebody does now: `actor`, unless the caller is `acting_as` somebody else."""
    acting = _ACTING.get()
    who = actor if acting is None else acting
    entry: dict[str, Any] = {"time": datetime.now(UTC).isoformat(), "actor": who, "action": action}
    return entry | ({} if n_queries is None else {"queries": n_queries}) | {"count": count, "ids": list(ids)}


def blanked(entry: Mapping[str, Any], ids: Set[Id]) -> dict[str, Any] | None:
    """Return an entry with None in place of these ids; None if there is none of them in it."""
    kept = [None if id in ids else id for id in entry["ids"]]
    return None if kept == entry["ids"] else {**entry, "ids": kept}
