"""Reading a CSV, or the `.mat` file of Market-1501 or DukeMTMC-reID, as words: one for each field and identity."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.data.labels.matfile import read_mat
from bitreid.data.table import Table, read_csv
from bitreid.errors import DataError, DataWarning
from bitreid.text import brief, shown

NOT_SEEN = "?"
SEPARATOR = ";"
"""Between several values of a cell."""
YES_NO = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
"""The answers in a yes/no field of a CSV, in lower case."""
PERSON_TRAITS = frozenset({"female", "age"})
"""Fields about the person instead of the clothes; they are read only if the caller asks for them."""

_Fields = Mapping[str, tuple[str, tuple[str, ...]]]

_NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?")
_NO_YES = ("0", "1")
_YES_NO = ("1", "0")
_CLOTHES: dict[str, _Fields] = {
    "market_attribute": {
        "hair": ("hair_long", _NO_YES),
        "hat": ("hat", _NO_YES),
        "up": ("sleeve_long", _YES_NO),
        "down": ("lower_short", _NO_YES),
        "clothes": ("skirt", _YES_NO),
        "backpack": ("backpack", _NO_YES),
        "bag": ("bag", _NO_YES),
        "handbag": ("handbag", _NO_YES),
    },
    "duke_attribute": {
        "hat": ("hat", _NO_YES),
        "top": ("upper_long", _NO_YES),
        "boots": ("boots", _NO_YES),
        "shoes": ("shoes_light", _NO_YES),
        "backpack": ("backpack", _NO_YES),
        "bag": ("bag", _NO_YES),
        "handbag": ("handbag", _NO_YES),
    },
}
"""Variable of a .mat file, field -> our name, and what the codes 1 and 2 mean, as the labels' READMEs say."""
_TRAITS: dict[str, _Fields] = {
    "market_attribute": {"gender": ("female", _NO_YES), "age": ("age", ("young", "teenager", "adult", "old"))},
    "duke_attribute": {"gender": ("female", _NO_YES)},
}
"""The same for fields about the person; codes count from 1."""
_MAT_COLOURS = {"up": "upper_colour", "down": "lower_colour"}
"""Beginning of the fields that are yes (2) or no (1) for each colour (`upred`) to our name for all of them."""


@dataclass(frozen=True)
class Sheet:
    """A label file as words, one for each field and identity.

    pids      (m,) int64, ascending
    words     field -> m words: an answer in `YES_NO`, or values of the field, see `values_in`; `NOT_SEEN` for unknown
    values    field -> the words that get a bit each, in order; empty for a yes/no field
    training  (m,) whether the file lists the identity among those to train on
    """

    path: Path
    pids: npt.NDArray[np.int64]
    words: dict[str, list[str]]
    values: dict[str, tuple[str, ...]]
    training: npt.NDArray[np.bool_]


def read_sheet(path: Path, include_person_traits: bool) -> Sheet:
    """The words in a `.csv` or `.mat` file of attribute labels; formats and errors: see `labels.read_attributes`."""
    if not path.is_file():
        raise DataError(f"expected a file of attribute labels (.csv or .mat) at {path}, got nothing")
    if path.suffix.lower() == ".csv":
        return _read_csv_sheet(path)
    if path.suffix.lower() == ".mat":
        return _read_mat_sheet(path, include_person_traits)
    raise DataError(f"expected a file of attribute labels that ends in .csv or .mat, got {path}")


def _read_csv_sheet(path: Path) -> Sheet:
    table = read_csv(path)
    fields = [name for name in table.columns if name != "pid"]
    if "pid" not in table.columns or not fields or "=" in "".join(fields):
        raise DataError(
            f"expected a column 'pid' and columns of attributes, without '=' in their names, in {path}, "
            f"got {', '.join(table.columns)}"
        )
    pids = table.integers("pid")
    first_row: dict[int, int] = {}
    for row, pid in enumerate(pids.tolist()):
        if pid <= 0:
            raise DataError(f"expected a positive identity in {table.place(row)}, got {pid}")
        if pid in first_row:
            raise DataError(
                f"expected each identity once, "
                f"got {pid} in {table.place(first_row[pid])} and again in line {table.lines[row]}"
            )
        first_row[pid] = row
    order = np.argsort(pids)
    words = {field: [table.columns[field][row] or NOT_SEEN for row in order] for field in fields}
    values = {field: _csv_values(table, field) for field in fields}
    return Sheet(path, pids[order], words, values, np.ones(len(pids), dtype=np.bool_))


def _csv_values(table: Table, field: str) -> tuple[str, ...]:
    """The values of a column, sorted; none for a yes/no column, which has no other answers than yes and no."""
    cells = [(row, cell) for row, cell in enumerate(table.columns[field]) if cell not in ("", NOT_SEEN)]
    if all(cell.lower() in YES_NO for _, cell in cells):
        return ()
    values: dict[str, int] = {}
    for row, cell in cells:
        for value in values_in(cell):
            if value in ("", NOT_SEEN) or "=" in value or "," in value:
                raise DataError(
                    f"expected values without '=' and ',', several separated by '{SEPARATOR}', in column {field!r} of "
                    f"{table.place(row)}, got {shown(cell)}"
                )
            values.setdefault(value, row)
    answer = next((value for value in values if value in ("0", "1")), None)
    word = next((value for value in values if not _NUMBER.fullmatch(value)), None)
    if answer is not None and word is not None:
        raise DataError(
            f"expected either 0, 1 or {NOT_SEEN}, or values such as red in column {field!r}, got {answer!r} in "
            f"{table.place(values[answer])} and {shown(word)} in {table.unit} {table.lines[values[word]]}"
        )
    return tuple(sorted(values))


def values_in(cell: str) -> list[str]:
    """The values in a cell such as `red;white`."""
    return [value.strip() for value in cell.split(SEPARATOR)]


def _read_mat_sheet(path: Path, include_person_traits: bool) -> Sheet:
    """The labels of train and test of Market-1501 (`market_attribute.mat`) or DukeMTMC-reID (`duke_attribute.mat`).

    27 attributes of 751 + 750 identities, 23 of 702 + 1,110 (Lin et al., Improving Person Re-identification by
    Attribute and Identity Learning, Pattern Recognition 2019). Tested on imitations.
    """
    variable, parts = _mat_parts(path)
    traits = _TRAITS[variable] if include_person_traits else {}
    _warn_of_zeros(path, parts)
    train, test = (_Part(path, name, parts[name]).sheet(_CLOTHES[variable], traits) for name in ("train", "test"))
    if train.values != test.values:
        raise DataError(f"expected the same fields for train and test in {path}, got different ones")
    pids = np.concatenate([train.pids, test.pids])
    order = np.argsort(pids, kind="stable")
    twice = pids[order][1:][np.diff(pids[order]) == 0]
    if len(twice):
        raise DataError(f"expected each identity once in {path}, got {twice[0]} twice")
    words = {field: [(train.words[field] + test.words[field])[i] for i in order] for field in train.words}
    return Sheet(path, pids[order], words, train.values, np.concatenate([train.training, test.training])[order])


def _mat_parts(path: Path) -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    """The name of the file's only variable, and its structs `train` and `test`."""
    variables = read_mat(path)
    for variable in _CLOTHES:
        parts = variables.get(variable)
        if isinstance(parts, dict) and all(isinstance(parts.get(name), dict) for name in ("train", "test")):
            return variable, parts
    raise DataError(
        f"expected a struct {' or '.join(map(repr, _CLOTHES))} with the structs 'train' and 'test' in {path}, "
        f"got {brief(sorted(variables))}"
    )


def _warn_of_zeros(path: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Warn, in one `DataWarning`, of codes of 0: DukeMTMC-reID's own file has some, where nobody saw the attribute."""
    zeros = [
        f"{name}.{field}"
        for name in ("train", "test")
        for field, codes in parts[name].items()
        if field != "image_index" and np.asarray(codes).dtype.kind in "iuf"
        for code in np.atleast_1d(codes).ravel()
        if code == 0
    ]
    if zeros:
        text = f"{len(zeros)} labels in {path} are 0, which stands for unknown; first in {brief(zeros[0])}"
        warnings.warn(text, DataWarning, stacklevel=6)


@dataclass(frozen=True)
class _Part:
    """The struct `train` or `test` of a .mat file; rows in the file's order."""

    path: Path
    name: str
    fields: Mapping[str, Any]

    def sheet(self, clothes: _Fields, traits: _Fields) -> Sheet:
        """The labels as words: clothes, colours, traits."""
        pids = self.pids()
        words: dict[str, list[str]] = {}
        values: dict[str, tuple[str, ...]] = {}

        def read(fields: _Fields) -> None:
            for field, (ours, meanings) in fields.items():
                words[ours] = [(NOT_SEEN, *meanings)[code] for code in self.codes(field, len(pids), len(meanings))]
                values[ours] = () if "0" in meanings else meanings

        read(clothes)
        for prefix, ours in _MAT_COLOURS.items():
            values[ours], words[ours] = self.colours(prefix, len(pids))
        read(traits)
        return Sheet(self.path, pids, words, values, np.full(len(pids), self.name == "train", dtype=np.bool_))

    def pids(self) -> npt.NDArray[np.int64]:
        if "image_index" not in self.fields:
            raise DataError(
                f"expected a field 'image_index' with the identities of {self.name!r} in {self.path}, got none"
            )
        words = [str(identity) for identity in np.atleast_1d(self.fields["image_index"])]
        wrong = [word for word in words if not re.fullmatch("[0-9]{1,18}", word) or int(word) == 0]
        if wrong:
            raise DataError(
                f"expected identities like '0002' in {self.name}.image_index of {self.path}, got {shown(wrong[0])}"
            )
        return np.array([int(word) for word in words], dtype=np.int64)

    def codes(self, field: str, n: int, highest: int) -> list[int]:
        """The `n` codes of a field, 0 where nobody saw it.

        It is found by name: train and test have their fields in different orders.
        """
        if field not in self.fields:
            have = brief(", ".join(sorted(self.fields)))
            raise DataError(f"expected a field {field!r} in {self.name!r} of {self.path}, got {have}")
        given = np.atleast_1d(self.fields[field])
        if given.shape != (n,) or not np.isin(given, np.arange(highest + 1)).all():
            raise DataError(
                f"expected {n} codes from 1 to {highest}, or 0 for unknown, in {self.name}.{field} of {self.path}"
            )
        return [int(code) for code in given]

    def colours(self, prefix: str, n: int) -> tuple[tuple[str, ...], list[str]]:
        """All colours, and the colour of each row; it is unknown where the labels give none or several."""
        colours = sorted(field.removeprefix(prefix) for field in self.fields if re.fullmatch(prefix + "[a-z]+", field))
        has = [self.codes(prefix + colour, n, 2) for colour in colours]
        of_rows = [[colour for colour, column in zip(colours, has, strict=True) if column[i] == 2] for i in range(n)]
        return tuple(colours), [found[0] if len(found) == 1 else NOT_SEEN for found in of_rows]
