"""Ranking metrics against every order of every tie, and what must not change them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, unpack
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation import RankingMetrics, Scores, evaluate_ranking, ranking
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
    aps = [np.nan if results is None else results[0].ap for results in found]
    np.testing.assert_allclose(metrics.average_precision, aps, rtol=0, atol=1e-12)


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


# Of these codes many are at one distance from each other.
NEAR_CODES = st.sampled_from([0, 1, 2, 3, 7, 255])


@given(small_people(), st.data())
def test_codes_score_as_every_tie_order_does(people: People, data: st.DataObject) -> None:
    n_queries, n_gallery = len(people.query_pids), len(people.gallery_pids)
    queries = codes_of(data.draw(st.lists(NEAR_CODES, min_size=n_queries, max_size=n_queries)))
    gallery = codes_of(data.draw(st.lists(NEAR_CODES, min_size=n_gallery, max_size=n_gallery)))
    if not any_match(people):
        with pytest.raises(DataError, match="at least one query with a match"):
            evaluate_ranking(queries, gallery, *people.arguments())
        return
    distances = np.array([[hamming(q, g) for g in unpack(gallery)] for q in unpack(queries)], np.float64)
    check(evaluate_ranking(queries, gallery, *people.arguments(), n_ranks=N_RANKS), distances, people)


@given(small_people().filter(any_match), st.data(), st.sampled_from([np.float16, np.float32, np.float64]))
def test_features_score_as_every_tie_order_does(people: People, data: st.DataObject, dtype: type[np.floating]) -> None:
    def draw_features(n: int) -> npt.NDArray[np.floating]:
        numbers = st.lists(st.integers(-1, 1), min_size=3 * n, max_size=3 * n)
        return np.array(data.draw(numbers), dtype).reshape(n, 3)

    queries, gallery = draw_features(len(people.query_pids)), draw_features(len(people.gallery_pids))
    distances = np.array([[twin.cosine_distance(q, g) for g in gallery.tolist()] for q in queries.tolist()])
    check(evaluate_ranking(queries, gallery, *people.arguments(), n_ranks=N_RANKS), distances, people)


@pytest.mark.parametrize("kind", ["codes", "features"])
def test_order_and_blocks_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    people = random_people(rng, 20, 300)

    def make(n: int) -> Codes | npt.NDArray[np.float32]:
        if kind == "codes":
            return Codes(rng.integers(0, 256, (n, 2), dtype=np.uint8), 16)
        # Some features repeat, so that ties exist and would break at the last bit of a product.
        return rng.standard_normal((50, 40), dtype=np.float32)[rng.integers(0, 50, n)]

    queries, gallery = make(20), make(300)
    metrics = evaluate_ranking(queries, gallery, *people.arguments())
    assert metrics.worst.mAP < metrics.expected.mAP < metrics.best.mAP
    monkeypatch.setattr(ranking, "_QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(ranking, "_GALLERY_BLOCK", 11)
    order = rng.permutation(300)
    shuffled = evaluate_ranking(
        queries,
        gallery[order],
        people.query_pids,
        people.query_camids,
        people.gallery_pids[order],
        people.gallery_camids[order],
    )
    for which in ("expected", "best", "worst"):
        before, after = getattr(metrics, which), getattr(shuffled, which)
        np.testing.assert_allclose(before.cmc, after.cmc, rtol=0, atol=1e-12)
        assert (before.mAP, before.mINP) == pytest.approx((after.mAP, after.mINP), abs=1e-12)
    np.testing.assert_allclose(metrics.average_precision, shuffled.average_precision, rtol=0, atol=1e-12)


def test_large_ties_score_as_shuffled_galleries_do() -> None:
    """Ties far too large to enumerate, against 4,000 random orders."""
    rng = np.random.default_rng(2)
    codes = Codes(rng.integers(0, 256, (400, 1), dtype=np.uint8), 8)
    query = codes_of([0])
    pids = np.where(rng.random(400) < 0.05, 1, 2)
    one = np.array([1])
    metrics = evaluate_ranking(query, codes, one, one, pids, np.full(400, 2), n_ranks=N_RANKS)
    distances = unpack(codes).sum(axis=1)
    verdict = [twin.RIGHT if pid == 1 else twin.WRONG for pid in pids]
    n_matches = verdict.count(twin.RIGHT)
    draws = [
        twin.score(np.lexsort((rng.random(400), distances)).tolist(), verdict, n_matches, N_RANKS) for _ in range(4000)
    ]
    mean = twin.mean(draws)
    error = np.std([draw.ap for draw in draws]) / 4000**0.5
    assert metrics.expected.mAP == pytest.approx(mean.ap, abs=4 * error)
    assert metrics.expected.mINP == pytest.approx(mean.inp, abs=4 * np.std([draw.inp for draw in draws]) / 4000**0.5)
    np.testing.assert_allclose(metrics.expected.cmc, mean.cmc, rtol=0, atol=4 * 0.5 / 4000**0.5)


def test_all_ties_of_one_match_are_uniform() -> None:
    """One match among ten rows at one distance: any rank from 1 to 10."""
    pids = np.arange(1, 11)
    zeros = np.zeros(10, np.int64)
    metrics = evaluate_ranking(codes_of([0]), codes_of([5] * 10), pids[:1], zeros[:1] + 1, pids, zeros, n_ranks=12)
    np.testing.assert_allclose(metrics.expected.cmc, [min(rank / 10, 1) for rank in range(1, 13)])
    assert metrics.expected.mAP == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 10)
    assert metrics.expected.mINP == pytest.approx(metrics.expected.mAP)
    assert (metrics.best.mAP, metrics.worst.mAP) == (1, 0.1)


def test_a_known_ranking_scores_as_by_hand() -> None:
    """Nearest first: right, wrong, right; AP = (1/1 + 2/3) / 2, INP = 2/3."""
    metrics = evaluate_ranking(
        codes_of([0]), codes_of([1, 3, 7]), np.array([4]), np.array([1]), np.array([4, 5, 4]), np.array([2, 2, 2])
    )
    for scores in (metrics.expected, metrics.best, metrics.worst):
        assert scores.mAP == pytest.approx(5 / 6)
        assert scores.mINP == pytest.approx(2 / 3)
        assert scores.cmc.tolist() == [1.0] * 50


def test_one_picture_found_is_perfect() -> None:
    one, two = np.array([1]), np.array([2])
    metrics = evaluate_ranking(codes_of([9]), codes_of([255]), one, one, one, two)
    assert (metrics.expected.rank1, metrics.expected.mAP, metrics.expected.mINP) == (1, 1, 1)


def test_queries_without_a_match_are_counted_and_left_out() -> None:
    metrics = evaluate_ranking(
        codes_of([0, 0, 0]), codes_of([0]), np.array([1, 2, 0]), np.array([1, 1, 1]), np.array([1]), np.array([2])
    )
    assert (metrics.n_queries, metrics.n_without_match) == (3, 2)
    assert metrics.expected.mAP == 1
    assert metrics.average_precision.tolist()[0] == 1
    assert np.isnan(metrics.average_precision[1:]).all()


@pytest.mark.parametrize("gallery_pids", [[-1, -1], [0, 2], [-2, -2], []], ids=["junk", "wrong", "unknown", "empty"])
def test_a_gallery_without_matches_is_refused(gallery_pids: list[int]) -> None:
    pids = np.array(gallery_pids, np.int64)
    gallery = Codes(np.zeros((len(pids), 1), np.uint8), 8)
    with pytest.raises(DataError, match="at least one query with a match in the gallery, got none among 1 queries"):
        evaluate_ranking(codes_of([0]), gallery, np.array([1]), np.array([1]), pids, np.full_like(pids, 2))


def test_no_queries_are_refused() -> None:
    none, one = np.zeros(0, np.int64), np.array([1])
    with pytest.raises(DataError, match="got none among 0 queries"):
        evaluate_ranking(codes_of([]), codes_of([0]), none, none, one, one)


def test_sides_that_do_not_fit_are_refused() -> None:
    one = np.array([1])
    codes, features = codes_of([0]), np.ones((1, 4), np.float32)
    with pytest.raises(CodesError, match="got one of each"):
        evaluate_ranking(codes, features, one, one, one, one)
    with pytest.raises(CodesError, match="one width, got 4 and 3"):
        evaluate_ranking(features, features[:, :3], one, one, one, one)
    with pytest.raises(CodesError, match="finite gallery features"):
        evaluate_ranking(features, features * np.float32(np.nan), one, one, one, one)
    with pytest.raises(CodesError, match="query features of shape"):
        evaluate_ranking(features[0], features, one, one, one, one)
    with pytest.raises(DataError, match="a pid for each of 1 queries and 1 gallery rows, got 1 and 2"):
        evaluate_ranking(codes, codes, one, one, np.array([1, 2]), np.array([1, 2]))
    with pytest.raises(DataError, match="one pid and one camid a gallery picture"):
        evaluate_ranking(codes, codes, one, one, one, np.array([1, 2]))
    with pytest.raises(SettingsError, match="n_ranks of at least 1, got 0"):
        evaluate_ranking(codes, codes, one, one, one, one + 1, n_ranks=0)
