"""Protocols: which gallery pictures are right for a query, which leave its ranking, and which make one item."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from bitreid.arrays import Bools, Ints
from bitreid.data.manifest import JUNK, UNKNOWN
from bitreid.errors import DataError, SettingsError


@dataclass(frozen=True)
class ProtocolSettings:
    """How a test set is scored. The defaults are Market-1501's rules, see `Protocol`; `PROTOCOLS` has the usual ones.

    `SettingsError` for negative numbers.
    """

    cameras: bool = True
    """Whether pictures of the query's person by the query's own camera are left out. If not, cameras are ignored, and
    only junk and unknown people are left out: remove the query picture itself from such a gallery."""

    merge_queries: bool = False
    """Whether the queries of one identity and camera are one query."""

    merge_tracklets: bool = False
    """Whether the pictures of one tracklet are one item, on both sides."""

    single_shots: int = 0
    """How many galleries of one random picture an identity are drawn and averaged over; 0 for the whole gallery."""

    seed: int = 0
    """The seed of the random pictures."""

    def __post_init__(self) -> None:
        if self.single_shots < 0 or self.seed < 0:
            raise SettingsError(
                f"expected single_shots and seed of at least 0, got {self.single_shots} and {self.seed}"
            )

    def after_merging(self) -> Self:
        """Return the settings for sides whose pictures have been merged already."""
        return replace(self, merge_queries=False, merge_tracklets=False)


PROTOCOLS = {
    "market1501": ProtocolSettings(),
    "cuhk03_np": ProtocolSettings(),
    "msmt17": ProtocolSettings(),
    "no_cameras": ProtocolSettings(cameras=False),
    "single_shot": ProtocolSettings(single_shots=100),
    "multi_query": ProtocolSettings(merge_queries=True),
    "tracklets": ProtocolSettings(merge_tracklets=True),
}
"""The usual protocols by name. Market-1501, CUHK03-NP and MSMT17 have one rule in common.

`single_shot` is CUHK03's old protocol (Li et al., CVPR 2014): the gallery holds one random picture of each identity,
100 times over, so that a query has one right answer: CMC is the figure that it was made for, and AP and INP are both
1 / (rank of the answer). Its figures are higher than those on a whole gallery, and not to be compared with them.
"""


@dataclass(frozen=True)
class Relatives:
    """The gallery rows that show each query's own person, `(n_queries, w)`, padded at the end.

    `rows` int64, 0 in the padding; `match` where the row is right, `left_out` where it leaves the query's ranking;
    neither in the padding.
    """

    rows: Ints
    match: Bools
    left_out: Bools


@dataclass(frozen=True)
class Protocol:
    """Identities and cameras of both sides, read as Market-1501's protocol reads them (Zheng et al., ICCV 2015).

    For a query, a gallery row is

    - *left out* of the ranking if it is junk (pid -1), if its identity is unknown (pid -2: neither right nor
      wrong), or if it shows the query's identity from the query's camera;
    - a *match* if it shows the query's identity otherwise. Only real people (pid above 0) have matches;
    - wrong otherwise; distractors (pid 0) always are.

    An unknown camera (-2) equals no camera, not even itself, so that nothing is left out because of it. All
    arrays are `(n,) int64`.
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
        """Check that this labels `n_queries` queries and `n_gallery` gallery rows; else raise `DataError`."""
        if (len(self.query_pids), len(self.gallery_pids)) != (n_queries, n_gallery):
            raise DataError(
                f"expected a pid for each of {n_queries} queries and {n_gallery} gallery rows, "
                f"got {len(self.query_pids)} and {len(self.gallery_pids)}"
            )

    def without_cameras(self) -> Self:
        """Return the same people with unknown cameras."""
        return replace(
            self,
            query_camids=np.full_like(self.query_camids, UNKNOWN),
            gallery_camids=np.full_like(self.gallery_camids, UNKNOWN),
        )

    def of_gallery(self, rows: Ints) -> Self:
        """Return the labels of a gallery of the given rows."""
        return replace(self, gallery_pids=self.gallery_pids[rows], gallery_camids=self.gallery_camids[rows])

    @cached_property
    def never_ranked(self) -> Bools:
        """The mask `(n_gallery,)` of gallery rows that every ranking leaves out: junk and unknown people."""
        return np.asarray((self.gallery_pids == JUNK) | (self.gallery_pids == UNKNOWN))

    def ranked(self, query: int, rows: Ints) -> Ints:
        """Those of the given gallery rows that the ranking of a query holds; none for a query that shows nobody."""
        pid, camid = self.query_pids[query], self.query_camids[query]
        own_camera = (self.gallery_pids[rows] == pid) & (self.gallery_camids[rows] == camid) & (camid != UNKNOWN)
        return np.asarray(rows[~(self.never_ranked[rows] | own_camera | (pid <= 0))])

    @cached_property
    def most_relatives(self) -> int:
        """The `w` of `Relatives`: the most gallery rows that show any query's person."""
        _, start, stop = self._runs
        return int((stop - start).max(initial=0))

    def relatives(self, queries: slice) -> Relatives:
        """Return the gallery rows of each query's person. Their number `w` is the same for all slices of queries."""
        by_pid, start, stop = self._runs
        places = start[queries, None] + np.arange(self.most_relatives)
        shown = places < stop[queries, None]
        rows = np.where(shown, by_pid[np.where(shown, places, 0)], 0)
        camids = self.query_camids[queries, None]
        own_camera = shown & (self.gallery_camids[rows] == camids) & (camids != UNKNOWN)
        return Relatives(rows, shown & ~own_camera, own_camera)

    def masks(self, queries: slice) -> tuple[Bools, Bools]:
        """Return which gallery rows are matches, and which are left out, `(n_queries, n_gallery)` each."""
        relatives = self.relatives(queries)
        left_out = np.tile(self.never_ranked, (len(relatives.rows), 1))
        match = np.zeros_like(left_out)
        for mask, which in ((match, relatives.match), (left_out, relatives.left_out)):
            mask[np.nonzero(which)[0], relatives.rows[which]] = True
        return match, left_out

    @cached_property
    def _runs(self) -> tuple[Ints, Ints, Ints]:
        """Gallery rows sorted by pid, and where in that order each query's person starts and stops."""
        by_pid = np.argsort(self.gallery_pids, kind="stable")
        pids = self.gallery_pids[by_pid]
        start = np.searchsorted(pids, self.query_pids, side="left")
        stop = np.searchsorted(pids, self.query_pids, side="right")
        return by_pid, start, np.where(self.query_pids > 0, stop, start)
