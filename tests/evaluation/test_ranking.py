"""Ranking metrics against every order of every tie, and what must not change them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitreid.codes import Codes, hamming_distances, unpack
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation import PROTOCOLS, comparison, evaluate_distances, evaluate_lengths, evaluate_ranking, ranking
from tests.evaluation.cases import (
    N_RANKS,
    NEAR_CODES,
    People,
    any_match,
    assert_same,
    check,
    codes_of,
    hamming_table,
    random_people,
    small_people,
)
from tests.reference import ranking as twin

Ints = npt.NDArray[np.int64]


@given(small_people(), st.data())
def test_codes_score_as_every_tie_order_does(people: People, data: st.DataObject) -> None:
    n_queries, n_gallery = len(people.query_pids), len(people.gallery_pids)
    queries = codes_of(data.draw(st.lists(NEAR_CODES, min_size=n_queries, max_size=n_queries)))
    gallery = codes_of(data.draw(st.lists(NEAR_CODES, min_size=n_gallery, max_size=n_gallery)))
    if not any_match(people):
        with pytest.raises(DataError, match="at least one query with a match"):
            evaluate_ranking(queries, gallery, *people.arguments())
        return
    found = evaluate_ranking(queries, gallery, *people.arguments(), n_ranks=N_RANKS)
    check(found, hamming_table(queries, gallery), people)


@given(small_people().filter(any_match), st.data(), st.sampled_from([np.float16, np.float32, np.float64]))
def test_features_score_as_every_tie_order_does(people: People, data: st.DataObject, dtype: type[np.floating]) -> None:
    def draw_features(n: int) -> npt.NDArray[np.floating]:
        numbers = st.lists(st.integers(-1, 1), min_size=3 * n, max_size=3 * n)
        return np.array(data.draw(numbers), dtype).reshape(n, 3)

    queries, gallery = draw_features(len(people.query_pids)), draw_features(len(people.gallery_pids))
    distances = np.array([[twin.cosine_distance(q, g) for g in gallery.tolist()] for q in queries.tolist()])
    check(evaluate_ranking(queries, gallery, *people.arguments(), n_ranks=N_RANKS), distances, people)


def random_side(rng: np.random.Generator, kind: str, n: int) -> Codes | npt.NDArray[np.float32]:
    """Codes or features of which many are at one distance."""
    if kind == "codes":
        return Codes(rng.integers(0, 256, (n, 2), dtype=np.uint8), 16)
    # Some features repeat, so that ties exist and would break at the last bit of a product.
    return np.random.default_rng(0).standard_normal((50, 40), dtype=np.float32)[rng.integers(0, 50, n)]


@pytest.mark.parametrize("kind", ["codes", "features"])
@pytest.mark.parametrize("name", PROTOCOLS)
@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_gallery_changes_nothing(name: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = random_people(rng, 20, 150)
    queries, gallery = random_side(rng, kind, 20), random_side(rng, kind, 150)
    tracklets = rng.integers(-2, 3, 20), rng.integers(-2, 3, 150)
    order = rng.permutation(150)
    metrics = evaluate_ranking(
        queries, gallery, *people.arguments(), protocol=PROTOCOLS[name], tracklets=tracklets, n_threads=1
    )
    shuffled = evaluate_ranking(
        queries,
        gallery[order],
        people.query_pids,
        people.query_camids,
        people.gallery_pids[order],
        people.gallery_camids[order],
        protocol=PROTOCOLS[name],
        tracklets=(tracklets[0], tracklets[1][order]),
        n_threads=1,
    )
    assert metrics.worst.mAP < metrics.expected.mAP < metrics.best.mAP
    assert_same(metrics, shuffled, 1e-12)


@pytest.mark.parametrize("kind", ["codes", "features"])
@pytest.mark.parametrize("name", ["market1501", "single_shot"])
def test_threads_and_blocks_change_nothing(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    arguments = (
        random_side(rng, kind, 40),
        random_side(rng, kind, 300),
        *random_people(rng, 40, 300).arguments(),
    )
    metrics = evaluate_ranking(*arguments, protocol=PROTOCOLS[name], n_threads=1)
    monkeypatch.setattr(ranking, "_QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(ranking, "_LEAST_QUERIES", 1)
    for n_threads in (1, 3, None):
        assert_same(metrics, evaluate_ranking(*arguments, protocol=PROTOCOLS[name], n_threads=n_threads))
    monkeypatch.setattr(comparison, "_BLOCK_BYTES", 11 * 40 * 8)
    assert_same(metrics, evaluate_ranking(*arguments, protocol=PROTOCOLS[name]))


@given(small_people().filter(any_match), st.data())
def test_lengths_score_as_every_tie_order_of_each_prefix_does(people: People, data: st.DataObject) -> None:
    def draw_codes(n: int) -> Codes:
        pairs = data.draw(st.lists(st.tuples(NEAR_CODES, NEAR_CODES), min_size=n, max_size=n))
        return Codes(np.array(pairs, np.uint8).reshape(n, 2), 16)

    queries, gallery = draw_codes(len(people.query_pids)), draw_codes(len(people.gallery_pids))
    found = evaluate_lengths(queries, gallery, *people.arguments(), [16, 8], n_ranks=N_RANKS)
    assert list(found) == [8, 16]
    for n_bits, metrics in found.items():
        check(metrics, hamming_table(queries.prefix(n_bits), gallery.prefix(n_bits)), people)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_length_is_the_evaluation_of_its_prefix(name: str) -> None:
    rng = np.random.default_rng(4)
    people = random_people(rng, 30, 400).arguments()
    queries, gallery = (Codes(rng.integers(0, 256, (n, 26), dtype=np.uint8), 208) for n in (30, 400))
    protocol, tracklets = PROTOCOLS[name], (rng.integers(0, 3, 30), rng.integers(0, 3, 400))
    lengths = [8, 32, 64, 136, 208]
    found = evaluate_lengths(queries, gallery, *people, lengths, protocol=protocol, tracklets=tracklets)
    for n_bits in lengths:
        short = queries.prefix(n_bits), gallery.prefix(n_bits)
        alone = evaluate_ranking(*short, *people, protocol=protocol, tracklets=tracklets)
        assert_same(found[n_bits], alone)


def test_impossible_lengths_are_refused() -> None:
    one, codes = np.array([1]), Codes(np.zeros((1, 2), np.uint8), 16)
    for lengths, message in (([], "got none"), ([12], "multiple of 8"), ([24], "at most 16 bits"), ([0], "positive")):
        with pytest.raises(CodesError, match=message):
            evaluate_lengths(codes, codes, one, one, one, one + 1, lengths)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "int8", "float32"])
@settings(max_examples=30)
@given(people=small_people().filter(any_match), data=st.data())
def test_given_distances_score_as_every_tie_order_does(dtype: str, people: People, data: st.DataObject) -> None:
    shape = len(people.query_pids), len(people.gallery_pids)
    limits = {"uint8": (0, 255), "uint64": (0, 2**40), "int8": (-128, 127)}.get(dtype, (0, 2**16 - 1))
    values = st.sampled_from([3, 4, 5, *limits])
    distances = np.array(data.draw(st.lists(values, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])))
    given_as: npt.NDArray[Any] = distances.reshape(shape).astype(dtype)
    found = evaluate_distances(given_as, *people.arguments(), n_ranks=N_RANKS)
    check(found, distances.reshape(shape).astype(np.float64), people)


def test_codes_score_as_their_distances_do() -> None:
    rng = np.random.default_rng(5)
    people = random_people(rng, 20, 100).arguments()
    queries, gallery = random_side(rng, "codes", 20), random_side(rng, "codes", 100)
    assert isinstance(queries, Codes)
    assert isinstance(gallery, Codes)
    metrics = evaluate_ranking(queries, gallery, *people)
    distances = hamming_distances(queries, gallery)
    assert_same(metrics, evaluate_distances(distances.astype(np.uint16), *people))
    assert_same(metrics, evaluate_distances(distances.astype(np.float64), *people))


def test_distances_that_cannot_be_scored_are_refused() -> None:
    one = np.array([1])
    people = one, one, one, one + 1
    with pytest.raises(CodesError, match="without NaN, got float64 of shape"):
        evaluate_distances(np.array([[np.nan]]), *people)
    with pytest.raises(CodesError, match=r"got uint8 of shape \(1,\)"):
        evaluate_distances(np.zeros(1, np.uint8), *people)
    with pytest.raises(SettingsError, match="single pictures for given distances"):
        evaluate_distances(np.zeros((1, 1)), *people, protocol=PROTOCOLS["multi_query"])
    with pytest.raises(SettingsError, match="whole gallery for given distances, got single shots"):
        evaluate_distances(np.zeros((1, 1)), *people, protocol=PROTOCOLS["single_shot"])


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
    with pytest.raises(CodesError, match="one length, got 8 and 16 bits"):
        evaluate_ranking(codes, Codes(np.zeros((1, 2), np.uint8), 16), one, one, one, one + 1)
    with pytest.raises(CodesError, match="query features of shape"):
        evaluate_ranking(features[:, :0], features, one, one, one, one)


def test_impossible_settings_are_refused() -> None:
    one, codes = np.array([1]), codes_of([0])
    with pytest.raises(SettingsError, match="n_ranks of at least 1, got 0"):
        evaluate_ranking(codes, codes, one, one, one, one + 1, n_ranks=0)
    for memory_mb in (63, -1, float("nan")):
        with pytest.raises(SettingsError, match="memory_mb of at least 64, got"):
            evaluate_ranking(codes, codes, one, one, one, one + 1, memory_mb=memory_mb)
