"""Single-shot metrics against every choice of one picture a person, and every order of every tie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import PROTOCOLS, ProtocolSettings, RankingMetrics, evaluate_afr, evaluate_ranking
from tests.evaluation.cases import (
    N_RANKS,
    NEAR_CODES,
    People,
    any_match,
    check_scores,
    codes_of,
    hamming_table,
    small_people,
    verdicts,
)
from tests.reference import ranking as twin

Choices = list[list[tuple[twin.Result, twin.Result, twin.Result]]]


@st.composite
def cases(draw: st.DrawFn) -> tuple[People, list[int], list[int]]:
    """People with a match, and the codes of both sides."""
    people = draw(small_people().filter(any_match))
    n_queries, n_gallery = len(people.query_pids), len(people.gallery_pids)
    queries = draw(st.lists(NEAR_CODES, min_size=n_queries, max_size=n_queries))
    return people, queries, draw(st.lists(NEAR_CODES, min_size=n_gallery, max_size=n_gallery))


def evaluate(case: tuple[People, list[int], list[int]], n_draws: int, seed: int) -> RankingMetrics:
    people, queries, gallery = case
    protocol = ProtocolSettings(single_shots=n_draws, seed=seed)
    return evaluate_ranking(codes_of(queries), codes_of(gallery), *people.arguments(), N_RANKS, protocol=protocol)


def choices(case: tuple[People, list[int], list[int]]) -> Choices:
    """For each query with a match its scores in every gallery."""
    people, queries, gallery = case
    table = hamming_table(codes_of(queries), codes_of(gallery))
    found = [
        twin.single_shots(line.tolist(), verdict, people.gallery_pids.tolist(), N_RANKS)
        for line, verdict in zip(table, verdicts(people), strict=True)
    ]
    return [results for results in found if results]


@settings(max_examples=50)
@given(cases(), st.integers(0, 99))
def test_one_draw_is_one_of_the_choices(case: tuple[People, list[int], list[int]], seed: int) -> None:
    metrics = evaluate(case, 1, seed)
    wanted = choices(case)
    assert metrics.n_queries - metrics.n_without_match == len(wanted)
    found = metrics.average_precision[~np.isnan(metrics.average_precision)]
    for ap, results in zip(found, wanted, strict=True):
        assert min(abs(ap - expected.ap) for expected, _, _ in results) < 1e-12


@settings(max_examples=50)
@given(cases(), st.integers(0, 99))
def test_where_there_is_no_choice_the_scores_are_exact(case: tuple[People, list[int], list[int]], seed: int) -> None:
    people, queries, gallery = case
    # A code a person: the pictures of a person are all alike.
    case = people, queries, [gallery[pid % len(gallery)] for pid in people.gallery_pids.tolist()]
    metrics = evaluate(case, 3, seed)
    wanted = [results[0] for results in choices(case)]
    for which, scores in enumerate((metrics.expected, metrics.best, metrics.worst)):
        check_scores(scores, twin.mean([results[which] for results in wanted]))


@settings(max_examples=15)
@given(cases())
def test_many_draws_are_the_mean_of_all_choices(case: tuple[People, list[int], list[int]]) -> None:
    n_draws = 2000
    metrics = evaluate(case, n_draws, seed=0)
    wanted = choices(case)
    for which, scores in enumerate((metrics.expected, metrics.best, metrics.worst)):
        means = [twin.mean([result[which] for result in results]) for results in wanted]
        # All scores are between 0 and 1: the mean of so many draws is off by 1 / (2 sqrt(n)) at the most usual.
        assert scores.mAP == pytest.approx(twin.mean(means).ap, abs=5 * 0.5 / n_draws**0.5)
        np.testing.assert_allclose(scores.cmc, twin.mean(means).cmc, rtol=0, atol=5 * 0.5 / n_draws**0.5)


def test_a_match_among_many_is_drawn_evenly() -> None:
    """The person's four pictures are at ranks 1, 2, 2 and 2 of two; the other person has one picture."""
    one = np.array([1])
    pids = np.array([1, 1, 1, 1, 2])
    metrics = evaluate_ranking(
        codes_of([0]),
        codes_of([0, 3, 7, 15, 1]),
        one,
        one,
        pids,
        np.full(5, 2),
        protocol=ProtocolSettings(single_shots=5000),
    )
    assert metrics.expected.rank1 == pytest.approx(1 / 4, abs=0.03)
    assert metrics.expected.mAP == metrics.expected.mINP == pytest.approx(1 / 4 + 3 / 4 / 2, abs=0.015)
    assert metrics.expected.cmc[1] == 1


def test_the_querys_camera_is_no_answer() -> None:
    """The nearest picture is of the query's camera: it is never drawn."""
    pids, camids = np.array([1, 1, 2]), np.array([1, 2, 1])
    arguments = codes_of([0]), codes_of([0, 3, 1]), np.array([1]), np.array([1]), pids, camids
    metrics = evaluate_ranking(*arguments, protocol=PROTOCOLS["single_shot"])
    assert (metrics.expected.rank1, metrics.expected.mAP) == (0, 0.5)


def test_all_distractors_stay() -> None:
    pids = np.array([1, 0, 0, 0, -1, -2])
    arguments = codes_of([0]), codes_of([3, 1, 1, 255, 0, 0]), np.array([1]), np.array([1]), pids, np.full(6, 2)
    metrics = evaluate_ranking(*arguments, protocol=PROTOCOLS["single_shot"])
    assert metrics.expected.mAP == pytest.approx(1 / 3)
    assert (metrics.expected.cmc[1], metrics.expected.cmc[2]) == (0, 1)


def test_the_seed_chooses() -> None:
    rng = np.random.default_rng(0)
    people = People(np.arange(1, 5), np.ones(4, np.int64), rng.integers(1, 5, 60), np.full(60, 2))
    case = people, [0, 1, 2, 3], rng.integers(0, 256, 60).tolist()
    first, again, other = (evaluate(case, 5, seed).average_precision for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("gallery_pids", [[], [-1, -2], [0], [2]], ids=["empty", "junk", "distractor", "wrong"])
def test_galleries_without_a_match_are_refused(gallery_pids: list[int]) -> None:
    pids = np.array(gallery_pids, np.int64)
    one = np.array([1])
    with pytest.raises(DataError, match="at least one query with a match"):
        evaluate_ranking(
            codes_of([0]), codes_of([0] * len(pids)), one, one, pids, pids * 0, protocol=PROTOCOLS["single_shot"]
        )


def test_two_stages_have_no_single_shots() -> None:
    one, codes = np.array([1]), codes_of([0])
    with pytest.raises(SettingsError, match="two-stage search, got single shots"):
        evaluate_afr(codes, codes, codes, codes, one, one, one, one + 1, [1], protocol=PROTOCOLS["single_shot"])
