"""Attribute files: what the words in them become, and what is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from bitreid.data.attributes import UNKNOWN_LABEL, AttributeSchema, AttributeTable
from bitreid.data.labels import read_attributes, read_attributes_as
from bitreid.errors import DataError, DataWarning

PEOPLE = [
    "pid,hat,upper_colour,pattern",
    "0007,0,red,plain",
    "0003,1,blue,striped",
    "0011,?,?,?",
    "0005,1,red,graphic",
]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row_of(table: AttributeTable, pid: int) -> dict[str, int]:
    """The labels of one identity by name."""
    return dict(zip(table.schema.names, table.labels_of(np.array([pid]))[0].tolist(), strict=True))


class TestCsv:
    def test_words_become_bits(self, tmp_path: Path) -> None:
        table = read_attributes(write(tmp_path / "a.csv", *PEOPLE))
        assert table.schema.names == (
            "hat",
            "upper_colour=blue",
            "upper_colour=red",
            "pattern=graphic",
            "pattern=striped",
        )
        assert table.schema.groups == ("hat", "upper_colour", "upper_colour", "pattern", "pattern")
        assert table.schema.left_out == ("pattern=plain",)
        assert table.pids.tolist() == [3, 5, 7, 11]
        assert table.labels.tolist() == [
            [1, 1, 0, 0, 1],
            [1, 0, 1, 1, 0],
            [0, 0, 1, 0, 0],
            [UNKNOWN_LABEL] * 5,
        ]

    def test_no_value_need_be_left_out(self, tmp_path: Path) -> None:
        table = read_attributes(write(tmp_path / "a.csv", *PEOPLE), leave_out=())
        assert table.schema.names[3:] == ("pattern=graphic", "pattern=plain", "pattern=striped")
        assert row_of(table, 7)["pattern=plain"] == 1

    def test_values_to_leave_out_must_exist(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", *PEOPLE)
        assert read_attributes(path, leave_out=("upper_colour=red",)).schema.names[1:2] == ("upper_colour=blue",)
        with pytest.raises(DataError, match=r"values to leave out that .* has, got upper_colour=rde"):
            read_attributes(path, leave_out=("pattern=plain", "upper_colour=rde"))

    def test_rare_bits_are_left_out_of_the_code(self, tmp_path: Path) -> None:
        lines = [f"{pid},{int(pid <= 10)},{int(pid <= 9)}" for pid in range(1, 31)]
        path = write(tmp_path / "a.csv", "pid,ten,nine", *lines)
        assert read_attributes(path).schema.in_code == (True, False)
        assert read_attributes(path, min_positives=9).schema.in_code == (True, True)
        assert read_attributes(path, train_pids=np.arange(2, 31)).schema.in_code == (False, False)

    def test_unknown_labels_are_no_positives(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", "pid,hat", "1,1", "2,?", "3,0")
        assert read_attributes(path, min_positives=1).schema.in_code == (True,)
        assert read_attributes(path, min_positives=2).schema.in_code == (False,)

    def test_code_bits_can_be_chosen_again(self, tmp_path: Path) -> None:
        table = read_attributes(write(tmp_path / "a.csv", *PEOPLE))
        chosen = table.with_code_bits(np.array([3, 5, 999]), min_positives=2)
        assert chosen.schema.in_code == (True, False, False, False, False)
        assert chosen.schema.names == table.schema.names
        assert np.array_equal(chosen.labels, table.labels)

    def test_identities_without_labels_are_unknown(self, tmp_path: Path) -> None:
        table = read_attributes(write(tmp_path / "a.csv", *PEOPLE), known=np.array([3, 5, 7, 11, 20]))
        assert set(row_of(table, 20).values()) == {UNKNOWN_LABEL}

    def test_labels_of_unknown_identities_are_counted_and_dropped(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", *PEOPLE)
        with pytest.warns(DataWarning, match=r"^2 labelled identities in .* have no picture .* first: 5$"):
            table = read_attributes(path, known=np.array([3, 11]), min_positives=1)
        assert table.pids.tolist() == [3, 11]
        assert [int(bit) for bit in table.schema.in_code] == [1, 1, 0, 0, 1]
        with pytest.raises(DataError, match=r"labels of the data set's identities in .* got none; first: 3"):
            read_attributes(path, known=np.array([100]))

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["hat,coat", "1,0"], "column 'pid' and columns of attributes"),
            (["pid", "1"], "columns of attributes, .* got pid"),
            (["pid,hat=x", "1,0"], "without '=' in their names"),
            (["pid,hat"], "expected rows below"),
            (["pid,hat", "1,0", "2,1", "1,1"], r"once, got 1 in .*a\.csv, line 2 and again in line 4"),
            (["pid,hat", "1,0", "0,1"], "positive identity in .*, line 3, got 0"),
            (["pid,hat", "1,0", "x2,1"], "integer in column 'pid' of .*, line 3, got 'x2'"),
            (["pid,hat", "1,?", "2,1", "3,2"], "expected 0, 1 or .* column 'hat' of .*, line 4, got '2'"),
            (["pid,hat", "1,0", "2,yes"], "line 3, got 'yes'"),
            (["pid,hat", "1,0", "2,"], "line 3, got ''"),
            (["pid,hat", "1,0", "2"], "expected 2 cells in .*, line 3, got 1"),
            (["pid,top", "1,red", "2,0"], "word that begins with a letter, .* column 'top' of .*, line 3, got '0'"),
            (["pid,top", "1,red", "2,"], "line 3, got ''"),
            (["pid,top", "1,red=ish"], "line 2, got 'red=ish'"),
        ],
    )
    def test_mistakes_are_refused_with_their_line(self, tmp_path: Path, lines: list[str], message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_attributes(write(tmp_path / "a.csv", *lines))

    def test_missing_and_strange_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"attribute labels \(.csv or .mat\) at .*gone\.csv, got nothing"):
            read_attributes(tmp_path / "gone.csv")
        with pytest.raises(DataError, match=r"ends in \.csv or \.mat, got .*a\.json"):
            read_attributes(write(tmp_path / "a.json", "{}"))

    @given(
        people=st.dictionaries(
            st.integers(1, 10**6),
            st.tuples(st.sampled_from("01?"), st.sampled_from(["red", "blue", "light gray", "?"])),
            min_size=1,
        )
    )
    def test_every_label_says_what_the_file_says(
        self, tmp_path_factory: pytest.TempPathFactory, people: dict[int, tuple[str, str]]
    ) -> None:
        path = tmp_path_factory.mktemp("labels") / "a.csv"
        write(path, "pid,hat,top", *(f"{pid},{hat},{top}" for pid, (hat, top) in people.items()))
        table = read_attributes(path)
        assert table.pids.tolist() == sorted(people)
        for pid, (hat, top) in people.items():
            labels = row_of(table, pid)
            assert labels.pop("hat") == {"0": 0, "1": 1, "?": UNKNOWN_LABEL}[hat]
            # A column of "?" alone has no words: it is a yes/no field.
            if labels != {"top": UNKNOWN_LABEL}:
                assert labels == {name: UNKNOWN_LABEL if top == "?" else int(name == f"top={top}") for name in labels}
                assert top == "?" or f"top={top}" in labels


class TestSchemaOfAnotherFile:
    @pytest.fixture
    def schema(self, tmp_path: Path) -> AttributeSchema:
        return read_attributes(write(tmp_path / "train.csv", *PEOPLE), min_positives=2).schema

    def test_bits_keep_their_places(self, tmp_path: Path, schema: AttributeSchema) -> None:
        path = write(tmp_path / "test.csv", "pattern,pid,upper_colour,hat", "plain,50,blue,1", "?,20,red,?")
        table = read_attributes_as(path, schema)
        assert table.schema == schema
        assert table.pids.tolist() == [20, 50]
        assert table.labels.tolist() == [[-1, 0, 1, -1, -1], [1, 1, 0, 0, 0]]

    def test_new_values_set_no_bit_and_are_counted(self, tmp_path: Path, schema: AttributeSchema) -> None:
        path = write(tmp_path / "test.csv", PEOPLE[0], "50,1,green,plain", "51,0,red,dotted", "52,0,green,?")
        with pytest.warns(DataWarning, match=r"^2 values in .*: upper_colour=green, pattern=dotted$"):
            table = read_attributes_as(path, schema)
        assert table.labels.tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, -1, -1]]

    def test_fields_of_unknowns_alone_fit_any_schema(self, tmp_path: Path, schema: AttributeSchema) -> None:
        table = read_attributes_as(write(tmp_path / "test.csv", PEOPLE[0], "50,?,?,?"), schema)
        assert table.labels.tolist() == [[-1] * 5]

    def test_a_field_of_left_out_values_alone_is_known(self, tmp_path: Path) -> None:
        path = write(tmp_path / "train.csv", "pid,hat,pattern", "1,0,plain")
        schema = read_attributes(path).schema
        assert schema.names == ("hat",)
        assert read_attributes_as(path, schema).labels.tolist() == [[0]]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["pid,hat,pattern", "1,0,plain"], "missing: upper_colour; unknown: none"),
            (["pid,hat,upper_colour,pattern,coat", "1,0,red,plain,1"], "missing: none; unknown: coat"),
            (["pid,hat,upper_colour,pattern", "1,red,red,plain"], "expected 0 or 1 for 'hat' in .*, got 'red'"),
            (["pid,hat,upper_colour,pattern", "1,0,1,plain"], "expected words for 'upper_colour' in .*, got '1'"),
        ],
    )
    def test_other_fields_are_refused(
        self, tmp_path: Path, schema: AttributeSchema, lines: list[str], message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            read_attributes_as(write(tmp_path / "test.csv", *lines), schema)


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
            ({"0001": {"hat": 3}}, r"expected 1 codes from 1 to 2 in train\.hat"),
            ({"0001": {"upred": 0}}, r"codes from 1 to 2 in train\.upred"),
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
        savemat(tmp_path / "other.mat", {"duke_attribute": {"train": 1}})
        with pytest.raises(DataError, match=r"'market_attribute' with .* got \['duke_attribute'\]"):
            read_attributes(tmp_path / "other.mat")
        savemat(tmp_path / "half.mat", {"market_attribute": {"train": market_part({"0001": {}})}})
        with pytest.raises(DataError, match="with the structs 'train' and 'test'"):
            read_attributes(tmp_path / "half.mat")
        with pytest.raises(DataError, match=r"expected a \.mat file at .*text\.mat, got: "):
            read_attributes(write(tmp_path / "text.mat", "hello"))

    def test_without_scipy_the_error_names_the_extra(self, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "scipy.io", None)
        with pytest.raises(DataError, match=r"install bitreid\[attributes\]"):
            read_attributes(market)
