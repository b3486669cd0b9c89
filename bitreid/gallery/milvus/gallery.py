"""A gallery on a Milvus server: the way past one machine.

Milvus searches one vector a collection, so a gallery is three of them: NAME has the items with their identity codes and
is the record; NAME_coarse_HASH has their coarse codes and what filters ask of them (NAME_attributes their attribute
codes, where there are no coarse ones); NAME_notes has the rest. A search in two stages is two requests, the short codes
first.

All is exactly as in other galleries, but: `k` and `w` are at most what the server allows (16,384); parts of the body
are asked for with `w` only; a clustered search is exact until `cluster` has made lists; descriptions have at most 12
attributes; 2**63 - 1 is no id; a batch that could not be written to its end may be there in part; several processes
must not replace the same items at the same time. Deletions are marks on the server's side: when the bytes are gone is
the server's matter.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any

from bitreid.arrays import Ints
from bitreid.errors import (
    BadRequest,
    GalleryClosed,
    GalleryExists,
    GalleryNotFound,
    GalleryReadOnly,
    Unsupported,
)
from bitreid.gallery.about import About
from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.description import Description
from bitreid.gallery.filters.types import Filter
from bitreid.gallery.items import GalleryItem, Hit, Id, Items, check_same_id, joined, key_of, plain_id
from bitreid.gallery.milvus.filter import expression
from bitreid.gallery.milvus.items import ItemCollections, short_collection
from bitreid.gallery.milvus.lists import Lists, build, lists_for, measured
from bitreid.gallery.milvus.log import Log
from bitreid.gallery.milvus.notes import COLUMNS, FORMAT_VERSION, N_BITS, Note, Notes, about_of, format_of
from bitreid.gallery.milvus.rows import ITEM, SHARED, WHOLE, id_of, item_of, rows_of, stored
from bitreid.gallery.milvus.search import check_most, describe, find
from bitreid.gallery.milvus.server import MOST_ROWS, ROWS, TIMEOUT_S, Server
from bitreid.gallery.requests import BATCH, Found, Info, Request, Where

SETTLED_S = 120.0
"""A note of a write that is older than this was left by a writer that stopped."""
_LOST = 2**63 - 1  # Milvus uses it as a mark when it puts rows in order
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def create_milvus(
    url: str,
    name: str,
    contract: Contract,
    *,
    audited: bool = True,
    actor: str = "",
    timeout_s: float = TIMEOUT_S,
    most_rows: int = MOST_ROWS,
) -> "MilvusGallery":
    """Return a new gallery on the server at `http://HOST:PORT`; `GalleryExists` if there is one of this name.

    The name is made of letters, digits and _. `timeout_s` is how long each of three tries of a request may take,
    `most_rows` what the server allows in an answer.
    """
    if not _NAME.fullmatch(name):
        raise BadRequest(f"expected a name of letters, digits and _, at most 200, got {name!r}; choose another")
    server = Server(url, timeout_s=timeout_s, most_rows=most_rows)
    try:
        collections = {f"{name}_notes": (N_BITS, COLUMNS), name: (contract.n_bits, ("key", *ITEM))}
        if contract.short_bits:
            collections[short_collection(name, contract)] = (contract.short_bits, ("key", *SHARED))
        if about_of(server, name) is not None:
            raise GalleryExists(f"{server.address}: expected no gallery named {name}, but it is there; open it instead")
        server.create(collections)
        # What makes it a gallery comes last.
        about = {"format": format_of(contract), "contract": contract.to_json(), "audited": audited}
        Notes(server, f"{name}_notes").keep("gallery", [about])
    finally:
        server.close()
    return open_milvus(url, name, actor=actor, timeout_s=timeout_s, most_rows=most_rows)


def open_milvus(
    url: str,
    name: str,
    *,
    actor: str = "",
    read_only: bool = False,
    timeout_s: float = TIMEOUT_S,
    most_rows: int = MOST_ROWS,
) -> "MilvusGallery":
    """Return the gallery of this name on the server at `http://HOST:PORT`; `GalleryNotFound` if there is none.

    With `read_only` nothing is written: what a writer left half-written is not mended, and searches are not audited.
    """
    server = Server(url, timeout_s=timeout_s, most_rows=most_rows)
    return MilvusGallery(server, name, actor=actor, read_only=read_only)


class MilvusGallery(Gallery):
    """A gallery on a Milvus server; any number of processes may use it at a time."""

    def __init__(self, server: Server, name: str, *, actor: str = "", read_only: bool = False) -> None:
        self.name, self.actor, self.read_only = name, actor, read_only
        self._connection: Server | None = server
        self._notebook = Notes(server, f"{name}_notes")
        self._lock = threading.RLock()
        self._entries = Log(self._notebook)
        self._decisions: dict[int, Note] = {}  # as they were when all were read
        try:
            about = about_of(server, name, read_only)
            if about is None:
                raise GalleryNotFound(f"{server.address}: expected a gallery named {name}, got none; create it")
            if about.get("format", 1) > FORMAT_VERSION:
                raise Unsupported(
                    f"{server.address}: expected a gallery of format {FORMAT_VERSION} or older, got {name} of format "
                    f"{about['format']}; update bitreid"
                )
            self.contract, self.audited = Contract.from_json(about["contract"]), bool(about["audited"])
            self.about, self._lists = About.from_json(about), Lists.from_json(about)
            self._items = ItemCollections(server, name, self.contract, self._notebook)
            if not read_only:
                self._items.mend_left(time.time() - SETTLED_S)
        except BaseException:
            server.close()
            raise

    # Looking.

    def get(self, ids: Sequence[Id]) -> list[GalleryItem | None]:
        rows = self._server.of_keys(self.name, [key_of(plain_id(id)) for id in ids], WHOLE)
        found = {id_of(row): row for row in rows.values()}
        return [item_of(found[id], self.contract) if id in found else None for id in ids]

    def count(self, where: Where = None) -> int:
        return self._server.count(self.name, self._expression(self._filter(where)))

    def scan(self, where: Where = None, *, after: int | None = None, batch_size: int = BATCH) -> Iterator[Items]:
        server, chosen = self._server, self._expression(self._filter(where))
        size = min(batch_size, ROWS)
        batches = server.rows(self.name, chosen, WHOLE, after=after, size=size)
        items = (item_of(row, self.contract) for rows in batches for row in rows)
        while some := list(islice(items, batch_size)):
            yield joined(some, self.contract)

    def audit(self) -> Iterator[Mapping[str, Any]]:
        _ = self._server
        return self._entries.entries()

    def info(self) -> Info:
        server = self._server
        place = f"{server.address.replace('http', 'milvus', 1)}/{self.name}"
        details = {"server": str(server.call("get_server_version")), "audited": "yes" if self.audited else "no"}
        return Info(place, self.contract, self.count(), None, None, None, details)

    # Keeping.

    def compact(self) -> None:
        """Tell the server to write out what it holds and to compact it.

        When the bytes of what was deleted are gone is its matter: it keeps them for the time that its settings say.
        """
        server = self._writable()
        for collection in (*self._items.collections, f"{self.name}_notes"):
            server.call("flush", collection)
            server.call("compact", collection)

    def backup(self, path: Path) -> None:
        """Write the items to a new Parquet file, as `export_parquet` does; Milvus has backups of its own."""
        from bitreid.gallery.transfer import export_parquet

        export_parquet(self, path)

    def repair(self) -> int:
        """Mend items that are in one collection only or differ, as the record says; return how many there were.

        Looks at the keys of all items, which takes seconds a million. Nobody else may write meanwhile.
        """
        with self._transaction():
            return self._items.repair()

    def cluster(self, n_lists: int | None = None) -> int:
        server = self._writable()
        server.call("flush", self.name)
        # Also of one that is not loaded, where this stopped before; with rows that were replaced and deleted.
        n_lists = lists_for(n_lists, int(server.call("get_collection_stats", self.name)["row_count"]))
        if not n_lists:
            return 0
        with self._transaction():
            # Before any are made: older bitreids would search in few of them, and refuse what is newer.
            self._keep_lists(Lists(n_lists))
            build(server, self.name, n_lists, self.on_writing or (lambda share: None))
            self._keep_lists(measured(server, self.name, self.contract.n_bits, n_lists))
        return n_lists

    def _keep_lists(self, lists: Lists) -> None:
        (note,) = self._notebook.of("gallery")
        about = {"format": format_of(self.contract, lists=True), "lists": lists.to_json()}
        self._notebook.rewrite("gallery", note, {**note.content, **about})
        self._lists = lists

    def close(self) -> None:
        with self._lock:
            if self._connection is None:
                return
            try:
                self._entries.close()
            finally:
                self._connection.close()
                self._connection = None

    # What the protocol asks of a backend.

    def _write(self, batch: Items, replace: bool, added: Ints) -> list[Id]:
        ids: dict[int, Id] = {}
        for key, id in zip(batch.keys().tolist(), batch.ids, strict=True):
            check_same_id(id, ids.setdefault(key, id))
            if key == _LOST:
                raise Unsupported(
                    f"expected ids below {_LOST}, which Milvus does not find again, got {id!r}; rename it"
                )
        there = self._server.of_keys(self.name, ids, ["text"])
        for key, row in there.items():
            check_same_id(ids[key], id_of(row))
        rows = rows_of(batch, added)
        self._items.store(rows if replace else [row for row in rows if row["key"] not in there])
        return [id for key, id in ids.items() if key not in there]

    def _added(self, ids: Sequence[Id]) -> Mapping[Id, int]:
        rows = self._server.of_keys(self.name, [key_of(id) for id in ids], ["text", "added"])
        return {id_of(row): int(row["added"]) for row in rows.values()}

    def _remove(self, where: Filter) -> list[Id]:
        batches = self._server.rows(self.name, self._expression(where), ["text"], size=ROWS)
        removed = []
        for rows in batches:
            self._items.remove([row["key"] for row in rows])
            removed += [id_of(row) for row in rows]
        return removed

    def _assign(self, persons: Mapping[Id, str | None]) -> None:
        for start in range(0, len(persons), ROWS):
            ids = {key_of(id): id for id in list(persons)[start : start + ROWS]}
            rows = self._server.of_keys(self.name, ids, WHOLE)
            self._items.store(
                [
                    {**stored(row), "person": persons[id_of(row)] or ""}
                    for key, row in rows.items()
                    if id_of(row) == ids[key]
                ]
            )

    def _find(self, request: Request) -> Found:
        return find(self._server, self._items, self._lists, request, self._expression(request.where))

    def _find_attributes(self, description: Description, k: int, where: Filter | None) -> tuple[list[Hit], int]:
        server, chosen = self._server, self._expression(where)
        check_most(server, "k", k)
        n = server.count(self.name, chosen)
        return describe(server, self.name, description, k, chosen, n), n

    def _keep_contract(self, contract: Contract) -> None:
        (note,) = self._notebook.of("gallery")
        items = self._items.made_for(contract)
        about = {**note.content, "contract": contract.to_json()}
        self._notebook.rewrite("gallery", note, about | {"format": format_of(contract, "lists" in about)})
        items.drop_older(self._items)
        self._items = items

    def _keep_about(self, new: About) -> About:
        return self._notebook.keep_about(new)

    def _note(self, note: Mapping[str, Any]) -> None:
        self._notebook.keep("decision", [note])

    def _notes(self) -> list[tuple[int, dict[str, Any]]]:
        _ = self._server
        with self._lock:
            self._decisions = {note.number: note for note in self._notebook.of("decision")}
            return [(number, dict(note.content)) for number, note in self._decisions.items()]

    def _rewrite_note(self, number: int, note: Mapping[str, Any]) -> None:
        self._decisions[number] = self._notebook.rewrite("decision", self._decisions[number], note)

    def _forget_note(self, number: int) -> None:
        self._notebook.drop("decision", self._decisions.pop(number))

    def _log(self, entry: Mapping[str, Any]) -> None:
        if not self.read_only:
            self._entries.append(entry)

    def _cut_log(self, before: str) -> int:
        return self._entries.cut(before)

    def _blank_log(self, ids: frozenset[Id]) -> None:
        self._entries.blank(ids)

    @property
    def _most(self) -> int | None:
        return self._server.most_rows

    def _transaction(self) -> AbstractContextManager[object]:
        self._writable()
        return self._lock

    def _writable(self) -> Server:
        server = self._server
        if self.read_only:
            raise GalleryReadOnly(
                f"{server.address}: expected a gallery that can be written, got {self.name} opened to read only"
            )
        return server

    @property
    def _server(self) -> Server:
        if self._connection is None:
            raise GalleryClosed("expected an open gallery, got one that was closed; open it again")
        return self._connection

    def _expression(self, where: Filter | None) -> str:
        return "" if where is None else expression(where, self.contract.attributes)
