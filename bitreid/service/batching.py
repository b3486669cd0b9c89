"""Work of several requests that is done together."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")


class Batcher(Generic[Given, Found]):
    """Does the work of concurrent callers together, in threads, as far as it has the same key.

    While one batch of a key is under way, what comes in waits and is the next batch: nobody waits for a batch to fill.
    Batches of different keys run beside each other, `n_threads` at most. Belongs to one event loop.

    `work(key, givens)` returns what was found for each, in order; what it raises, all of a batch get. So what may be
    wrong with one alone is checked before.
    """

    def __init__(
        self,
        work: Callable[[Hashable, Sequence[Given]], Sequence[Found]],
        size_of: Callable[[Given], int],
        *,
        most: int,
        n_threads: int = 1,
    ) -> None:
        self._work, self._size_of, self._most = work, size_of, most
        self._threads = ThreadPoolExecutor(n_threads, "batches")
        self._waiting: dict[Hashable, list[tuple[Given, asyncio.Future[Found]]]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def do(self, key: Hashable, given: Given) -> Found:
        """Return what `work` finds for what is given; raises what it raises."""
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append((given, future))
        else:
            self._waiting[key] = [(given, future)]
            task = asyncio.create_task(self._run(key))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown()

    async def _run(self, key: Hashable) -> None:
        """Do the work of a key, batch by batch, until none is left."""
        while batch := self._next(key):
            givens = [given for given, _ in batch]
            try:
                found = await asyncio.get_running_loop().run_in_executor(self._threads, self._work, key, givens)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), each in zip(batch, found, strict=True):
                    if not future.done():
                        future.set_result(each)
            # Answers are sent first: work in a thread would take the processor from them, and what comes in meanwhile
            # is in the next batch.
            await asyncio.sleep(0)
        del self._waiting[key]

    def _next(self, key: Hashable) -> list[tuple[Given, "asyncio.Future[Found]"]]:
        """Take the next batch off those that wait: as many as fit, one at least; who went away is left out."""
        waiting = [each for each in self._waiting[key] if not each[1].done()]
        n, size = 0, 0
        while n < len(waiting) and (n == 0 or size + self._size_of(waiting[n][0]) <= self._most):
            size += self._size_of(waiting[n][0])
            n += 1
        self._waiting[key] = waiting[n:]
        return waiting[:n]
