"""A run ends with what its distances mean, told by the people whom it held out."""

from pathlib import Path

import numpy as np
import pytest

from bitreid.artifact import load_artifact
from bitreid.evaluation.calibration.fit import calibrate
from bitreid.training.load import load_encoder
from tests.training.tiny import TinyBackbone, tiny_recipe, tiny_task, tiny_train

SHORT = {"epochs": 1, "warmup_epochs": 0, "validate_every": 1}


def test_the_card_has_the_calibration_of_the_held_out_people(people: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(held_out_identities=6, **SHORT)
    tiny_train(recipe, people, tmp_path / "run")
    card = load_artifact(tmp_path / "run" / "artifact").card
    found = card.calibration
    assert found is not None
    assert (found.identities, found.pictures) == (6, 6 * 6)
    assert card.attributes is not None
    assert len(found.attribute_weights) == card.attributes.n_code_bits > 0
    task = tiny_task(recipe, people)
    held_out = np.flatnonzero(~np.isin(task.manifest.pids, task.identities))
    encoded = load_encoder(tmp_path / "run" / "artifact", TinyBackbone()).encode(task.pictures[held_out])
    expected = calibrate(encoded.codes, task.manifest.pids[held_out], task.manifest.camids[held_out])
    # The artifact's weights are rounded to half precision, which changes a bit here and there.
    thresholds = [each.open_set.threshold(0.1, 100) for each in (found, expected)]
    assert thresholds[0] == pytest.approx(thresholds[1], abs=2)


@pytest.mark.parametrize("n", [0, 2])
def test_without_people_enough_there_is_none(n: int, people: Path, tmp_path: Path) -> None:
    card = tiny_train(tiny_recipe(held_out_identities=n, **SHORT), people, tmp_path / "run").card
    assert card.calibration is None
