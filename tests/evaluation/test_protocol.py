"""Which rows count under each protocol, row by row."""

import numpy as np
import pytest
from hypothesis import given

from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import PROTOCOLS, ProtocolSettings, evaluate_ranking
from bitreid.evaluation.protocol import Protocol
from tests.evaluation.cases import People, codes_of, small_people, verdicts
from tests.reference import ranking as twin


@given(small_people())
def test_masks_are_the_verdicts_on_each_row(people: People) -> None:
    match, left_out = Protocol(*people.arguments()).masks(slice(None))
    for i, verdict in enumerate(verdicts(people)):
        assert match[i].tolist() == [each == twin.RIGHT for each in verdict]
        assert left_out[i].tolist() == [each == twin.OUT for each in verdict]


@given(small_people())
def test_relatives_are_the_masks_without_those_whom_all_leave_out(people: People) -> None:
    labels = Protocol(*people.arguments())
    match, left_out = labels.masks(slice(None))
    relatives = labels.relatives(slice(None))
    for i, rows in enumerate(relatives.rows):
        assert set(rows[relatives.match[i]]) == set(np.flatnonzero(match[i]))
        assert set(rows[relatives.left_out[i]]) == set(np.flatnonzero(left_out[i] & ~labels.never_ranked))
    assert not (relatives.match & relatives.left_out).any()
    some = labels.relatives(slice(1, 3))
    np.testing.assert_array_equal(some.rows, relatives.rows[1:3])


def test_people_junk_distractors_and_the_unknown() -> None:
    """The query is person 7 on camera 1; an unknown camera is no camera's equal."""
    pids, camids = np.array([7, 7, 7, 8, 0, -1, -2]), np.array([2, 1, -2, 2, 2, 2, 2])
    match, left_out = Protocol(np.array([7]), np.array([1]), pids, camids).masks(slice(None))
    assert np.flatnonzero(match[0]).tolist() == [0, 2]
    assert np.flatnonzero(left_out[0]).tolist() == [1, 5, 6]


@pytest.mark.parametrize("pid", [-2, -1, 0])
def test_only_real_people_have_matches(pid: int) -> None:
    match, left_out = Protocol(np.array([pid]), np.array([1]), np.array([pid, 3]), np.array([2, 1])).masks(slice(None))
    assert not match.any()
    assert left_out.tolist() == [[pid < 0, False]]


def test_three_data_sets_have_one_rule() -> None:
    assert PROTOCOLS["market1501"] == PROTOCOLS["cuhk03_np"] == PROTOCOLS["msmt17"] == ProtocolSettings()


def test_without_cameras_only_junk_and_the_unknown_leave() -> None:
    """The nearest row is the query's own camera's: right without cameras, left out with them."""
    pids, camids = np.array([1, 2, 1, -1, -2]), np.array([1, 1, 2, 2, 2])
    arguments = codes_of([0]), codes_of([0, 1, 3, 0, 0]), np.array([1]), np.array([1]), pids, camids
    assert evaluate_ranking(*arguments).expected.mAP == pytest.approx(1 / 2)
    without = evaluate_ranking(*arguments, protocol=PROTOCOLS["no_cameras"])
    assert without.expected.mAP == pytest.approx((1 + 2 / 3) / 2)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="single_shots and seed of at least 0, got -1 and 0"):
        ProtocolSettings(single_shots=-1)
    with pytest.raises(SettingsError, match="got 0 and -3"):
        ProtocolSettings(seed=-3)


def test_labels_of_other_numbers_of_rows_are_refused() -> None:
    one, two = np.array([1]), np.array([1, 2])
    with pytest.raises(DataError, match="a pid for each of 2 queries and 1 gallery rows, got 1 and 2"):
        Protocol(one, one, two, two).check_rows(2, 1)
    with pytest.raises(DataError, match="one pid and one camid a query picture"):
        Protocol(one, two, two, two)
