"""Exact, two-stage and clustered search over arrays of packed codes."""

from bitreid.hamming.clustered import search_clustered, search_range_clustered
from bitreid.hamming.clusters import Clusters, assign, cluster, remaining
from bitreid.hamming.ranking import Matches, Ranking, VisitedMatches, VisitedRanking
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
    "Clusters",
    "Matches",
    "Ranking",
    "VisitedMatches",
    "VisitedRanking",
    "assign",
    "asymmetric_distances_at",
    "cluster",
    "count_nearer",
    "count_nearer_prefixes",
    "distance_blocks",
    "distances_at",
    "pairwise_distances",
    "prefix_distance_blocks",
    "remaining",
    "rescore",
    "rounded",
    "search_clustered",
    "search_exact",
    "search_range",
    "search_range_clustered",
    "search_two_stage",
]
