"""A run ends with what its distances mean, told by the people whom it held out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitreid.artifact import load_artifact
from bitreid.codes import Part, pack_bits
from bitreid.data.manifest import Manifest
from bitreid.encoding.calibrating import calibrated_on, spaced
from bitreid.encoding.encoder import Encoded
from bitreid.evaluation.calibration.fit import calibrate
from bitreid.evaluation.calibration.search_tail import LEAST_ROWS
from bitreid.training.load import load_encoder
from tests.artifact.cases import CARD
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
    assert len(card.attribute_thresholds) == len(card.attributes)
    assert card.coarse is not None
    assert card.coarse.fits(card.n_bits, card.attributes.n_code_bits)
    task = tiny_task(recipe, people)
    held_out = np.flatnonzero(~np.isin(task.manifest.pids, task.identities))
    encoded = load_encoder(tmp_path / "run" / "artifact", TinyBackbone()).encode(task.pictures[held_out])
    others = load_encoder(tmp_path / "run" / "artifact", TinyBackbone()).encode(task.pictures[task.split.train])
    assert found.others == len(task.split.train) >= LEAST_ROWS
    people_held_out = task.manifest.pids[held_out], task.manifest.camids[held_out]
    expected = calibrate(encoded.codes, *people_held_out, others=others.codes)
    # The artifact's weights are rounded to half precision, which changes a bit here and there.
    thresholds = [each.open_set.threshold(0.1, 100) for each in (found, expected)]
    assert thresholds[0] == pytest.approx(thresholds[1], abs=2)


def test_each_length_of_the_card_is_calibrated_and_the_first_bits_make_the_coarse_code() -> None:
    """But for a length whose codes are all alike."""
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(12) + 1, 6)
    bits = (rng.random((12, 256)) < 0.5)[pids - 1] ^ (rng.random((72, 256)) < 0.1)
    bits[:, :8] = False
    codes = pack_bits(bits)
    people = Manifest(tuple(Path(f"{i}.jpg") for i in range(72)), pids, np.tile([1, 2], 36), ("train",) * 72)
    lengths = {"8": {"mAP": 0.1}, "128": {"mAP": 0.5}, "256": {"mAP": 0.6}}
    card = replace(CARD, n_bits=256, parts=(), attributes=None, lengths=lengths)
    encoded = Encoded(bits.astype(np.float32), codes, None, None)
    calibrated = calibrated_on(card, encoded, people)
    found = calibrated.calibration
    assert found is not None
    assert found.open_set == calibrate(codes, pids, people.camids).open_set
    assert found.lengths == {"128": calibrate(codes.prefix(128), pids, people.camids).open_set}
    assert calibrated.coarse is not None
    assert 8 <= min(calibrated.coarse.identity_bits) < max(calibrated.coarse.identity_bits) < 128
    parts = (Part("global", 0, 128), Part("stripe1", 128, 256))
    apart = calibrated_on(replace(card, lengths={}, parts=parts), encoded, people).coarse
    assert apart is not None
    assert max(apart.identity_bits) >= 128, "each part has its share"


def test_training_pictures_are_searched_evenly() -> None:
    assert spaced(5, 7).tolist() == [0, 1, 2, 3, 4]
    assert spaced(10, 4).tolist() == [0, 2, 5, 7]


@pytest.mark.parametrize("n", [0, 2])
def test_without_people_enough_there_is_none(n: int, people: Path, tmp_path: Path) -> None:
    card = tiny_train(tiny_recipe(held_out_identities=n, **SHORT), people, tmp_path / "run").card
    assert card.calibration is None
    assert card.coarse is None
