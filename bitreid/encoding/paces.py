"""How many pictures a second each step of encoding takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Pace:
    """What one step did: pictures, and the seconds in which it worked, without those in which it waited."""

    pictures: int = 0
    seconds: float = 0.0

    @contextmanager
    def timed(self, pictures: int) -> Iterator[None]:
        """Count the time of a block that works on so many pictures."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        self.pictures += pictures

    def __str__(self) -> str:
        return f"{self.pictures / self.seconds:,.0f}" if self.seconds else "-"


@dataclass
class Paces:
    """The paces of the three steps, which run at the same time: each is written by one thread."""

    reading: Pace = field(default_factory=Pace)
    encoding: Pace = field(default_factory=Pace)
    writing: Pace = field(default_factory=Pace)

    def add(self, other: "Paces") -> None:
        """Count the work of another process, too: seconds of both are added, though they may have passed together."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine.pictures += theirs.pictures
            mine.seconds += theirs.seconds

    def __str__(self) -> str:
        return f"reading {self.reading}, encoding {self.encoding}, writing {self.writing} pictures/s"

    def summary(self, seconds: float) -> str:
        """Return a line on work that took so many seconds in all."""
        n = self.reading.pictures
        return f"{n:,} pictures in {seconds:.1f} s, {n / max(seconds, 1e-9):,.0f} a second: {self}"
