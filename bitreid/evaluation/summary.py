"""All scores of one model on one data set: float features, codes, two-stage search."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.codes import BitStatistics, Codes, bit_statistics, pack
from bitreid.errors import SettingsError
from bitreid.evaluation.afr import AfrMetrics, evaluate_afr
from bitreid.evaluation.comparison import order_of_content
from bitreid.evaluation.merging import Merge, merges
from bitreid.evaluation.protocol import Protocol, ProtocolSettings
from bitreid.evaluation.ranking import MARKET1501, RankingMetrics, evaluate_ranking
from bitreid.evaluation.rerank import (
    evaluate_reranked,
    expand_queries,
    nearest_rows,
    rerank_k_reciprocal,
    short_list_distances,
)

Ints = npt.NDArray[np.int64]
Features = npt.NDArray[np.floating]

_EXPANDED = 5  # rows that a query is expanded by


@dataclass(frozen=True)
class Side:
    """The queries, or the gallery: what a model made of n pictures and who is on them.

    codes n or None; features (n, d) float or None; attribute_codes n or None; pids, camids (n,) int64; tracklets (n,)
    int64 or None, -2 for a picture of none; paths n picture files, or none where nobody knows them.
    """

    codes: Codes | None
    features: npt.NDArray[np.floating] | None
    attribute_codes: Codes | None
    pids: Ints
    camids: Ints
    tracklets: Ints | None = None
    paths: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.pids)

    @property
    def main(self) -> Codes | Features:
        """The codes; the features where there are no codes. `SettingsError` where there is neither."""
        if self.codes is not None:
            return self.codes
        if self.features is not None:
            return self.features
        raise SettingsError("expected codes or float features of every picture, got neither")


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model: of its float features and of its codes (None without; one of them is there), and of AFR for
    each `w` (empty without attributes), `weighted_afr` with weighted bits (empty without weights). `reranked` holds the
    scores after re-ranking, by its name. `n_bits` and `n_features` are lengths, 0 of what is not there; `bits` says how
    the gallery's codes use their bits."""

    floats: RankingMetrics | None
    codes: RankingMetrics | None
    afr: tuple[AfrMetrics, ...]
    n_bits: int
    n_gallery: int
    bits: BitStatistics | None
    n_features: int = 0
    reranked: Mapping[str, RankingMetrics] = field(default_factory=dict)
    weighted_afr: tuple[AfrMetrics, ...] = ()

    def __post_init__(self) -> None:
        if self.floats is None and self.codes is None:
            raise SettingsError("expected scores of codes or of float features, got neither")

    @property
    def main(self) -> RankingMetrics:
        """The scores of the codes; of the float features where there are no codes."""
        found = self.floats if self.codes is None else self.codes
        assert found is not None, "checked when made"
        return found

    @property
    def beside(self) -> RankingMetrics | None:
        """The scores of the float features, where `main` are the codes'."""
        return None if self.codes is None else self.floats

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values; None where a value does not exist (the average precision without a match)."""
        record: dict[str, Any] = plain(asdict(self))
        return record


def evaluate_model(
    query: Side,
    gallery: Side,
    ws: Sequence[int],
    protocol: ProtocolSettings = MARKET1501,
    memory_mb: float = 512,
    n_threads: int | None = None,
    *,
    rerank_w: int | None = None,
    attribute_weights: Sequence[int] = (),
) -> Evaluation:
    """The scores under a protocol; AFR for each `w` (rows kept) where there are attributes; with `attribute_weights`
    (see `fit_attribute_weights`) also AFR with their bits weighed.

    `memory_mb` and `n_threads` are as in `evaluate_ranking`. With `rerank_w` also those of the codes (of the features
    where there are no codes) with that many rows re-ranked, by k-reciprocal encoding and by query expansion.
    `SettingsError` for `ws` or `rerank_w` with a protocol of single shots, and without codes and features.
    """
    query, gallery = merged(query, gallery, protocol)
    protocol = protocol.after_merging()
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    floats = codes = bits = None
    n_bits = n_features = 0
    if query.features is not None and gallery.features is not None:
        n_features = gallery.features.shape[1]
        floats = evaluate_ranking(
            query.features, gallery.features, *people, protocol=protocol, memory_mb=memory_mb, n_threads=n_threads
        )
    if query.codes is not None and gallery.codes is not None:
        codes = evaluate_ranking(
            query.codes, gallery.codes, *people, protocol=protocol, memory_mb=memory_mb, n_threads=n_threads
        )
        n_bits, bits = gallery.codes.n_bits, bit_statistics(gallery.codes)
    reranked = {} if rerank_w is None else _reranked(query, gallery, rerank_w, protocol)
    afr = _afr(query, gallery, ws, None, protocol, memory_mb)
    weighted = _afr(query, gallery, ws, attribute_weights, protocol, memory_mb) if attribute_weights else ()
    return Evaluation(floats, codes, afr, n_bits, len(gallery.pids), bits, n_features, reranked, weighted)


def _afr(
    query: Side,
    gallery: Side,
    ws: Sequence[int],
    weights: Sequence[int] | None,
    protocol: ProtocolSettings,
    memory_mb: float,
) -> tuple[AfrMetrics, ...]:
    """The scores of two-stage search for each `w`; none where a code is missing."""
    short, long = (query.attribute_codes, gallery.attribute_codes), (query.codes, gallery.codes)
    if short[0] is None or short[1] is None or long[0] is None or long[1] is None or not ws:
        return ()
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    codes = (short[0], long[0], short[1], long[1])
    return tuple(evaluate_afr(*codes, *people, ws, short_weights=weights, protocol=protocol, memory_mb=memory_mb))


def _reranked(query: Side, gallery: Side, w: int, protocol: ProtocolSettings) -> dict[str, RankingMetrics]:
    """The scores after each way of re-ranking the `w` nearest rows, by its name."""
    if protocol.single_shots:
        raise SettingsError("expected a protocol of the whole gallery for re-ranking, got single shots")
    labels = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    labels = labels if protocol.cameras else labels.without_cameras()
    people = (labels.query_pids, labels.query_camids, labels.gallery_pids, labels.gallery_camids)
    ids = _random_ids(gallery)
    short_list = nearest_rows(query.main, gallery.main, w, ids)
    expanded = expand_queries(query.main, gallery.main, short_list[:, :_EXPANDED])
    distances = {
        "k-reciprocal": rerank_k_reciprocal(query.main, gallery.main, short_list, ids=ids),
        "query expansion": short_list_distances(expanded, gallery.main, short_list),
    }
    return {
        f"{name}, w = {short_list.shape[1]}": evaluate_reranked(query.main, gallery.main, short_list, of_name, *people)
        for name, of_name in distances.items()
    }


def _random_ids(gallery: Side) -> Ints:
    """A random id for each gallery row, to break ties: files are in the order of identities, which must not.

    Drawn by what is on the rows, so that the order of the gallery changes nothing.
    """
    order = order_of_content(gallery.main.packed if isinstance(gallery.main, Codes) else gallery.main)
    order = order[np.lexsort((gallery.camids[order], gallery.pids[order]))]
    ids = np.empty_like(order)
    ids[order] = np.random.default_rng(0).permutation(len(order))
    return ids


def merged(query: Side, gallery: Side, protocol: ProtocolSettings) -> tuple[Side, Side]:
    """Both sides with their pictures merged as the protocol has it, and of codes and features what both sides have.

    An item's path is that of its first picture.
    """
    columns = ("codes", "features", "attribute_codes")
    of_one: dict[str, Any] = {
        name: None for name in columns if getattr(query, name) is None or getattr(gallery, name) is None
    }
    query, gallery = replace(query, **of_one), replace(gallery, **of_one)
    labels = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    tracklets = None
    if query.tracklets is not None and gallery.tracklets is not None:
        tracklets = query.tracklets, gallery.tracklets
    of_queries, of_gallery, _ = merges(protocol, labels, tracklets)
    return _merge(query, of_queries), _merge(gallery, of_gallery)


def _merge(side: Side, merge: Merge) -> Side:
    if merge.groups is None:
        return side
    return Side(
        None if side.codes is None else _merge_codes(side.codes, side.features, merge),
        None if side.features is None else merge.features(side.features),
        None if side.attribute_codes is None else merge.codes(side.attribute_codes),
        merge.labels(side.pids),
        merge.labels(side.camids),
        None if side.tracklets is None else merge.labels(side.tracklets),
        tuple(side.paths[row] for row in merge.labels(np.arange(len(side)))) if side.paths else (),
    )


def _merge_codes(codes: Codes, features: Features | None, merge: Merge) -> Codes:
    """The signs of the mean features if codes are the features' signs, as a hashing model's are; else majorities."""
    if features is None or features.shape[1] != codes.n_bits or not np.array_equal(pack(features).packed, codes.packed):
        return merge.codes(codes)
    return pack(merge.features(features), codes.parts)


def short_list(share: float, n_gallery: int) -> int:
    """The rows that a share of the gallery means: rounded up, at least 1."""
    return max(1, int(np.ceil(share * n_gallery - 1e-9)))


def plain(value: Any) -> Any:
    """A value of mappings, sequences, arrays and numbers as JSON knows them, NaN as None."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    # JSON has no NaN.
    return None if isinstance(value, float) and np.isnan(value) else value
