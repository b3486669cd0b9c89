"""What a gallery knows of the model that its codes come from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bitreid.artifact import load_artifact
from bitreid.coarse import CoarseCode
from bitreid.errors import BadRequest, GalleryDamaged
from bitreid.gallery import Contract
from bitreid.open_set import OpenSet, SearchTail

COARSE = CoarseCode((), tuple(range(8)), ((0.5, 0.1),))
MODEL = Path(__file__).parents[2] / "models" / "cuhk03-lite2"


def test_the_contract_of_a_model_comes_from_its_card() -> None:
    card = load_artifact(MODEL).card
    contract = Contract.of(card)
    assert contract == Contract.from_json(contract.to_json())
    assert contract.n_bits == card.n_bits
    assert card.attributes is not None
    assert len(contract.attributes) == card.attributes.n_code_bits
    assert contract.open_set is not None


def test_a_coarse_code_comes_from_the_card_as_far_as_its_bits_are_there() -> None:
    coarse = CoarseCode((0, 3), (0, 1, 2, 40, 50, 63), ((0.5, 0.1), (0.9, 0.2)))
    card = replace(load_artifact(MODEL).card, coarse=coarse)
    contract = Contract.of(card)
    assert contract.coarse == coarse
    assert Contract.from_json(contract.to_json()) == contract
    assert (contract.short_bits, replace(contract, coarse=None).short_bits) == (8, 32)
    with pytest.raises(BadRequest, match="a coarse code of bits of the codes, got one with bits beyond them"):
        Contract(56, attributes=("a", "b", "c", "d"), coarse=coarse)
    with pytest.raises(BadRequest, match="bits beyond them"):
        Contract(64, attributes=("a", "b", "c"), coarse=coarse)


def test_older_bitreids_read_a_plain_contract() -> None:
    """They know nothing of coarse codes and tails of searches."""
    pairs = OpenSet(0.2, -6.0, -0.3, 4.0)
    newer = Contract(64, open_set=replace(pairs, search=SearchTail(0.1, -5.0, 0.5)), coarse=COARSE)
    assert Contract.from_json(newer.to_json()) == newer
    assert newer.plain() == Contract(64, open_set=pairs)
    values = json.loads(newer.plain().to_json())
    assert "coarse" not in values
    assert values["open_set"].keys() == {"tail_slope", "tail_offset", "slope", "offset", "curvature"}


@pytest.mark.parametrize("names", [("hat", "hat"), ("hat", "")])
def test_attributes_have_names_of_their_own(names: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="different names"):
        Contract(64, attributes=names)


HUGE = "1" + 400 * "0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"n_bits": 64, "parts": [], "attributes": [], "colour": 1}',
        f'{{"n_bits": 64, "parts": [], "attributes": [], "open_set": {{"tail_slope": {HUGE}}}}}',
        '{"n_bits": 64, "parts": [], "attributes": [], "coarse": '
        f'{{"attribute_bits": [], "identity_bits": [0, 1, 2, 3, 4, 5, 6, 7], "recall": [[0.5, {HUGE}]]}}}}',
    ],
)
def test_what_describes_no_codes_is_damage(text: str) -> None:
    with pytest.raises(GalleryDamaged, match="expected the description of a gallery's codes"):
        Contract.from_json(text)
