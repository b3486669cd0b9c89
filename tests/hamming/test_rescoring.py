"""Short lists in the order of the query's float features against the gallery's bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import pack, pack_bits, unpack
from bitreid.errors import CodesError, SettingsError
from bitreid.hamming import (
    Ranking,
    asymmetric_distances_at,
    distances_at,
    kernel,
    rescore,
    rounded,
    search_exact,
)
from tests.hamming.cases import SMALL, Case, cases, random_codes, using
from tests.reference import search as twin

LARGE = cases(
    st.integers(1, 3000), st.sampled_from([0, 1, 2, 5]), st.integers(1, 70) | st.sampled_from([8, 64, 256, 1100])
)


def everything(case: Case, n_queries: int) -> Ranking:
    """All rows as a short list, in an order of no meaning."""
    rows = np.tile(case.rng.permutation(len(case.gallery)), (n_queries, 1))
    return Ranking(rows, distances_at(case.queries, case.gallery, rows))


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 15))
def test_the_order_is_that_of_scoring_each_row_by_itself(case: Case, k: int) -> None:
    n_queries, n_bits = len(case.queries), case.queries.n_bits
    features = case.rng.normal(size=(n_queries, n_bits))
    features[case.rng.random(features.shape) < 0.2] = 0
    ids = np.arange(len(case.gallery)) if case.ids is None else case.ids
    found = rescore(features, case.gallery, everything(case, n_queries), k, case.ids, bits=case.bits)
    bits, values = unpack(case.gallery), rounded(features).tolist()
    for i, rows in enumerate(found.positions.tolist()):
        assert rows == twin.rescored(values[i], bits, range(len(bits)), ids.tolist(), k, case.bits)
    hamming = distances_at(case.queries, case.gallery, found.positions)
    np.testing.assert_array_equal(found.distances, hamming, err_msg="a row keeps its Hamming distance")


@pytest.mark.usefixtures("path")
@given(SMALL)
def test_the_order_is_that_of_the_inner_product(case: Case) -> None:
    """What the paper's readers expect: the sum of values where bits are 1, less that where they are 0."""
    features = case.rng.normal(size=(len(case.queries), case.queries.n_bits)).astype(np.float32)
    short_list = everything(case, len(case.queries))
    distances = asymmetric_distances_at(rounded(features), case.gallery, short_list.positions)
    scores = rounded(features).astype(np.int64) @ (2 * unpack(case.gallery).astype(np.int64) - 1).T
    of_rows = np.take_along_axis(scores, short_list.positions, axis=1)
    size = np.abs(rounded(features).astype(np.int64)).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(size - 2 * distances.astype(np.int64), of_rows)


@pytest.mark.usefixtures("path")
@given(SMALL, st.integers(1, 12))
def test_values_of_one_size_give_the_hamming_search(case: Case, k: int) -> None:
    features = unpack(case.queries) * 2.0 - 1
    settings: dict[str, Any] = {"bits": case.bits}
    found = rescore(features, case.gallery, everything(case, len(case.queries)), k, case.ids, **settings)
    plain = search_exact(case.queries, case.gallery, k, case.ids, **settings)
    np.testing.assert_array_equal(found.positions, plain.positions)


@given(LARGE)
def test_every_path_finds_the_same(case: Case) -> None:
    shape = len(case.queries), case.queries.n_bits
    values = case.rng.integers(-128, 128, shape, dtype=np.int8) >> case.rng.integers(0, 8, (*shape[:1], 1))
    values = np.where(case.rng.random((shape[0], 1)) < 0.1, -128, values).astype(np.int8)
    rows = case.rng.integers(0, len(case.gallery), (shape[0], 50))
    with using(kernel.NUMPY):
        wanted = asymmetric_distances_at(values, case.gallery, rows)
    for path in kernel.available_paths():
        with using(path):
            found = asymmetric_distances_at(values, case.gallery, rows, n_threads=case.n_threads)
        np.testing.assert_array_equal(found, wanted, err_msg=path)
        assert found.dtype == wanted.dtype == np.int32


@pytest.mark.parametrize("path", kernel.available_paths())
def test_the_longest_codes_and_largest_values_are_exact(path: str) -> None:
    codes = pack_bits(np.array([[False] * 80_000, [True] * 80_000]))
    values = np.array([[-128] * 80_000, [127] * 80_000], np.int8)
    with using(path):
        found = asymmetric_distances_at(values, codes, np.array([[0, 1], [0, 1]]))
    assert found.tolist() == [[0, 128 * 80_000], [127 * 80_000, 0]]


def test_features_are_rounded_by_the_largest_of_each_query() -> None:
    features = np.array([[1.5e-40, -2e-40, 0], [3e38, 1e38, -3e38], [0, 0, 0]], np.float32)
    assert rounded(features).tolist() == [[95, -127, 0], [127, 42, -127], [0, 0, 0]]
    half = np.array([[1, -0.25]], np.float16)
    assert rounded(half).tolist() == [[127, -32]]
    assert rounded(np.zeros((0, 8))).shape == (0, 8)
    assert (pack(rounded(np.array([[0.6, -0.7] * 4])).astype(np.float32)).packed == 0b1010_1010).all()


def test_what_does_not_fit_is_refused() -> None:
    codes = random_codes(np.random.default_rng(0), 3, 16)
    short_list = search_exact(codes, codes, 2)
    features = np.ones((3, 16))
    for careless in (np.full((3, 16), np.nan), np.ones((3, 16), np.int64), np.ones(16)):
        loose: Any = careless
        with pytest.raises(CodesError, match=r"finite features of shape \(n, d\) float"):
            rescore(loose, codes, short_list, 1)
    with pytest.raises(
        CodesError, match=r"values of shape \(n_queries, 16\) int8, one a bit of the codes, got \(3, 8\)"
    ):
        rescore(features[:, :8], codes, short_list, 1)
    with pytest.raises(CodesError, match=r"positions of shape \(2, m\), whole numbers, got \(3, 2\)"):
        rescore(features[:2], codes, short_list, 1)
    with pytest.raises(CodesError, match="positions from 0 up to the 2 rows"):
        asymmetric_distances_at(rounded(features), codes[:2], np.full((3, 1), 2))
    with pytest.raises(CodesError, match=r"ids of shape \(3,\) int64"):
        rescore(features, codes, short_list, 1, np.arange(2))
    with pytest.raises(SettingsError, match="expected k"):
        rescore(features, codes, short_list, 0)
    native = kernel.native()
    if native:
        with pytest.raises(ValueError, match="expected a value for each bit"):
            native.asymmetric_at(np.ones((3, 8), np.int8), codes.packed, short_list.positions, 1)
