"""Attribute files: what the words in them become, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.data.attributes import UNKNOWN_LABEL, AttributeSchema
from bitreid.data.labels.reading import read_attributes, read_attributes_as
from bitreid.errors import DataError, DataWarning
from tests.data.cases import row_of, write

PEOPLE = [
    "pid,hat,upper_colour,pattern",
    "0007,0,red,plain",
    "0003,1,blue,striped",
    "0011,?,?,?",
    "0005,1,red,graphic",
]


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
            (
                ["pid,hat", "1,?", "2,1", "3,maybe"],
                "expected either 0, 1 .* column 'hat', got '1' in .*, line 3 and 'maybe'",
            ),
            (["pid,hat", "1,red;?"], "several separated by ';', in column 'hat' of .*, line 2, got 'red;\\?'"),
            (["pid,hat", '1,"red,blue"'], "several separated by ';', .* got 'red,blue'"),
            (["pid,hat", "1,0", "2"], "expected 2 cells in .*, line 3, got 1"),
            (["pid,top", "1,red", "2,0"], "values such as red in column 'top', got '0' in .*, line 3 and 'red'"),
            (["pid,top", "1,red=ish"], "line 2, got 'red=ish'"),
        ],
    )
    def test_mistakes_are_refused_with_their_line(self, tmp_path: Path, lines: list[str], message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_attributes(write(tmp_path / "a.csv", *lines))

    def test_answers_may_be_words_and_gaps(self, tmp_path: Path) -> None:
        lines = ["pid,hat,bag", "1,yes,True", "2,No,false", "3,,nan", "4,1,TRUE", "5,?,0"]
        table = read_attributes(write(tmp_path / "a.csv", *lines))
        assert table.schema.names == ("hat", "bag")
        assert table.labels.tolist() == [[1, 1], [0, 0], [-1, -1], [1, 1], [-1, 0]]

    def test_values_are_any_text_or_numbers_and_several_of_them(self, tmp_path: Path) -> None:
        lines = ["pid,top,size,bag", "1,red;white,38,no", "2,3/4 sleeves,40,trolley", "3,white,0,no", "4,,?,"]
        table = read_attributes(write(tmp_path / "a.csv", *lines))
        assert table.schema.names == (
            *("top=3/4 sleeves", "top=red", "top=white"),
            *("size=0", "size=38", "size=40", "bag=no", "bag=trolley"),
        )
        assert table.labels.tolist() == [
            [0, 1, 1, 0, 1, 0, 1, 0],
            [1, 0, 0, 0, 0, 1, 0, 1],
            [0, 0, 1, 1, 0, 0, 1, 0],
            [-1, -1, -1, -1, -1, -1, -1, -1],
        ]
        again = write(tmp_path / "b.csv", "pid,top,size,bag", "1,white;blue,40,no")
        with pytest.warns(DataWarning, match="^1 values in .*: top=blue$"):
            assert read_attributes_as(again, table.schema).labels.tolist() == [[0, 0, 1, 0, 0, 1, 1, 0]]

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
