"""Made-up items of a gallery: clustered codes, and what else is known of a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.search.data import PICTURES, SHORT_BITS, SearchSet, clustered
from bitreid.arrays import Bytes, Ints
from bitreid.codes import Codes
from bitreid.gallery import CameraIn, Contract, Filter, Items, MetadataIs, TimeBetween
from bitreid.open_set import OpenSet

N_BITS = 2048
_N_CAMERAS = 8
_START = 1_767_225_600_000_000  # microseconds: the first day of 2026
_LASTS = 30 * 86_400 * 10**6  # microseconds: thirty days

CAMERAS = (1, 2)
"""The cameras of the filter, 2 of 8."""
BETWEEN = _START, _START + _LASTS // 2
"""The time range of the filter, microseconds: half of the items."""
SITE = "site 1"
"""The value of the metadata's key "site" in the other filter: a quarter of the items."""

FILTERS: dict[str, Filter | None] = {
    "": None,
    "camera and time": CameraIn(frozenset(CAMERAS)) & TimeBetween(*BETWEEN),
    "metadata": MetadataIs("site", SITE),
}

CONTRACT = Contract(
    N_BITS,
    attributes=tuple(f"attribute {i}" for i in range(SHORT_BITS)),
    # Of random codes: mean 1024 bits, deviation 22.6. Made up, so that hits carry probabilities as a model's do.
    open_set=OpenSet(tail_slope=0.044, tail_offset=-45.3, slope=-0.05, offset=40.0),
)


class Rows(NamedTuple):
    """Items as columns, all of length n: `codes (n, 256)`, `attributes (n, 8)`, times in microseconds."""

    ids: Ints
    codes: Bytes
    attributes: Bytes
    cameras: Ints
    times: Ints
    tracklets: list[str]
    persons: list[str]
    sites: list[str]

    def items(self) -> Items:
        """Return the batch that our galleries take."""
        return Items.of(
            self.ids.tolist(),
            Codes(self.codes, N_BITS),
            Codes(self.attributes, SHORT_BITS),
            cameras=self.cameras,
            times=self.times,
            tracklets=self.tracklets,
            persons=self.persons,
            metadata=[{"site": site} for site in self.sites],
        )


@dataclass(frozen=True)
class Crowd:
    """Codes with their queries, and the cameras and times of the rows. An item's id is its row.

    Past the last row they begin again, under new ids: additions never run out.
    """

    long: SearchSet
    short: SearchSet
    cameras: Ints
    times: Ints

    def __len__(self) -> int:
        return len(self.cameras)

    def rows(self, start: int, stop: int) -> Rows:
        """Return the items of the ids from `start` to `stop`."""
        ids = np.arange(start, stop)
        at = ids % len(self)
        numbers = at.tolist()
        return Rows(
            ids,
            self.long.gallery.packed[at],
            self.short.gallery.packed[at],
            self.cameras[at],
            self.times[at],
            [f"tracklet {row // 5}" for row in numbers],
            [f"person {row // PICTURES}" for row in numbers],
            [f"site {row % 4}" for row in numbers],
        )

    def batches(self, n: int, size: int) -> Iterator[Rows]:
        """Yield the first `n` items in batches."""
        return (self.rows(start, min(start + size, n)) for start in range(0, n, size))


def crowd_of(n: int, seed: int = 0) -> Crowd:
    """Return a crowd of `n` items."""
    codes = clustered(n, (SHORT_BITS, N_BITS), seed)
    rng = np.random.default_rng(seed)
    cameras = rng.integers(1, _N_CAMERAS + 1, n)
    return Crowd(codes[N_BITS], codes[SHORT_BITS], cameras, _START + rng.integers(0, _LASTS, n))


def passing(crowd: Crowd, n: int, filter: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """Return which of the first `n` rows pass a filter; None for none."""
    cameras, times = crowd.cameras[:n], crowd.times[:n]
    masks = {
        "camera and time": np.isin(cameras, CAMERAS) & (times >= BETWEEN[0]) & (times < BETWEEN[1]),
        "metadata": np.arange(n) % 4 == int(SITE.split()[1]),
    }
    return masks.get(filter)
