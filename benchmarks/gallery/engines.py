"""What keeps a gallery in this benchmark: the base of all engines, and ours."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.gallery.data import CONTRACT, FILTERS, Crowd, Rows, passing
from benchmarks.gallery.timing import EXACT, KERNEL, OURS, TWO_STAGE
from benchmarks.search.parts import batches
from benchmarks.search.timing import Way
from bitreid.arrays import AnyArray
from bitreid.codes import Codes
from bitreid.gallery import Gallery, create_gallery, open_gallery
from bitreid.hamming import search_exact, search_two_stage

K = 100
FILL = 10_000  # items that are added together where a gallery is filled


@dataclass(frozen=True)
class Ask:
    """A search: `w` is 0 for one stage, `filter` a name in `FILTERS`, `at_once` the queries of a call."""

    w: int = 0
    filter: str = ""
    at_once: int = 1

    @property
    def task(self) -> str:
        """What tables call it."""
        words = [TWO_STAGE if self.w else EXACT]
        words += [f"by {self.filter}"] if self.filter else []
        words += [f"{self.at_once} queries"] if self.at_once > 1 else []
        return ", ".join(words)


class Engine(ABC):
    """Keeps a gallery in `folder`. Ids are whole numbers, first the rows of `crowd`, and ascend; `n` is the next."""

    name: str
    synced: ClassVar[bool] = True
    """Whether an addition is on the disk when it returns."""

    def __init__(self, folder: Path, crowd: Crowd) -> None:
        self.folder, self.crowd, self.n = folder, crowd, 0

    def fill(self, n: int) -> None:
        """Make the gallery of the first `n` items."""
        self.create()
        for rows in self.crowd.batches(n, FILL):
            self.add(rows)
        self.n = n
        self.finish()

    def add_next(self, size: int) -> None:
        """Add the next items, as many as asked for."""
        start, self.n = self.n, self.n + size
        self.add(self.crowd.rows(start, self.n))

    def finish(self) -> None:  # noqa: B027  # nothing to do is the rule
        """Build indexes and the like, once the gallery is filled."""

    @abstractmethod
    def create(self) -> None:
        """Make an empty gallery, and open it."""

    @abstractmethod
    def open(self) -> None:
        """Open the gallery that was made and closed."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def add(self, rows: Rows) -> None:
        """Add items."""

    @abstractmethod
    def ways(self, ask: Ask) -> list[Way]:
        """Return ways to search, which take a query's number and give the ids found, `(1, k)`; none if it cannot."""

    @abstractmethod
    def get(self, id: int) -> None:
        """Read all that is kept of an item."""

    @abstractmethod
    def delete(self, id: int) -> None: ...

    def n_bytes(self) -> int:
        """Return the bytes on the disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def memory(self) -> int | None:
        """Return the bytes of memory that it holds for all items, None where it does not say."""
        return None


class Ours(Engine):
    """A gallery of ours: in SQLite, or at another place."""

    def __init__(self, folder: Path, crowd: Crowd, place: str | None = None, name: str = OURS) -> None:
        super().__init__(folder, crowd)
        self.place = str(folder / "people.gallery") if place is None else place
        self.name = name
        self.gallery: Gallery

    def create(self) -> None:
        self.gallery = create_gallery(self.place, CONTRACT)

    def open(self) -> None:
        self.gallery = open_gallery(self.place)

    def close(self) -> None:
        self.gallery.close()

    def add(self, rows: Rows) -> None:
        self.gallery.add(rows.items())

    def ways(self, ask: Ask) -> list[Way]:
        long, short = (batches(pair.queries, ask.at_once) for pair in (self.crowd.long, self.crowd.short))
        where = FILTERS[ask.filter]

        def call(i: int) -> AnyArray:
            # No limit of distance: the rivals have none, and each is to return K hits.
            w, attributes = (ask.w, short[i]) if ask.w else (None, None)
            found = self.gallery.search(
                long[i], K, w, where, max_distance=None, attribute_codes=attributes, n_threads=1
            )
            return np.array([hits.ids for hits in found])

        return [Way(self.name, call)]

    def get(self, id: int) -> None:
        self.gallery.get([id])

    def delete(self, id: int) -> None:
        self.gallery.delete([id])

    def n_bytes(self) -> int:
        return self.gallery.info().n_bytes or 0

    def memory(self) -> int | None:
        held = self.gallery.info().details.get("bytes in memory")
        return None if held is None else int(held)


def kernel_way(crowd: Crowd, n: int, ask: Ask) -> Way:
    """Return the bare kernel over arrays of the same codes; where there is a filter, with a mask that is ready."""
    long, short = crowd.long.rows(n), crowd.short.rows(n)
    queries: list[tuple[Codes, Codes]] = list(
        zip(*(batches(pair.queries, ask.at_once) for pair in (short, long)), strict=True)
    )
    rows = passing(crowd, n, ask.filter)

    def exact(i: int) -> AnyArray:
        return search_exact(queries[i][1], long.gallery, K, rows=rows).positions

    def two_stage(i: int) -> AnyArray:
        return search_two_stage(*queries[i], short.gallery, long.gallery, ask.w, K, rows=rows).positions

    call: Callable[[int], AnyArray] = two_stage if ask.w else exact
    return Way(KERNEL, call)
