"""All scores of one model on one data set: float features, codes, two-stage search."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.codes import BitStatistics, Codes, bit_statistics
from bitreid.evaluation.afr import AfrMetrics, evaluate_afr
from bitreid.evaluation.ranking import RankingMetrics, evaluate_ranking

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """The queries, or the gallery: what a model made of n pictures and who is on them.

    codes n; features (n, d) float or None; attribute_codes n or None; pids, camids (n,) int64.
    """

    codes: Codes
    features: npt.NDArray[np.float32] | None
    attribute_codes: Codes | None
    pids: Ints
    camids: Ints


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


def evaluate_model(query: Side, gallery: Side, ws: Sequence[int]) -> Evaluation:
    """The scores under Market-1501's protocol; AFR for each `w` (rows kept) where there are attributes."""
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    floats = None
    if query.features is not None and gallery.features is not None:
        floats = evaluate_ranking(query.features, gallery.features, *people)
    afr: list[AfrMetrics] = []
    if query.attribute_codes is not None and gallery.attribute_codes is not None and ws:
        afr = evaluate_afr(query.attribute_codes, query.codes, gallery.attribute_codes, gallery.codes, *people, ws)
    codes = evaluate_ranking(query.codes, gallery.codes, *people)
    return Evaluation(floats, codes, tuple(afr), query.codes.n_bits, len(gallery.codes), bit_statistics(gallery.codes))


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
