"""Attribute labels in the .mat files of Market-1501 and DukeMTMC-reID, imitated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bitreid.data.attributes import UNKNOWN_LABEL
from bitreid.data.labels.reading import read_attributes, read_attributes_as
from bitreid.errors import DataError, DataWarning
from tests.data.cases import row_of, write

YES_NO = ("backpack", "bag", "handbag", "hat", "hair", "up", "down", "clothes", "gender")
COLOURS = (
    *(f"up{colour}" for colour in ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")),
    *(f"down{colour}" for colour in ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown")),
)


def market_part(people: dict[str, dict[str, int]], backwards: bool = False) -> dict[str, Any]:
    """One half of a label file: every code 1 (adult: 3) unless an identity says otherwise."""
    fields = ["age", *YES_NO, *COLOURS]
    part: dict[str, Any] = {
        field: np.array([[codes.get(field, 3 if field == "age" else 1) for codes in people.values()]], dtype=np.uint8)
        for field in (reversed(fields) if backwards else fields)
    }
    return part | {"image_index": np.array([list(people)], dtype=object)}


def save_market(path: Path, train: dict[str, Any], test: dict[str, Any]) -> Path:
    savemat(path, {"market_attribute": {"train": train, "test": test}})
    return path


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Two people to train on, two to test on, the fields of the test part in the opposite order."""
    train = {
        "0007": {"backpack": 2, "up": 1, "down": 2, "clothes": 1, "upred": 2, "downblue": 2, "gender": 2, "age": 1},
        "0002": {"hat": 2, "up": 2, "down": 1, "clothes": 2, "upblack": 2, "hair": 2},
    }
    test = {
        "0010": {"handbag": 2, "up": 2, "clothes": 2, "upgreen": 2, "upblue": 2, "downpink": 2, "age": 4},
        "0001": {"bag": 2, "up": 2, "clothes": 2, "downblack": 2},
    }
    return save_market(tmp_path / "market_attribute.mat", market_part(train), market_part(test, backwards=True))


class TestMarket:
    def test_default_bits_are_clothing_and_carried_objects(self, market: Path) -> None:
        schema = read_attributes(market).schema
        assert len(schema) == 25
        assert schema.names[:8] == (
            "hair_long",
            "hat",
            "sleeve_long",
            "lower_short",
            "skirt",
            "backpack",
            "bag",
            "handbag",
        )
        assert sum(group == "upper_colour" for group in schema.groups) == 8
        assert sum(group == "lower_colour" for group in schema.groups) == 9

    def test_fields_are_found_by_name_in_both_parts(self, market: Path) -> None:
        table = read_attributes(market)
        assert table.pids.tolist() == [1, 2, 7, 10]
        positive = {
            pid: {name for name, label in row_of(table, pid).items() if label == 1} for pid in table.pids.tolist()
        }
        assert positive == {
            7: {"backpack", "sleeve_long", "lower_short", "skirt", "upper_colour=red", "lower_colour=blue"},
            2: {"hat", "hair_long", "upper_colour=black"},
            10: {"handbag", "lower_colour=pink"},
            1: {"bag", "lower_colour=black"},
        }

    def test_no_colour_and_several_colours_are_unknown(self, market: Path) -> None:
        table = read_attributes(market)

        def unknown(pid: int) -> set[str]:
            labels = row_of(table, pid)
            return {
                group
                for name, group in zip(table.schema.names, table.schema.groups, strict=True)
                if labels[name] == UNKNOWN_LABEL
            }

        assert unknown(7) == set()
        assert unknown(2) == {"lower_colour"}
        assert unknown(10) == {"upper_colour"}
        assert unknown(1) == {"upper_colour"}
        assert row_of(table, 1)["upper_colour=red"] == UNKNOWN_LABEL

    def test_person_traits_are_read_when_asked(self, market: Path) -> None:
        table = read_attributes(market, include_person_traits=True)
        assert len(table.schema) == 30
        assert table.schema.names[25:] == ("female", "age=young", "age=teenager", "age=adult", "age=old")
        assert [row_of(table, pid)["female"] for pid in (7, 2)] == [1, 0]
        assert [row_of(table, pid)["age=young"] for pid in (7, 2)] == [1, 0]
        assert row_of(table, 10)["age=old"] == 1
        assert np.array_equal(read_attributes_as(market, table.schema).labels, table.labels)

    def test_the_code_counts_training_identities_only(self, market: Path) -> None:
        schema = read_attributes(market, min_positives=1).schema
        in_code = {name for name, kept in zip(schema.names, schema.in_code, strict=True) if kept}
        assert {"backpack", "hat"} <= in_code
        assert not {"bag", "handbag", "lower_colour=pink"} & in_code

    def test_the_same_schema_reads_it_again(self, market: Path) -> None:
        table = read_attributes(market)
        assert np.array_equal(read_attributes_as(market, table.schema).labels, table.labels)

    def test_one_identity_a_part_is_enough(self, tmp_path: Path) -> None:
        path = save_market(tmp_path / "m.mat", market_part({"0001": {"hat": 2}}), market_part({"0002": {}}))
        assert [row_of(read_attributes(path), pid)["hat"] for pid in (1, 2)] == [1, 0]

    @pytest.mark.parametrize(
        ("people", "message"),
        [
            ({"0001": {"hat": 3}}, r"expected 1 codes from 1 to 2, or 0 for unknown, in train\.hat"),
            ({"0001": {"upred": 3}}, r"codes from 1 to 2, or 0 for unknown, in train\.upred"),
            ({"first": {}}, r"identities like '0002' in train\.image_index of .*, got 'first'"),
            ({"0000": {}}, "got '0000'"),
            ({"0002": {}}, r"each identity once in .*m\.mat, got 2 twice"),
        ],
    )
    def test_wrong_codes_and_identities_are_refused(
        self, tmp_path: Path, people: dict[str, dict[str, int]], message: str
    ) -> None:
        path = save_market(tmp_path / "m.mat", market_part(people), market_part({"0002": {}}))
        with pytest.raises(DataError, match=message):
            read_attributes(path)

    @pytest.mark.parametrize(
        ("field", "message"),
        [
            ("hat", "expected a field 'hat' in 'test'"),
            ("upred", "expected the same fields for train and test"),
            ("image_index", "expected a field 'image_index' with the identities of 'test'"),
        ],
    )
    def test_missing_fields_are_refused(self, tmp_path: Path, field: str, message: str) -> None:
        test = market_part({"0002": {}})
        del test[field]
        with pytest.raises(DataError, match=message):
            read_attributes(save_market(tmp_path / "m.mat", market_part({"0001": {}}), test))

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        savemat(tmp_path / "other.mat", {"attribute": {"train": 1}})
        with pytest.raises(DataError, match=r"'market_attribute' or 'duke_attribute' with .* got \['attribute'\]"):
            read_attributes(tmp_path / "other.mat")
        savemat(tmp_path / "half.mat", {"market_attribute": {"train": market_part({"0001": {}})}})
        with pytest.raises(DataError, match="with the structs 'train' and 'test'"):
            read_attributes(tmp_path / "half.mat")
        with pytest.raises(DataError, match=r"expected a \.mat file of version 5 to 7 at .*text\.mat, got: "):
            read_attributes(write(tmp_path / "text.mat", "hello"))

    def test_a_code_of_0_is_unknown_and_counted(self, tmp_path: Path) -> None:
        people = {"0001": {"hat": 0, "age": 0, "upred": 0, "upblue": 2}, "0003": {"hat": 2, "upblue": 0}}
        path = save_market(tmp_path / "m.mat", market_part(people), market_part({"0002": {}}))
        with pytest.warns(
            DataWarning, match=r"^4 labels in .*m\.mat are 0, which stands for unknown; first in train\."
        ):
            table = read_attributes(path, include_person_traits=True)
        labels = row_of(table, 1)
        assert (labels["hat"], labels["age=old"], labels["backpack"]) == (UNKNOWN_LABEL, UNKNOWN_LABEL, 0)
        assert (labels["upper_colour=blue"], labels["upper_colour=red"]) == (1, 0)
        assert row_of(table, 3)["hat"] == 1
        assert row_of(table, 3)["upper_colour=blue"] == UNKNOWN_LABEL


DUKE_YES_NO = ("backpack", "bag", "handbag", "boots", "gender", "hat", "shoes", "top")
DUKE_COLOURS = (
    *(f"up{colour}" for colour in ("black", "white", "red", "purple", "gray", "blue", "green", "brown")),
    *(f"down{colour}" for colour in ("black", "white", "red", "gray", "blue", "green", "brown")),
)


def duke_part(people: dict[str, dict[str, int]], backwards: bool = False) -> dict[str, Any]:
    """One half of a label file: every code 1 unless an identity says otherwise."""
    fields = [*DUKE_YES_NO, *DUKE_COLOURS]
    part: dict[str, Any] = {
        field: np.array([[codes.get(field, 1) for codes in people.values()]], dtype=np.uint8)
        for field in (reversed(fields) if backwards else fields)
    }
    return part | {"image_index": np.array([list(people)], dtype=object)}


@pytest.fixture
def duke(tmp_path: Path) -> Path:
    """Two people to train on, two to test on, the fields of the test part in the opposite order."""
    train = {
        "0005": {"backpack": 2, "top": 2, "upbrown": 2, "downred": 2, "gender": 2},
        "0001": {"boots": 2, "hat": 2, "upblack": 2, "downblue": 2},
    }
    test = {
        "7140": {"shoes": 2, "bag": 2, "upgreen": 2, "downgray": 2, "gender": 2},
        "0002": {"handbag": 2, "upwhite": 2, "upred": 2},
    }
    path = tmp_path / "duke_attribute.mat"
    savemat(path, {"duke_attribute": {"train": duke_part(train), "test": duke_part(test, backwards=True)}})
    return path


class TestDuke:
    def test_default_bits_are_clothing_and_carried_objects(self, duke: Path) -> None:
        schema = read_attributes(duke).schema
        assert len(schema) == 22
        assert schema.names[:7] == ("hat", "upper_long", "boots", "shoes_light", "backpack", "bag", "handbag")
        assert sum(group == "upper_colour" for group in schema.groups) == 8
        assert sum(group == "lower_colour" for group in schema.groups) == 7

    def test_fields_are_found_by_name_in_both_parts(self, duke: Path) -> None:
        table = read_attributes(duke, min_positives=1)
        assert table.pids.tolist() == [1, 2, 5, 7140]
        positive = {
            pid: {name for name, label in row_of(table, pid).items() if label == 1} for pid in table.pids.tolist()
        }
        assert positive == {
            1: {"boots", "hat", "upper_colour=black", "lower_colour=blue"},
            2: {"handbag"},
            5: {"backpack", "upper_long", "upper_colour=brown", "lower_colour=red"},
            7140: {"shoes_light", "bag", "upper_colour=green", "lower_colour=gray"},
        }
        assert row_of(table, 2)["upper_colour=red"] == UNKNOWN_LABEL
        in_code = {name for name, kept in zip(table.schema.names, table.schema.in_code, strict=True) if kept}
        assert in_code == positive[1] | positive[5]

    def test_gender_is_read_when_asked(self, duke: Path) -> None:
        assert "female" not in read_attributes(duke).schema.names
        table = read_attributes(duke, include_person_traits=True)
        assert table.schema.names[22:] == ("female",)
        assert [row_of(table, pid)["female"] for pid in (1, 2, 5, 7140)] == [0, 0, 1, 1]
        assert np.array_equal(read_attributes_as(duke, table.schema).labels, table.labels)

    def test_market_labels_do_not_fit_its_schema(self, duke: Path, market: Path) -> None:
        schema = read_attributes(duke).schema
        with pytest.raises(DataError, match=r"missing: boots, shoes_light, upper_long; unknown: hair_long"):
            read_attributes_as(market, schema)

    def test_missing_fields_are_refused(self, tmp_path: Path) -> None:
        parts = {"train": duke_part({"0001": {}}), "test": duke_part({"0002": {}})}
        del parts["test"]["boots"]
        savemat(tmp_path / "d.mat", {"duke_attribute": parts})
        with pytest.raises(DataError, match="expected a field 'boots' in 'test'"):
            read_attributes(tmp_path / "d.mat")
