"""Codes and settings of searches, drawn at random."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits
from bitreid.hamming import Clusters, Ranking, kernel

Rng = np.random.Generator
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Lists = list[list[tuple[int, int]]]


@contextmanager
def using(path: str) -> Iterator[None]:
    """Searches meanwhile take this path."""
    before = kernel.path()
    kernel.use_path(path)
    try:
        yield
    finally:
        kernel.use_path(before)


def random_codes(rng: Rng, n: int, n_bits: int, p: float = 0.2) -> Codes:
    """Codes of few ones, so that distances tie."""
    return pack_bits(rng.random((n, n_bits)) < p)


def as_lists(ranking: Ranking) -> Lists:
    """Per query, (distance, row) in order."""
    return [
        [(int(distance), int(row)) for distance, row in zip(*line, strict=True)]
        for line in zip(ranking.distances, ranking.positions, strict=True)
    ]


@dataclass(frozen=True)
class Case:
    """Two codes of each query and gallery row, and what may be asked of them."""

    rng: Rng
    short_queries: Codes
    short_gallery: Codes
    queries: Codes
    gallery: Codes
    ids: Ints | None
    rows: Bools | None
    bits: Bools | None
    n_threads: int


@st.composite
def cases(
    draw: st.DrawFn,
    n_gallery: st.SearchStrategy[int],
    n_queries: st.SearchStrategy[int],
    n_bytes: st.SearchStrategy[int],
) -> Case:
    """Cases of such sizes; ids of which some repeat; masks of none, few, half or all."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows_and_queries = draw(n_gallery), draw(n_queries)
    sizes = draw(n_bytes), draw(n_bytes)
    kind = draw(st.sampled_from(["few ones", "even", "clustered", "constant"]))
    short, long = (_codes(rng, kind, *rows_and_queries, 8 * size) for size in sizes)
    share = st.none() | st.sampled_from([0.0, 0.03, 0.5, 1.0])
    return Case(
        rng,
        *short,
        *long,
        draw(st.sampled_from([None, _ids(rng, rows_and_queries[0])])),
        _mask(rng, rows_and_queries[0], draw(share)),
        _bits(rng, long[0].n_bits, draw(st.sampled_from([None, "run", "bytes", "some", "none"]))),
        draw(st.integers(1, 3)),
    )


SMALL = cases(st.integers(0, 12), st.integers(0, 4), st.sampled_from([1, 3, 8, 9]))
"""Small enough for loops over bits."""


def any_clusters(case: Case, n_lists: int) -> Clusters:
    """Lists of the case's gallery that begin anywhere, some of them without rows, with any centres and no recall."""
    n = len(case.gallery)
    n_lists = max(n_lists, min(n, 1))
    ends = np.sort(case.rng.integers(0, n + 1, max(n_lists - 1, 0)))
    offsets = np.concatenate([[0], ends, [n] * (n_lists > 0)]).astype(np.int64)
    centres = random_codes(case.rng, n_lists, case.gallery.n_bits)
    return Clusters(centres, offsets, np.empty(0, np.int64), np.empty((0, n_lists)))


def _codes(rng: Rng, kind: str, n_gallery: int, n_queries: int, n_bits: int) -> tuple[Codes, Codes]:
    """Codes of queries and of the gallery."""
    n = n_queries + n_gallery
    if kind == "clustered":
        bits = _ones(rng, 5, n_bits, 0.5)[rng.integers(0, 5, n)] ^ _ones(rng, n, n_bits, 0.1)
    else:
        bits = _ones(rng, n, n_bits, {"few ones": 0.1, "even": 0.5, "constant": 1.0}[kind])
    both = pack_bits(bits)
    return both[:n_queries], both[n_queries:]


def _ones(rng: Rng, n: int, n_bits: int, share: float) -> Bools:
    """Draw bits `(n, n_bits)`, such a share of them 1 (to 1 / 256), from bytes: floats take ten times as long."""
    drawn = np.frombuffer(rng.bytes(n * n_bits), np.uint8).reshape(n, n_bits)
    return drawn < round(256 * share)


def _ids(rng: Rng, n: int) -> Ints:
    return rng.integers(-n // 2, n // 2 + 1, n)


def _mask(rng: Rng, n: int, share: float | None) -> Bools | None:
    return None if share is None else rng.random(n) < share


def _bits(rng: Rng, n_bits: int, kind: str | None) -> Bools | None:
    if kind is None:
        return None
    bits = np.zeros(n_bits, np.bool_)
    start, stop = sorted(int(place) for place in rng.integers(0, n_bits + 1, 2))
    if kind == "run":
        bits[start:stop] = True
    elif kind == "bytes":
        bits[start // 8 * 8 : -(-stop // 8) * 8] = True
    elif kind == "some":
        bits[:] = rng.random(n_bits) < 0.3
    return bits
