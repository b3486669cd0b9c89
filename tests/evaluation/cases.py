"""People, codes and pairs that the tests of evaluation draw, and what they hold metrics to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from bitreid.codes import Codes, pack, unpack
from bitreid.evaluation import RankingMetrics, Scores
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.side import Side
from bitreid.evaluation.subjects import Subject
from tests.reference import open_set_metrics as open_set_twin
from tests.reference import ranking as twin
from tests.reference.search import hamming

Ints = npt.NDArray[np.int64]
N_RANKS = 8


@dataclass(frozen=True)
class People:
    """Who is on the pictures of both sides, in the order of the arguments of `evaluate_ranking`."""

    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints

    def arguments(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self.query_pids, self.query_camids, self.gallery_pids, self.gallery_camids


@st.composite
def small_people(draw: st.DrawFn, most: int = 6) -> People:
    """Up to 4 queries and `most` gallery rows: two people, distractors, junk, unknown people and cameras."""

    def column(values: list[int], n: int) -> Ints:
        return np.array(draw(st.lists(st.sampled_from(values), min_size=n, max_size=n)), np.int64)

    n_queries, n_gallery = draw(st.integers(1, 4)), draw(st.integers(1, most))
    return People(
        column([1, 2, 0, -2], n_queries),
        column([1, 2, -2], n_queries),
        column([1, 1, 2, 0, -1, -2], n_gallery),
        column([1, 2, -2], n_gallery),
    )


def random_people(rng: np.random.Generator, n_queries: int, n_gallery: int) -> People:
    return People(
        rng.integers(1, 9, n_queries),
        rng.integers(1, 4, n_queries),
        rng.integers(-1, 9, n_gallery),
        rng.integers(1, 4, n_gallery),
    )


def codes_of(values: list[int]) -> Codes:
    return Codes(np.array(values, np.uint8).reshape(-1, 1), 8)


def check(metrics: RankingMetrics, distances: npt.NDArray[np.float64], people: People) -> None:
    """Hold metrics to the twin's, from the distances `(n_queries, n_gallery)`."""
    found = [
        twin.one_query(line.tolist(), verdict, N_RANKS)
        for line, verdict in zip(distances, verdicts(people), strict=True)
    ]
    scored = [results for results in found if results is not None]
    assert (metrics.n_queries, metrics.n_without_match) == (len(found), len(found) - len(scored))
    for which, scores in enumerate((metrics.expected, metrics.best, metrics.worst)):
        check_scores(scores, twin.mean([results[which] for results in scored]))
    expected = [twin.Result((np.nan,), np.nan, np.nan) if results is None else results[0] for results in found]
    for of_queries, wanted in (
        (metrics.average_precision, [each.ap for each in expected]),
        (metrics.first_right, [each.cmc[0] for each in expected]),
        (metrics.inverse_penalty, [each.inp for each in expected]),
    ):
        np.testing.assert_allclose(of_queries, wanted, rtol=0, atol=1e-12)


def check_scores(scores: Scores, wanted: twin.Result) -> None:
    np.testing.assert_allclose(scores.cmc, wanted.cmc, rtol=0, atol=1e-12)
    assert scores.rank1 == pytest.approx(wanted.cmc[0], abs=1e-12)
    assert scores.mAP == pytest.approx(wanted.ap, abs=1e-12)
    assert scores.mINP == pytest.approx(wanted.inp, abs=1e-12)


def verdicts(people: People) -> list[list[str]]:
    gallery = people.gallery_pids.tolist(), people.gallery_camids.tolist()
    return [
        twin.verdicts(pid, camid, *gallery)
        for pid, camid in zip(people.query_pids.tolist(), people.query_camids.tolist(), strict=True)
    ]


def any_match(people: People) -> bool:
    return any(twin.RIGHT in verdict for verdict in verdicts(people))


N_BITS = 8
LEVELS = list(range(N_BITS + 1))


# Of these codes many are at one distance from each other.
NEAR_CODES = st.sampled_from([0, 1, 2, 3, 7, 255])


def assert_same(a: RankingMetrics, b: RankingMetrics, atol: float = 0) -> None:
    for which in ("expected", "best", "worst"):
        before, after = getattr(a, which), getattr(b, which)
        np.testing.assert_allclose(before.cmc, after.cmc, rtol=0, atol=atol)
        assert (before.mAP, before.mINP) == pytest.approx((after.mAP, after.mINP), rel=0, abs=atol)
    for name in ("average_precision", "first_right", "inverse_penalty"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=atol)
    assert (a.n_queries, a.n_without_match) == (b.n_queries, b.n_without_match)


def hamming_table(queries: Codes, gallery: Codes) -> npt.NDArray[np.float64]:
    return np.array([[hamming(q, g) for g in unpack(gallery)] for q in unpack(queries)], np.float64)


@st.composite
def small_case(draw: st.DrawFn) -> tuple[Codes, Codes, Protocol]:
    """A few queries and gallery rows of 8 bits: people, distractors, junk, unknown people and cameras."""

    def column(values: list[int], n: int) -> npt.NDArray[np.int64]:
        return np.array(draw(st.lists(st.sampled_from(values), min_size=n, max_size=n)), np.int64)

    n_queries, n_gallery = draw(st.integers(1, 5)), draw(st.integers(2, 9))
    codes = [
        Codes(np.array(draw(st.lists(st.integers(0, 255), min_size=n, max_size=n)), np.uint8)[:, None], N_BITS)
        for n in (n_queries, n_gallery)
    ]
    protocol = Protocol(
        column([1, 2, 0, -1, -2], n_queries),
        column([1, 2, -2], n_queries),
        column([1, 1, 2, 0, -1, -2], n_gallery),
        column([1, 2, -2], n_gallery),
    )
    return codes[0], codes[1], protocol


def searches_of(queries: Codes, gallery: Codes, protocol: Protocol) -> list[tuple[list[float], list[float]]]:
    bits = [unpack(codes).tolist() for codes in (queries, gallery)]
    distances = [[hamming(a, b) for b in bits[1]] for a in bits[0]]
    columns = (protocol.query_pids, protocol.query_camids, protocol.gallery_pids, protocol.gallery_camids)
    return open_set_twin.split_pairs(distances, *(column.tolist() for column in columns))


def side(n: int, n_people: int, camera: int, seed: int) -> Side:
    """Pictures of some people, which resemble each other."""
    rng = np.random.default_rng(seed)
    pids = np.arange(n) % n_people + 1
    features = np.random.default_rng(9).normal(size=(20, 16))[pids] + rng.normal(size=(n, 16)) * 1.5
    attributes = Codes(rng.integers(0, 256, (n, 1), dtype=np.uint8), 8)
    return Side(pack(features), features, attributes, pids, np.full(n, camera))


def two_sides() -> Subject:
    """Queries of seven people, one of whom is not in the gallery of six."""
    return Subject("model", "people", side(14, 7, 1, 0), side(60, 6, 2, 1))
