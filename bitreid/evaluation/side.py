"""The two sides of an evaluation: queries and gallery of a test set, as a model encoded them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import Features, Ints
from bitreid.codes import Codes, pack
from bitreid.errors import SettingsError
from bitreid.evaluation.merging import Merge, merges
from bitreid.evaluation.protocol import Protocol, ProtocolSettings


@dataclass(frozen=True)
class Side:
    """The queries or the gallery of a test set: what a model made of n pictures, and whom they show.

    codes n or None; features (n, d) float or None; attribute_codes n or None; pids, camids (n,) int64; tracklets (n,)
    int64 or None, -2 for a picture in no tracklet; paths n picture files, empty if they are not known.
    """

    codes: Codes | None
    features: Features | None
    attribute_codes: Codes | None
    pids: Ints
    camids: Ints
    tracklets: Ints | None = None
    paths: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.pids)

    @property
    def main(self) -> Codes | Features:
        """The codes, or the features if there are no codes; `SettingsError` if there are neither."""
        if self.codes is not None:
            return self.codes
        if self.features is not None:
            return self.features
        raise SettingsError("expected codes or float features of every picture, got neither")


def signs_of_features(side: Side) -> bool:
    """Return whether the codes are the signs of the features, as our models'; not if there are none of either."""
    if side.codes is None or side.features is None or side.features.shape[1] != side.codes.n_bits:
        return False
    return np.array_equal(pack(side.features).packed, side.codes.packed)


def labels_of(query: Side, gallery: Side, cameras: bool = True) -> Protocol:
    """Return the identities and cameras of both sides; the cameras are unknown where `cameras` do not count."""
    labels = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    return labels if cameras else labels.without_cameras()


def merged(query: Side, gallery: Side, protocol: ProtocolSettings) -> tuple[Side, Side]:
    """Return both sides with their pictures merged as the protocol says.

    Codes and features that one side lacks are left out of both. The path of a merged item is that of its first picture.
    """
    columns = ("codes", "features", "attribute_codes")
    of_one: dict[str, Any] = {
        name: None for name in columns if getattr(query, name) is None or getattr(gallery, name) is None
    }
    query, gallery = replace(query, **of_one), replace(gallery, **of_one)
    tracklets = None
    if query.tracklets is not None and gallery.tracklets is not None:
        tracklets = query.tracklets, gallery.tracklets
    of_queries, of_gallery, _ = merges(protocol, labels_of(query, gallery), tracklets)
    return _merge(query, of_queries), _merge(gallery, of_gallery)


def _merge(side: Side, merge: Merge) -> Side:
    if merge.groups is None:
        return side
    return Side(
        None if side.codes is None else _merge_codes(side, side.codes, merge),
        None if side.features is None else merge.features(side.features),
        None if side.attribute_codes is None else merge.codes(side.attribute_codes),
        merge.labels(side.pids),
        merge.labels(side.camids),
        None if side.tracklets is None else merge.labels(side.tracklets),
        tuple(side.paths[row] for row in merge.labels(np.arange(len(side)))) if side.paths else (),
    )


def _merge_codes(side: Side, codes: Codes, merge: Merge) -> Codes:
    """Return the signs of the mean features if codes are the signs of features; else majorities."""
    if side.features is None or not signs_of_features(side):
        return merge.codes(codes)
    return pack(merge.features(side.features), codes.parts)
