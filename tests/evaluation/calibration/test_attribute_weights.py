"""Weights of attribute bits against every pair of pictures, and what they are worth."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits
from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation import evaluate_afr
from bitreid.evaluation.calibration.attribute_weights import difference_rates, fit_attribute_weights
from tests.reference import attribute_weights as twin

Ints = npt.NDArray[np.int64]
PEOPLE = st.sampled_from([1, 2, 3, DISTRACTOR, JUNK, UNKNOWN])
PICTURES = st.lists(
    st.tuples(PEOPLE, st.sampled_from([1, 2, UNKNOWN]), st.lists(st.booleans(), min_size=5, max_size=5)),
    min_size=4,
    max_size=16,
)


def ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


@given(PICTURES, st.integers(1, 5), st.sampled_from([1, 3, 15]))
def test_weights_are_those_of_every_pair(
    pictures: list[tuple[int, int, list[bool]]], n_bits: int, largest: int
) -> None:
    pids, camids, bits = map(list, zip(*pictures, strict=True))
    one, two = twin.pairs(pids, camids)
    assume(one and two)
    codes = pack_bits(np.array(bits))
    least = 0.5 / min(len(one), len(two))
    for rates, of in zip(difference_rates(codes, n_bits, ints(pids), ints(camids)), (one, two), strict=True):
        assert rates.tolist() == pytest.approx([twin.rate(bits, bit, of, least) for bit in range(n_bits)])
    found = fit_attribute_weights(codes, n_bits, ints(pids), ints(camids), largest)
    wanted = twin.weights([row[:n_bits] for row in bits], pids, camids, largest)
    assert all(type(weight) is int for weight in found)
    # Rounded, so at most half away, whichever way a half goes.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.5 + 1e-6)


def seen(truth: npt.NDArray[np.bool_], wrong: npt.NDArray[np.float64], rng: np.random.Generator) -> Codes:
    """The codes of pictures whose bits are each told wrong so often."""
    return pack_bits(truth ^ (rng.random(truth.shape) < wrong))


def test_reliable_bits_weigh_more_and_help_with_other_people() -> None:
    """Weights of 60 people, used on 60 others: half of the bits are told wrong in 3 % of the pictures, half in 35 %."""
    rng = np.random.default_rng(0)
    wrong = np.where(np.arange(16) % 2, 0.35, 0.03)
    pids, camids = np.repeat(np.arange(1, 61), 4), np.tile([1, 1, 2, 2], 60)
    known, others = (np.repeat(rng.random((60, 16)) < 0.5, 4, axis=0) for _ in range(2))
    weights = fit_attribute_weights(seen(known, wrong, rng), 16, pids, camids)
    assert max(weights) == 15
    assert min(weights[::2]) > 1.5 * max(weights[1::2])
    codes = seen(others, wrong, rng)
    people = (pids, camids, pids, camids)
    plain, weighted = (
        evaluate_afr(codes, codes, codes, codes, *people, [12], short_weights=each)[0].kept for each in (None, weights)
    )
    assert weighted > plain + 0.1


def test_a_bit_that_says_nothing_weighs_nothing() -> None:
    """Bits: the person, the camera, always 0, always 1; with more pairs of one person than of two."""
    pids, camids = ints([1, 1, 1, 1, 2]), ints([1, 2, 3, 4, 5])
    bits = np.stack([pids == 2, camids % 2 == 1, pids == 0, pids > 0], axis=1)
    genuine, impostor = difference_rates(pack_bits(bits), 4, pids, camids)
    assert genuine[2:].tolist() == impostor[2:].tolist()
    assert fit_attribute_weights(pack_bits(bits), 4, pids, camids) == (15, 0, 0, 0)


def test_where_no_bit_tells_people_apart_all_weigh_alike() -> None:
    pids, camids = ints([1, 1, 2, 2]), ints([1, 2, 1, 2])
    by_camera = pack_bits(np.array([[True] * 3, [False] * 3] * 2))
    assert fit_attribute_weights(by_camera, 3, pids, camids) == (1, 1, 1)


def test_an_unknown_camera_is_no_others_equal() -> None:
    bits = pack_bits(np.eye(3, 8, dtype=np.bool_))
    genuine, _ = difference_rates(bits, 3, ints([1, 1, 2]), np.full(3, UNKNOWN))
    assert genuine.tolist() == [0.5, 0.5, 0.5], "one pair of one person, too few to say more than half"
    with pytest.raises(DataError, match="got 0 and 2"):
        difference_rates(bits, 3, ints([1, 1, 2]), np.full(3, 7))


@pytest.mark.parametrize(
    "pids", [[], [1], [1, 1, 1], [1, 2, 3], [DISTRACTOR] * 3, [JUNK, 1, 1], [UNKNOWN, 1, 1], [DISTRACTOR, 1, 2]]
)
def test_both_kinds_of_pairs_are_needed(pids: list[int]) -> None:
    codes = pack_bits(np.ones((len(pids), 8), np.bool_))
    with pytest.raises(DataError, match="pairs of pictures of one person by two cameras"):
        fit_attribute_weights(codes, 8, ints(pids), np.arange(len(pids)))


def test_impossible_arguments_are_refused() -> None:
    pids, codes = ints([1, 1, 2]), pack_bits(np.ones((3, 8), np.bool_))
    for n_bits in (0, 9):
        with pytest.raises(CodesError, match=f"expected 1 to 8 bits of the codes, got {n_bits}"):
            fit_attribute_weights(codes, n_bits, pids, pids)
    with pytest.raises(DataError, match="each of 3 codes, got 2 and 3"):
        fit_attribute_weights(codes, 8, pids[:2], pids)
    with pytest.raises(SettingsError, match="largest weight of at least 1, got 0"):
        fit_attribute_weights(codes, 8, pids, pids, largest=0)
