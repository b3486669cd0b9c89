"""The calibration and the coarse code in a model's card."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bitreid.artifact import FORMAT_VERSION, Calibration, fingerprint, load_artifact, save_artifact
from bitreid.coarse import CoarseCode
from bitreid.errors import ArtifactError
from bitreid.open_set import OpenSet, SearchTail
from tests.artifact.cases import CARD, WEIGHTS
from tests.reference import artifact as reference

CALIBRATION = Calibration(OpenSet(tail_slope=0.125, tail_offset=-7, slope=-0.5, offset=3), identities=60, pictures=562)

COARSE = CoarseCode((0, 1), (0, 3, 3, 14, 2, 15), ((0.5, 0.01), (0.9, 0.125)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An artifact without a calibration."""
    save_artifact(tmp_path / "saved", CARD, WEIGHTS)
    return tmp_path / "saved"


def test_a_calibration_round_trips_and_decides_no_bit(saved: Path, tmp_path: Path) -> None:
    card = save_artifact(tmp_path, replace(CARD, calibration=CALIBRATION), WEIGHTS).card
    assert card.calibration == CALIBRATION
    assert fingerprint(card) == fingerprint(load_artifact(saved).card)


def test_a_coarse_code_round_trips_and_decides_no_bit(saved: Path, tmp_path: Path) -> None:
    card = save_artifact(tmp_path, replace(CARD, coarse=COARSE), WEIGHTS).card
    assert card.coarse == COARSE
    assert fingerprint(card) == fingerprint(load_artifact(saved).card)
    for wrong in (replace(COARSE, attribute_bits=(0, 2)), replace(COARSE, identity_bits=(*range(5), 16))):
        with pytest.raises(ArtifactError, match="coarse code of 2 attribute bits and 16 identity bits, got"):
            replace(CARD, coarse=wrong)


def test_a_card_of_format_1_has_no_calibration_and_is_saved_as_the_newest(saved: Path, tmp_path: Path) -> None:
    new = load_artifact(saved).card
    body = json.loads((saved / "card.json").read_bytes())
    del body["calibration"], body["lengths"], body["coarse"], body["attribute_thresholds"]
    (saved / "card.json").write_bytes(reference.sealed({**body, "format_version": 1}))
    old = load_artifact(saved)
    assert (old.card.calibration, old.card.coarse, old.card.format_version) == (None, None, 1)
    assert fingerprint(old.card) == fingerprint(new)
    assert save_artifact(tmp_path, old.card, old.weights).card == new
    assert json.loads((tmp_path / "card.json").read_bytes())["format_version"] == FORMAT_VERSION


def test_a_card_of_format_2_forgets_how_attribute_bits_weighed(tmp_path: Path) -> None:
    save_artifact(tmp_path, replace(CARD, calibration=CALIBRATION), WEIGHTS)
    body = json.loads((tmp_path / "card.json").read_bytes())
    assert body.pop("coarse") is None
    body["calibration"]["attribute_weights"] = [15, 0]
    (tmp_path / "card.json").write_bytes(reference.sealed({**body, "format_version": 2}))
    assert load_artifact(tmp_path).card.calibration == CALIBRATION
    (tmp_path / "card.json").write_bytes(reference.sealed({**body, "coarse": None}))
    with pytest.raises(ArtifactError, match=r"\['attribute_weights'\] unknown"):
        load_artifact(tmp_path)


def test_a_calibration_without_a_curvature_has_a_straight_line(tmp_path: Path) -> None:
    save_artifact(tmp_path, replace(CARD, calibration=CALIBRATION), WEIGHTS)
    body = json.loads((tmp_path / "card.json").read_bytes())
    del body["calibration"]["open_set"]["curvature"]
    (tmp_path / "card.json").write_bytes(reference.sealed(body))
    assert load_artifact(tmp_path).card.calibration == CALIBRATION
    del body["calibration"]["open_set"]["slope"]
    (tmp_path / "card.json").write_bytes(reference.sealed(body))
    with pytest.raises(ArtifactError, match=r"calibration\.open_set to have exactly its keys, got \['slope'\] missing"):
        load_artifact(tmp_path)


def test_a_card_of_format_2_knows_pairs_only(tmp_path: Path) -> None:
    """Its thresholds are the ones that it promised."""
    save_artifact(tmp_path, replace(CARD, calibration=CALIBRATION), WEIGHTS)
    body = json.loads((tmp_path / "card.json").read_bytes())
    del body["calibration"]["open_set"]["search"], body["calibration"]["others"], body["attribute_thresholds"]
    (tmp_path / "card.json").write_bytes(reference.sealed({**body, "format_version": 2}))
    card = load_artifact(tmp_path).card
    assert (card.calibration, card.attribute_thresholds) == (CALIBRATION, ())
    (tmp_path / "card.json").write_bytes(reference.sealed(body))
    with pytest.raises(ArtifactError, match=r"attribute_thresholds'\] missing"):
        load_artifact(tmp_path)


def test_the_tail_of_searches_is_kept(tmp_path: Path) -> None:
    found = replace(
        CALIBRATION, open_set=replace(CALIBRATION.open_set, search=SearchTail(0.5, -8.0, 0.25)), others=6803
    )
    save_artifact(tmp_path, replace(CARD, calibration=found), WEIGHTS)
    assert load_artifact(tmp_path).card.calibration == found


def test_thresholds_of_attributes_are_kept_and_make_no_other_model(saved: Path, tmp_path: Path) -> None:
    """They decide no bit."""
    limits = (0.25, 0.125, 0.75)
    card = save_artifact(tmp_path, replace(CARD, attribute_thresholds=limits), WEIGHTS).card
    assert load_artifact(tmp_path).card == card
    assert card.attribute_limits == limits
    assert fingerprint(card) == fingerprint(load_artifact(saved).card)
    probability = {"attribute_probability": 0.625}
    assert replace(CARD, thresholds=probability).attribute_limits == (0.625,) * 3
    assert replace(CARD, attributes=None).attribute_limits == ()
    for wrong in ((0.5,), (0.5, 0.5, 0.0), (0.5, 0.5, 1.0)):
        with pytest.raises(
            ArtifactError, match=r"expected (a threshold for each of 3|thresholds of attributes between)"
        ):
            replace(CARD, attribute_thresholds=wrong)


def test_impossible_calibrations_are_refused() -> None:
    with pytest.raises(ArtifactError, match="pictures of one person or more, got 562 of 0 people"):
        replace(CALIBRATION, identities=0)
