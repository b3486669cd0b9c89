"""Work that a thread does ahead of whoever uses what comes of it, within a limit."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(items: Iterable[Item], work: Callable[[Item], Done], limit: int) -> Generator[Done]:
    """Yield `work(item)` of each item, in order; one thread works on up to `limit` of them before they are asked for.

    The items are taken in the caller's thread. There are no more than `limit + 1` results at a time if the caller lets
    go of each before it asks for the next. An error of the work comes where its result would; what waits is dropped
    then, as it is when the generator is closed.
    """
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(1) as thread:
        try:
            for item in items:
                waiting.append(thread.submit(work, item))
                del item  # else it would be held while the next one is made
                if len(waiting) > limit:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
