"""The layout of the code, and equal stripes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import check_layout
from bitreid.errors import SettingsError
from bitreid.models.parts import code_layout, pool_parts
from tests.reference import networks as reference

LENGTHS = range(32, 4097, 32)


def sizes(n_bits: int, n_parts: int) -> list[int]:
    return [part.n_bits for part in code_layout(n_bits, n_parts)]


@pytest.mark.parametrize(("n_bits", "whole", "stripe"), [(2048, 512, 256), (512, 128, 64), (128, 32, 16), (32, 8, 4)])
def test_a_quarter_is_global_and_an_eighth_each_stripes(n_bits: int, whole: int, stripe: int) -> None:
    assert sizes(n_bits, 6) == [whole, *[stripe] * 6]


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_six_stripes_always_share_equally(n_bits: int) -> None:
    assert sizes(n_bits, 6) == [n_bits // 4, *[n_bits // 8] * 6]


@given(st.sampled_from(LENGTHS), st.integers(0, 24))
def test_a_layout_covers_all_bits_in_order_and_shares_them_evenly(n_bits: int, n_parts: int) -> None:
    try:
        layout = code_layout(n_bits, n_parts)
    except SettingsError:
        # Whole bytes for each stripe are too many only where the stripes cannot share equally either.
        assert n_bits * 3 // 4 < 8 * n_parts
        assert n_bits * 3 // 4 % n_parts
        return
    check_layout(layout, n_bits)
    assert [part.name for part in layout] == ["global", *(f"stripe{i}" for i in range(1, n_parts + 1))]
    assert layout[0].n_bits == (n_bits // 4 if n_parts else n_bits)
    stripes = [part.n_bits for part in layout[1:]]
    if stripes and max(stripes) != min(stripes):
        assert all(size % 8 == 0 for size in stripes)
        assert max(stripes) - min(stripes) == 8
        assert stripes == sorted(stripes, reverse=True)


def test_stripes_that_cannot_be_equal_are_whole_bytes() -> None:
    assert sizes(2048, 5) == [512, 312, 312, 304, 304, 304]
    assert sizes(128, 7) == [32, 16, 16, 16, 16, 16, 8, 8]


def test_without_stripes_all_bits_are_global() -> None:
    assert sizes(2048, 0) == [2048]


@pytest.mark.parametrize("n_bits", [0, -32, 16, 40, 100, 4128, 8192])
def test_other_lengths_are_refused(n_bits: int) -> None:
    with pytest.raises(SettingsError, match=f"multiple of 32 from 32 to 4096, got {n_bits}"):
        code_layout(n_bits, 6)


def test_too_few_bits_for_the_stripes_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least 8 bits for each of 5 stripes, got 24 bits"):
        code_layout(32, 5)


@given(st.integers(0, 5), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32))
def test_parts_equal_naive_slices(n_parts: int, rows: int, width: int, seed: int) -> None:
    height = rows * max(n_parts, 1)
    x = torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = pool_parts(x, n_parts)
    assert len(found) == 1 + n_parts
    for i in range(2):
        feature_map = x[i].numpy()
        stripes = reference.stripes(feature_map, n_parts) if n_parts else []
        expected = [*reference.stripes(feature_map, 1), *stripes]
        np.testing.assert_allclose(torch.stack(found)[:, i].numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("height", "n_parts"), [(5, 6), (7, 6), (23, 6), (24, 5), (1, 2)])
def test_a_map_that_stripes_cannot_cut_equally_is_refused(height: int, n_parts: int) -> None:
    with pytest.raises(SettingsError, match=rf"a multiple of {n_parts} \(equal stripes\), got {height};"):
        pool_parts(torch.zeros(1, 2, height, 3), n_parts)


@pytest.mark.parametrize("height", [1, 5, 23])
def test_without_stripes_every_map_serves(height: int) -> None:
    assert len(pool_parts(torch.zeros(1, 2, height, 3), 0)) == 1
