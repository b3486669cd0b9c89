"""What users would keep a gallery in instead: faiss with SQLite, DuckDB, LanceDB; each as its makers advise."""

import json
import os
import sqlite3
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gallery.data import BETWEEN, CAMERAS, N_BITS, Crowd, Rows
from benchmarks.gallery.engines import Ask, Engine, K
from benchmarks.gallery.timing import DUCKDB, FAISS, LANCEDB
from benchmarks.search.data import SHORT_BITS
from benchmarks.search.rivals import module_of
from benchmarks.search.timing import Way
from bitreid.arrays import AnyArray, Bytes, Ints

os.environ.setdefault("LANCE_CPU_THREADS", "1")  # before LanceDB is imported: who reads it, and when, is not said
_HEAP_K = 2000  # faiss keeps more than that more quickly by counting
_WORDS = N_BITS // 64
_FILTER = f"camera IN ({', '.join(map(str, CAMERAS))}) AND time >= {BETWEEN[0]} AND time < {BETWEEN[1]}"  # SQL of all


def _metadata(rows: Rows) -> list[str]:
    return [json.dumps({"site": site}) for site in rows.sites]


class FaissSqlite(Engine):
    """SQLite is the record, and two indexes of faiss are filled from it; what matches a filter, SQLite says.

    Not here since they took longer: faiss's selector of ids for a filter, and its index to order the short list.
    """

    name = FAISS

    def __init__(self, folder: Path, crowd: Crowd) -> None:
        super().__init__(folder, crowd)
        self.faiss = module_of("faiss")
        self._path, self._lock = folder / "record.sqlite", threading.Lock()
        self._db: sqlite3.Connection

    def create(self) -> None:
        self._connect()
        self._db.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, code BLOB, attributes BLOB, camera INTEGER, time INTEGER, "
            "tracklet TEXT, person TEXT, metadata TEXT)"
        )
        self._db.execute("CREATE INDEX by_camera ON items (camera, time)")

    def open(self) -> None:
        self._connect()
        rows = self._db.execute("SELECT id, code, attributes FROM items ORDER BY id").fetchall()
        ids, codes, attributes = zip(*rows, strict=True)
        self._index(np.array(ids), _joined(codes, N_BITS), _joined(attributes, SHORT_BITS))

    def _connect(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self.faiss.omp_set_num_threads(1)
        self._flat = [self.faiss.IndexBinaryFlat(n_bits) for n_bits in (N_BITS, SHORT_BITS)]
        self._indexes = [self.faiss.IndexBinaryIDMap2(index) for index in self._flat]
        self._ids, self._codes = np.empty(0, np.int64), np.empty((0, N_BITS // 8), np.uint8)
        self._attributes = np.empty((0, SHORT_BITS // 8), np.uint8)
        self._n = 0

    def close(self) -> None:
        self._db.close()

    def add(self, rows: Rows) -> None:
        blobs = ([row.tobytes() for row in codes] for codes in (rows.codes, rows.attributes))
        columns = (rows.ids.tolist(), *blobs, rows.cameras.tolist(), rows.times.tolist())
        texts = rows.tracklets, rows.persons, _metadata(rows)
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)", zip(*columns, *texts, strict=True)
            )
            self._db.execute("COMMIT")
            self._index(rows.ids, rows.codes, rows.attributes)

    def _index(self, ids: Ints, codes: Bytes, attributes: Bytes) -> None:
        for index, values in zip(self._indexes, (codes, attributes), strict=True):
            index.add_with_ids(values, ids)
        n = self._n + len(ids)
        if n > len(self._ids):
            room = max(n, len(self._ids) * 5 // 4)
            self._ids = _larger(self._ids, room)
            self._codes, self._attributes = _larger(self._codes, room), _larger(self._attributes, room)
        rows = slice(self._n, n)
        self._ids[rows], self._codes[rows], self._attributes[rows] = ids, codes, attributes
        self._n = n

    def ways(self, ask: Ask) -> list[Way]:
        if ask.at_once > 1 or ask.filter == "metadata":
            return []

        def call(i: int) -> AnyArray:
            long, short = (pair.queries.packed[i : i + 1] for pair in (self.crowd.long, self.crowd.short))
            with self._lock:
                if ask.filter:
                    return self._among(self._passing(), long, short, ask.w)
                if not ask.w:
                    return self._nearest(0, long, K)
                ids = self._nearest(1, short, ask.w)[0]
                return self._among(np.searchsorted(self._ids[: self._n], ids), long, short, 0)

        return [Way(self.name, call)]

    def _nearest(self, which: int, query: Bytes, k: int) -> AnyArray:
        self._flat[which].use_heap = k <= _HEAP_K
        found: AnyArray = self._indexes[which].search(query, k)[1]
        return found

    def _passing(self) -> Ints:
        found = self._db.execute(f"SELECT id FROM items WHERE {_FILTER}").fetchall()
        ids = np.fromiter((id for (id,) in found), np.int64, len(found))
        ids.sort()
        return np.searchsorted(self._ids[: self._n], ids)

    def _among(self, rows: Ints, long: Bytes, short: Bytes, w: int) -> AnyArray:
        """Return the ids of the nearest of some rows."""
        if w and w < len(rows):
            rows = rows[self._ordered(short, self._attributes, rows, w)]
        found: AnyArray = self._ids[rows[self._ordered(long, self._codes, rows, K)]][None]
        return found

    def _ordered(self, query: Bytes, codes: Bytes, rows: Ints, k: int) -> Ints:
        near: Ints = self.faiss.knn_hamming(query, np.take(codes, rows, axis=0), min(k, len(rows)))[1][0]
        return near

    def get(self, id: int) -> None:
        self._db.execute("SELECT * FROM items WHERE id = ?", (id,)).fetchone()

    def delete(self, id: int) -> None:
        with self._lock:
            self._db.execute("DELETE FROM items WHERE id = ?", (id,))
            for index in self._indexes:
                index.remove_ids(np.array([id]))


def _larger(column: AnyArray, room: int) -> AnyArray:
    return np.concatenate([column, np.empty((room - len(column), *column.shape[1:]), column.dtype)])


def _joined(blobs: tuple[bytes, ...], n_bits: int) -> Bytes:
    return np.frombuffer(b"".join(blobs), np.uint8).reshape(len(blobs), n_bits // 8)


class DuckDb(Engine):
    """One table, codes in columns of 64 bits, one statement a search.

    The short list is the first w rows, or all rows as near as the w-th, which is less to sort. Codes in one column of
    DuckDB's type BIT, and short lists that bring their codes along, took longer and are not here.
    """

    name = DUCKDB

    def __init__(self, folder: Path, crowd: Crowd) -> None:
        super().__init__(folder, crowd)
        self._duckdb, self._arrow = module_of("duckdb"), module_of("pyarrow")
        self._db: Any

    def create(self) -> None:
        self.open()
        words = ", ".join(f"code{i} UBIGINT" for i in range(_WORDS))
        self._db.execute(
            "CREATE TABLE items (id BIGINT PRIMARY KEY, attributes UBIGINT, camera INTEGER, time BIGINT, "
            f"tracklet VARCHAR, person VARCHAR, metadata VARCHAR, {words})"
        )

    def open(self) -> None:
        self._db = self._duckdb.connect(self.folder / "items.duckdb", config={"threads": 1})

    def close(self) -> None:
        self._db.close()

    def finish(self) -> None:
        self._db.execute("CHECKPOINT")

    def add(self, rows: Rows) -> None:
        words = rows.codes.view(np.uint64)
        columns = {
            "id": rows.ids,
            "attributes": rows.attributes.view(np.uint64)[:, 0],
            "camera": rows.cameras,
            "time": rows.times,
            "tracklet": rows.tracklets,
            "person": rows.persons,
            "metadata": _metadata(rows),
            **{f"code{i}": words[:, i] for i in range(_WORDS)},
        }
        with self._db.cursor() as cursor:  # a thread has its own
            cursor.register("batch", self._arrow.table(columns))
            cursor.execute("INSERT INTO items SELECT * FROM batch")

    def ways(self, ask: Ask) -> list[Way]:
        if ask.at_once > 1 or ask.filter == "metadata":
            return []
        passing = _FILTER if ask.filter else "true"
        near = "bit_count(xor(attributes, ?::UBIGINT))"
        wide = " + ".join(f"bit_count(xor(code{i}, ?::UBIGINT))::INTEGER" for i in range(_WORDS))
        chosen = f"SELECT {{}} FROM items WHERE {passing} ORDER BY {near}{{}} LIMIT {ask.w}"
        cut = f"SELECT max(d) FROM ({chosen.format(f'{near} AS d', '')})"

        def searched(where: str, i: int) -> AnyArray:
            words = self.crowd.long.queries.packed[i].view(np.uint64).tolist()
            attributes = self.crowd.short.queries.packed[i].view(np.uint64).tolist() * where.count("?")
            statement = f"SELECT id FROM items WHERE {where} ORDER BY {wide}, id LIMIT {K}"
            found: AnyArray = self._db.execute(statement, attributes + words).fetchnumpy()["id"]
            return found[None]

        if not ask.w:
            return [Way(self.name, partial(searched, passing))]
        by_row = f"rowid IN ({chosen.format('rowid', ', id')})"
        by_cut = f"{passing} AND {near} <= ({cut})"
        return [
            Way(self.name, partial(searched, by_row), "by rowid"),
            Way(self.name, partial(searched, by_cut), "with ties"),
        ]

    def get(self, id: int) -> None:
        self._db.execute("SELECT * FROM items WHERE id = ?", [id]).fetchone()

    def delete(self, id: int) -> None:
        self._db.execute("DELETE FROM items WHERE id = ?", [id])


class LanceDb(Engine):
    """One table with two columns of vectors, of which a search takes one, and indexes of id, camera and time.

    The short list is ordered in two ways: by a search of the long codes among its ids, and by numpy, from the long
    codes that the first search brings along. LanceDB does not sync what it commits.
    """

    name, synced = LANCEDB, False

    def __init__(self, folder: Path, crowd: Crowd) -> None:
        super().__init__(folder, crowd)
        self._lancedb, self._index, self._arrow = (module_of(name) for name in ("lancedb", "lancedb.index", "pyarrow"))
        self._table: Any

    def create(self) -> None:
        schema = self._columns(self.crowd.rows(0, 0)).schema
        self._table = self._lancedb.connect(self.folder).create_table("items", schema=schema)

    def open(self) -> None:
        self._table = self._lancedb.connect(self.folder).open_table("items")

    def close(self) -> None:
        del self._table

    def finish(self) -> None:
        """Merge what many additions left, forget older versions, and index what filters ask for."""
        self._table.optimize(cleanup_older_than=timedelta(milliseconds=1))
        for column, index in (("id", "BTree"), ("camera", "Bitmap"), ("time", "BTree")):
            self._table.create_index(column, config=getattr(self._index, index)())

    def add(self, rows: Rows) -> None:
        self._table.add(self._columns(rows))

    def _columns(self, rows: Rows) -> Any:
        arrow = self._arrow

        def vectors(codes: Bytes) -> Any:
            return arrow.FixedSizeListArray.from_arrays(arrow.array(codes.reshape(-1)), codes.shape[1])

        texts = {"tracklet": rows.tracklets, "person": rows.persons, "metadata": _metadata(rows)}
        return arrow.table(
            {
                "id": rows.ids,
                "code": vectors(rows.codes),
                "attributes": vectors(rows.attributes),
                "camera": rows.cameras,
                "time": rows.times,
                **{name: arrow.array(column, arrow.string()) for name, column in texts.items()},
            }
        )

    def ways(self, ask: Ask) -> list[Way]:
        if ask.at_once > 1 or ask.filter == "metadata":
            return []
        where = _FILTER if ask.filter else ""
        long, short = self.crowd.long.queries.packed, self.crowd.short.queries.packed

        def exact(i: int) -> AnyArray:
            return self._ids("code", long[i], K, where)[None]

        def by_ids(i: int) -> AnyArray:
            ids = self._ids("attributes", short[i], ask.w, where).tolist()
            return self._ids("code", long[i], K, f"id IN ({', '.join(map(str, ids))})")[None]

        def by_numpy(i: int) -> AnyArray:
            found = self._found("attributes", short[i], ask.w, where, "code")
            codes = found["code"].combine_chunks().flatten().to_numpy().reshape(-1, N_BITS // 8)
            distances = np.bitwise_count(codes.view(np.uint64) ^ long[i].view(np.uint64)).sum(axis=1)
            ids: Ints = found["id"].to_numpy()
            return ids[np.lexsort((ids, distances))[:K]][None]

        if not ask.w:
            return [Way(self.name, exact)]
        return [Way(self.name, by_ids, "by ids"), Way(self.name, by_numpy, "by numpy")]

    def _found(self, column: str, query: Bytes, k: int, where: str, *more: str) -> Any:
        search = self._table.search(query, vector_column_name=column).distance_type("hamming").limit(k)
        search = search.where(where, prefilter=True) if where else search
        return search.select(["id", *more, "_distance"]).to_arrow()

    def _ids(self, column: str, query: Bytes, k: int, where: str) -> Ints:
        ids: Ints = self._found(column, query, k, where)["id"].to_numpy()
        return ids

    def get(self, id: int) -> None:
        self._table.search().where(f"id = {id}").limit(1).to_arrow()

    def delete(self, id: int) -> None:
        self._table.delete(f"id = {id}")


RIVALS: dict[str, type[Engine]] = {FAISS: FaissSqlite, DUCKDB: DuckDb, LANCEDB: LanceDb}
MODULES = {FAISS: ("faiss",), DUCKDB: ("duckdb", "pyarrow"), LANCEDB: ("lancedb", "lancedb.index", "pyarrow")}
"""What each rival needs."""
