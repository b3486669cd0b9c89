"""A head of SSR on frozen features: that it learns people, and that one affine map is all of it."""

import numpy as np
import pytest
import torch

from bitreid.encoding.imported.feature_map import unit
from bitreid.evaluation import evaluate_ranking
from bitreid.models.nested import NestedMap
from bitreid.training import heads as module
from bitreid.training.heads import _composed, _recipe_of, described, train_feature_head, train_heads
from bitreid.training.nested import fit_nested
from tests.encoding.imported.cases import features_of

PEOPLE = features_of(24)
X = unit(PEOPLE.features)
CLASSES = np.repeat(np.arange(24), 8)


def test_a_head_tells_its_people_apart_better_than_the_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_STEPS", 100)
    monkeypatch.setattr(module, "_RATE", 5e-3)
    affine = train_feature_head(X, CLASSES, 32, 0)
    assert affine.matrix is not None
    assert (affine.matrix.shape, affine.offset.shape) == ((64, 32), (32,))
    cameras = PEOPLE.manifest.camids
    people = (CLASSES, cameras, CLASSES, cameras)
    codes = affine.encoded(PEOPLE.features).codes
    floats = evaluate_ranking(X, X, *people).expected.mAP
    assert evaluate_ranking(codes, codes, *people).expected.mAP > floats + 0.05


@pytest.mark.parametrize("with_nested", [False, True])
def test_the_affine_map_is_the_student_and_the_nested_map_after_it(with_nested: bool) -> None:
    recipe = _recipe_of(CLASSES, 256, 0).model_copy(update={"epochs": 3})
    views = X[None, :, None]
    heads, nested = train_heads(recipe, views, CLASSES), None
    student, _ = described(heads, views[0])
    if with_nested:
        nested = NestedMap(heads.layout, 0)
        fit_nested(nested, student[None], CLASSES)
        with torch.inference_mode():
            student = nested(torch.from_numpy(student)).numpy()
    matrix, offset = _composed(heads, nested, X.shape[1])
    np.testing.assert_allclose(X @ matrix + offset, student, rtol=1e-3, atol=1e-3)


def test_few_people_and_pictures_get_as_many_passes_as_they_need() -> None:
    few = _recipe_of(np.repeat([0, 1], 4), 64, 0)
    many = _recipe_of(np.repeat(np.arange(800), 10), 64, 0)
    assert (few.identities_per_batch, few.epochs) == (2, 900)
    assert (many.identities_per_batch, many.epochs) == (16, 8)
