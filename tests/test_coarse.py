"""The coarse code, bit by bit, and its table."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, pack_bits, unpack
from bitreid.errors import ArtifactError, CodesError, SettingsError
from tests.reference.coarse import coarse_bits

TABLE = ((0.5, 0.01), (0.9, 0.09))


def random_codes(rng: np.random.Generator, n: int, n_bits: int) -> Codes:
    return pack_bits(rng.random((n, n_bits)) < 0.5)


@given(st.integers(0, 10_000), st.integers(0, 5), st.integers(0, 24), st.sampled_from([8, 16, 64]))
def test_codes_are_the_named_bits(seed: int, n: int, n_attribute_bits: int, n_bits: int) -> None:
    rng = np.random.default_rng(seed)
    n_attributes = int(rng.integers(0, n_bits + 1)) if n_attribute_bits else 0
    attribute_bits = rng.integers(0, max(n_attribute_bits, 1), n_attributes).tolist()
    identity_bits = rng.integers(0, 40, n_bits - n_attributes).tolist()
    coarse = CoarseCode(tuple(attribute_bits), tuple(identity_bits), TABLE)
    codes = random_codes(rng, n, 40)
    attributes = random_codes(rng, n, n_attribute_bits) if n_attribute_bits else None
    found = coarse.of(codes, attributes)
    assert found.n_bits == coarse.n_bits == n_bits
    of_attributes = [[]] * n if attributes is None else unpack(attributes).astype(int).tolist()
    rows = zip(unpack(codes).astype(int).tolist(), of_attributes, strict=True)
    expected = [coarse_bits(identity, own, identity_bits, attribute_bits) for identity, own in rows]
    assert unpack(found).astype(int).tolist() == expected


def test_a_bit_that_comes_twice_weighs_two() -> None:
    coarse = CoarseCode((0, 0, 0, 0), (1, 1, 2, 3), TABLE)
    codes = Codes(np.array([[0], [0b0100_0000], [0]], np.uint8), 8)
    attributes = Codes(np.array([[0], [0], [0b1000_0000]], np.uint8), 8)
    bits = unpack(coarse.of(codes, attributes))
    assert (bits[0] != bits[1:]).sum(axis=1).tolist() == [2, 4]


def test_codes_that_lack_bits_are_refused() -> None:
    coarse = CoarseCode((4,), (0, 1, 2, 3, 4, 5, 15), TABLE)
    codes, attributes = Codes(np.zeros((2, 2), np.uint8), 16), Codes(np.zeros((2, 1), np.uint8), 8)
    assert len(coarse.of(codes, attributes)) == 2
    with pytest.raises(CodesError, match="attribute bit 4 and identity bit 15, got 0 and 16 bits"):
        coarse.of(codes, None)
    with pytest.raises(CodesError, match="got 8 and 8 bits"):
        coarse.of(codes.prefix(8), attributes)
    assert coarse.fits(16, 5)
    assert not coarse.fits(16, 4)
    assert not coarse.fits(15, 5)


def test_impossible_coarse_codes_are_refused() -> None:
    with pytest.raises(ArtifactError, match="positive multiple of 8 bits, got 0"):
        CoarseCode((), (), TABLE)
    with pytest.raises(ArtifactError, match="positive multiple of 8 bits, got 9"):
        CoarseCode((0,), tuple(range(8)), TABLE)
    with pytest.raises(ArtifactError, match="bits of codes from 0, got a negative one"):
        CoarseCode((-1,), tuple(range(7)), TABLE)
    wrong: list[Any] = [(), ((0.5, 0.1), (0.5, 0.2)), ((0.5, 0.2), (0.9, 0.1)), ((1.0, 1.0),), ((0.5, 0.0),)]
    for table in wrong:
        with pytest.raises(ArtifactError, match="shares of matches and of the gallery that ascend between 0 and 1"):
            CoarseCode((), tuple(range(8)), table)


def test_what_to_keep_lies_between_the_shares_of_the_table() -> None:
    coarse = CoarseCode((), tuple(range(8)), TABLE)
    assert [coarse.share(recall) for recall in (0.1, 0.5, 0.7, 0.9, 0.95, 1)] == [0.01, 0.01, 0.05, 0.09, 0.545, 1]
    for recall in (0, -0.5, 1.01, float("nan")):
        with pytest.raises(SettingsError, match="share of the matches above 0 and up to 1"):
            coarse.share(recall)


def test_it_goes_through_json() -> None:
    coarse = CoarseCode((1, 1), tuple(range(6)), TABLE)
    assert CoarseCode.from_json(json.loads(json.dumps(asdict(coarse)))) == coarse
