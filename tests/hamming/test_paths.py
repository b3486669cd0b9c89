"""Every path of the kernel against the numpy twin, bit by bit."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes
from bitreid.hamming import (
    assign,
    count_nearer_prefixes,
    distance_blocks,
    distances_at,
    kernel,
    prefix_distance_blocks,
    search_clustered,
    search_exact,
    search_range,
    search_range_clustered,
    search_two_stage,
)
from tests.hamming.cases import Case, any_clusters, cases, random_codes, using

Arrays = list[npt.NDArray[Any]]

# Galleries of 8,192 rows and more are shared out among threads.
LARGE = cases(
    st.integers(0, 3000) | st.sampled_from([8192, 13_000]),
    st.sampled_from([0, 1, 2, 3, 4, 5, 17, 70]),
    st.integers(1, 70) | st.sampled_from([8, 32, 64, 256, 300]),
)
TIES = st.sampled_from(["cut", "keep"])


def assert_all_paths_agree(answer: Callable[[], Arrays]) -> None:
    """Whatever searches, the same arrays come."""
    with using(kernel.NUMPY):
        wanted = answer()
    for path in kernel.available_paths():
        with using(path):
            found = answer()
        for array, twins in zip(found, wanted, strict=True):
            assert array.dtype == twins.dtype
            np.testing.assert_array_equal(array, twins, err_msg=path)


@given(LARGE, st.integers(1, 3000))
def test_exact_and_range_search(case: Case, k: int) -> None:
    masks: dict[str, Any] = {"bits": case.bits, "rows": case.rows}

    def answer() -> Arrays:
        asked = (case.queries, case.gallery)
        ranking = search_exact(*asked, k, case.ids, **masks, n_threads=case.n_threads)
        middle = int(np.median(ranking.distances)) if ranking.distances.size else 4
        matches = search_range(*asked, middle, case.ids, **masks, n_threads=case.n_threads)
        return [ranking.positions, ranking.distances, matches.offsets, matches.positions, matches.distances]

    assert_all_paths_agree(answer)


@given(LARGE, st.integers(1, 3000), st.integers(1, 300), TIES, st.none() | st.booleans())
def test_two_stage_search(case: Case, w: int, k: int, ties: Literal["cut", "keep"], sweep: bool | None) -> None:
    def answer() -> Arrays:
        ranking = search_two_stage(
            *(case.short_queries, case.queries, case.short_gallery, case.gallery, w, k, case.ids),
            bits=case.bits,
            rows=case.rows,
            ties=ties,
            sweep=sweep,
            n_threads=case.n_threads,
        )
        return [ranking.positions, ranking.distances]

    assert_all_paths_agree(answer)


@given(LARGE, st.integers(1, 80), st.integers(1, 80), st.integers(1, 500))
def test_clusters(case: Case, n_lists: int, n_visited: int, k: int) -> None:
    clusters = any_clusters(case, n_lists)
    order = case.rng.permutation(len(case.gallery))
    asked: dict[str, Any] = {"n_lists": n_visited, "bits": case.bits, "rows": case.rows, "n_threads": case.n_threads}

    def answer() -> Arrays:
        sides = (case.queries, case.gallery, clusters)
        ranking = search_clustered(*sides, k, case.ids, **asked)
        middle = int(np.median(ranking.distances)) if ranking.distances.size else 4
        matches = search_range_clustered(*sides, middle, case.ids, **asked)
        found = [ranking.positions, ranking.distances, ranking.n_visited]
        found += [matches.offsets, matches.positions, matches.distances, matches.n_visited]
        if len(clusters):
            found += assign(case.gallery, clusters.centres, n_threads=case.n_threads)
        return [*found, kernel.engine().majorities(case.gallery.packed, order, clusters.offsets, case.n_threads)]

    assert_all_paths_agree(answer)


@given(LARGE, st.integers(1, 4))
def test_distances_and_counts(case: Case, n_lengths: int) -> None:
    n_bytes, n_queries = case.queries.n_bits // 8, len(case.queries)
    lengths = sorted({8 * int(length) for length in case.rng.integers(1, n_bytes + 1, n_lengths)})
    thresholds = case.rng.integers(-1, case.queries.n_bits + 3, (len(lengths), n_queries, 7), dtype=np.int32)
    positions = case.rng.integers(0, max(len(case.gallery), 1), (n_queries, 9 * (len(case.gallery) > 0)))

    def answer() -> Arrays:
        asked, threads = (case.queries, case.gallery), case.n_threads
        return [
            *count_nearer_prefixes(*asked, lengths, thresholds, bits=case.bits, rows=case.rows, n_threads=threads),
            *(distances for _, distances in distance_blocks(*asked, n_threads=threads)),
            *(distances for _, distances in prefix_distance_blocks(*asked, lengths, n_threads=threads)),
            distances_at(*asked, positions, n_threads=threads),
        ]

    assert_all_paths_agree(answer)


# A power of two: whatever rows a sample at even distances takes, they are among each 32nd row.
N_ROWS = 2**15
SAMPLED = np.arange(N_ROWS) % 32 == 0


def arranged(order: str) -> tuple[Codes, npt.NDArray[np.bool_] | None]:
    """A large gallery, in an order in which a sample may tell much or nothing of its distances to a query of zeros."""
    rng = np.random.default_rng(0)
    gallery = random_codes(rng, N_ROWS, 16, 0.4)
    ones = np.bitwise_count(gallery.packed).sum(axis=1)
    ascending = np.argsort(ones, kind="stable")
    if order == "constant":
        return gallery[np.zeros(N_ROWS, np.intp)], None
    if order in ("ascending", "descending"):
        return gallery[ascending if order == "ascending" else ascending[::-1]], None
    if order in ("near ones sampled", "far ones sampled"):
        places = np.argsort(~SAMPLED if order.startswith("near") else SAMPLED, kind="stable")
        rows = np.empty(N_ROWS, np.intp)
        rows[places] = ascending
        return gallery[rows], None
    masks = {"half masked": rng.random(N_ROWS) < 0.5, "sample masked": ~SAMPLED, "far ones masked": ones < 6}
    masks["all but the sample masked"] = SAMPLED | (np.arange(N_ROWS) < 3000)
    return gallery, masks.get(order)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize(
    "order",
    [
        *("random", "constant", "ascending", "descending", "near ones sampled", "far ones sampled"),
        *("half masked", "sample masked", "far ones masked", "all but the sample masked"),
    ],
)
def test_large_short_lists_are_exact_whatever_a_sample_says(order: str, with_ids: bool, n_threads: int) -> None:
    gallery, rows = arranged(order)
    ids = np.random.default_rng(1).integers(0, 100, N_ROWS) if with_ids else None
    queries = Codes(np.array([[0, 0], [255, 3]], np.uint8), 16)

    def answer() -> Arrays:
        asked: dict[str, Any] = {"rows": rows, "n_threads": n_threads}
        rankings = [search_exact(queries, gallery, k, ids, **asked) for k in (600, 2048)]
        codes = (queries, queries.prefix(8), gallery, gallery.prefix(8))
        for ties in ("cut", "keep"):
            rankings.append(search_two_stage(*codes, 2048, 50, ids, ties=ties, **asked))
        return [array for ranking in rankings for array in (ranking.positions, ranking.distances)]

    assert_all_paths_agree(answer)


@pytest.mark.parametrize("path", kernel.available_paths())
def test_searches_at_the_same_time_do_not_mix(path: str) -> None:
    rng = np.random.default_rng(0)
    gallery, queries = random_codes(rng, 9000, 64), random_codes(rng, 12, 64)

    def answer(i: int) -> tuple[Any, Any]:
        ranking = search_two_stage(*(queries[i : i + 1].prefix(16), queries[i : i + 1]), short, gallery, 50 + i, 20)
        return ranking.positions.tolist(), search_exact(queries[: i + 1], gallery, 9, n_threads=2).positions.tolist()

    short = gallery.prefix(16)
    with using(path), ThreadPoolExecutor(8) as pool:
        alone = [answer(i) for i in range(len(queries))]
        assert list(pool.map(answer, [*range(len(queries))] * 3)) == alone * 3


def test_other_threads_go_on_while_the_kernel_searches() -> None:
    """Python's threads are never made to take turns here: another one goes on only if the kernel lets it."""
    codes = random_codes(np.random.default_rng(0), 20_000, 256).packed
    few, threshold = codes[:16], np.zeros((1, 16, 1), np.int64)
    calls: dict[str, tuple[Any, ...]] = {
        "search": (few, codes, 9, None, None, None, 1),
        "two_stage": (few, codes, few, codes, None, 9999, 9, False, False, None, None, 1),
        "range": (few, codes, 30, None, None, None, 1),
        "count": (few, codes, [32], threshold, None, None, 1),
        "distances": (few, codes, 1),
        "assign": (codes, few, 1),
        "majorities": (codes, np.arange(20_000), np.array([0, 20_000]), 1),
        "search_lists": (few, codes, few[:1], np.array([0, 20_000]), 1, 9, None, None, None, 1),
        "range_lists": (few, codes, few[:1], np.array([0, 20_000]), 1, 30, None, None, None, 1),
        "asymmetric_at": (np.ones((16, 256), np.int8), codes, np.tile(np.arange(20_000), (16, 1)), 1),
    }
    assert not goes_on(sum, (range(20_000),)), "what keeps Python's lock should stop other threads"
    for path in kernel.available_paths():
        with using(path):
            native = kernel.native()
            stuck = [name for name, call in calls.items() if native and not goes_on(getattr(native, name), call)]
        assert not stuck, path


def goes_on(function: Callable[..., object], arguments: tuple[Any, ...]) -> bool:
    """Whether another thread gets its turn during one of many calls."""
    turns, stop = [0], threading.Event()

    def take_turns() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0.001)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    other = threading.Thread(target=take_turns)
    try:
        other.start()
        for _ in range(300):
            before = turns[0]
            function(*arguments)
            if turns[0] > before:
                return True
        return False
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        other.join()
