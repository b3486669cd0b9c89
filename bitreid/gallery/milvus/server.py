"""A Milvus server as a gallery uses it: requests that are repeated until they are answered, rows in the order of their
keys, and neighbours in the order of all galleries.

All requests may be repeated: rows are written under keys that their writer chose. Milvus orders hits by distance alone
and cuts where it likes among equals, so more are asked for until the last are farther away than those that are wanted.

While others replace rows, an answer may be short, and without rows that nobody touches. Milvus deletes the old version
of a row and inserts the new one; up to 2.3 it keeps which versions are deleted for the last time that was asked about,
and forgets most of it where an older request overtakes a newer one, even strongly consistent ones. Old versions then
take places in an answer that has a limit, before all but one of each key are left out. So rows of known keys are asked
for without a limit, pages are such that a short one has a gap only at its end, what is missing is asked for again, and
of two counts the smaller is right.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from bitreid.arrays import Bytes
from bitreid.codes import Codes
from bitreid.errors import BadRequest, GalleryBusy, GalleryUnreachable, Unsupported
from bitreid.gallery.fields import FIELDS
from bitreid.gallery.milvus.filter import above, both, keys_in

Row = dict[str, Any]

FRESH = "Strong"
"""The consistency of a request that shall see all that was written before it: it waits for a tick of the server's
clock, 0.2 s by default."""
SOON = "Session"
"""The consistency of requests to a collection that follow a `FRESH` one: they see no less, and do not wait."""

TRIES = 3
TIMEOUT_S = 10.0
"""How long each try of a request may take."""
MOST_ROWS = 16_384
"""Rows that Milvus returns at most for a request, which is its default."""
ROWS = 1000
"""Rows with all their fields in a request, so that the longest fields fit."""
_WAIT_S = 0.2  # before the second try; twice as long before the third
_MOST_TEXT = 65_535
_MOST_ELEMENTS = 4096  # more than the longest metadata have keys
ALL_LISTS = 65_536
"""Inverted lists that a search visits at most; no collection has more."""
_BEYOND = 16  # rows that are asked for beyond those that are wanted, at first
_HITS = 50_000  # in a request of several queries
_LAST = 2**63 - 1
_NOT_LOADED = 101
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)  # or what is left, where the end is missing
_REFUSED = {100, 1100}  # no such collection, wrong parameters: the same when asked again


class Near(NamedTuple):
    """A row that a search found; they order as hits do."""

    distance: int
    key: int
    fields: Mapping[str, Any]


class Server:
    """A connection to a Milvus server at `http://[USER:PASSWORD@]HOST:PORT`.

    `most_rows` is what the server allows in an answer. `GalleryUnreachable` where it cannot be reached,
    `BadRequest` where it refuses.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, most_rows: int = MOST_ROWS) -> None:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise Unsupported(
                "expected pymilvus, which talks to Milvus servers, got no such package; pip install 'bitreid[milvus]'"
            ) from error
        # What it would log is raised, too, and said once in our own words.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self.address, login = _address(url)
        self.timeout_s, self.most_rows = timeout_s, most_rows
        self._client: Any = self._tried(lambda: MilvusClient(self.address, timeout=timeout_s, **login))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def call(self, method: str, *arguments: Any, **settings: Any) -> Any:
        """Return what a method of `MilvusClient` returns."""
        return self._tried(lambda: getattr(self._client, method)(*arguments, timeout=self.timeout_s, **settings))

    def _tried(self, ask: Callable[[], Any]) -> Any:
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        wait_s = _WAIT_S
        for left in reversed(range(TRIES)):
            try:
                return ask()
            except (MilvusException, RpcError) as error:
                if _refused(error):
                    raise BadRequest(f"{self.address}: expected Milvus to answer, it said: {_said(error)}") from error
                if not left and getattr(error, "code", None) == _NOT_LOADED:
                    raise GalleryBusy(
                        f"{self.address}: expected a gallery that the server has loaded, got one whose lists are being "
                        "made; wait, or repeat `bitreid gallery cluster` if that was stopped"
                    ) from error
                if not left:
                    raise GalleryUnreachable(
                        f"{self.address}: expected a Milvus server that answers, got none in {TRIES} tries of "
                        f"{self.timeout_s:g} s ({_said(error)}); nothing that was acknowledged is lost: see that the "
                        "server runs, then do it again"
                    ) from error
            time.sleep(wait_s)
            wait_s *= 2
        raise AssertionError("the last try returns or raises")

    # Collections.

    def has(self, collection: str) -> bool:
        """Return whether there is a collection of this name."""
        return bool(self.call("has_collection", collection))

    def create(self, collections: Mapping[str, tuple[int, Sequence[str]]]) -> None:
        """Make the collections that are not there, each with codes of so many bits and these columns (`_column`)."""

        def create(name: str) -> None:
            n_bits, columns = collections[name]
            if not self.has(name):
                from pymilvus import DataType

                schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
                for column in columns:
                    schema.add_field(column, is_primary=column == "key", **_column(column, DataType))
                schema.add_field("code", DataType.BINARY_VECTOR, dim=n_bits)
                self.call("create_collection", name, schema=schema, consistency_level="Strong", num_shards=1)
            self.index(name)

        with ThreadPoolExecutor(len(collections)) as threads:
            list(threads.map(create, collections))

    def index(self, collection: str, n_lists: int | None = None) -> None:
        """Make an index of the codes, with so many inverted lists in each segment, or of a scan, and load the
        collection: until the index is there, it is searched without."""
        index, lists = self._client.prepare_index_params(), {} if n_lists is None else {"params": {"nlist": n_lists}}
        kind = "BIN_FLAT" if n_lists is None else "BIN_IVF_FLAT"
        index.add_index("code", index_type=kind, metric_type="HAMMING", **lists)
        self.call("create_index", collection, index, sync=False)
        self.call("load_collection", collection)

    def segments(self, collection: str) -> list[tuple[int, bool]]:
        """Return the rows of each segment that is loaded, and whether it is searched with an index."""
        found = self.call("list_loaded_segments", collection)
        return [(int(each.num_rows), bool(each.index_id)) for each in found]

    # Rows.

    def rows(
        self,
        collection: str,
        where: str,
        fields: Sequence[str],
        *,
        after: int | None = None,
        size: int | None = None,
    ) -> Iterator[list[Row]]:
        """Yield the rows for which `where` holds in batches of at most `size`, by ascending key, from the first above
        `after` on.

        A batch may be smaller than `size` though more follow. Each ends where the first of the server's segments ends,
        so that no row up to its last key is cut off; and it has as many rows as the server counts up to there.
        """
        size = min(size or self.most_rows, self.most_rows)
        level: Mapping[str, Any] = {"iterator": "True"}  # is as consistent as the collection was made: FRESH
        while True:
            left = both(where, "" if after is None else above(after))
            batch, level = self._page(collection, left, fields, size, level)
            if not batch:
                return
            after = max(batch)
            upto = both(left, f"key < {after + 1}" if after < _LAST else "")
            for _ in range(TRIES - 1):
                if len(batch) >= self._counted(collection, upto, SOON):
                    break
                batch |= self._page(collection, upto, fields, size, level)[0]
            yield [batch[key] for key in sorted(batch)]

    def _page(
        self, collection: str, where: str, fields: Sequence[str], size: int, level: Mapping[str, Any]
    ) -> tuple[dict[int, Row], Mapping[str, Any]]:
        """Return the first rows by key, and how the rows after them are asked for."""
        settings = {"limit": size, "output_fields": ["key", *fields], "reduce_stop_for_best": True, **level}
        found = self.call("query", collection, filter=where, **settings)
        # From 2.4 on Milvus says which moment it saw, and shows it again.
        moment = int(found.extra.get("iterator_session_ts", 0))
        follows = {"iterator": "True", "guarantee_timestamp": moment} if moment else {"consistency_level": SOON}
        return {int(row["key"]): dict(row) for row in found}, follows

    def of_keys(
        self, collection: str, keys: Iterable[int], fields: Sequence[str], level: str = FRESH
    ) -> dict[int, Row]:
        """Return the rows of these keys, by key."""
        wanted = sorted(keys)
        found: dict[int, Row] = {}
        for start in range(0, len(wanted), ROWS):
            some = wanted[start : start + ROWS]
            # A row that is being replaced may be away for a moment.
            for consistency in (level, SOON):
                missing = [key for key in some if key not in found]
                if missing:
                    rows = self.call(
                        "query",
                        collection,
                        filter=keys_in(missing),
                        output_fields=["key", *fields],
                        consistency_level=consistency,
                    )
                    found |= {int(row["key"]): dict(row) for row in rows}
        return found

    def count(self, collection: str, where: str) -> int:
        """Return how many rows there are for which `where` holds; of rows that are being replaced the server may count
        old versions, too."""
        return min(self._counted(collection, where, level) for level in (FRESH, SOON))

    def _counted(self, collection: str, where: str, level: str) -> int:
        found = self.call("query", collection, filter=where, output_fields=["count(*)"], consistency_level=level)
        return int(found[0]["count(*)"])

    # Neighbours.

    def nearest(
        self,
        collection: str,
        queries: Codes,
        k: int,
        where: str,
        fields: Sequence[str],
        n: int,
        level: str = FRESH,
        probed: int = ALL_LISTS,
    ) -> list[list[Near]]:
        """Return the `k` rows nearest to each query for which `where` holds, by (distance, key).

        Where the collection has inverted lists, the nearest `probed` of each segment are visited. Where `n` rows hold
        and all lists are visited, shorter answers are asked for again: versions that were replaced have taken places in
        them.
        """
        found: list[list[Near]] = [[] for _ in range(len(queries))]
        left, asked = list(range(len(queries))), min(k + _BEYOND, self.most_rows)
        while left:
            cut = []
            step = max(_HITS // asked, 1)
            for some in (left[start : start + step] for start in range(0, len(left), step)):
                codes = queries.packed[some]
                for _ in range(TRIES):
                    answers = self._search(collection, codes, asked, where, fields, level, probed)
                    level = SOON
                    if probed < ALL_LISTS or all(len(near) >= min(asked, n) for near in answers):
                        break
                for query, near in zip(some, answers, strict=True):
                    found[query] = near[:k]
                    # With more than k it shows whether the last distance goes on beyond them.
                    if len(near) == asked and (asked == k or near[k - 1].distance == near[-1].distance):
                        cut.append(query)
            if asked == self.most_rows:
                for query in cut:
                    last = found[query][-1].distance
                    nearer = [each for each in found[query] if each.distance < last]
                    ask = _Group(self, collection, queries.packed[query], last, fields, probed)
                    found[query] = (nearer + ask.first(k - len(nearer), where))[:k]
                cut = []
            left, asked = cut, min(2 * asked, self.most_rows)
        return found

    def distances(self, collection: str, queries: Codes, k: int, probed: int) -> list[list[Near]]:
        """Return `k` rows that are as near to each query as any, in the nearest `probed` lists, without fields."""
        step = max(_HITS // k, 1)
        blocks = (queries.packed[start : start + step] for start in range(0, len(queries), step))
        return [near for block in blocks for near in self._search(collection, block, k, "", [], SOON, probed)]

    def _search(
        self,
        collection: str,
        codes: Bytes,
        limit: int,
        where: str,
        fields: Sequence[str],
        level: str,
        probed: int,
    ) -> list[list[Near]]:
        answers = self.call(
            "search",
            collection,
            data=[code.tobytes() for code in codes],
            anns_field="code",
            limit=limit,
            filter=where,
            output_fields=list(fields),
            search_params={"metric_type": "HAMMING", "params": {"nprobe": probed}},
            consistency_level=level,
        )
        return [
            sorted(
                (Near(int(hit["distance"]), int(hit["id"]), hit["entity"]) for hit in hits), key=lambda near: near[:2]
            )
            for hits in answers
        ]


class _Group(NamedTuple):
    """The rows at one distance from a query, of which fewer are nearer than the server returns."""

    server: Server
    collection: str
    code: Bytes
    distance: int
    fields: Sequence[str]
    probed: int

    def first(self, n: int, where: str) -> list[Near]:
        """Return the `n` rows of the smallest keys, or all of them and perhaps more, by key."""
        most = self.server.most_rows
        # Not by a range of distances: in inverted lists Milvus leaves out some of the rows in it.
        (near,) = self.server._search(self.collection, self.code[None], most, where, self.fields, SOON, self.probed)
        if len(near) < most or near[-1].distance > self.distance:
            return [each for each in near if each.distance == self.distance]
        # The group may be larger: the half of smaller keys, and the other one if that has too few.
        middle = sorted(each.key for each in near)[(most - 1) // 2]
        smaller = self.first(n, both(where, f"key < {middle + 1}"))
        return smaller if len(smaller) >= n else smaller + self.first(n - len(smaller), both(where, above(middle)))


def _column(name: str, types: Any) -> dict[str, Any]:
    """Return what Milvus is to know of a column."""
    if name in ("attributes", "metadata"):
        return {"datatype": types.ARRAY, "element_type": types.INT64, "max_capacity": _MOST_ELEMENTS}
    if name in TEXTS:
        return {"datatype": types.VARCHAR, "max_length": _MOST_TEXT}
    return {"datatype": types.INT64}


TEXTS = {"text", "about", "kind", *(field.name for field in FIELDS if not field.kind.is_number)}
"""Columns of text; `attributes` and `metadata` are lists of numbers, and all others numbers."""


def _address(url: str) -> tuple[str, dict[str, str]]:
    """Return the address, which may be shown, and the login, which may not."""
    try:
        parts = urlsplit(url)
        login = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
        known = bool(parts.hostname and parts.port != 0)
    except ValueError:  # whose words may have the password
        known = False
    if not known:
        host = url.rpartition("@")[2].rpartition("//")[2]
        raise BadRequest(f"expected the address of a Milvus server such as http://localhost:19530, got {host!r}")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), login


def _refused(error: Exception) -> bool:
    code = getattr(error, "code", None)
    known = getattr(code() if callable(code) else code, "name", code)
    return known in _REFUSED or known in ("UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")


def _said(error: Exception) -> str:
    """Return what Milvus said, as one line, without the texts of a filter that it repeats: they may name people, and
    this may be logged."""
    message = getattr(error, "message", "") or getattr(error, "details", lambda: "")() or error
    return " ".join(_QUOTED.sub('"..."', str(message)).split())[:300]
