"""All scores of a model at once."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bitreid.codes import Codes, pack
from bitreid.evaluation import evaluate_afr, evaluate_ranking
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


@pytest.mark.parametrize(
    ("share", "n", "rows"),
    [(0.01, 1000, 10), (0.01, 1001, 11), (0.01, 5, 1), (0.1, 30, 3), (1.0, 7, 7), (0.29, 100, 29)],
)
def test_a_share_of_the_gallery_is_rounded_up(share: float, n: int, rows: int) -> None:
    assert short_list(share, n) == rows
