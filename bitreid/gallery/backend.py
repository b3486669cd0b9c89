"""What a backend of galleries does: it stores and finds what `Gallery` has checked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from bitreid.arrays import Ints
from bitreid.gallery.about import About
from bitreid.gallery.contract import Contract
from bitreid.gallery.description import Description
from bitreid.gallery.filters.types import Filter
from bitreid.gallery.items import Hit, Id, Items
from bitreid.gallery.requests import Found, Request


class Backend(ABC):
    """The methods that each kind of gallery has of its own, beside the abstract ones of `Gallery`."""

    @abstractmethod
    def _write(self, batch: Items, replace: bool, added: Ints) -> list[Id]:
        """Store items; one whose id is there is left, or replaced. Return the ids that were not there before.

        `added` `(n,)` is when each was added, in microseconds from 1970 on.
        """

    @abstractmethod
    def _added(self, ids: Sequence[Id]) -> Mapping[Id, int]:
        """Return when the items of these ids were added, in microseconds from 1970 on, of those that are there."""

    @abstractmethod
    def _remove(self, where: Filter) -> list[Id]:
        """Remove the items that pass the filter; return their ids."""

    @abstractmethod
    def _assign(self, persons: Mapping[Id, str | None]) -> None:
        """Say who the items of these ids show; ids that are not there are passed over."""

    @abstractmethod
    def _find(self, request: Request) -> Found:
        """Return the nearest items."""

    @abstractmethod
    def _find_attributes(self, description: Description, k: int, where: Filter | None) -> tuple[list[Hit], int]:
        """Return the `k` nearest items by attributes, and how many items the filter let through."""

    @abstractmethod
    def _keep_contract(self, contract: Contract) -> None:
        """Keep this contract, which differs in its calibration and coarse code only, instead of the present one."""

    @abstractmethod
    def _keep_about(self, new: About) -> About:
        """Keep what is new besides what is kept (`About.joined`); return all."""

    @abstractmethod
    def _note(self, note: Mapping[str, Any]) -> None:
        """Keep a decision (JSON)."""

    @abstractmethod
    def _notes(self) -> list[tuple[int, dict[str, Any]]]:
        """Return all decisions that are kept, oldest first, with the numbers under which they are."""

    @abstractmethod
    def _rewrite_note(self, number: int, note: Mapping[str, Any]) -> None:
        """Replace the decision kept under this number."""

    @abstractmethod
    def _forget_note(self, number: int) -> None:
        """Remove the decision kept under this number."""

    @abstractmethod
    def _log(self, entry: Mapping[str, Any]) -> None:
        """Append to the audit log; entries of searches may wait a second before they are durable."""

    @abstractmethod
    def _cut_log(self, before: str) -> int:
        """Remove the entries of the audit log of before a time (ISO, UTC); return how many."""

    @abstractmethod
    def _blank_log(self, ids: frozenset[Id]) -> None:
        """Take ids out of the audit log, by `audit.blanked`."""

    @property
    def _most(self) -> int | None:
        """The most items that a search can find; None for any number."""
        return None

    def _transaction(self) -> AbstractContextManager[object]:
        """Within it, all or nothing is written, where the backend can do that. One thread at a time."""
        return nullcontext()
