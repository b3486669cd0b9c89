"""Exact and two-stage search over arrays of packed codes."""

from bitreid.hamming.search import (
    Ranking,
    count_nearer,
    distance_blocks,
    distances_at,
    search_exact,
    search_two_stage,
)

__all__ = ["Ranking", "count_nearer", "distance_blocks", "distances_at", "search_exact", "search_two_stage"]
