"""Ranking metrics of codes and features, of two-stage search, and ranked sheets."""

from bitreid.evaluation.afr import AfrMetrics, evaluate_afr
from bitreid.evaluation.protocol import PROTOCOLS, ProtocolSettings
from bitreid.evaluation.ranking import RankingMetrics, evaluate_distances, evaluate_lengths, evaluate_ranking
from bitreid.evaluation.scores import Scores
from bitreid.evaluation.sheet import SheetHit, SheetRow, draw_ranked_sheet

__all__ = [
    "PROTOCOLS",
    "AfrMetrics",
    "ProtocolSettings",
    "RankingMetrics",
    "Scores",
    "SheetHit",
    "SheetRow",
    "draw_ranked_sheet",
    "evaluate_afr",
    "evaluate_distances",
    "evaluate_lengths",
    "evaluate_ranking",
]
