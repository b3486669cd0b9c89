"""Models that come with bitreid are found by name."""

from pathlib import Path

import pytest

from bitreid.artifact import save_artifact, shipped
from bitreid.artifact.shipped import folder_of, own_folder_of, shipped_models
from bitreid.errors import ArtifactError
from tests.artifact.cases import CARD, WEIGHTS


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one shipped model; the current folder is another one."""
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "shipped")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_artifact(tmp_path / "shipped" / "drawn", CARD, WEIGHTS)
    return tmp_path / "shipped" / "drawn"


def test_a_name_is_the_folder(place: Path) -> None:
    assert shipped_models() == {"drawn": place}
    assert folder_of("drawn") == folder_of(Path("drawn")) == place
    Path("drawn").mkdir()  # of pictures, say
    assert folder_of("drawn") == place


def test_a_model_that_is_there_comes_first(place: Path) -> None:
    save_artifact(Path("drawn"), CARD, WEIGHTS)
    assert folder_of("drawn") == Path("drawn")
    assert folder_of(place) == place
    assert folder_of("./no/such") == Path("no/such"), "which loading it says"


def test_names_that_are_neither_are_told() -> None:
    with pytest.raises(ArtifactError, match=r"that come with bitreid \(drawn\), got 'drawm'"):
        folder_of("drawm")
    Path("people").mkdir()
    assert folder_of("people") == Path("people"), "whose card is missed when it is loaded"


def test_a_shipped_model_is_not_written_into(place: Path) -> None:
    with pytest.raises(ArtifactError, match="expected a folder of your own to write into, got 'drawn'"):
        own_folder_of("drawn")
    assert own_folder_of(place) == place, "who names its folder means it"
    save_artifact(Path("drawn"), CARD, WEIGHTS)
    assert own_folder_of("drawn") == Path("drawn")
