"""All scores of a model at once."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, hamming_distances, pack
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import PROTOCOLS, RankingMetrics, evaluate_afr, evaluate_distances, evaluate_ranking
from bitreid.evaluation.rerank import expand_queries, nearest_rows, rerank_k_reciprocal, short_list_distances
from bitreid.evaluation.side import Side, merged
from bitreid.evaluation.summary import Evaluation, _random_ids, evaluate_model, json_values, rows_of_share


def side(n: int, n_people: int, camera: int, seed: int) -> Side:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 16)).astype(np.float32)
    attributes = Codes(rng.integers(0, 256, (n, 1), dtype=np.uint8), 8)
    return Side(pack(features), features, attributes, np.arange(n) % n_people + 1, np.full(n, camera))


@pytest.fixture
def query() -> Side:
    return side(5, 5, 1, seed=0)


@pytest.fixture
def gallery() -> Side:
    return side(12, 4, 2, seed=1)


def test_the_scores_are_those_of_each_evaluation(query: Side, gallery: Side) -> None:
    evaluation = evaluate_model(query, gallery, [3, 6])
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    assert query.features is not None
    assert gallery.features is not None
    assert query.attribute_codes is not None
    assert gallery.attribute_codes is not None
    assert query.codes is not None
    assert gallery.codes is not None
    assert evaluation.floats is not None
    assert evaluation.bits is not None
    codes = evaluate_ranking(query.main, gallery.main, *people)
    assert evaluation.main.expected.mAP == codes.expected.mAP
    assert evaluation.floats.expected.mAP == evaluate_ranking(query.features, gallery.features, *people).expected.mAP
    afr = evaluate_afr(query.attribute_codes, query.codes, gallery.attribute_codes, gallery.codes, *people, [3, 6])
    assert [each.w for each in evaluation.afr] == [3, 6]
    assert [each.kept for each in evaluation.afr] == [each.kept for each in afr]
    assert (evaluation.n_bits, evaluation.n_gallery) == (16, 12)
    assert evaluation.bits.balance.shape == (16,)


def test_a_coarse_code_is_scored_beside_the_attribute_code(query: Side, gallery: Side) -> None:
    coarse = CoarseCode((0, 5), (0, 1, 2, 3, 9, 15), ((0.5, 0.1),))
    evaluation = evaluate_model(query, gallery, [3, 6], coarse=coarse)
    assert query.codes is not None
    assert gallery.codes is not None
    short = [coarse.of(side.codes, side.attribute_codes) for side in (query, gallery) if side.codes is not None]
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    found = evaluate_afr(short[0], query.codes, short[1], gallery.codes, *people, [3, 6])
    assert [each.kept for each in evaluation.coarse_afr] == [each.kept for each in found]
    assert evaluation.afr[0].kept != evaluation.coarse_afr[0].kept
    of_identity = CoarseCode((), tuple(range(8)), ((0.5, 0.1),))
    without = replace(query, attribute_codes=None), replace(gallery, attribute_codes=None)
    assert evaluate_model(*without, [3], coarse=coarse).coarse_afr == ()
    assert len(evaluate_model(*without, [3], coarse=of_identity).coarse_afr) == 1
    assert evaluate_model(query, gallery, [3]).coarse_afr == ()


def test_what_is_missing_is_not_scored(query: Side, gallery: Side) -> None:
    assert evaluate_model(replace(query, features=None), gallery, [3]).floats is None
    assert evaluate_model(query, replace(gallery, attribute_codes=None), [3]).afr == ()
    assert evaluate_model(query, gallery, []).afr == ()


def test_what_one_side_lacks_is_nobodys(query: Side, gallery: Side) -> None:
    for which in (0, 1):
        sides = [query, gallery]
        sides[which] = replace(sides[which], codes=None, attribute_codes=None)
        evaluation = evaluate_model(sides[0], sides[1], [3], rerank_w=6)
        assert evaluation.main is evaluation.floats
        assert (evaluation.codes, evaluation.beside, evaluation.bits, evaluation.afr) == (None, None, None, ())
        assert (evaluation.n_bits, evaluation.n_features) == (0, 16)
        # Re-ranked is what is scored, not the codes of one side against the features of the other.
        floats = evaluate_model(replace(query, codes=None), replace(gallery, codes=None), [], rerank_w=6)
        assert scores_of(evaluation.reranked) == scores_of(floats.reranked)
    with pytest.raises(SettingsError, match="scores of codes or of float features, got neither"):
        evaluate_model(replace(query, features=None), replace(gallery, codes=None), [])
    with pytest.raises(SettingsError, match="codes or float features of every picture, got neither"):
        _ = replace(query, codes=None, features=None).main


def scores_of(metrics: Mapping[str, RankingMetrics]) -> dict[str, list[float | None]]:
    return {name: json_values(each.average_precision) for name, each in metrics.items()}


@pytest.mark.parametrize("protocol", ["market1501", "no_cameras"])
def test_reranked_rows_are_scored_too(protocol: str, query: Side, gallery: Side) -> None:
    """The whole gallery as short list: what re-ranking gives are then distances like any other."""
    query = replace(query, codes=None, camids=np.array([1, 2, 1, 2, 1]))
    evaluation = evaluate_model(query, gallery, [], PROTOCOLS[protocol], rerank_w=1000)
    assert evaluation.main is evaluation.floats
    assert query.features is not None
    assert gallery.features is not None
    sides = query.features, gallery.features
    rows = np.tile(np.arange(12), (5, 1))
    # No two rows are at one distance from a query, so that no ids break ties.
    nearest = nearest_rows(*sides, 5)
    expanded = expand_queries(*sides, nearest)
    wanted = {
        "k-reciprocal, w = 12": rerank_k_reciprocal(*sides, rows),
        "query expansion, w = 12": short_list_distances(expanded, gallery.features, rows),
    }
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    assert list(evaluation.reranked) == list(wanted)
    for name, distances in wanted.items():
        scores = evaluate_distances(distances, *people, protocol=PROTOCOLS[protocol])
        np.testing.assert_allclose(evaluation.reranked[name].average_precision, scores.average_precision)
    precision = [each.average_precision for each in (evaluation.main, *evaluation.reranked.values())]
    assert len({tuple(each[:4].round(6)) for each in precision}) == 3, "each way has an order of its own"


@pytest.mark.parametrize("n_bits", [16, 8])
@pytest.mark.parametrize("w", [5, 12, 1000])
def test_rescored_codes_are_scored_too(w: int, n_bits: int, query: Side, gallery: Side) -> None:
    """The nearest rows first, by the asymmetric distance, and the others behind them, by Hamming distance."""
    evaluation = evaluate_model(query, gallery, [], rescore_w=w, lengths=[8])
    assert query.features is not None
    assert query.codes is not None
    assert gallery.codes is not None
    query = replace(query, features=query.features[:, :n_bits], codes=query.codes.prefix(n_bits))
    gallery = replace(gallery, codes=gallery.codes.prefix(n_bits))
    assert query.features is not None
    assert query.codes is not None
    assert gallery.codes is not None
    signs = np.unpackbits(gallery.codes.packed, axis=1) * 2.0 - 1
    largest = np.abs(query.features).max(axis=1, keepdims=True)
    scores = np.rint(query.features.astype(np.float64) / largest * 127) @ signs.T
    hamming = hamming_distances(query.codes, gallery.codes)
    distances = 1e6 + hamming
    for i, row in enumerate(nearest_rows(query.codes, gallery.codes, w, _random_ids(gallery))):
        distances[i, row] = -scores[i, row]
    people = (query.pids, query.camids, gallery.pids, gallery.camids)
    expected = evaluate_distances(distances, *people)
    rows = min(w, 12)
    names = {16: f"16 bits, rescored w = {rows}", 8: f"first 8 bits, rescored w = {rows}"}
    assert list(evaluation.rescored) == list(names.values())
    np.testing.assert_allclose(evaluation.rescored[names[n_bits]].average_precision, expected.average_precision)
    plain = evaluate_ranking(query.codes, gallery.codes, *people)
    assert not np.allclose(expected.average_precision[:4], plain.average_precision[:4])


def test_what_cannot_be_rescored_is_refused(query: Side, gallery: Side) -> None:
    for which in (replace(query, features=None), replace(query, codes=None)):
        with pytest.raises(SettingsError, match="expected codes, features of the queries and a protocol of the whole"):
            evaluate_model(which, gallery, [], rescore_w=5)
    with pytest.raises(SettingsError, match="protocol of the whole gallery to rescore"):
        evaluate_model(query, gallery, [], PROTOCOLS["single_shot"], rescore_w=3)


def test_ties_of_a_short_list_are_not_broken_by_identity() -> None:
    """One code for all, the query's person first in the file: with rows as ids it would be a perfect ranking."""
    codes = Codes(np.ones((400, 1), np.uint8), 8)
    gallery = Side(codes, None, None, np.arange(400) // 4 + 1, np.full(400, 2))
    query = Side(codes[:1], None, None, np.array([1]), np.array([1]))
    evaluation = evaluate_model(query, gallery, [], rerank_w=20)
    for metrics in evaluation.reranked.values():
        assert metrics.expected.mAP < 0.1, "with rows as ids 0.3"


@pytest.mark.parametrize("kind", ["codes", "features"])
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_gallery_changes_nothing_that_is_reranked(kind: str, seed: int) -> None:
    """Codes that nearly all tie, at the end of the short list too; features of which many are equal."""
    rng = np.random.default_rng(seed)
    content = rng.integers(-1, 2, (66, 8)).astype(np.float32)
    codes = pack(content) if kind == "codes" else None
    every = Side(codes, content, None, rng.integers(1, 9, 66), rng.integers(1, 4, 66))

    def rows(at: npt.NDArray[np.int64]) -> Side:
        return Side(None if codes is None else codes[at], content[at], None, every.pids[at], every.camids[at])

    query = rows(np.arange(6))
    found = evaluate_model(query, rows(np.arange(6, 66)), [], rerank_w=15)
    moved = evaluate_model(query, rows(rng.permutation(np.arange(6, 66))), [], rerank_w=15)
    for name, metrics in found.reranked.items():
        np.testing.assert_allclose(
            moved.reranked[name].average_precision, metrics.average_precision, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("protocol", ["market1501", "single_shot"])
def test_prefixes_are_scored_as_codes(protocol: str, query: Side, gallery: Side) -> None:
    rules = PROTOCOLS[protocol]
    found = evaluate_model(query, gallery, [], rules, lengths=[8]).lengths
    short = [replace(each, codes=each.codes.prefix(8)) for each in (query, gallery) if each.codes is not None]
    assert list(found) == ["8"]
    assert found["8"].mAP == pytest.approx(evaluate_model(short[0], short[1], [], rules).main.expected.mAP)
    without = [replace(each, codes=None) for each in (query, gallery)]
    assert not evaluate_model(without[0], without[1], [], rules, lengths=[8]).lengths


def strict(evaluation: Evaluation) -> dict[str, object]:
    """Through JSON as its standard has it, which knows no NaN."""
    record: dict[str, object] = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    return record


def test_everything_goes_into_json(query: Side, gallery: Side) -> None:
    evaluation = evaluate_model(query, gallery, [3])
    record = strict(evaluation)
    scores = {"floats", "codes", "afr", "coarse_afr", "reranked", "lengths", "rescored"}
    assert set(record) == {*scores, "n_bits", "n_features", "n_gallery", "bits"}
    codes = evaluation.to_json()["codes"]
    assert codes["expected"]["mAP"] == evaluation.main.expected.mAP
    assert codes["n_without_match"] == 1, "nobody in the gallery is the fifth person"
    precision = evaluation.main.average_precision
    assert math.isnan(precision[4])
    assert codes["average_precision"] == [*precision[:4].tolist(), None]


def test_merged_pictures_have_the_sign_of_their_mean_feature(query: Side, gallery: Side) -> None:
    """Two queries of one person: features (3, -1) and (-1, -1) repeated; the majority of their bits would be 0."""
    features = np.tile(np.array([[3, -1], [-1, -1]], np.float32), (1, 8))
    attributes = Codes(np.array([[0b11], [0b01]], np.uint8), 8)
    one = np.array([1, 1])
    pair = Side(pack(features), features, attributes, one, one)
    evaluation = evaluate_model(pair, gallery, [6], PROTOCOLS["multi_query"])
    mean = np.tile(np.array([[1, -1]], np.float32), (1, 8))
    people = (one[:1], one[:1], gallery.pids, gallery.camids)
    assert evaluation.floats is not None
    assert gallery.features is not None
    assert gallery.attribute_codes is not None
    assert gallery.codes is not None
    assert evaluation.main.expected.mAP == evaluate_ranking(pack(mean), gallery.main, *people).expected.mAP
    assert evaluation.floats.expected.mAP == evaluate_ranking(mean, gallery.features, *people).expected.mAP
    majority = Codes(np.array([[0b01]], np.uint8), 8)
    afr = evaluate_afr(majority, pack(mean), gallery.attribute_codes, gallery.codes, *people, [6])
    assert evaluation.afr[0].expected.mAP == afr[0].expected.mAP
    assert evaluation.main.n_queries == evaluation.afr[0].n_queries == 1


def test_codes_of_another_rule_than_the_sign_merge_by_majority(query: Side, gallery: Side) -> None:
    """Features that are all above 0, as after a ReLU, and codes that say which are above their median."""
    assert query.features is not None
    features = np.abs(query.features)
    codes = pack(features - np.median(features))
    theirs = replace(query, features=features, codes=codes, pids=np.ones(5, np.int64))
    evaluation = evaluate_model(theirs, gallery, [], PROTOCOLS["multi_query"])
    people = (theirs.pids, theirs.camids, gallery.pids, gallery.camids)
    wanted = evaluate_ranking(codes, gallery.main, *people, protocol=PROTOCOLS["multi_query"])
    assert evaluation.main.expected.mAP == wanted.expected.mAP


def test_a_merged_item_is_named_by_its_first_picture(query: Side, gallery: Side) -> None:
    paths = tuple(Path(f"{i}.jpg") for i in range(5))
    tracklets = np.array([4, 5, 4, UNKNOWN, UNKNOWN])
    one = replace(query, pids=np.ones(5, np.int64), paths=paths, tracklets=tracklets)
    other = replace(gallery, tracklets=np.zeros(12, np.int64))
    items, of_gallery = merged(one, other, PROTOCOLS["tracklets"])
    assert items.paths == tuple(Path(f"{i}.jpg") for i in (0, 1, 3, 4))
    assert items.tracklets is not None
    assert items.tracklets.tolist() == [4, 5, UNKNOWN, UNKNOWN]
    assert (len(of_gallery), of_gallery.paths) == (4, ())
    as_they_are = merged(one, other, PROTOCOLS["market1501"])
    assert (as_they_are[0].paths, as_they_are[0].codes, as_they_are[1].codes) == (paths, one.codes, other.codes)


def test_codes_that_are_no_signs_of_features_merge_by_majority(query: Side, gallery: Side) -> None:
    assert query.features is not None
    wide = replace(query, features=np.hstack([query.features, query.features]), pids=np.ones(5, np.int64))
    wide_gallery = replace(gallery, features=np.tile(np.ones((12, 1), np.float32), (1, 32)))
    evaluation = evaluate_model(wide, wide_gallery, [], PROTOCOLS["multi_query"])
    people = (wide.pids, wide.camids, gallery.pids, gallery.camids)
    merged = evaluate_ranking(query.main, gallery.main, *people, protocol=PROTOCOLS["multi_query"])
    assert evaluation.main.expected.mAP == merged.expected.mAP


def test_tracklets_are_items_of_both_sides(query: Side, gallery: Side) -> None:
    tracklets = replace(query, tracklets=np.zeros(5, np.int64)), replace(gallery, tracklets=np.arange(12) // 4)
    evaluation = evaluate_model(*tracklets, [3], PROTOCOLS["tracklets"])
    assert evaluation.n_gallery == 12, "each of the four people has one picture a tracklet"
    whole = evaluate_model(
        tracklets[0], replace(gallery, tracklets=np.zeros(12, np.int64)), [3], PROTOCOLS["tracklets"]
    )
    assert (whole.n_gallery, whole.main.n_queries) == (4, 5)
    with pytest.raises(DataError, match="expected the tracklet of each query and gallery picture"):
        evaluate_model(query, tracklets[1], [], PROTOCOLS["tracklets"])


def test_single_shots_are_scored_without_two_stages(query: Side, gallery: Side) -> None:
    evaluation = evaluate_model(query, gallery, [], PROTOCOLS["single_shot"])
    assert evaluation.main.expected.mAP == evaluation.main.expected.mINP
    with pytest.raises(SettingsError, match="got single shots"):
        evaluate_model(query, gallery, [3], PROTOCOLS["single_shot"])
    with pytest.raises(SettingsError, match="whole gallery for re-ranking, got single shots"):
        evaluate_model(query, gallery, [], PROTOCOLS["single_shot"], rerank_w=3)


@pytest.mark.parametrize(
    ("share", "n", "rows"),
    [(0.01, 1000, 10), (0.01, 1001, 11), (0.01, 5, 1), (0.1, 30, 3), (1.0, 7, 7), (0.29, 100, 29)],
)
def test_a_share_of_the_gallery_is_rounded_up(share: float, n: int, rows: int) -> None:
    assert rows_of_share(share, n) == rows
