"""All scores of one model on one data set: float features, codes, two-stage search."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.codes import BitStatistics, Codes, bit_statistics, pack
from bitreid.evaluation.afr import AfrMetrics, evaluate_afr
from bitreid.evaluation.merging import Merge, merges
from bitreid.evaluation.protocol import Protocol, ProtocolSettings
from bitreid.evaluation.ranking import MARKET1501, RankingMetrics, evaluate_ranking

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """The queries, or the gallery: what a model made of n pictures and who is on them.

    codes n; features (n, d) float or None; attribute_codes n or None; pids, camids (n,) int64; tracklets (n,) int64 or
    None, -2 for a picture of none.
    """

    codes: Codes
    features: npt.NDArray[np.floating] | None
    attribute_codes: Codes | None
    pids: Ints
    camids: Ints
    tracklets: Ints | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model: of its float features (None without), its codes and AFR for each `w` (empty without
    attributes); `bits` says how the gallery's codes use their bits."""

    floats: RankingMetrics | None
    codes: RankingMetrics
    afr: tuple[AfrMetrics, ...]
    n_bits: int
    n_gallery: int
    bits: BitStatistics

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values; None where a value does not exist (the average precision without a match)."""
        record: dict[str, Any] = _plain(asdict(self))
        return record


def evaluate_model(
    query: Side,
    gallery: Side,
    ws: Sequence[int],
    protocol: ProtocolSettings = MARKET1501,
    memory_mb: float = 512,
    n_threads: int | None = None,
) -> Evaluation:
    """The scores under a protocol; AFR for each `w` (rows kept) where there are attributes.

    `memory_mb` and `n_threads` are as in `evaluate_ranking`. `SettingsError` for `ws` with a protocol of single shots.
    """
    query, gallery = _merged(query, gallery, protocol)
    protocol = protocol.after_merging()
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    floats = None
    if query.features is not None and gallery.features is not None:
        floats = evaluate_ranking(
            query.features, gallery.features, *people, protocol=protocol, memory_mb=memory_mb, n_threads=n_threads
        )
    afr: list[AfrMetrics] = []
    if query.attribute_codes is not None and gallery.attribute_codes is not None and ws:
        short = (query.attribute_codes, gallery.attribute_codes)
        afr = evaluate_afr(
            short[0], query.codes, short[1], gallery.codes, *people, ws, protocol=protocol, memory_mb=memory_mb
        )
    codes = evaluate_ranking(
        query.codes, gallery.codes, *people, protocol=protocol, memory_mb=memory_mb, n_threads=n_threads
    )
    return Evaluation(floats, codes, tuple(afr), query.codes.n_bits, len(gallery.codes), bit_statistics(gallery.codes))


def _merged(query: Side, gallery: Side, protocol: ProtocolSettings) -> tuple[Side, Side]:
    """Both sides with their pictures merged as the protocol has it."""
    labels = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    tracklets = None
    if query.tracklets is not None and gallery.tracklets is not None:
        tracklets = query.tracklets, gallery.tracklets
    of_queries, of_gallery, _ = merges(protocol, labels, tracklets)
    return _merge(query, of_queries), _merge(gallery, of_gallery)


def _merge(side: Side, merge: Merge) -> Side:
    """The side with its pictures merged. Where its features have a number a bit, the codes are their means' signs."""
    features = None if side.features is None else merge.features(side.features)
    if features is not None and merge.groups is not None and features.shape[1] == side.codes.n_bits:
        codes = pack(features, side.codes.parts)
    else:
        codes = merge.codes(side.codes)
    attribute_codes = None if side.attribute_codes is None else merge.codes(side.attribute_codes)
    tracklets = None if side.tracklets is None else merge.labels(side.tracklets)
    return Side(codes, features, attribute_codes, merge.labels(side.pids), merge.labels(side.camids), tracklets)


def short_list(share: float, n_gallery: int) -> int:
    """The rows that a share of the gallery means: rounded up, at least 1."""
    return max(1, int(np.ceil(share * n_gallery - 1e-9)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    # JSON has no NaN.
    return None if isinstance(value, float) and np.isnan(value) else value
