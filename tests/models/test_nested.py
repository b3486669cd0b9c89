"""Nested codes: where their bits come from, and that a part's bits know of that part only."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bitreid.codes import Part, nested_lengths
from bitreid.errors import SettingsError
from bitreid.models.nested import LEARNED, SUMMARY, NestedMap, nested_layout
from bitreid.models.parts import code_layout


def bits_of(runs: tuple[Part, ...], name: str) -> list[int]:
    return [bit for run in runs if run.name == name for bit in range(run.start, run.stop)]


def random_map(n_bits: int, n_parts: int) -> NestedMap:
    torch.manual_seed(0)
    return NestedMap(code_layout(n_bits, n_parts), n_parts)


def test_the_lengths_are_powers_of_two_and_the_whole() -> None:
    assert nested_lengths(2048) == (32, 64, 128, 256, 512, 1024, 2048)
    assert nested_lengths(1536) == (32, 64, 128, 256, 512, 1024, 1536)
    assert nested_lengths(256) == (32, 64, 128, 256)


def test_six_stripes_take_turns_in_blocks_of_64_bits() -> None:
    runs = nested_layout(2048, 6)
    assert runs[0] == SUMMARY == Part("summary", 0, 128)
    for start in range(128, 2048, 64):
        block = ["global", *(f"stripe{i}" for i in range(1, 7))]
        inside = [len([bit for bit in bits_of(runs, name) if start <= bit < start + 64]) for name in block]
        assert inside == [16, *[8] * 6]


@given(st.sampled_from(range(256, 2049, 32)), st.integers(0, 12))
def test_runs_cover_all_bits_and_every_prefix_has_each_parts_share(n_bits: int, n_parts: int) -> None:
    try:
        parts = code_layout(n_bits - 128, n_parts)
    except SettingsError:
        return  # too short for so many stripes
    runs = nested_layout(n_bits, n_parts)
    assert [run.start for run in runs] == [0, *(run.stop for run in runs[:-1])]
    assert runs[-1].stop == n_bits
    assert all(one.name != other.name for one, other in pairwise(runs))
    for part in parts:
        mine = np.isin(np.arange(n_bits), bits_of(runs, part.name))
        assert mine.sum() == part.n_bits
        share = part.n_bits / (n_bits - 128)
        behind = np.cumsum(mine[128:]) - share * np.arange(1, n_bits - 127)
        assert np.abs(behind).max() <= 8 * len(parts)


@pytest.mark.parametrize("n_bits", [32, 128, 224])
def test_short_codes_cannot_be_nested(n_bits: int) -> None:
    with pytest.raises(SettingsError, match=f"256 or more for a nested code, got {n_bits}"):
        nested_layout(n_bits, 6)


@pytest.mark.parametrize(("n_bits", "n_parts"), [(256, 0), (512, 6), (1024, 3), (2048, 6)])
def test_each_bit_is_what_its_part_says(n_bits: int, n_parts: int) -> None:
    """Against a slow twin, bit by bit."""
    nested, layout = random_map(n_bits, n_parts), code_layout(n_bits, n_parts)
    values = torch.randn(3, n_bits)
    with torch.no_grad():
        found = nested(values)
        torch.testing.assert_close(found[:, :128], nested.summary(values))
        for part, linear in zip(layout, nested.linears, strict=True):
            own = values[:, part.start : part.stop]
            expected = torch.cat([linear(own), own], dim=1)
            bits = bits_of(nested.runs, part.name)
            torch.testing.assert_close(found[:, bits], expected[:, : len(bits)])
            assert sum(bit < LEARNED for bit in bits) == linear.out_features


def test_a_part_alone_decides_its_bits() -> None:
    nested, layout = random_map(512, 6), code_layout(512, 6)
    values = torch.randn(2, 512)
    changed = values.clone()
    changed[:, layout[3].start : layout[3].stop] += 1
    with torch.no_grad():
        moved = (nested(values) != nested(changed)).any(0).nonzero().flatten().tolist()
    assert set(moved) == {*range(128), *bits_of(nested.runs, "stripe3")}


@given(st.integers(0, 2**32))
def test_a_batch_norm_becomes_part_of_the_map(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    nested, norm = random_map(512, 6), nn.BatchNorm1d(512)
    for value in (norm.weight, norm.bias, norm.running_mean):
        assert value is not None
        value.data = torch.randn(512, generator=generator)
    assert norm.running_var is not None
    norm.running_var.data = torch.rand(512, generator=generator) + 0.1
    values = torch.randn(4, 512, generator=generator)
    with torch.no_grad():
        expected = norm.eval()(nested.learned(values))
        nested.absorb(norm)
        torch.testing.assert_close(nested.learned(values), expected, rtol=1e-3, atol=1e-4)


def test_the_learned_bits_are_the_first_ones() -> None:
    nested = random_map(1024, 6)
    values = torch.randn(2, 1024)
    with torch.no_grad():
        assert torch.equal(nested.learned(values), nested(values)[:, :512])
