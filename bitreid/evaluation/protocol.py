"""Who counts: which gallery pictures are right for a query, and which leave its ranking."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitreid.data.manifest import JUNK, UNKNOWN
from bitreid.errors import DataError

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Protocol:
    """Identities and cameras of both sides, read as Market-1501's protocol reads them (Zheng et al., ICCV 2015).

    For a query, a gallery row is

    - *left out* of the ranking if it is junk (pid -1), if its identity is unknown (pid -2: neither right nor
      wrong), or if it shows the query's identity from the query's camera;
    - a *match* if it shows the query's identity otherwise. Only real people (pid above 0) have matches;
    - a wrong answer else; distractors (pid 0) always are.

    An unknown camera (-2) is no camera's equal, so that nothing is left out by camera. All arrays are `(n,) int64`.
    """

    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints

    def __post_init__(self) -> None:
        for side in ("query", "gallery"):
            pids, camids = getattr(self, f"{side}_pids"), getattr(self, f"{side}_camids")
            if pids.ndim != 1 or pids.shape != camids.shape:
                raise DataError(
                    f"expected one pid and one camid a {side} picture, got shapes {pids.shape} and {camids.shape}"
                )

    def check_rows(self, n_queries: int, n_gallery: int) -> None:
        """Nothing, if this labels `n_queries` queries and `n_gallery` gallery rows; else `DataError`."""
        if (len(self.query_pids), len(self.gallery_pids)) != (n_queries, n_gallery):
            raise DataError(
                f"expected a pid for each of {n_queries} queries and {n_gallery} gallery rows, "
                f"got {len(self.query_pids)} and {len(self.gallery_pids)}"
            )

    def masks(self, queries: slice) -> tuple[Mask, Mask]:
        """Which gallery rows are matches, and which are left out, `(n_queries, n_gallery)` each."""
        query_pids = self.query_pids[queries, None]
        query_camids = self.query_camids[queries, None]
        same_person = (query_pids == self.gallery_pids) & (query_pids > 0)
        same_camera = (query_camids == self.gallery_camids) & (query_camids != UNKNOWN)
        left_out = (same_person & same_camera) | (self.gallery_pids == JUNK) | (self.gallery_pids == UNKNOWN)
        return same_person & ~same_camera, left_out
