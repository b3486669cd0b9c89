"""A head of SSR on frozen features: that it learns people, and that one affine map is all of it."""

import numpy as np
import pytest
import torch

from bitreid.codes import pack
from bitreid.encoding.imported.feature_map import unit
from bitreid.evaluation import evaluate_ranking
from bitreid.models.nested import NestedMap
from bitreid.training import heads as module
from bitreid.training.heads import described, train_feature_head
from tests.encoding.imported.cases import features_of

PEOPLE = features_of(24)
X = unit(PEOPLE.features)
CLASSES = np.repeat(np.arange(24), 8)


def test_a_head_tells_its_people_apart_better_than_the_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_STEPS", 60)
    affine = train_feature_head(X, CLASSES, 64, 0)
    assert affine.matrix is not None
    assert (affine.matrix.shape, affine.offset.shape) == ((64, 64), (64,))
    cameras = PEOPLE.manifest.camids
    people = (CLASSES, cameras, CLASSES, cameras)
    codes = affine.encoded(PEOPLE.features).codes
    floats = evaluate_ranking(X, X, *people).expected.mAP
    assert evaluate_ranking(codes, codes, *people).expected.mAP > floats + 0.05
    again = train_feature_head(X, CLASSES, 64, 0)
    np.testing.assert_array_equal(again.encoded(PEOPLE.features).codes.packed, codes.packed)


def test_the_affine_map_is_the_student_and_the_nested_map_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_STEPS", 8)
    kept: list[object] = []
    train_heads, fit_nested = module.train_heads, module.fit_nested

    def keep_heads(*arguments: object) -> object:
        kept.append(train_heads(*arguments))  # type: ignore[arg-type]
        kept.append(arguments[1])
        return kept[-2]

    def keep_nested(nested: NestedMap, *arguments: object) -> None:
        fit_nested(nested, *arguments)  # type: ignore[arg-type]
        kept.append(nested)

    monkeypatch.setattr(module, "train_heads", keep_heads)
    monkeypatch.setattr(module, "fit_nested", keep_nested)
    affine = train_feature_head(X, CLASSES, 256, 1)
    heads, views, nested = kept
    assert isinstance(heads, module.Heads)
    assert isinstance(nested, NestedMap)
    assert isinstance(views, np.ndarray)
    with torch.inference_mode():
        student, _ = described(heads.float(), views[0])
        expected = nested.float()(torch.from_numpy(student)).numpy()
    np.testing.assert_allclose(affine(PEOPLE.features), expected, rtol=1e-3, atol=1e-3)
    same = (affine.encoded(PEOPLE.features).codes.packed == pack(expected).packed).mean()
    assert same > 0.999


def test_few_people_and_pictures_get_as_many_passes_as_they_need() -> None:
    few = module._recipe_of(np.repeat([0, 1], 4), 64, 0)
    many = module._recipe_of(np.repeat(np.arange(800), 10), 64, 0)
    assert (few.identities_per_batch, few.epochs) == (2, 900)
    assert (many.identities_per_batch, many.epochs) == (16, 8)
