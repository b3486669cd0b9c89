"""All scores of a model at once."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bitreid.codes import Codes, pack
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import PROTOCOLS, evaluate_afr, evaluate_ranking
from bitreid.evaluation.summary import Evaluation, Side, evaluate_model, short_list


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
    assert evaluation.floats is not None
    codes = evaluate_ranking(query.codes, gallery.codes, *people)
    assert evaluation.codes.expected.mAP == codes.expected.mAP
    assert evaluation.floats.expected.mAP == evaluate_ranking(query.features, gallery.features, *people).expected.mAP
    afr = evaluate_afr(query.attribute_codes, query.codes, gallery.attribute_codes, gallery.codes, *people, [3, 6])
    assert [each.w for each in evaluation.afr] == [3, 6]
    assert [each.kept for each in evaluation.afr] == [each.kept for each in afr]
    assert (evaluation.n_bits, evaluation.n_gallery) == (16, 12)
    assert evaluation.bits.balance.shape == (16,)


def test_what_is_missing_is_not_scored(query: Side, gallery: Side) -> None:
    assert evaluate_model(replace(query, features=None), gallery, [3]).floats is None
    assert evaluate_model(query, replace(gallery, attribute_codes=None), [3]).afr == ()
    assert evaluate_model(query, gallery, []).afr == ()


def strict(evaluation: Evaluation) -> dict[str, object]:
    """Through JSON as its standard has it, which knows no NaN."""
    record: dict[str, object] = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    return record


def test_everything_goes_into_json(query: Side, gallery: Side) -> None:
    evaluation = evaluate_model(query, gallery, [3])
    record = strict(evaluation)
    assert set(record) == {"floats", "codes", "afr", "n_bits", "n_gallery", "bits"}
    codes = evaluation.to_json()["codes"]
    assert codes["expected"]["mAP"] == evaluation.codes.expected.mAP
    assert codes["n_without_match"] == 1, "nobody in the gallery is the fifth person"
    precision = evaluation.codes.average_precision
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
    assert evaluation.codes.expected.mAP == evaluate_ranking(pack(mean), gallery.codes, *people).expected.mAP
    assert evaluation.floats.expected.mAP == evaluate_ranking(mean, gallery.features, *people).expected.mAP
    majority = Codes(np.array([[0b01]], np.uint8), 8)
    afr = evaluate_afr(majority, pack(mean), gallery.attribute_codes, gallery.codes, *people, [6])
    assert evaluation.afr[0].expected.mAP == afr[0].expected.mAP
    assert evaluation.codes.n_queries == evaluation.afr[0].n_queries == 1


def test_codes_that_are_no_signs_of_features_merge_by_majority(query: Side, gallery: Side) -> None:
    assert query.features is not None
    wide = replace(query, features=np.hstack([query.features, query.features]), pids=np.ones(5, np.int64))
    wide_gallery = replace(gallery, features=np.tile(np.ones((12, 1), np.float32), (1, 32)))
    evaluation = evaluate_model(wide, wide_gallery, [], PROTOCOLS["multi_query"])
    people = (wide.pids, wide.camids, gallery.pids, gallery.camids)
    merged = evaluate_ranking(query.codes, gallery.codes, *people, protocol=PROTOCOLS["multi_query"])
    assert evaluation.codes.expected.mAP == merged.expected.mAP


def test_tracklets_are_items_of_both_sides(query: Side, gallery: Side) -> None:
    tracklets = replace(query, tracklets=np.zeros(5, np.int64)), replace(gallery, tracklets=np.arange(12) // 4)
    evaluation = evaluate_model(*tracklets, [3], PROTOCOLS["tracklets"])
    assert evaluation.n_gallery == 12, "each of the four people has one picture a tracklet"
    whole = evaluate_model(
        tracklets[0], replace(gallery, tracklets=np.zeros(12, np.int64)), [3], PROTOCOLS["tracklets"]
    )
    assert (whole.n_gallery, whole.codes.n_queries) == (4, 5)
    with pytest.raises(DataError, match="expected the tracklet of each query and gallery picture"):
        evaluate_model(query, tracklets[1], [], PROTOCOLS["tracklets"])


def test_single_shots_are_scored_without_two_stages(query: Side, gallery: Side) -> None:
    evaluation = evaluate_model(query, gallery, [], PROTOCOLS["single_shot"])
    assert evaluation.codes.expected.mAP == evaluation.codes.expected.mINP
    with pytest.raises(SettingsError, match="got single shots"):
        evaluate_model(query, gallery, [3], PROTOCOLS["single_shot"])


@pytest.mark.parametrize(
    ("share", "n", "rows"),
    [(0.01, 1000, 10), (0.01, 1001, 11), (0.01, 5, 1), (0.1, 30, 3), (1.0, 7, 7), (0.29, 100, 29)],
)
def test_a_share_of_the_gallery_is_rounded_up(share: float, n: int, rows: int) -> None:
    assert short_list(share, n) == rows
