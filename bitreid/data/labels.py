"""Attribute files: CSV and Market-1501's `.mat` to an `AttributeTable`."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitreid.data.attributes import MIN_POSITIVES, UNKNOWN_LABEL, AttributeSchema, AttributeTable
from bitreid.data.csvfile import CsvTable, read_csv
from bitreid.errors import DataError, DataWarning

NOT_SEEN = "?"
NOTHING_SPECIAL = ("pattern=plain",)
"""Values that get no bit: a person with none of the field's other values."""

_WORD = re.compile(r"[A-Za-z][\w -]*")
_MARKET_YES_NO = {
    "hair": ("hair_long", 2),
    "hat": ("hat", 2),
    "up": ("sleeve_long", 1),
    "down": ("lower_short", 2),
    "clothes": ("skirt", 1),
    "backpack": ("backpack", 2),
    "bag": ("bag", 2),
    "handbag": ("handbag", 2),
}
"""Field of the .mat file to our name and the code (1 or 2) that means yes, as the labels' README says."""
_MARKET_COLOURS = {"up": "upper_colour", "down": "lower_colour"}
_MARKET_AGES = ("young", "teenager", "adult", "old")


@dataclass(frozen=True)
class _Sheet:
    """A label file as words, one a field and identity.

    pids      (m,) int64, ascending
    words     field -> m words: "0", "1" or a value of the field, `NOT_SEEN` for unknown
    values    field -> the words that get a bit each, in order; empty for a yes/no field
    training  (m,) whether the file itself says to train on the identity
    """

    path: Path
    pids: npt.NDArray[np.int64]
    words: dict[str, list[str]]
    values: dict[str, tuple[str, ...]]
    training: npt.NDArray[np.bool_]


def read_attributes(
    path: Path,
    known: npt.NDArray[np.int64] | None = None,
    train_pids: npt.NDArray[np.int64] | None = None,
    *,
    min_positives: int = MIN_POSITIVES,
    leave_out: Sequence[str] = NOTHING_SPECIAL,
    include_person_traits: bool = False,
) -> AttributeTable:
    """The labels in a `.csv` or Market-1501 `.mat` file, with a schema made from them.

    CSV: a column `pid`, then one a field. A field holds `0`, `1` or `?` (one bit, named as the column) or words and
    `?` (a bit a word, named `column=word`, words in alphabetical order; words in `leave_out` get none). `?` makes all
    bits of its field `UNKNOWN_LABEL`.

    `.mat`: train and test identities in one table. Fields are found by name, since the two parts list them in different
    orders. Colours become the fields `upper_colour` and `lower_colour`, unknown for identities with no colour or
    several. Gender (`female`) and age are read only where `include_person_traits` asks for them.

    `known` are the identities that the data set has pictures of; labels of others are dropped with a counted
    `DataWarning`. A bit is `in_code` if at least `min_positives` of `train_pids` have it (without `train_pids`: of the
    file's training part, or of all identities in a CSV). The bits themselves depend on the file alone.

    `DataError` for a missing file, an identity that comes twice or a value that makes no sense (with its line).
    """
    sheet = _drop_unknown(_read_sheet(path, include_person_traits), known)
    table = _make_table(sheet, _make_schema(sheet, tuple(leave_out)))
    return table.with_code_bits(sheet.pids[sheet.training] if train_pids is None else train_pids, min_positives)


def read_attributes_as(
    path: Path, schema: AttributeSchema, known: npt.NDArray[np.int64] | None = None
) -> AttributeTable:
    """The labels in a file as bits of an existing schema: test labels, say, for a schema made from training labels.

    The file must have the schema's fields, in any order, and no other. A word that the schema does not know says
    "none of the known ones": all bits of its field are 0, and a `DataWarning` counts it.
    """
    sheet = _drop_unknown(_read_sheet(path, include_person_traits=bool({"female", "age"} & set(schema.groups))), known)
    missing = sorted(set(schema.groups) - set(sheet.words))
    strange = sorted(set(sheet.words) - set(schema.groups) - {name.partition("=")[0] for name in schema.left_out})
    if missing or strange:
        raise DataError(
            f"expected the attribute fields of the schema in {path}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(strange) or 'none'}"
        )
    return _make_table(sheet, schema)


def _read_sheet(path: Path, include_person_traits: bool) -> _Sheet:
    if not path.is_file():
        raise DataError(f"expected a file of attribute labels (.csv or .mat) at {path}, got nothing")
    if path.suffix.lower() == ".csv":
        return _read_csv_sheet(path)
    if path.suffix.lower() == ".mat":
        return _read_market_sheet(path, include_person_traits)
    raise DataError(f"expected a file of attribute labels that ends in .csv or .mat, got {path}")


def _read_csv_sheet(path: Path) -> _Sheet:
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
    words = {field: [table.columns[field][row] for row in order] for field in fields}
    values = {field: _csv_values(table, field) for field in fields}
    return _Sheet(path, pids[order], words, values, np.ones(len(pids), dtype=np.bool_))


def _csv_values(table: CsvTable, field: str) -> tuple[str, ...]:
    """The words of a column, sorted; none for a yes/no column. A column is yes/no if its first answer is 0 or 1."""
    answers = [(row, cell) for row, cell in enumerate(table.columns[field]) if cell != NOT_SEEN]
    yes_no = not answers or answers[0][1] in ("0", "1")
    expected = "0, 1 or ?" if yes_no else "a word that begins with a letter, or ?,"
    for row, cell in answers:
        if not (cell in ("0", "1") if yes_no else _WORD.fullmatch(cell)):
            raise DataError(f"expected {expected} in column {field!r} of {table.place(row)}, got {cell!r}")
    return () if yes_no else tuple(sorted({cell for _, cell in answers}))


def _read_market_sheet(path: Path, include_person_traits: bool) -> _Sheet:
    parts = _market_parts(path)
    train, test = (_market_part(path, name, parts[name], include_person_traits) for name in ("train", "test"))
    if set(train.words) != set(test.words) or train.values != test.values:
        raise DataError(f"expected the same fields for train and test in {path}, got different ones")
    pids = np.concatenate([train.pids, test.pids])
    order = np.argsort(pids, kind="stable")
    twice = pids[order][1:][np.diff(pids[order]) == 0]
    if len(twice):
        raise DataError(f"expected each identity once in {path}, got {twice[0]} twice")
    words = {field: [(train.words[field] + test.words[field])[i] for i in order] for field in train.words}
    return _Sheet(path, pids[order], words, train.values, np.concatenate([train.training, test.training])[order])


def _market_parts(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The structs `train` and `test` of the file's only variable, `market_attribute`."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise DataError("expected SciPy to read .mat files, got none; install bitreid[attributes]") from error
    # SciPy's reader raises many kinds of errors for files that are damaged or no .mat files at all.
    try:
        variables = loadmat(path, simplify_cells=True)
    except Exception as error:
        raise DataError(f"expected a .mat file at {path}, got: {error}") from error
    parts = variables.get("market_attribute")
    if not isinstance(parts, dict) or not all(isinstance(parts.get(name), dict) for name in ("train", "test")):
        found = sorted(name for name in variables if not name.startswith("__"))
        raise DataError(
            f"expected a struct 'market_attribute' with the structs 'train' and 'test' in {path}, got {found}"
        )
    return parts


def _market_part(path: Path, name: str, part: Mapping[str, Any], include_person_traits: bool) -> _Sheet:
    """The labels of `train` or `test`; identities in the file's order."""
    if "image_index" not in part:
        raise DataError(f"expected a field 'image_index' with the identities of {name!r} in {path}, got none")
    identities = [str(identity) for identity in np.atleast_1d(part["image_index"])]
    wrong = [identity for identity in identities if not re.fullmatch("[0-9]{1,18}", identity) or int(identity) == 0]
    if wrong:
        raise DataError(f"expected identities like '0002' in {name}.image_index of {path}, got {wrong[0]!r}")

    def codes(field: str, highest: int) -> list[int]:
        if field not in part:
            raise DataError(f"expected a field {field!r} in {name!r} of {path}, got {', '.join(sorted(part))}")
        given = np.atleast_1d(part[field])
        good = given.shape == (len(identities),) and np.isin(given, np.arange(1, highest + 1)).all()
        if not good:
            raise DataError(f"expected {len(identities)} codes from 1 to {highest} in {name}.{field} of {path}")
        return [int(code) for code in given]

    words = {ours: ["01"[code == yes] for code in codes(field, 2)] for field, (ours, yes) in _MARKET_YES_NO.items()}
    values: dict[str, tuple[str, ...]] = dict.fromkeys(words, ())
    for prefix, ours in _MARKET_COLOURS.items():
        colours = sorted(field.removeprefix(prefix) for field in part if re.fullmatch(prefix + "[a-z]+", field))
        has = [codes(prefix + colour, 2) for colour in colours]
        words[ours] = [_only_colour(colours, [column[i] == 2 for column in has]) for i in range(len(identities))]
        values[ours] = tuple(colours)
    if include_person_traits:
        words["female"] = ["01"[code == 2] for code in codes("gender", 2)]
        words["age"] = [_MARKET_AGES[code - 1] for code in codes("age", 4)]
        values |= {"female": (), "age": _MARKET_AGES}
    training = np.full(len(identities), name == "train", dtype=np.bool_)
    return _Sheet(path, np.array([int(pid) for pid in identities], dtype=np.int64), words, values, training)


def _only_colour(colours: Sequence[str], has: Sequence[bool]) -> str:
    """The one colour that a person has; unknown where the labels give none or several."""
    found = [colour for colour, yes in zip(colours, has, strict=True) if yes]
    return found[0] if len(found) == 1 else NOT_SEEN


def _drop_unknown(sheet: _Sheet, known: npt.NDArray[np.int64] | None) -> _Sheet:
    """The rows of known identities; a counted warning for the others, an error if none is left."""
    if known is None:
        return sheet
    keep = np.isin(sheet.pids, known)
    if keep.all():
        return sheet
    first = sheet.pids[~keep][0]
    if not keep.any():
        raise DataError(f"expected labels of the data set's identities in {sheet.path}, got none; first: {first}")
    message = f"{(~keep).sum()} labelled identities in {sheet.path} have no picture and are dropped; first: {first}"
    warnings.warn(message, DataWarning, stacklevel=3)
    words = {
        field: [word for word, kept in zip(column, keep, strict=True) if kept] for field, column in sheet.words.items()
    }
    return _Sheet(sheet.path, sheet.pids[keep], words, sheet.values, sheet.training[keep])


def _make_schema(sheet: _Sheet, leave_out: tuple[str, ...]) -> AttributeSchema:
    """The schema of all bits in the sheet, all of them in the code."""
    valued = {f"{field}={value}" for field, values in sheet.values.items() for value in values}
    mistaken = sorted(set(leave_out) - valued - set(NOTHING_SPECIAL))
    if mistaken:
        raise DataError(f"expected values to leave out that {sheet.path} has, got {', '.join(mistaken)}")
    bits: list[tuple[str, str]] = []
    for field, values in sheet.values.items():
        names = [f"{field}={value}" for value in values] or [field]
        bits += [(name, field) for name in names if name not in leave_out]
    return AttributeSchema(
        names=tuple(name for name, _ in bits),
        groups=tuple(field for _, field in bits),
        in_code=(True,) * len(bits),
        left_out=tuple(name for name in leave_out if name in valued),
    )


def _make_table(sheet: _Sheet, schema: AttributeSchema) -> AttributeTable:
    """The sheet's words as the schema's bits."""
    labels = np.zeros((len(sheet.pids), len(schema)), dtype=np.int8)
    unseen: list[str] = []
    for field in dict.fromkeys(schema.groups):
        bits = [bit for bit, group in enumerate(schema.groups) if group == field]
        yes_no = schema.names[bits[0]] == field
        meanings = ["1"] if yes_no else [schema.names[bit].removeprefix(f"{field}=") for bit in bits]
        words = np.array(sheet.words[field], dtype=np.str_)
        labels[:, bits] = words[:, None] == np.array(meanings)
        labels[np.ix_(words == NOT_SEEN, bits)] = UNKNOWN_LABEL
        new = sorted(set(words.tolist()) - {NOT_SEEN, *meanings})
        digits = not {"0", "1"}.isdisjoint(new)
        if new and digits != yes_no:
            raise DataError(f"expected {'0 or 1' if yes_no else 'words'} for {field!r} in {sheet.path}, got {new[0]!r}")
        unseen += [] if yes_no else [name for word in new if (name := f"{field}={word}") not in schema.left_out]
    if unseen:
        message = f"{len(unseen)} values in {sheet.path} are new to the schema and set no bit: {', '.join(unseen)}"
        warnings.warn(message, DataWarning, stacklevel=3)
    return AttributeTable(schema, sheet.pids, labels)
