"""How evaluation shares out its queries, and that neither this nor the search path shows in the scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes
from bitreid.evaluation import PROTOCOLS, evaluate_lengths, ranking
from bitreid.hamming import kernel
from tests.evaluation.cases import assert_same, random_people


@pytest.mark.parametrize("name", ["market1501", "single_shot"])
def test_the_path_of_the_search_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(9)
    queries, gallery = (Codes(rng.integers(0, 256, (n, 13), dtype=np.uint8), 104) for n in (70, 500))
    people = random_people(rng, 70, 500).arguments()
    in_use, found = kernel.path(), []
    try:
        for path in kernel.available_paths():
            kernel.use_path(path)
            found.append(evaluate_lengths(queries, gallery, *people, [8, 40, 104], protocol=PROTOCOLS[name]))
    finally:
        kernel.use_path(in_use)
    for metrics in found[:-1]:
        for n_bits, of_numpy in found[-1].items():
            assert_same(metrics[n_bits], of_numpy)


@given(st.integers(0, 5000), st.integers(1, 2000), st.integers(1, 10**6), st.integers(1, 9))
def test_chunks_are_as_many_for_each_thread(n: int, cost: int, budget: int, n_threads: int) -> None:
    chunks = list(ranking.query_chunks(n, cost, budget, n_threads))
    assert [row for chunk in chunks for row in range(chunk.start, chunk.stop)] == list(range(n))
    sizes = [chunk.stop - chunk.start for chunk in chunks]
    assert max(sizes) * cost <= max(budget, cost)
    assert len(set(sizes[:-1])) <= 1
    # A thread has at most a chunk of queries more than its share.
    assert max(sum(sizes[thread::n_threads]) for thread in range(n_threads)) <= n / n_threads + max(sizes)
