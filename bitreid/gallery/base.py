"""The protocol of galleries, and all that they have in common."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bitreid.arrays import Features, Ints
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import BadRequest
from bitreid.evaluation.summary import rows_of_share
from bitreid.gallery.about import About
from bitreid.gallery.audit import entry_of
from bitreid.gallery.backend import Backend
from bitreid.gallery.contract import Contract
from bitreid.gallery.description import Description
from bitreid.gallery.fields import microseconds, nows
from bitreid.gallery.filters.text import parse_filter
from bitreid.gallery.filters.types import Filter, IdIn, Not, OlderThan, PersonIn, check_filter
from bitreid.gallery.items import GalleryItem, Hits, Id, Items, plain_id
from bitreid.gallery.people import By, as_decided, decide, find_groups, forget, rejected, undo, voted, with_tracklets
from bitreid.gallery.requests import (
    BATCH,
    Info,
    Method,
    Request,
    Where,
    check_features,
    check_number,
    check_search,
    how_to,
    judged,
    open_set_of,
)
from bitreid.gallery.unmet import warn_of_unmet
from bitreid.hamming.threads import default_threads
from bitreid.open_set import OpenSet

HITS = 10
"""Hits of a search, where nothing else is said."""
FPIR = 0.01
"""Share of the searches for somebody absent that may be answered, where nothing else is said."""


class Gallery(Backend):
    """Items of people that are added, searched and forgotten; any number of threads may use one at a time.

    All that is acknowledged by returning is there afterwards, whatever happens to the process (in memory: as long as
    the process lives). Hits are in (distance, key) order, see `items.key_of`, and the same in every gallery of the
    same items. Each method raises a kind of `GalleryError` for what cannot be done, `GalleryClosed` after `close`.
    """

    contract: Contract
    actor: str
    """Who uses the gallery, for the audit: a name, never a secret. Within `audit.acting_as` it is another."""
    audited: bool
    on_delete: Callable[[Sequence[Id]], object] | None = None
    """Called with the ids of items that were deleted here, so that what is kept of them elsewhere is forgotten too."""
    on_writing: Callable[[float], object] | None = None
    """Called in any thread with the share that is written of what a gallery in a file writes to be searched from."""
    about: About
    """What was learned besides the items; what other processes learn is seen when it is opened anew."""

    # Adding and removing.

    def add(self, batch: Items) -> int:
        """Add items, but for those whose ids are there already; return how many were added.

        Longer codes of the gallery's own model are cut to its length. `WrongModel` for codes of another model or
        length.
        """
        return self._put(batch, replace=False)

    def upsert(self, batch: Items) -> int:
        """Add items, and replace those whose ids are there already; return how many are new.

        What people decided outlives that: who was confirmed, merged or rejected stays so, whatever the new item says.
        """
        return self._put(batch, replace=True)

    def delete(self, ids: Sequence[Id], *, blank_audit: bool = False) -> int:
        """Delete the items of these ids; return how many there were (see `delete_where`)."""
        return self.delete_where(IdIn(frozenset(map(plain_id, ids))), blank_audit=blank_audit)

    def delete_where(self, where: Filter | str, *, blank_audit: bool = False) -> int:
        """Delete the items that pass the filter; return how many there were.

        A filter that is a `PersonIn` alone forgets the names of those persons in the decisions about others, too.
        `blank_audit` takes the ids of what is deleted out of the audit log.
        """
        chosen = self._filter(where)
        if chosen is None:
            raise BadRequest("expected a filter that says what to delete, got none")
        with self._transaction():
            removed = self._remove(chosen)
            forget(self, removed, chosen.persons if isinstance(chosen, PersonIn) else frozenset())
            self._record("delete", removed)
            if blank_audit and removed:
                self._blank_log(frozenset(removed))
        if self.on_delete is not None and removed:
            self.on_delete(removed)
        return len(removed)

    def expire(self, before: datetime) -> int:
        """Delete the items that are older; return how many. One of unknown time is as old as its addition."""
        return self.delete_where(OlderThan(microseconds(before)))

    # Looking and searching.

    @abstractmethod
    def get(self, ids: Sequence[Id]) -> list[GalleryItem | None]:
        """Return the items of these ids, in that order; None for one that is not there."""

    @abstractmethod
    def count(self, where: Where = None) -> int:
        """Return how many items pass the filter."""

    @abstractmethod
    def scan(self, where: Where = None, *, after: int | None = None, batch_size: int = BATCH) -> Iterator[Items]:
        """Yield all items that pass the filter in batches, by ascending key, from the first key above `after` on.

        Items that are added or removed meanwhile may be among them or not; all others are, once.
        """

    def search(
        self,
        codes: Codes,
        k: int = HITS,
        w: int | None = None,
        where: Where = None,
        parts: Sequence[str] = (),
        max_distance: int | None = None,
        *,
        only_certain: bool = False,
        attribute_codes: Codes | None = None,
        features: Features | None = None,
        rescore: bool = False,
        fpir: float = FPIR,
        by: By = "item",
        person: str | None = None,
        model: str = "",
        n_threads: int | None = None,
        recall: float | None = None,
        method: Method | None = None,
    ) -> list[Hits]:
        """Return the `k` nearest items of each query that pass the filter, and where among them certainty ends.

        `method` says what is compared with a query; without it, a search is in two stages with `w` or `recall`, else
        exact:

        - "exact": all items.
        - "two_stage": all items by coarse code (by attribute code, where the contract has none), and the nearest `w` of
          them by identity code, or as many as keep the share `recall` (0.95 without both) of the matches on the people
          whom the coarse code was chosen on.
        - "clustered": the items of the nearest clusters, as many as hold the share `recall` (0.95 without) of the
          nearest items, in the mean over items of the gallery; all that pass where there are no clusters, or few pass.
          `Hits.n_visited` says how many they were, on Milvus about.

        By `parts` only the bits of these parts of the body count. `Hits.threshold` is the distance at which at most the
        share `fpir` of the searches for somebody absent would find anybody, in as many items as passed the filter; None
        where nothing was calibrated or not all parts count. Hits beyond it are returned all the same, but for
        `only_certain`, and `max_distance`, the largest distance of a hit in bits.

        With `rescore`, the nearest items, 100 at least and 4 for each of `k`, are ordered by asymmetric distance, that
        is by the queries' float `features (n, n_bits)` against the items' bits (`hamming.rescore`). The distance of a
        hit, its probability and what is certain stay those of the codes, and so distances need not ascend.

        `by` "tracklet" or "person" the hits are the k nearest tracklets or known persons, for which the items vote
        (`people`). `person` says whom the queries show, and leaves out the items that were rejected as that person.
        `model` is the fingerprint of the model that made the codes: the gallery's own are cut to its length where they
        are longer. `n_threads` changes no hit: None is `default_threads`.

        `WrongModel` for codes of another model or length, `BadRequest` for `w` without short codes, for `recall` with
        `w`, or in two stages without a coarse code, for either with a method that has none, for `rescore` without
        features or of other hits than items, and for `only_certain` where nothing says what is.
        """
        codes = self.contract.cut(codes, model)
        check_search(self.contract, codes, attribute_codes, model, k, w, max_distance)
        values = check_features(features, len(codes), self.contract, by) if rescore else None
        share, clustered = how_to(self.contract, method, w, recall)
        short = None if w is None and share is None else self.contract.short_codes(codes, attribute_codes)
        chosen = self._filter(where)
        if person is not None and (rejected := self.rejected(person)):
            others = Not(IdIn(rejected))
            chosen = others if chosen is None else chosen & others
        mask = self.contract.mask_of(parts)
        open_set = open_set_of(self.contract, mask, only_certain)
        n_threads = default_threads() if n_threads is None else n_threads
        w = w if share is None else rows_of_share(share, self.count(chosen))
        request = Request(codes, short, k, w, chosen, mask, n_threads, values, self.contract.coarse, clustered)
        found = self._find(request) if by == "item" else find_groups(self, request, by)
        if not found.n_compared and chosen is not None:
            warn_of_unmet(self, chosen)
        limits = (max_distance, fpir, only_certain, self.camera_names)
        each_found = zip(found.hits, found.n_visited, strict=True)
        hits = [judged(voted(each, by)[:k], found.n_compared, n, open_set, *limits) for each, n in each_found]
        self._record("search", [id for each in hits for id in each.ids], n_queries=len(codes))
        return hits

    def search_attributes(self, attributes: Mapping[str, float], k: int = HITS, where: Where = None) -> Hits:
        """Return the `k` items nearest to a description, without a picture: "red top, backpack, no hat".

        `attributes` gives for each attribute that counts the probability that the person has it: True and False, or
        something between. The distance is the expected number of those attributes that an item has wrong, rounded to
        1/64. `BadRequest` for attributes that the codes do not tell.
        """
        check_number("k", k)
        hits, n_compared = self._find_attributes(Description.of(attributes, self.contract), k, self._filter(where))
        self._record("search attributes", [hit.id for hit in hits], n_queries=1)
        return Hits(tuple(hits), n_compared, None, self.camera_names)

    # People.

    def confirm(self, ids: Sequence[Id], person: str) -> int:
        """Decide that the items of `ids`, and all of their tracklets, show `person`; return how many they are.

        `ItemNotFound` for an id that is not there.
        """
        return decide(self, "confirm", lambda: with_tracklets(self, ids), person)

    def reject(self, ids: Sequence[Id], person: str) -> int:
        """Decide that the items of `ids`, and all of their tracklets, do not show `person`; return how many they are.

        Searches for `person` leave them out, and where they were taken for that person they are nobody's.
        `ItemNotFound` for an id that is not there.
        """
        return decide(self, "reject", lambda: with_tracklets(self, ids), person)

    def merge(self, person: str, other: str) -> int:
        """Decide that `other` is `person`; return how many items of `other` there were, which are now of `person`."""
        others = PersonIn(frozenset([other]))
        return decide(self, "merge", lambda: [item for batch in self.scan(others) for item in batch], person)

    def undo(self) -> str | None:
        """Undo the last decision; return what it was, as "confirm P7", or None if there is none.

        Items that were changed again, or are no more, stay as they are.
        """
        return undo(self)

    def rejected(self, person: str) -> frozenset[Id]:
        """Return the ids of items rejected as `person`, or as somebody merged into them, and not confirmed since."""
        return rejected(self, person)

    # Keeping.

    def calibrate(self, open_set: OpenSet | None, coarse: CoarseCode | None = None) -> None:
        """Set what distances mean here from now on (None: nobody knows), and the coarse code, if one is given.

        Other processes that have the gallery open go on as before until they open it anew. On a Milvus server they must
        not write while another coarse code is set, and open it anew before they search in two stages.
        """
        contract = replace(self.contract, open_set=open_set, coarse=coarse or self.contract.coarse)
        with self._transaction():
            self._keep_contract(contract)
            self._record("calibrate", [])
        self.contract = contract

    def name_cameras(self, names: Mapping[int, str]) -> None:
        """Call cameras, by number, by these names, too; `BadRequest` for a name or number that is another camera's."""
        self.learn(About(names))

    def learn(self, new: About) -> None:
        """Keep names of cameras and engines besides those that are kept; `BadRequest` as in `name_cameras`."""
        if not self.about.knows(new):
            with self._transaction():
                whole = self._keep_about(new)
                if new.camera_names:
                    self._record("name cameras", [])
            self.about = whole

    @abstractmethod
    def audit(self) -> Iterator[Mapping[str, Any]]:
        """Yield what was done, oldest first: each with `time`, `actor`, `action`, `count` and `ids`."""

    def forget_audit(self, before: datetime) -> int:
        """Forget what was logged before a time; return how many entries. The log says that it was done."""
        microseconds(before)  # is a moment
        with self._transaction():
            n = self._cut_log(before.astimezone(UTC).isoformat())
            if self.audited:
                self._log(entry_of(self.actor, "forget audit", n, ()))
        return n

    @abstractmethod
    def info(self) -> Info:
        """Return what the gallery is and holds."""

    @abstractmethod
    def compact(self) -> None:
        """Remove the bytes of what was deleted from the gallery's files; they are gone when it returns."""

    def repair(self) -> int:
        """Mend items that are half there; return how many, 0 where that cannot be. Nobody else may write meanwhile."""
        return 0

    def cluster(self, n_lists: int | None = None) -> int:
        """Make the lists of clustered searches anew where a gallery is told to, and measure what recall takes how many;
        return how many a segment of the server has.

        0 where there is nothing to do: a gallery in a file makes them when it writes segments, one in memory has none,
        and one on a Milvus server needs 32,768 items. There, nobody can search for a moment, and `n_lists` is the root
        of the number of items, at most 1,024, unless it is given. Nobody else may write meanwhile.
        """
        return 0

    @abstractmethod
    def backup(self, path: Path) -> None:
        """Write a copy of the gallery as it is at one moment, while it goes on being used, to a new file."""

    @abstractmethod
    def close(self) -> None:
        """Release all that is held. Closing twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def camera_names(self) -> Mapping[int, str]:
        """What cameras are called, by number, as far as they have names."""
        return self.about.camera_names

    # What they share.

    def _put(self, batch: Items, replace: bool, decided: bool = True, added: Ints | None = None) -> int:
        batch = batch.cut_for(self.contract)
        self.contract.check(batch.codes, batch.attribute_codes, batch.model)
        self.contract.check_attributes(batch.attribute_codes)
        if not len(batch):
            return 0
        batch.check_keys()
        if batch.engine:
            self.learn(About(engines=frozenset([batch.engine])))
        with self._transaction():
            if replace and decided:
                batch = as_decided(self, batch)
            new = self._write(batch, replace, nows(len(batch)) if added is None else added)
            self._record("upsert" if replace else "add", batch.ids if replace else new)
        return len(new)

    def _filter(self, where: Where) -> Filter | None:
        chosen = parse_filter(where, self.contract, self.camera_names) if isinstance(where, str) else where
        if chosen is not None:
            check_filter(chosen, self.contract)
        return chosen

    def _record(self, action: str, ids: Sequence[Id], n_queries: int | None = None) -> None:
        if self.audited:
            self._log(entry_of(self.actor, action, len(ids), ids, n_queries))
