"""The kernel of `native/hamming.cpp`, built as a module. `twin` has the same functions in numpy.

Packed codes are `(n, n_bytes) uint8`, the bytes of a code one after the other. `mask`, `(n_bytes,) uint8`, keeps the
bits that count; in two stages those of the long code. `allowed` is `(n_gallery,) uint8`, 0 where a row may not be
found. Results are in (distance, id, row) order. List i of several holds the rows `offsets[i] .. offsets[i + 1]`.
`ValueError` for what would read or write out of bounds.
"""

from collections.abc import Sequence

from bitreid.arrays import Bytes, Ints, Ints8, Ints32, Words32

def paths() -> list[str]: ...
def path() -> str: ...
def use_path(name: str) -> None: ...
def search(
    queries: Bytes,
    gallery: Bytes,
    k: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints32]: ...
def two_stage(
    short_queries: Bytes,
    short_gallery: Bytes,
    queries: Bytes,
    gallery: Bytes,
    mask: Bytes | None,
    w: int,
    k: int,
    ties: bool,
    sweep: bool,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints32]: ...
def range(
    queries: Bytes,
    gallery: Bytes,
    max_distance: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints, Ints32]: ...
def count(
    queries: Bytes,
    gallery: Bytes,
    lengths: Sequence[int],
    thresholds: Ints,
    mask: Bytes | None,
    allowed: Bytes | None,
    n_threads: int,
) -> tuple[Ints, Ints]: ...
def distances(queries: Bytes, gallery: Bytes, n_threads: int) -> Words32: ...
def distances_at(queries: Bytes, gallery: Bytes, positions: Ints, n_threads: int) -> Words32: ...
def asymmetric_at(values: Ints8, gallery: Bytes, positions: Ints, n_threads: int) -> Words32: ...
def assign(rows: Bytes, centres: Bytes, n_threads: int) -> tuple[Ints, Words32]: ...
def majorities(rows: Bytes, order: Ints, offsets: Ints, n_threads: int) -> Bytes: ...
def search_lists(
    queries: Bytes,
    gallery: Bytes,
    centres: Bytes,
    offsets: Ints,
    n_visited: int,
    k: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints32, Ints]: ...
def range_lists(
    queries: Bytes,
    gallery: Bytes,
    centres: Bytes,
    offsets: Ints,
    n_visited: int,
    max_distance: int,
    mask: Bytes | None,
    allowed: Bytes | None,
    ids: Ints | None,
    n_threads: int,
) -> tuple[Ints, Ints, Ints32, Ints]: ...
