"""Exact and two-stage search over arrays of packed codes."""

from bitreid.hamming.search import (
    Ranking,
    count_nearer,
    count_nearer_prefixes,
    distance_blocks,
    distances_at,
    pairwise_distances,
    prefix_distance_blocks,
    search_exact,
    search_two_stage,
)

__all__ = [
    "Ranking",
    "count_nearer",
    "count_nearer_prefixes",
    "distance_blocks",
    "distances_at",
    "pairwise_distances",
    "prefix_distance_blocks",
    "search_exact",
    "search_two_stage",
]
