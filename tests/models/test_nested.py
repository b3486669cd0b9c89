"""Nested codes: where their bits come from, and that a part's bits know of that part only."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Part, nested_lengths
from bitreid.errors import SettingsError
from bitreid.models.nested import SUMMARY, NestedMap, nested_layout
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


def test_the_summary_and_six_stripes_take_turns_in_blocks_of_128_bits() -> None:
    runs = nested_layout(2048, 6)
    assert runs[0] == Part("summary", 0, SUMMARY.stop + 8)
    for start in range(128, 2048, 128):
        block = ["summary", "global", *(f"stripe{i}" for i in range(1, 7))]
        inside = [len([bit for bit in bits_of(runs, name) if start <= bit < start + 128]) for name in block]
        assert inside == [64, 16, *[8] * 6]


@given(st.sampled_from(range(256, 2049, 32)), st.integers(0, 12))
def test_runs_cover_all_bits_and_every_prefix_has_each_parts_share(n_bits: int, n_parts: int) -> None:
    rest = n_bits - 128
    try:
        parts = code_layout(rest // 64 * 32, n_parts)
    except SettingsError:
        return  # too short for so many stripes
    runs = nested_layout(n_bits, n_parts)
    assert [run.start for run in runs] == [0, *(run.stop for run in runs[:-1])]
    assert runs[-1].stop == n_bits
    assert all(one.name != other.name for one, other in pairwise(runs))
    for part in (*parts, Part("summary", 0, rest - parts[-1].stop)):
        mine = np.isin(np.arange(128, n_bits), bits_of(runs, part.name))
        assert mine.sum() == part.n_bits
        behind = np.cumsum(mine) - part.n_bits / rest * np.arange(1, rest + 1)
        assert np.abs(behind).max() <= 8 * (len(parts) + 1)


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
        torch.testing.assert_close(found[:, bits_of(nested.runs, "summary")], nested.summary(nested.directions(values)))
        for part, linear in zip(layout, nested.linears, strict=True):
            expected = linear(values[:, part.start : part.stop])
            torch.testing.assert_close(found[:, bits_of(nested.runs, part.name)], expected)


def test_a_part_alone_decides_its_bits() -> None:
    nested, layout = random_map(512, 6), code_layout(512, 6)
    values = torch.randn(2, 512)
    changed = values.clone()
    changed[:, layout[3].start : layout[3].stop] += 1
    with torch.no_grad():
        moved = (nested(values) != nested(changed)).any(0).nonzero().flatten().tolist()
    assert set(moved) == {*bits_of(nested.runs, "summary"), *bits_of(nested.runs, "stripe3")}
