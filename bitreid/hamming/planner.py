"""Which way of searching costs less, the whole gallery by long code or two stages, judged by a small measured model.

The model is a sum of amounts of work, each times what a unit of it costs on the path in use: rows and bytes scanned,
pairs compared where queries share a pass, bytes that come from memory and not from a cache, rows kept by the first
stage and visited by the second. The costs were fitted by `benchmarks/search/planner.py`, which also says how much
slower the choice is than the better of the two.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from bitreid.arrays import Bools, Ints
from bitreid.codes import Codes
from bitreid.errors import SettingsError
from bitreid.hamming import kernel
from bitreid.hamming.ranking import Ranking
from bitreid.hamming.search import SWEEP_QUERIES, asked_of_two_stages, search_exact

Method = Literal["exact", "two_stage"]
METHODS: tuple[Method, ...] = ("exact", "two_stage")

_DEFAULT_CACHE = 32 * 2**20
_KEPT_NEAR = 2**17
"""Rows on short lists that a second-level cache of 1 or 2 MB holds."""
_SHARING, _IN_PASS = 6, 64
"""From how many queries on they share passes over the rows, and how many share one (native/scanner.hpp)."""
_WORD_BYTES = (4, 8)
"""Lengths of short codes that the kernel compares fastest."""


class Amounts(NamedTuple):
    """Amounts of work, or what a unit of each costs in nanoseconds.

    One query at a time: `rows` and `bytes` scanned. Queries that share a pass: `pairs` of a query and a row,
    `pair_bytes`, and `loaded_bytes` once for all. In both, `memory_bytes` that no cache can hold. First stage by codes
    of 4 or 8 bytes: `short_rows` of one query, `short_pairs` of several. `lists` of the nearest, one a query.
    Second stage: rows `kept` by the first, `kept_far` where the lists exceed a processor's own cache; `visits` and
    `visit_bytes` of a query by itself, and `far_bytes` of them beyond the last cache; `shared` and `shared_bytes` of
    queries together.
    """

    calls: float = 0.0
    rows: float = 0.0
    bytes: float = 0.0
    pairs: float = 0.0
    pair_bytes: float = 0.0
    loaded_bytes: float = 0.0
    memory_bytes: float = 0.0
    short_rows: float = 0.0
    short_pairs: float = 0.0
    lists: float = 0.0
    kept: float = 0.0
    kept_far: float = 0.0
    visits: float = 0.0
    visit_bytes: float = 0.0
    far_bytes: float = 0.0
    shared: float = 0.0
    shared_bytes: float = 0.0


class Work(NamedTuple):
    """A search: sizes in rows and bytes, `w` rows kept by the first stage, and by how many passes it compares."""

    n_queries: int
    n_gallery: int
    short_bytes: int
    long_bytes: int
    w: int
    n_planes: int = 1


@dataclass(frozen=True)
class Plan:
    """How a search runs, and why.

    `method` is "exact" or "two_stage"; `blocked` says whether the queries share passes over the long codes. `exact_ms`
    and `two_stage_ms` are what the model expects of a query by each method, on one thread; `forced` says whether the
    caller chose the method.
    """

    method: Method
    blocked: bool
    exact_ms: float
    two_stage_ms: float
    forced: bool = False

    @property
    def expected_ms(self) -> dict[Method, float]:
        """The milliseconds a query by method."""
        return {"exact": self.exact_ms, "two_stage": self.two_stage_ms}


@dataclass(frozen=True)
class PlannedRanking(Ranking):
    """A `Ranking`, and the `plan` by which it was found."""

    plan: Plan


def search_planned(
    short_queries: Codes,
    long_queries: Codes,
    short_gallery: Codes,
    long_gallery: Codes,
    w: int,
    k: int,
    ids: Ints | None = None,
    *,
    short_weights: Sequence[int] | None = None,
    bits: Bools | None = None,
    rows: Bools | None = None,
    ties: Literal["cut", "keep"] = "cut",
    method: Method | None = None,
    blocked: bool | None = None,
    n_threads: int = 1,
) -> PlannedRanking:
    """The `k` nearest rows by long code, by the method that costs less; its `plan` says which.

    Two stages look for them among the `w` nearest by short code only; the exact scan compares all long codes, so that
    what it finds is at least as near. Which one costs less, and so what is found, may change with the processor and
    the number of queries: force a `method` where results must be the same everywhere, and two stages where the short
    code is to rule rows out (attributes). `blocked` forces that queries share passes over the long codes, or that they
    do not, which changes no result. `k` is clipped to `w` either way. Arguments and errors are those of
    `search_two_stage`; the exact scan has no use for `short_weights` and `ties`.

    >>> import numpy as np
    >>> gallery = Codes(np.arange(16, dtype=np.uint8).reshape(-1, 1), 8)
    >>> found = search_planned(gallery[:1], gallery[:1], gallery, gallery, 4, 2)
    >>> found.positions.tolist(), found.plan.method
    ([[0, 1]], 'exact')
    """
    if method is not None and method not in METHODS:
        raise SettingsError(f"expected method to be one of {', '.join(METHODS)}, or None, got {method!r}")
    asked = asked_of_two_stages(
        short_queries, long_queries, short_gallery, long_gallery, w, k, ids, short_weights, bits, rows, ties, n_threads
    )
    n_queries, planes, n_bytes = len(long_queries), asked.stage_1[2], asked.stage_2[0].shape[1]
    sizes = n_queries, len(long_gallery), asked.stage_1[0].shape[1], n_bytes
    work = Work(*sizes, max(asked.w, 1), 1 if planes is None else len(planes))
    chosen = plan(work, method, blocked)
    if chosen.method == "two_stage":
        found = asked.answer(chosen.blocked)
        return PlannedRanking(found.positions, found.distances, chosen)
    step = max(n_queries, 1) if chosen.blocked else 1
    k = max(asked.k, 1)  # 0 where nothing may be found, which is not a number to ask for
    parts = [
        search_exact(long_queries[i : i + step], long_gallery, k, ids, bits=bits, rows=rows, n_threads=n_threads)
        for i in range(0, max(n_queries, 1), step)
    ]
    if len(parts) == 1:
        return PlannedRanking(parts[0].positions, parts[0].distances, chosen)
    positions, distances = ([getattr(part, name) for part in parts] for name in ("positions", "distances"))
    return PlannedRanking(np.concatenate(positions), np.concatenate(distances), chosen)


def plan(work: Work, method: Method | None = None, blocked: bool | None = None) -> Plan:
    """The cheaper method for `work` on the path in use, or `method`; blocked where that pays, or as told."""
    return _plan(work, method, blocked, kernel.path())


@lru_cache(maxsize=1024)
def _plan(work: Work, method: Method | None, blocked: bool | None, path: str) -> Plan:
    # Remembered: a search of a small gallery takes no longer than this.
    n_queries = max(work.n_queries, 1)
    exact, two_stage = (_cost(amounts(work, each), COSTS[path]) / 1e6 / n_queries for each in METHODS)
    chosen: Method = method or ("exact" if exact <= two_stage else "two_stage")
    if blocked is None:
        blocked = work.n_queries >= (2 if chosen == "exact" else SWEEP_QUERIES)
    return Plan(chosen, blocked, exact, two_stage, method is not None)


def amounts(work: Work, method: Method) -> Amounts:
    """How much work `method` makes of a search."""
    if method == "exact":
        return _scan(work.n_queries, work.n_gallery, work.long_bytes)._replace(lists=float(work.n_queries))
    n_queries, n, n_bytes = work.n_queries, work.n_gallery, work.long_bytes
    if work.short_bytes in _WORD_BYTES and work.n_planes == 1:
        n_short = n_queries * n
        first = Amounts(short_pairs=n_short) if n_queries > 1 else Amounts(short_rows=n_short)
        first = first._replace(memory_bytes=_beyond_cache(n, work.short_bytes))
    else:
        once = _scan(n_queries, n, work.short_bytes)
        first = Amounts(*(work.n_planes * amount for amount in once))
    kept = n_queries * work.w
    if n_queries > 1:
        second = Amounts(
            shared=kept,
            shared_bytes=kept * n_bytes,
            far_bytes=min(kept, n) * n_bytes if _beyond_cache(n, n_bytes) else 0.0,
        )
    else:
        far = kept * n_bytes if _beyond_cache(n, n_bytes) else 0.0
        second = Amounts(visits=kept, visit_bytes=kept * n_bytes, far_bytes=far)
    both = Amounts(*(one + other for one, other in zip(first, second, strict=True)))
    kept_far = float(kept) if kept > _KEPT_NEAR else 0.0
    return both._replace(calls=2.0, lists=float(n_queries), kept=float(kept), kept_far=kept_far)


def _scan(n_queries: int, n_rows: int, n_bytes: int) -> Amounts:
    """A scan of all rows."""
    memory = _beyond_cache(n_rows, n_bytes)
    n_pairs = n_queries * n_rows
    if n_queries >= _SHARING:
        passes = -(-n_queries // _IN_PASS)
        return Amounts(
            calls=1.0,
            pairs=n_pairs,
            pair_bytes=n_pairs * n_bytes,
            loaded_bytes=passes * n_rows * n_bytes,
            memory_bytes=passes * memory,
        )
    return Amounts(calls=1.0, rows=n_pairs, bytes=n_pairs * n_bytes, memory_bytes=memory)


def _beyond_cache(n_rows: int, n_bytes: int) -> float:
    """The bytes of an array, if half the last-level cache does not hold it; else 0."""
    return float(n_rows * n_bytes) if n_rows * n_bytes > _cache_bytes() / 2 else 0.0


def _cache_bytes() -> int:
    name = "SC_LEVEL3_CACHE_SIZE"
    known = os.sysconf(name) if name in getattr(os, "sysconf_names", {}) else 0
    return known if known > 0 else _DEFAULT_CACHE


def _cost(work: Amounts, costs: Amounts) -> float:
    return sum(amount * cost for amount, cost in zip(work, costs, strict=True))


COSTS: dict[str, Amounts] = {
    "avx512": Amounts(
        calls=340.0,
        rows=0.571,
        bytes=0.0166,
        pairs=0.104,
        pair_bytes=0.00719,
        loaded_bytes=0.0509,
        memory_bytes=0.0154,
        short_rows=0.321,
        short_pairs=0.188,
        lists=5470.0,
        kept=5.79,
        kept_far=1.73,
        visits=0.139,
        visit_bytes=0.0398,
        far_bytes=0.0696,
        shared=0.0,
        shared_bytes=0.0304,
    ),
    "avx2": Amounts(
        calls=0.0,
        rows=1.48,
        bytes=0.0252,
        pairs=1.56,
        pair_bytes=0.0234,
        loaded_bytes=0.0242,
        memory_bytes=0.00378,
        short_rows=0.723,
        short_pairs=0.705,
        lists=5510.0,
        kept=10.1,
        kept_far=0.866,
        visits=0.0,
        visit_bytes=0.037,
        far_bytes=0.0931,
        shared=4.94,
        shared_bytes=0.018,
    ),
    "popcnt": Amounts(
        calls=3280.0,
        rows=1.89,
        bytes=0.0702,
        pairs=1.57,
        pair_bytes=0.074,
        loaded_bytes=0.00235,
        memory_bytes=0.00247,
        short_rows=2.42,
        short_pairs=2.64,
        lists=5470.0,
        kept=1.37,
        kept_far=3.35,
        visits=0.0,
        visit_bytes=0.171,
        far_bytes=0.207,
        shared=9.21,
        shared_bytes=0.0474,
    ),
    "scalar": Amounts(
        calls=0.0,
        rows=2.34,
        bytes=0.372,
        pairs=2.99,
        pair_bytes=0.369,
        loaded_bytes=0.0,
        memory_bytes=0.0,
        short_rows=5.24,
        short_pairs=5.56,
        lists=0.0,
        kept=2.93,
        kept_far=0.0,
        visits=0.0,
        visit_bytes=0.643,
        far_bytes=0.265,
        shared=15.2,
        shared_bytes=0.393,
    ),
    "numpy": Amounts(
        calls=0.0,
        rows=5.64,
        bytes=0.32,
        pairs=9.7,
        pair_bytes=0.111,
        loaded_bytes=0.0,
        memory_bytes=0.104,
        short_rows=15.7,
        short_pairs=13.8,
        lists=33600.0,
        kept=80.4,
        kept_far=90.1,
        visits=3.84,
        visit_bytes=0.648,
        far_bytes=0.149,
        shared=0.0,
        shared_bytes=0.614,
    ),
}
# Not measured: no ARM processor was at hand. AVX2 has vectors twice as long, and counts bits in more steps.
COSTS["neon"] = COSTS["avx2"]
