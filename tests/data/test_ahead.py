"""Work ahead of its user: in order, within its limit, and over when it is to be."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from bitreid.data.ahead import ahead


class Result:
    """What work gives, which may be counted while it is there."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize("limit", [0, 1, 2, 9])
def test_results_come_in_order(limit: int) -> None:
    assert list(ahead(range(7), lambda i: i * i, limit)) == [i * i for i in range(7)]
    assert list(ahead([], str, limit)) == []


def test_work_goes_on_while_a_result_is_used() -> None:
    """The second item is done although nobody asks for it; the fourth is not even taken."""
    done = threading.Event()
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(9):
            taken.append(i)
            yield i

    def work(i: int) -> int:
        if i == 2:
            done.set()
        return i

    coming = ahead(items(), work, 2)
    assert next(coming) == 0
    assert done.wait(20)
    assert taken == [0, 1, 2]
    coming.close()


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("n", [20, 60])
def test_no_more_results_than_the_limit_and_one(limit: int, n: int) -> None:
    there: weakref.WeakSet[Result] = weakref.WeakSet()
    most = 0

    def work(i: int) -> Result:
        nonlocal most
        result = Result(i)
        there.add(result)
        most = max(most, len(there))
        return result

    for result in ahead(range(n), work, limit):
        assert isinstance(result, Result)
        del result
    assert most <= limit + 1
    gc.collect()
    assert not there


def test_an_error_comes_where_its_result_would() -> None:
    worked = []

    def work(i: int) -> int:
        worked.append(i)
        if i == 2:
            raise ValueError("no 2")
        return i

    coming = ahead(range(100), work, 1)
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(ValueError, match="no 2"):
        next(coming)
    assert len(worked) <= 4


def test_nothing_goes_on_once_it_is_closed() -> None:
    before = threading.active_count()
    worked: list[int] = []
    coming = ahead(range(100), worked.append, 3)
    next(coming)
    coming.close()
    assert threading.active_count() == before
    assert len(worked) <= 4
