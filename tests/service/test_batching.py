"""Work is done together as it comes in, by key, and nobody's fault is another's."""

import asyncio
import threading
from collections.abc import Hashable, Sequence

import pytest

from bitreid.service.batching import Batcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Work:
    """Doubles numbers; holds on to its first batch of each key until it is told to go on."""

    def __init__(self) -> None:
        self.batches: list[tuple[Hashable, list[int]]] = []
        self.goes_on = threading.Event()

    def __call__(self, key: Hashable, given: Sequence[int]) -> list[int]:
        self.batches.append((key, list(given)))
        assert self.goes_on.wait(30)
        if -1 in given:
            raise ValueError("expected no -1")
        return [2 * each for each in given]


async def test_what_comes_in_meanwhile_is_the_next_batch() -> None:
    work = Work()
    batcher = Batcher(work, lambda _: 1, most=3)
    tasks = [asyncio.create_task(batcher.do("a", i)) for i in range(6)]
    await asyncio.sleep(0.05)
    assert work.batches == [("a", [0, 1, 2])]
    later = asyncio.create_task(batcher.do("a", 6))
    work.goes_on.set()
    assert await asyncio.gather(*tasks, later) == [0, 2, 4, 6, 8, 10, 12]
    assert work.batches == [("a", [0, 1, 2]), ("a", [3, 4, 5]), ("a", [6])]
    assert await batcher.do("a", 9) == 18
    batcher.close()


async def test_keys_run_beside_each_other_and_a_large_one_alone() -> None:
    work = Work()
    batcher = Batcher(work, lambda size: size, most=10, n_threads=2)
    tasks = [asyncio.create_task(batcher.do(key, size)) for key, size in (("a", 50), ("b", 1), ("a", 4), ("a", 7))]
    await asyncio.sleep(0.05)
    assert sorted(work.batches) == [("a", [50]), ("b", [1])]
    work.goes_on.set()
    assert await asyncio.gather(*tasks) == [100, 2, 8, 14]
    assert [batch for key, batch in work.batches if key == "a"] == [[50], [4], [7]]
    batcher.close()


async def test_an_error_is_that_of_its_batch_alone_and_who_went_away_is_left_out() -> None:
    work = Work()
    batcher = Batcher(work, lambda _: 1, most=1)
    first, wrong, gone, last = (asyncio.create_task(batcher.do("a", each)) for each in (1, -1, 5, 3))
    await asyncio.sleep(0.05)
    gone.cancel()
    work.goes_on.set()
    assert await first == 2
    with pytest.raises(ValueError, match="no -1"):
        await wrong
    assert await last == 6
    assert [batch for _, batch in work.batches] == [[1], [-1], [3]]
    batcher.close()


async def test_a_batch_is_answered_before_the_next_begins() -> None:
    said: list[str] = []

    def work(key: Hashable, given: Sequence[int]) -> Sequence[int]:
        said.append(f"work {given}")
        return given

    async def ask(i: int) -> None:
        said.append(f"answer {await batcher.do('a', i)}")

    batcher = Batcher(work, lambda _: 1, most=2)
    await asyncio.gather(*map(ask, range(4)))
    assert said == ["work [0, 1]", "answer 0", "answer 1", "work [2, 3]", "answer 2", "answer 3"]
    batcher.close()
