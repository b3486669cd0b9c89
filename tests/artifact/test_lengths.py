"""The shorter codes that a card names: their scores, their calibrations, and that they decide no bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bitreid.artifact import Calibration, Card, fingerprint, load_artifact, save_artifact
from bitreid.codes import Part
from bitreid.errors import ArtifactError, SettingsError
from bitreid.open_set import OpenSet
from tests.artifact.cases import CARD, WEIGHTS
from tests.reference import artifact as reference

WHOLE, SHORT = OpenSet(0.125, -7, -0.5, 3), OpenSet(0.5, -4, -0.5, 3, 0.25)
PARTS = (Part("summary", 0, 4), Part("global", 4, 6), Part("stripe1", 6, 10), Part("global", 10, 16))
NESTED = replace(
    CARD,
    parts=PARTS,
    lengths={"8": {"mAP": 0.25, "rank1": 0.5}, "16": {"mAP": 0.5}},
    calibration=Calibration(WHOLE, 60, 562, {"8": SHORT}),
)


def test_lengths_round_trip_and_decide_no_bit(tmp_path: Path) -> None:
    card = save_artifact(tmp_path, NESTED, WEIGHTS).card
    assert load_artifact(tmp_path).card == card
    assert (card.parts, card.lengths, card.calibration) == (PARTS, NESTED.lengths, NESTED.calibration)
    assert fingerprint(card) == fingerprint(replace(card, lengths={}, calibration=None))
    assert fingerprint(card) != fingerprint(replace(card, parts=CARD.parts)), "the layout does"


def test_a_card_of_format_2_has_no_lengths(tmp_path: Path) -> None:
    plain = replace(NESTED, lengths={}, calibration=Calibration(WHOLE, 60, 562))
    new = save_artifact(tmp_path, plain, WEIGHTS).card
    body = json.loads((tmp_path / "card.json").read_bytes())
    del body["lengths"], body["calibration"]["lengths"]
    (tmp_path / "card.json").write_bytes(reference.sealed({**body, "format_version": 2}))
    assert load_artifact(tmp_path).card == replace(new, format_version=2)
    (tmp_path / "card.json").write_bytes(reference.sealed(body))
    with pytest.raises(ArtifactError, match=r"got \['lengths'\] missing"):
        load_artifact(tmp_path)


def test_a_card_says_which_lengths_there_are_and_what_their_distances_mean() -> None:
    assert (NESTED.code_lengths, CARD.code_lengths) == ((8, 16), (16,))
    assert [NESTED.length_for(bits) for bits in (None, 8, 16)] == [16, 8, 16]
    assert [NESTED.open_set_of(n_bits) for n_bits in (8, 16)] == [SHORT, WHOLE]
    assert CARD.open_set_of(16) is None
    without = replace(NESTED, calibration=Calibration(WHOLE, 60, 562))
    assert without.open_set_of(8) is None
    with pytest.raises(SettingsError, match="expected one of the lengths of Prüfstück, 8, 16, got 12"):
        NESTED.length_for(12)
    with pytest.raises(SettingsError, match=r"16 alone \(the model was not trained to be cut\), got 8"):
        CARD.length_for(8)


def test_the_first_bits_tell_of_the_whole_picture() -> None:
    assert list(NESTED.prefix_order) == list(range(16)), "as they are, where they were trained to"
    assert list(replace(CARD, parts=()).prefix_order) == list(range(16)), "as they are, where nobody knows better"
    halves = replace(CARD, parts=(Part("top", 0, 8), Part("bottom", 8, 16)))
    assert list(halves.prefix_order)[:6] == [0, 8, 1, 9, 2, 10]


@pytest.mark.parametrize("name", ["12", "0", "24", "-8", "08", "8.0", "long", ""])
def test_impossible_lengths_are_refused(name: str) -> None:
    with pytest.raises(ArtifactError, match=f"multiples of 8 up to 16 bits, got '{name}'"):
        replace(CARD, lengths={name: {}})


@pytest.mark.parametrize(("card", "name"), [(NESTED, "16"), (NESTED, "long"), (CARD, "8")])
def test_calibrations_of_other_lengths_are_refused(card: Card, name: str) -> None:
    with pytest.raises(ArtifactError, match=f"lengths below the whole, got one of '{name}' bits"):
        replace(card, calibration=Calibration(WHOLE, 60, 562, {name: SHORT}))
