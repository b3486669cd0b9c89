"""Entries of the audit log, and what they forget."""

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

from bitreid.gallery.items import Id


def entry_of(actor: str, action: str, count: int, ids: Sequence[Id], n_queries: int | None = None) -> dict[str, Any]:
    """Return the entry that says what somebody does now."""
    entry: dict[str, Any] = {"time": datetime.now(UTC).isoformat(), "actor": actor, "action": action}
    return entry | ({} if n_queries is None else {"queries": n_queries}) | {"count": count, "ids": list(ids)}


def blanked(entry: Mapping[str, Any], ids: Set[Id]) -> dict[str, Any] | None:
    """Return an entry with None in place of these ids; None if there is none of them in it."""
    kept = [None if id in ids else id for id in entry["ids"]]
    return None if kept == entry["ids"] else {**entry, "ids": kept}
