"""Fitting a map to features: what each way costs, who is held out, and which models are the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import pack, unpack
from bitreid.data.manifest import UNKNOWN
from bitreid.data.samplers import hold_out_identities
from bitreid.encoding.imported.feature_map import Affine, FeatureMap
from bitreid.encoding.imported.fitting import FitSettings, Fitted, fit_features
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation import evaluate_ranking
from tests.encoding.imported.cases import D, features_of

PEOPLE = features_of(40)
SOURCE = "osnet_x1_0 msmt17"


def fitted(folder: Path, by: Any = "itq", **changes: Any) -> Fitted:
    return fit_features(PEOPLE, FitSettings(by, changes.pop("source", SOURCE), **changes), folder)


def test_itq_keeps_more_than_as_many_signs(tmp_path: Path) -> None:
    found = fitted(tmp_path / "itq", n_bits=32)
    assert 0 < found.scores[32]["mAP"] < found.scores[0]["mAP"] + 0.02
    others = features_of(40, first=200, seed=3)
    people = (others.manifest.pids, others.manifest.camids) * 2
    codes = found.map.encode(others.features).codes
    signs = pack(others.features[:, :32])
    by_itq, by_sign = (evaluate_ranking(each, each, *people).expected.mAP for each in (codes, signs))
    assert by_itq > by_sign + 0.1


def test_each_prefix_has_scores_and_a_calibration_of_its_own(tmp_path: Path) -> None:
    found = fitted(tmp_path / "itq", n_bits=64)
    card = found.map.card
    assert (card.n_bits, card.code_lengths) == (64, (32, 64))
    assert set(found.scores) == {0, 32, 64}
    assert card.lengths["32"] == found.scores[32]
    assert card.metrics["val_mAP"] == found.scores[64]["mAP"]
    assert card.metrics["val_float_mAP"] == found.scores[0]["mAP"]
    assert card.calibration is not None
    assert (card.calibration.identities, card.calibration.others) == (8, 32 * 8)
    assert card.training["identities"] == 32
    assert card.training["held_out_identities"] == 8


def test_the_scores_are_those_of_the_held_out_people_by_the_saved_map(tmp_path: Path) -> None:
    """None of them was fitted to: their features may be anything, and the map stays the same."""
    found = fitted(tmp_path / "a", n_bits=32, held_out=10, seed=3)
    pids = PEOPLE.manifest.pids
    held_out = hold_out_identities(pids, 10, 3)
    changed = replace(PEOPLE, features=np.where(np.isin(pids, held_out)[:, None], 7.0, PEOPLE.features))
    other = fit_features(changed, FitSettings("itq", SOURCE, 32, 10, 3), tmp_path / "b")
    assert other.map.model == found.map.model
    assert other.scores != found.scores


def test_signs_are_those_of_the_features(tmp_path: Path) -> None:
    found = fitted(tmp_path / "sign", "sign")
    codes = found.map.encode(PEOPLE.features).codes
    np.testing.assert_array_equal(unpack(codes), PEOPLE.features > 0)
    assert found.map.card.code_lengths == (D,)


def test_the_same_is_the_same_model_and_anything_else_is_another(tmp_path: Path) -> None:
    """Signs of two networks' features have equal weights: what made them tells them apart."""
    signs = [fitted(tmp_path / name, "sign", source=name).map.model for name in ("one", "two")]
    assert signs[0] != signs[1]
    assert fitted(tmp_path / "again", "sign", source="one", licence="other", notes="other").map.model == signs[0]
    itq = [fitted(tmp_path / f"{i}", n_bits=32, seed=seed).map.model for i, seed in enumerate((0, 0, 1))]
    assert itq[0] == itq[1] != itq[2]


def test_signs_after_a_relu_are_refused_and_itq_takes_them(tmp_path: Path) -> None:
    found = features_of(30, relu=True)
    ones = replace(found, features=found.features + 1)
    with pytest.raises(DataError, match="100% above 0, as after a ReLU; choose itq or ssr"):
        fit_features(ones, FitSettings("sign", SOURCE), tmp_path / "a")
    assert fit_features(ones, FitSettings("itq", SOURCE, 32), tmp_path / "b").scores[32]["mAP"] > 0.2


def test_itq_needs_nobody_to_be_known(tmp_path: Path) -> None:
    unknown = replace(PEOPLE.manifest, pids=np.full(len(PEOPLE), UNKNOWN))
    found = fit_features(replace(PEOPLE, manifest=unknown), FitSettings("itq", SOURCE, 32), tmp_path / "a")
    assert not found.scores
    assert found.map.card.calibration is None
    assert found.map.card.lengths == {"32": {}}
    assert FeatureMap.open(tmp_path / "a").model == found.map.model


def test_one_camera_scores_nobody_unless_that_is_asked_for(tmp_path: Path) -> None:
    alone = replace(PEOPLE, manifest=replace(PEOPLE.manifest, camids=np.ones(len(PEOPLE), np.int64)))
    assert not fit_features(alone, FitSettings("itq", SOURCE, 32), tmp_path / "a").scores
    with pytest.raises(DataError, match="two cameras"):
        fit_features(alone, FitSettings("itq", SOURCE, 32, held_out=8), tmp_path / "b")


def test_a_head_is_trained_on_the_known_people_who_are_not_held_out(tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def train(x: np.ndarray, classes: np.ndarray, n_bits: int, seed: int) -> Affine:
        asked.update(x=x, classes=classes, seed=seed)
        return Affine(np.eye(D, n_bits, dtype=np.float32), np.zeros(n_bits, np.float32))

    settings = FitSettings("ssr", SOURCE, 256, seed=4)
    found = fit_features(PEOPLE, settings, tmp_path / "a", train)
    assert asked["x"].shape == (32 * 8, D)
    np.testing.assert_allclose(np.linalg.norm(asked["x"], axis=1), 1, rtol=1e-5)
    assert np.unique(asked["classes"]).tolist() == list(range(32))
    assert asked["seed"] == 4
    assert found.map.card.code_lengths == (32, 64, 128, 256)
    with pytest.raises(SettingsError, match="expected PyTorch"):
        fit_features(PEOPLE, settings, tmp_path / "b")
    nobody = replace(PEOPLE, manifest=replace(PEOPLE.manifest, pids=np.zeros(len(PEOPLE), np.int64)))
    with pytest.raises(DataError, match="at least 2 people"):
        fit_features(nobody, settings, tmp_path / "b", train)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("by", "n_bits", "words"),
    [
        ("itq", 96, "at most 64 of 64 features, got 96"),
        ("itq", 40, "multiple of 32 bits"),
        ("itq", 0, "multiple of 32 bits"),
        ("ssr", 8192, "at most 4096, got 8192"),
        ("sign", 32, "got 64 features and 32 bits"),
    ],
)
def test_lengths_that_cannot_be(by: str, n_bits: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        fitted(tmp_path / "a", by, n_bits=n_bits)


def test_too_few_features_and_no_source(tmp_path: Path) -> None:
    few = features_of(3)
    with pytest.raises(DataError, match=r"more than 32 features .* got 24"):
        fit_features(few, FitSettings("itq", SOURCE, 32), tmp_path / "a")
    with pytest.raises(SettingsError, match="what made the features"):
        FitSettings("itq", " ")
