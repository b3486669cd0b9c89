"""A map from features to codes: what it computes, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitreid.artifact import load_artifact, save_artifact
from bitreid.codes import unpack
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.imported import feature_map as module
from bitreid.encoding.imported.feature_map import Affine, FeatureMap, unit
from bitreid.encoding.imported.fitting import FitSettings, fit_features
from bitreid.errors import ArtifactError, DataError, DataWarning
from tests.encoding.imported.cases import D, features_of, random_features
from tests.reference.features import values_of

RNG = np.random.default_rng(0)
MAP = Affine(RNG.normal(size=(D, 16)).astype(np.float32), (RNG.normal(size=16) / 9).astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps") / "map"
    fit_features(features_of(), FitSettings("itq", "a network", 32, licence="ours alone"), folder)
    return folder


def test_values_are_those_of_the_slow_twin_and_codes_their_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 3)
    x = random_features(7, 1)
    assert MAP.matrix is not None
    rows: list[list[float]] = x.tolist()
    slow = np.array([values_of(row, MAP.matrix.tolist(), MAP.offset.tolist()) for row in rows])
    found = MAP.encoded(x)
    np.testing.assert_allclose(found.features, slow, atol=1e-5)
    np.testing.assert_array_equal(unpack(found.codes), found.features > 0)
    plain = Affine(None, np.zeros(D, np.float32))
    np.testing.assert_array_equal(unpack(plain.encoded(x).codes), x > 0)


def test_unit_features_of_any_size() -> None:
    x = np.array([[3e30, 4e30], [3e-30, -4e-30], [0, 0]], np.float32)
    np.testing.assert_allclose(unit(x), np.array([[0.6, 0.8], [0.6, -0.8], [0, 0]]), rtol=1e-6)


def test_a_saved_map_gives_the_same_codes_and_says_what_it_is(folder: Path) -> None:
    opened = FeatureMap.open(folder)
    found = features_of(4, first=50)
    encoded = opened.encode_set(found)
    assert encoded.model == opened.model
    assert encoded.paths == found.manifest.paths
    assert encoded.pids.tolist() == found.manifest.pids.tolist()
    one_by_one = [opened.encode(row[None]).codes.packed[0] for row in found.features]
    np.testing.assert_array_equal(encoded.codes.packed, np.array(one_by_one))
    card = opened.card
    assert (card.n_bits, card.n_features, card.licence, card.takes_features) == (32, D, "ours alone", True)
    assert card.code_lengths == (32,)


def test_features_of_another_length_and_of_zeros(folder: Path) -> None:
    opened = FeatureMap.open(folder)
    with pytest.raises(DataError, match=r"expected 64 features of each picture, .* another network's"):
        opened.encode(np.ones((2, D + 1), np.float32))
    with pytest.warns(DataWarning, match="1 of 2 pictures have features that are all 0, first row 1"):
        opened.encode(np.stack([np.ones(D, np.float32), np.zeros(D, np.float32)]))


def test_a_model_of_pictures_is_no_map_and_a_map_encodes_no_pictures(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="which encodes pictures; `bitreid encode` takes it"):
        FeatureMap.open(Path(module.__file__).parents[2] / "shipped" / "drawn")
    with pytest.raises(ArtifactError, match="makes codes of features; `bitreid import` takes it"):
        Encoder.open(folder)


def test_maps_whose_numbers_cannot_be(folder: Path, tmp_path: Path) -> None:
    saved = load_artifact(folder)
    matrix, offset = saved.weights["matrix"], saved.weights["offset"]
    nan = np.where(np.arange(32) == 3, np.nan, offset).astype(np.float32)
    for i, weights in enumerate(
        (
            {"matrix": matrix},
            {"matrix": matrix[:, 1:], "offset": offset},
            {"matrix": matrix[1:], "offset": offset},
            {"matrix": matrix, "offset": nan},
            {"matrix": matrix.astype(np.float64), "offset": offset},
            {"matrix": matrix, "offset": offset, "more": offset},
            {"offset": offset},
        )
    ):
        save_artifact(tmp_path / str(i), replace(saved.card, engines={}), weights)
        with pytest.raises(ArtifactError, match="fit it again"):
            FeatureMap.open(tmp_path / str(i))
