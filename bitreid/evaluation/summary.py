"""All scores of one model on one data set: of float features, of codes, of two-stage search, and after re-ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bitreid.arrays import Ints
from bitreid.coarse import CoarseCode
from bitreid.codes import BitStatistics, Codes, bit_statistics
from bitreid.errors import SettingsError
from bitreid.evaluation.afr import AfrMetrics, evaluate_afr
from bitreid.evaluation.comparison import order_of_content
from bitreid.evaluation.protocol import ProtocolSettings
from bitreid.evaluation.ranking import MARKET1501, RankingMetrics, evaluate_lengths, evaluate_ranking
from bitreid.evaluation.rerank import (
    evaluate_reranked,
    expand_queries,
    nearest_rows,
    rerank_k_reciprocal,
    short_list_distances,
)
from bitreid.evaluation.scores import Scores
from bitreid.evaluation.side import Side, labels_of, merged
from bitreid.hamming import asymmetric_distances_at, rounded

_EXPANDED = 5  # rows that a query is expanded by


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model.

    floats, codes  those of its float features and of its codes; one of them may be None
    afr            those of two-stage search by attribute code for each `w`, empty without attributes
    coarse_afr     those of two-stage search by coarse code, empty without one
    lengths        those of prefixes of the codes, by their numbers of bits, ascending; empty where none were asked for
    rescored       those of codes whose nearest rows the queries' features ordered, by what it is called; empty without
    reranked       those after re-ranking, by the name of the method
    n_bits, n_features  length of codes and of features, 0 without them
    bits           how the gallery's codes use their bits
    """

    floats: RankingMetrics | None
    codes: RankingMetrics | None
    afr: tuple[AfrMetrics, ...]
    n_bits: int
    n_gallery: int
    bits: BitStatistics | None
    n_features: int = 0
    reranked: Mapping[str, RankingMetrics] = field(default_factory=dict)
    lengths: Mapping[str, Scores] = field(default_factory=dict)
    rescored: Mapping[str, RankingMetrics] = field(default_factory=dict)
    coarse_afr: tuple[AfrMetrics, ...] = ()

    def __post_init__(self) -> None:
        if self.floats is None and self.codes is None:
            raise SettingsError("expected scores of codes or of float features, got neither")

    @property
    def main(self) -> RankingMetrics:
        """The scores of the codes, or of the float features if there are no codes."""
        found = self.floats if self.codes is None else self.codes
        assert found is not None, "checked when made"
        return found

    @property
    def beside(self) -> RankingMetrics | None:
        """The scores of the float features, if `main` are those of the codes."""
        return None if self.codes is None else self.floats

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; None where there is no value (the average precision without a match)."""
        record: dict[str, Any] = json_values(asdict(self))
        return record


def evaluate_model(
    query: Side,
    gallery: Side,
    ws: Sequence[int],
    protocol: ProtocolSettings = MARKET1501,
    memory_mb: float = 512,
    n_threads: int | None = None,
    *,
    rescore_w: int | None = None,
    rerank_w: int | None = None,
    lengths: Sequence[int] = (),
    coarse: CoarseCode | None = None,
) -> Evaluation:
    """Score a model under a protocol.

    With attribute codes on both sides, two-stage search by them is scored for each of `ws` (rows kept), and with a
    coarse code, whose bits the codes have, two-stage search by that. The codes are also scored by their first bits, for
    each number of them in `lengths`. With `rescore_w`, codes of each length are also scored with that many rows of each
    query in the order of its features against their bits (`hamming.rescore`). With `rerank_w`, the codes (or else the
    features) are also scored with that many rows re-ranked, by k-reciprocal encoding and by query expansion.
    `memory_mb` and `n_threads` are as in `evaluate_ranking`. `SettingsError` for `ws`, `rescore_w` or
    `rerank_w` with a protocol of single shots, and for sides without codes and features.
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
    rescored = {} if rescore_w is None else _rescored(query, gallery, rescore_w, lengths, protocol)
    reranked = {} if rerank_w is None else _reranked(query, gallery, rerank_w, protocol)
    afr = _afr((query.attribute_codes, gallery.attribute_codes), query, gallery, ws, protocol, memory_mb)
    short = coarse_of(query, coarse), coarse_of(gallery, coarse)
    by_coarse = _afr(short, query, gallery, ws, protocol, memory_mb)
    prefixes = _prefixes(query, gallery, lengths, protocol, memory_mb)
    sizes = (n_bits, len(gallery.pids), bits, n_features)
    return Evaluation(floats, codes, afr, *sizes, reranked, prefixes, rescored, by_coarse)


def coarse_of(side: Side, coarse: CoarseCode | None) -> Codes | None:
    """Return the coarse codes of a side; None without a coarse code, or where the codes lack bits of it."""
    if coarse is None or side.codes is None:
        return None
    n_attribute_bits = 0 if side.attribute_codes is None else side.attribute_codes.n_bits
    return coarse.of(side.codes, side.attribute_codes) if coarse.fits(side.codes.n_bits, n_attribute_bits) else None


def _prefixes(
    query: Side, gallery: Side, lengths: Sequence[int], protocol: ProtocolSettings, memory_mb: float
) -> dict[str, Scores]:
    """Return the scores of the first bits of the codes, by their number; none without codes."""
    if query.codes is None or gallery.codes is None or not lengths:
        return {}
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    found = evaluate_lengths(query.codes, gallery.codes, *people, lengths, protocol=protocol, memory_mb=memory_mb)
    return {str(n_bits): found[n_bits].expected for n_bits in sorted(found)}


def _afr(
    short: tuple[Codes | None, Codes | None],
    query: Side,
    gallery: Side,
    ws: Sequence[int],
    protocol: ProtocolSettings,
    memory_mb: float,
) -> tuple[AfrMetrics, ...]:
    """Return the scores of two-stage search by the short codes of both sides for each `w`; none where a code is
    missing."""
    long = query.codes, gallery.codes
    if short[0] is None or short[1] is None or long[0] is None or long[1] is None or not ws:
        return ()
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    codes = (short[0], long[0], short[1], long[1])
    return tuple(evaluate_afr(*codes, *people, ws, protocol=protocol, memory_mb=memory_mb))


def _rescored(
    query: Side, gallery: Side, w: int, lengths: Sequence[int], protocol: ProtocolSettings
) -> dict[str, RankingMetrics]:
    """Return the scores of codes, and of their first bits, whose `w` nearest rows are rescored, by what they are
    called."""
    if protocol.single_shots or query.codes is None or gallery.codes is None or query.features is None:
        raise SettingsError(
            "expected codes, features of the queries and a protocol of the whole gallery to rescore, got others"
        )
    labels = labels_of(query, gallery, protocol.cameras)
    people = (labels.query_pids, labels.query_camids, labels.gallery_pids, labels.gallery_camids)
    ids, whole = _random_ids(gallery), gallery.codes.n_bits
    found = {}
    for n_bits in (whole, *sorted(lengths)):
        queries, rows = query.codes.prefix(n_bits), gallery.codes.prefix(n_bits)
        short_list = nearest_rows(queries, rows, w, ids)
        distances = asymmetric_distances_at(rounded(query.features[:, :n_bits]), rows, short_list)
        name = f"{'' if n_bits == whole else 'first '}{n_bits} bits, rescored w = {short_list.shape[1]}"
        found[name] = evaluate_reranked(queries, rows, short_list, distances, *people)
    return found


def _reranked(query: Side, gallery: Side, w: int, protocol: ProtocolSettings) -> dict[str, RankingMetrics]:
    """Return the scores after each way of re-ranking the `w` nearest rows, by its name."""
    if protocol.single_shots:
        raise SettingsError("expected a protocol of the whole gallery for re-ranking, got single shots")
    labels = labels_of(query, gallery, protocol.cameras)
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
    """Return a random id for each gallery row, to break ties.

    Files are often in the order of identities, which must not decide. Ids depend on what the rows hold, so that the
    order of the gallery changes nothing.
    """
    order = order_of_content(gallery.main.packed if isinstance(gallery.main, Codes) else gallery.main)
    order = order[np.lexsort((gallery.camids[order], gallery.pids[order]))]
    ids = np.empty_like(order)
    ids[order] = np.random.default_rng(0).permutation(len(order))
    return ids


def rows_of_share(share: float, n_gallery: int) -> int:
    """Return the number of rows in a share of the gallery, rounded up and at least 1."""
    return max(1, int(np.ceil(share * n_gallery - 1e-9)))


def json_values(value: Any) -> Any:
    """Return mappings, sequences, arrays and numbers as the types that JSON knows; NaN becomes None."""
    if isinstance(value, Mapping):
        return {name: json_values(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(each) for each in value]
    if isinstance(value, np.ndarray):
        return json_values(value.tolist())
    if isinstance(value, np.generic):
        return json_values(value.item())
    # JSON has no NaN.
    return None if isinstance(value, float) and np.isnan(value) else value
