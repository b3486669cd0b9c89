"""Evaluation stays within the memory that it was given."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.evaluation import ProtocolSettings, evaluate_afr, evaluate_ranking


def peak_mb(work: Callable[[], object]) -> float:
    """The most that some work allocated at once, in MiB."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def codes_for(rng: np.random.Generator, n_queries: int, n_gallery: int, n_bits: int) -> tuple[Codes, Codes]:
    queries, gallery = (rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8) for n in (n_queries, n_gallery))
    return Codes(queries, n_bits), Codes(gallery, n_bits)


@pytest.mark.parametrize("kind", ["features", "codes", "single_shot", "afr"])
def test_memory_stays_within_the_setting(kind: str) -> None:
    """64 MiB, with distances alone that would need 75 MiB and more if all queries were looked at together."""
    rng = np.random.default_rng(6)
    n_queries, n_gallery = {"features": (256, 80_000), "codes": (50, 500_000)}.get(kind, (128, 150_000))
    # Mostly distractors; a person has few pictures.
    pids = np.where(rng.random(n_gallery) < 0.999, 0, rng.integers(1, 9, n_gallery))
    people = rng.integers(1, 9, n_queries), np.ones(n_queries, np.int64), pids, np.full(n_gallery, 2)
    if kind == "features":
        features = [rng.standard_normal((n, 4), dtype=np.float32) for n in (n_queries, n_gallery)]
        peak = peak_mb(lambda: evaluate_ranking(features[0], features[1], *people, memory_mb=64, n_threads=2))
    elif kind == "afr":
        short, long = codes_for(rng, n_queries, n_gallery, 8), codes_for(rng, n_queries, n_gallery, 32)
        peak = peak_mb(lambda: evaluate_afr(short[0], long[0], short[1], long[1], *people, [1500], memory_mb=64))
    else:
        protocol = ProtocolSettings(single_shots=10 if kind == "single_shot" else 0)
        codes = codes_for(rng, n_queries, n_gallery, 32)
        peak = peak_mb(lambda: evaluate_ranking(*codes, *people, protocol=protocol, memory_mb=64))
    assert peak < 64
