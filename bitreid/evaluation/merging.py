"""Merging pictures to one item: the queries of one person and camera, or the pictures of a tracklet."""

from dataclasses import dataclass, replace

import numpy as np

from bitreid.arrays import Bools, Features, Ints
from bitreid.codes import Codes, pack_bits
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.evaluation.protocol import Protocol, ProtocolSettings

Tracklets = tuple[Ints, Ints]
"""The tracklet of each query `(n_queries,)` and of each gallery row `(n_gallery,)`, int64."""


@dataclass(frozen=True)
class Merge:
    """Which rows of a side become one item: an array of rows for each item, in the order of their first rows.

    Without `groups` the side stays as it is. The rows of an item have one identity and camera.
    """

    groups: tuple[Ints, ...] | None = None

    def labels(self, column: Ints) -> Ints:
        """Return the label of each item."""
        return column if self.groups is None else column[np.array([rows[0] for rows in self.groups], np.int64)]

    def features(self, features: Features) -> Features:
        """Return the mean feature `(n_items, d)` of each item, float32 at least."""
        if self.groups is None:
            return features
        means = np.empty((len(self.groups), features.shape[1]), np.result_type(features.dtype, np.float32))
        for mean, rows in zip(means, self.groups, strict=True):
            # In float64, where a sum of float32 seldom depends on its order.
            mean[:] = features[rows].mean(axis=0, dtype=np.float64)
        return means

    def codes(self, codes: Codes) -> Codes:
        """Return the majority of each bit of the item's codes; a tie is 0.

        Where there are features, the signs of their mean say more.
        """
        if self.groups is None:
            return codes
        bits = np.empty((len(self.groups), codes.n_bits), np.bool_)
        for majority, rows in zip(bits, self.groups, strict=True):
            majority[:] = 2 * np.unpackbits(codes.packed[rows], axis=1).sum(axis=0, dtype=np.int64) > len(rows)
        return pack_bits(bits, codes.parts)


def merges(
    settings: ProtocolSettings, protocol: Protocol, tracklets: Tracklets | None
) -> tuple[Merge, Merge, Protocol]:
    """Return how the settings merge the queries and the gallery, and the labels of the merged items.

    A tracklet is the pictures with one identity, camera and tracklet number; a picture in no tracklet (-2) stays by
    itself. Queries of one identity and camera become one if both are known; distractors, junk and queries of an unknown
    camera stay by themselves. `DataError` if tracklets are needed and missing, or do not fit.
    """
    sides = (
        ("query", protocol.query_pids, protocol.query_camids),
        ("gallery", protocol.gallery_pids, protocol.gallery_camids),
    )
    if settings.merge_tracklets and tracklets is None:
        raise DataError("expected the tracklet of each query and gallery picture, got none; choose another protocol")
    found = []
    for which, (side, pids, camids) in enumerate(sides):
        merge = Merge()
        if settings.merge_tracklets and tracklets is not None:
            numbers = tracklets[which]
            if numbers.shape != pids.shape:
                raise DataError(f"expected a tracklet for each {side} picture, {pids.shape}, got {numbers.shape}")
            merge = Merge(_groups(pids, camids, numbers, numbers == UNKNOWN))
        if settings.merge_queries and side == "query":
            # Every picture of a tracklet has its identity and camera, so that this joins whole tracklets.
            merge = Merge(_groups(pids, camids, np.zeros_like(pids), (pids <= 0) | (camids == UNKNOWN)))
        found.append(merge)
    of_queries, of_gallery = found
    labels = replace(
        protocol,
        query_pids=of_queries.labels(protocol.query_pids),
        query_camids=of_queries.labels(protocol.query_camids),
        gallery_pids=of_gallery.labels(protocol.gallery_pids),
        gallery_camids=of_gallery.labels(protocol.gallery_camids),
    )
    return of_queries, of_gallery, labels


def _groups(pids: Ints, camids: Ints, numbers: Ints, alone: Bools) -> tuple[Ints, ...]:
    """Return the rows of each item, in the order of first rows: rows of equal labels, or a row that stays `alone`."""
    own = np.where(alone, np.arange(len(pids)), -1)
    labels = np.stack([pids, camids, numbers, own], axis=1)
    _, first, item = np.unique(labels, axis=0, return_index=True, return_inverse=True)
    # The first row of a row's item names the item.
    name = first[item.ravel()]
    order = np.argsort(name, kind="stable")
    bounds = np.flatnonzero(np.diff(name[order])) + 1
    return tuple(np.split(order, bounds)) if len(order) else ()
