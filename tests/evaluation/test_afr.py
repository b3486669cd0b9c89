"""Two-stage metrics against every short list and every order of every tie."""

import math
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitreid.codes import Codes, unpack
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation import PROTOCOLS, AfrMetrics, afr, evaluate_afr, evaluate_ranking, ranking
from tests.evaluation.cases import (
    N_RANKS,
    NEAR_CODES,
    People,
    any_match,
    check_scores,
    codes_of,
    random_people,
    small_people,
    verdicts,
)
from tests.reference import ranking as twin
from tests.reference.search import hamming


def distances(queries: Codes, gallery: Codes) -> list[list[int]]:
    return [[hamming(query, code) for code in unpack(gallery)] for query in unpack(queries)]


@settings(max_examples=80)
@given(small_people().filter(any_match), st.data())
def test_scores_are_those_of_every_short_list_and_order(people: People, data: st.DataObject) -> None:
    def draw_codes(n: int) -> Codes:
        return codes_of(data.draw(st.lists(NEAR_CODES, min_size=n, max_size=n)))

    n_queries, n_gallery = len(people.query_pids), len(people.gallery_pids)
    queries, gallery = (draw_codes(n_queries), draw_codes(n_queries)), (draw_codes(n_gallery), draw_codes(n_gallery))
    ws = range(1, n_gallery + 2)
    found = evaluate_afr(*queries, *gallery, *people.arguments(), ws, n_ranks=N_RANKS)
    short, long = distances(queries[0], gallery[0]), distances(queries[1], gallery[1])
    for w, metrics in zip(ws, found, strict=True):
        results = [
            twin.one_afr_query(short[i], long[i], verdict, w, N_RANKS) for i, verdict in enumerate(verdicts(people))
        ]
        scored = [result for result in results if result is not None]
        assert (metrics.n_queries, metrics.n_without_match) == (n_queries, n_queries - len(scored))
        assert (metrics.w, metrics.share) == (min(w, n_gallery), min(w / n_gallery, 1))
        check_scores(metrics.expected, twin.mean([scores for scores, _ in scored]))
        assert metrics.kept == pytest.approx(np.mean([kept for _, kept in scored]), abs=1e-12)


def random_sides(rng: np.random.Generator, n: int) -> tuple[Codes, Codes]:
    """Short codes of 8 bits and long ones of 16, of `n` pictures."""
    short, long = (rng.integers(0, 256, (n, n_bytes), dtype=np.uint8) for n_bytes in (1, 2))
    return Codes(short, 8), Codes(long, 16)


def assert_same(a: AfrMetrics, b: AfrMetrics) -> None:
    np.testing.assert_allclose(a.expected.cmc, b.expected.cmc, rtol=0, atol=1e-12)
    for name in ("mAP", "mINP"):
        assert getattr(a.expected, name) == pytest.approx(getattr(b.expected, name), abs=1e-12)
    assert a.kept == pytest.approx(b.kept, abs=1e-12)


@pytest.mark.parametrize("name", ["market1501", "no_cameras", "multi_query", "tracklets"])
@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_order_and_blocks_change_nothing(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = random_people(rng, 10, 200)
    queries, (short, long) = random_sides(rng, 10), random_sides(rng, 200)
    tracklets = rng.integers(-2, 3, 10), rng.integers(-2, 3, 200)

    def evaluate(order: npt.NDArray[np.int64]) -> list[AfrMetrics]:
        return evaluate_afr(
            *queries,
            short[order],
            long[order],
            people.query_pids,
            people.query_camids,
            people.gallery_pids[order],
            people.gallery_camids[order],
            [1, 20, 100, 199],
            protocol=PROTOCOLS[name],
            tracklets=(tracklets[0], tracklets[1][order]),
        )

    metrics = evaluate(np.arange(200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_QUERIES_AT_ONCE", 3)
        patch.setattr(afr, "_DRAWS_AT_ONCE", 10)
        shuffled = evaluate(rng.permutation(200))
    for before, after in zip(metrics, shuffled, strict=True):
        assert_same(before, after)


def test_ties_of_many_rows_stay_within_the_memory() -> None:
    """Half the gallery is drawn from one tie of four long codes: there are millions of ways to do so."""
    rng = np.random.default_rng(8)
    n = 30_000
    pids = np.where(np.arange(n) < 4, 1, 2)
    one, short, long = np.array([1]), codes_of([0] * n), codes_of(rng.choice([1, 3, 7, 15], n).tolist())
    tracemalloc.start()
    evaluate_afr(codes_of([0]), codes_of([0]), short, long, one, one, pids, np.full(n, 2), [n // 2], memory_mb=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_more_rows_keep_more_and_all_rows_are_the_full_ranking() -> None:
    rng = np.random.default_rng(4)
    people = random_people(rng, 10, 200)
    queries, gallery = random_sides(rng, 10), random_sides(rng, 200)
    metrics = evaluate_afr(*queries, *gallery, *people.arguments(), [10, 50, 150, 200, 1000])
    kept = [each.kept for each in metrics]
    assert kept[0] < kept[1] < kept[2] < kept[3] == kept[4] == 1
    assert all(each.expected.mAP <= each.kept + 1e-12 for each in metrics)
    full = evaluate_ranking(queries[1], gallery[1], *people.arguments())
    np.testing.assert_allclose(metrics[3].expected.cmc, full.expected.cmc, rtol=0, atol=1e-12)
    assert metrics[3].expected.mAP == pytest.approx(full.expected.mAP, abs=1e-12)
    assert metrics[3].expected.mINP == pytest.approx(full.expected.mINP, abs=1e-12)
    assert_same(metrics[3], metrics[4])


@pytest.mark.parametrize("w", [30, 150, 390])
def test_large_ties_score_as_random_searches_do(w: int) -> None:
    """A boundary of a hundred rows and ties in both stages, against 4,000 random searches."""
    rng = np.random.default_rng(5)
    n, n_draws = 400, 4000
    short, long = random_sides(rng, n)
    pids = np.where(rng.random(n) < 0.01, 1, 2)
    camids = np.where(rng.random(n) < 0.2, 1, 2)
    one = np.array([1])
    zero = Codes(np.zeros((1, 1), np.uint8), 8), Codes(np.zeros((1, 2), np.uint8), 16)
    (metrics,) = evaluate_afr(*zero, short, long, one, one, pids, camids, [w], n_ranks=N_RANKS)
    verdict = twin.verdicts(1, 1, pids.tolist(), camids.tolist())
    first, second = unpack(short).sum(axis=1), unpack(long).sum(axis=1)
    draws = []
    for _ in range(n_draws):
        kept = np.lexsort((rng.random(n), first))[:w]
        order = [row for row in kept[np.lexsort((rng.random(w), second[kept]))].tolist() if verdict[row] != twin.OUT]
        draws.append(twin.score(order, verdict, verdict.count(twin.RIGHT), N_RANKS))
    mean = twin.mean(draws)

    def error(values: list[float]) -> float:
        return 4 * float(np.std(values)) / math.sqrt(n_draws) + 1e-12

    assert metrics.expected.mAP == pytest.approx(mean.ap, abs=error([draw.ap for draw in draws]))
    assert metrics.expected.mINP == pytest.approx(mean.inp, abs=error([draw.inp for draw in draws]))
    for rank in range(N_RANKS):
        assert metrics.expected.cmc[rank] == pytest.approx(
            mean.cmc[rank], abs=error([draw.cmc[rank] for draw in draws])
        )


def test_a_dropped_match_is_never_found() -> None:
    """Stage 1 keeps the one wrong row; the match, nearest by the long code, is lost."""
    one = np.array([1])
    query, pids, camids = codes_of([0]), np.array([1, 2]), np.array([2, 2])
    (metrics,) = evaluate_afr(query, query, codes_of([255, 0]), codes_of([0, 255]), one, one, pids, camids, [1])
    assert (metrics.kept, metrics.expected.mAP, metrics.expected.mINP) == (0, 0, 0)
    assert not metrics.expected.cmc.any()


def test_pictures_of_the_same_camera_take_places_in_the_short_list() -> None:
    one = np.array([1])
    query, pids, camids = codes_of([0]), np.array([1, -1, 1]), np.array([1, 3, 2])
    gallery = codes_of([0, 1, 3])
    metrics = evaluate_afr(query, query, gallery, gallery, one, one, pids, camids, [2, 3])
    assert [each.kept for each in metrics] == [0, 1]
    assert [each.expected.rank1 for each in metrics] == [0, 1]


@pytest.mark.parametrize("name", ["multi_query", "tracklets", "no_cameras"])
def test_protocols_change_what_is_searched_and_who_counts(name: str) -> None:
    """With all rows kept, two stages are one, under every protocol of a whole gallery; with fewer, less is found."""
    rng = np.random.default_rng(7)
    people = random_people(rng, 30, 200).arguments()
    (short_queries, long_queries), (short_gallery, long_gallery) = random_sides(rng, 30), random_sides(rng, 200)
    tracklets = rng.integers(0, 2, 30), rng.integers(0, 2, 200)
    codes = short_queries, long_queries, short_gallery, long_gallery
    some, every = evaluate_afr(*codes, *people, [10, 200], protocol=PROTOCOLS[name], tracklets=tracklets)
    full = evaluate_ranking(long_queries, long_gallery, *people, protocol=PROTOCOLS[name], tracklets=tracklets)
    assert (every.n_queries, every.n_without_match) == (full.n_queries, full.n_without_match)
    assert every.expected.mAP == pytest.approx(full.expected.mAP, abs=1e-12)
    np.testing.assert_allclose(every.expected.cmc, full.expected.cmc, rtol=0, atol=1e-12)
    assert some.kept < 1
    assert every.expected.mAP != evaluate_afr(*codes, *people, [200])[0].expected.mAP


def test_no_w_gives_no_metrics() -> None:
    one = np.array([1])
    codes = codes_of([0])
    assert evaluate_afr(codes, codes, codes, codes, one, one, one, one + 1, []) == []


def test_impossible_arguments_are_refused() -> None:
    one, two = np.array([1]), np.array([2])
    codes, pair = codes_of([0]), codes_of([0, 1])
    with pytest.raises(SettingsError, match="w and n_ranks of at least 1"):
        evaluate_afr(codes, codes, codes, codes, one, one, one, two, [5, 0])
    with pytest.raises(CodesError, match="short and long codes of the same queries"):
        evaluate_afr(codes, codes, pair, codes, one, one, one, two, [1])
    with pytest.raises(DataError, match="a pid for each of"):
        evaluate_afr(pair, pair, codes, codes, one, one, one, two, [1])
    with pytest.raises(DataError, match="at least one query with a match"):
        evaluate_afr(codes, codes, codes, codes, one, one, two, two, [1])
