"""A gallery in memory: gone with the process. For tests, notebooks and short jobs."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import Ints
from bitreid.errors import GalleryClosed
from bitreid.gallery.about import About
from bitreid.gallery.audit import blanked
from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.description import Description
from bitreid.gallery.fields import SEARCHED_NUMBERS, SEARCHED_TEXTS
from bitreid.gallery.filters.types import Filter
from bitreid.gallery.items import GalleryItem, Hit, Id, Items, check_same_id, joined, key_of, plain_id
from bitreid.gallery.requests import BATCH, Found, Info, Request, Where
from bitreid.gallery.table.columns import encoded
from bitreid.gallery.table.snapshot import Snapshot
from bitreid.gallery.table.table import Rows, Table


class MemoryGallery(Gallery):
    """A gallery that lives as long as its process, with all that the others do."""

    def __init__(self, contract: Contract, *, audited: bool = True, actor: str = "") -> None:
        self.contract, self.audited, self.actor = contract, audited, actor
        self.about = About()
        self._lock = threading.RLock()
        self._table = Table(contract.n_bits, contract.attributes, self._metadata)
        self._seqs: dict[int, int] = {}  # by key
        self._items: dict[int, GalleryItem] = {}  # by sequence number
        self._last = 0
        self._kept: dict[int, dict[str, Any]] = {}
        self._entries: list[Mapping[str, Any]] = []
        self._closed = False

    def get(self, ids: Sequence[Id]) -> list[GalleryItem | None]:
        with self._transaction():
            found = [self._items.get(self._seqs.get(key_of(plain_id(id)), 0)) for id in ids]
            return [item if item is not None and item.id == id else None for item, id in zip(found, ids, strict=True)]

    def count(self, where: Where = None) -> int:
        return self._snapshot().matching(self._filter(where))[1]

    def scan(self, where: Where = None, *, after: int | None = None, batch_size: int = BATCH) -> Iterator[Items]:
        wanted = self._filter(where)
        with self._transaction():
            snapshot, items = self._table.snapshot(), dict(self._items)
        rows, _ = snapshot.matching(wanted)
        chosen = np.arange(len(snapshot)) if rows is None else np.flatnonzero(rows)
        chosen = chosen[np.argsort(snapshot.keys[chosen])]
        if after is not None:
            chosen = chosen[snapshot.keys[chosen] > after]
        pages = (
            snapshot.seqs[chosen[start : start + batch_size]].tolist() for start in range(0, len(chosen), batch_size)
        )
        return (joined([items[seq] for seq in page], self.contract) for page in pages)

    def audit(self) -> Iterator[Mapping[str, Any]]:
        with self._transaction():
            return iter(tuple(self._entries))

    def info(self) -> Info:
        with self._transaction():
            snapshot = self._table.snapshot()
            counts = snapshot.n_alive, snapshot.n_persons, snapshot.n_tracklets
            return Info("memory:", self.contract, *counts, None, {}, snapshot.camera_numbers)

    def compact(self) -> None:
        with self._transaction():
            self._table = self._table.compacted(self._table.snapshot())

    def backup(self, path: Path) -> None:
        from bitreid.gallery.transfer import export_parquet

        export_parquet(self, path)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._items, self._seqs = {}, {}
            self._table = Table(self.contract.n_bits, self.contract.attributes, self._metadata)

    def _write(self, batch: Items, replace: bool, added: Ints) -> list[Id]:
        rows, keys = [], batch.keys().tolist()
        replaced = []
        new: list[Id] = []
        for row, (key, id) in enumerate(zip(keys, batch.ids, strict=True)):
            seq = self._seqs.get(key)
            if seq is None:
                new.append(id)
            else:
                check_same_id(id, self._items[seq].id)
                if not replace:
                    continue
                replaced.append(seq)
            rows.append(row)
        self._drop(replaced)
        kept = batch.rows(rows)
        seqs = np.arange(self._last + 1, self._last + 1 + len(kept))
        self._last += len(kept)
        attributes = kept.attribute_codes
        self._table.append(
            Rows(
                seqs,
                kept.keys(),
                encoded(id if isinstance(id, str) else None for id in kept.ids),
                kept.codes.packed,
                np.empty((len(kept), 0), np.uint8) if attributes is None else attributes.packed,
                added[rows],
                [getattr(kept, field.column) for field in SEARCHED_NUMBERS],
                [encoded(getattr(kept, field.column)) for field in SEARCHED_TEXTS],
            )
        )
        self._items |= dict(zip(seqs.tolist(), kept, strict=True))
        self._seqs |= dict(zip(kept.keys().tolist(), seqs.tolist(), strict=True))
        return new

    def _added(self, ids: Sequence[Id]) -> Mapping[Id, int]:
        return self._snapshot().added_of(ids)

    def _drop(self, seqs: Sequence[int]) -> None:
        if seqs:
            self._table.remove(np.array(seqs, np.int64))
        for seq in seqs:
            del self._seqs[key_of(self._items.pop(seq).id)]
        if self._table.wasteful:
            self._table = self._table.compacted(self._table.snapshot())

    def _remove(self, where: Filter) -> list[Id]:
        snapshot = self._table.snapshot()
        rows, _ = snapshot.matching(where)
        seqs = snapshot.seqs[slice(None) if rows is None else rows].tolist()
        removed = [self._items[seq].id for seq in seqs]
        self._drop(seqs)
        return removed

    def _assign(self, persons: Mapping[Id, str | None]) -> None:
        known = {self._seqs[key]: who for id, who in persons.items() if (key := key_of(id)) in self._seqs}
        self._items |= {seq: self._items[seq]._replace(person=who) for seq, who in known.items()}
        if known:
            self._table.assign(np.array(list(known), np.int64), encoded(known.values()))

    def _find(self, request: Request) -> Found:
        return self._snapshot().find(request)

    def _find_attributes(self, description: Description, k: int, where: Filter | None) -> tuple[list[Hit], int]:
        return self._snapshot().find_attributes(description, k, where)

    def _keep_contract(self, contract: Contract) -> None:
        """Keep nothing: `calibrate` sets the contract, and it goes with the process."""

    def _keep_about(self, new: About) -> About:
        return self.about.joined(new)

    def _note(self, note: Mapping[str, Any]) -> None:
        self._kept[max(self._kept, default=0) + 1] = dict(note)

    def _notes(self) -> list[tuple[int, dict[str, Any]]]:
        with self._transaction():
            return list(self._kept.items())

    def _rewrite_note(self, number: int, note: Mapping[str, Any]) -> None:
        self._kept[number] = dict(note)

    def _forget_note(self, number: int) -> None:
        del self._kept[number]

    def _log(self, entry: Mapping[str, Any]) -> None:
        self._entries.append(entry)

    def _cut_log(self, before: str) -> int:
        kept = [entry for entry in self._entries if entry["time"] >= before]
        n, self._entries = len(self._entries) - len(kept), kept
        return n

    def _blank_log(self, ids: frozenset[Id]) -> None:
        self._entries = [blanked(entry, ids) or entry for entry in self._entries]

    def _transaction(self) -> AbstractContextManager[object]:
        if self._closed:
            raise GalleryClosed("expected an open gallery, got one that was closed; open it again")
        return self._lock

    def _snapshot(self) -> Snapshot:
        with self._transaction():
            return self._table.snapshot()

    def _metadata(self, first: int, last: int) -> Iterable[tuple[int, str]]:
        items = ((seq, item.metadata) for seq, item in dict(self._items).items() if first <= seq <= last)
        return ((seq, json.dumps(metadata)) for seq, metadata in items if metadata is not None)
