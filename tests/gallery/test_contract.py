"""What a gallery knows of the model that its codes come from."""

from pathlib import Path

import pytest

from bitreid.artifact import load_artifact
from bitreid.errors import BadRequest, GalleryDamaged
from bitreid.gallery import Contract

MODEL = Path(__file__).parents[2] / "models" / "cuhk03-lite0"


def test_the_contract_of_a_model_comes_from_its_card() -> None:
    card = load_artifact(MODEL).card
    contract = Contract.of(card)
    assert contract == Contract.from_json(contract.to_json())
    assert contract.n_bits == card.n_bits
    assert card.attributes is not None
    assert len(contract.attributes) == card.attributes.n_code_bits
    assert contract.open_set is not None


@pytest.mark.parametrize("names", [("hat", "hat"), ("hat", "")])
def test_attributes_have_names_of_their_own(names: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="different names"):
        Contract(64, attributes=names)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"n_bits": 64, "parts": [], "attributes": [], "colour": 1}'])
def test_what_describes_no_codes_is_damage(text: str) -> None:
    with pytest.raises(GalleryDamaged, match="expected the description of a gallery's codes"):
        Contract.from_json(text)
