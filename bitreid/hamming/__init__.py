"""Exact and two-stage search over arrays of packed codes."""

from bitreid.hamming.ranking import Matches, Ranking
from bitreid.hamming.rescoring import rescore, rounded
from bitreid.hamming.search import (
    asymmetric_distances_at,
    count_nearer,
    count_nearer_prefixes,
    distance_blocks,
    distances_at,
    pairwise_distances,
    prefix_distance_blocks,
    search_exact,
    search_range,
    search_two_stage,
)

__all__ = [
    "Matches",
    "Ranking",
    "asymmetric_distances_at",
    "count_nearer",
    "count_nearer_prefixes",
    "distance_blocks",
    "distances_at",
    "pairwise_distances",
    "prefix_distance_blocks",
    "rescore",
    "rounded",
    "search_exact",
    "search_range",
    "search_two_stage",
]
