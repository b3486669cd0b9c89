"""Ranking metrics of codes and features, of two-stage search and re-ranking; open set; how sure a score is; sheets."""

from bitreid.evaluation.afr import AfrMetrics, evaluate_afr
from bitreid.evaluation.calibration.fit import fit_open_set
from bitreid.evaluation.confidence import Interval, PairedComparison, bootstrap, compare
from bitreid.evaluation.open_set_metrics import Identification, PairCounts, Verification, count_pairs, identify, verify
from bitreid.evaluation.protocol import PROTOCOLS, Protocol, ProtocolSettings
from bitreid.evaluation.ranking import RankingMetrics, evaluate_distances, evaluate_lengths, evaluate_ranking
from bitreid.evaluation.rerank import evaluate_reranked, expand_queries, nearest_rows, rerank_k_reciprocal
from bitreid.evaluation.scores import Scores
from bitreid.evaluation.sheets import SheetHit, SheetRow, draw_ranked_sheet

__all__ = [
    "PROTOCOLS",
    "AfrMetrics",
    "Identification",
    "Interval",
    "PairCounts",
    "PairedComparison",
    "Protocol",
    "ProtocolSettings",
    "RankingMetrics",
    "Scores",
    "SheetHit",
    "SheetRow",
    "Verification",
    "bootstrap",
    "compare",
    "count_pairs",
    "draw_ranked_sheet",
    "evaluate_afr",
    "evaluate_distances",
    "evaluate_lengths",
    "evaluate_ranking",
    "evaluate_reranked",
    "expand_queries",
    "fit_open_set",
    "identify",
    "nearest_rows",
    "rerank_k_reciprocal",
    "verify",
]
