"""The tie formulas against the drawing of every place, one after another."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from bitreid.evaluation import ties

# (before, size, matches_before, matches), the last with a tie that fills its gallery
GROUPS = [(0, 1, 0, 1), (3, 1, 2, 1), (0, 5, 0, 1), (2, 6, 1, 3), (7, 4, 0, 4), (0, 9, 0, 2)]


def places(size: int, matches: int) -> list[tuple[int, ...]]:
    """Every choice of places in the group, counted from 1, that the matches may have."""
    return list(combinations(range(1, size + 1), matches))


def arrays(column: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array([group[column] for group in GROUPS], np.int64)


def test_expected_precision_is_the_mean_over_places() -> None:
    found = ties.expected_precision(arrays(0), arrays(1), arrays(2), arrays(3))
    for value, (before, size, matches_before, matches) in zip(found, GROUPS, strict=True):
        every = places(size, matches)
        total = sum(
            Fraction(matches_before + i, before + place) for chosen in every for i, place in enumerate(chosen, 1)
        )
        assert value == pytest.approx(float(total / (len(every) * matches)), abs=1e-14)


def test_first_match_found_is_the_share_of_places() -> None:
    found = ties.first_match_found(arrays(0), arrays(1), arrays(3), 12)
    for values, (before, size, _, matches) in zip(found, GROUPS, strict=True):
        every = places(size, matches)
        for rank, value in enumerate(values, 1):
            assert value == pytest.approx(sum(before + min(chosen) <= rank for chosen in every) / len(every))


@pytest.mark.parametrize("at_once", [1, 2 * len(GROUPS), 2**15])
def test_expected_inverse_last_is_the_mean_over_places(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ties, "_PLACES_AT_ONCE", at_once)
    found = ties.expected_inverse_last(arrays(0), arrays(1), arrays(3))
    for value, (before, size, _, matches) in zip(found, GROUPS, strict=True):
        every = places(size, matches)
        total = sum(Fraction(1, before + max(chosen)) for chosen in every)
        assert value == pytest.approx(float(total / len(every)), abs=1e-14)


def test_one_match_in_a_huge_tie_keeps_its_last_digits() -> None:
    """Far down a large gallery, where harmonic numbers are large and their difference is small."""
    before, size = 500_000, 20_000
    wanted = float(np.mean(1 / np.arange(before + 1, before + size + 1)))
    found = ties.expected_precision(*(np.array(number) for number in (before, size, 0, 1)))
    assert float(found) == pytest.approx(wanted, rel=1e-9)
    last = ties.expected_inverse_last(*(np.array(number) for number in (before, size, 1)))
    assert float(last) == pytest.approx(wanted, rel=1e-9)


def test_the_last_match_is_the_same_however_many_places_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: the number of queries that are scored together must not show."""
    rng = np.random.default_rng(0)
    matches = rng.integers(1, 9, 50)
    size, before = matches + rng.integers(0, 300, 50), rng.integers(0, 999, 50)
    found = ties.expected_inverse_last(before, size, matches)
    monkeypatch.setattr(ties, "_PLACES_AT_ONCE", 50 * 7)
    assert (ties.expected_inverse_last(before, size, matches) == found).all()
    one_by_one = [ties.expected_inverse_last(before[[i]], size[[i]], matches[[i]]) for i in range(50)]
    assert (np.concatenate(one_by_one) == found).all()


def test_log_factorials_are_those_of_products() -> None:
    table = ties.log_factorials(20)
    product = 1
    for n in range(21):
        product *= max(n, 1)
        assert np.exp(table[n]) == pytest.approx(product)
