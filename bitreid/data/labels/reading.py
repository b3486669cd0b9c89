"""Reading files of attribute labels as an `AttributeTable`."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.data.attributes import MIN_POSITIVES, UNKNOWN_LABEL, AttributeSchema, AttributeTable
from bitreid.data.labels.sheets import NOT_SEEN, PERSON_TRAITS, Sheet, read_sheet
from bitreid.errors import DataError, DataWarning

NOTHING_SPECIAL = ("pattern=plain",)
"""Values that get no bit, because they mean that the person has none of the field's other values."""


def read_attributes(
    path: Path,
    known: npt.NDArray[np.int64] | None = None,
    train_pids: npt.NDArray[np.int64] | None = None,
    *,
    min_positives: int = MIN_POSITIVES,
    leave_out: Sequence[str] = NOTHING_SPECIAL,
    include_person_traits: bool = False,
) -> AttributeTable:
    """The labels in a `.csv` file, or in the `.mat` file of Market-1501 or DukeMTMC-reID, with a schema made from them.

    CSV: a column `pid`, then a column for each field. A field holds `0`, `1` or `?` (one bit, named as the column), or
    words and `?` (a bit for each word, named `column=word`, in alphabetical order; values in `leave_out` get none). `?`
    makes all bits of its field `UNKNOWN_LABEL`.

    `.mat`: train and test identities in one table. Fields are found by name, since the two parts list them in different
    orders. Colours become the fields `upper_colour` and `lower_colour`, unknown for identities with no colour or
    several. Gender (`female`) and Market-1501's age are read only where `include_person_traits` asks for them.

    `known` are the identities that the data set has pictures of; labels of others are dropped, and a `DataWarning`
    counts them. A bit is `in_code` if at least `min_positives` of `train_pids` have it (without `train_pids`: of the
    file's training part, or of all identities in a CSV). The bits themselves depend on the file alone.

    `DataError` for a missing file, an identity that comes twice or a value that makes no sense (with its line).
    """
    sheet = _drop_unknown(read_sheet(path, include_person_traits), known)
    table = _make_table(sheet, _make_schema(sheet, tuple(leave_out)))
    return table.with_code_bits(sheet.pids[sheet.training] if train_pids is None else train_pids, min_positives)


def read_attributes_as(
    path: Path, schema: AttributeSchema, known: npt.NDArray[np.int64] | None = None
) -> AttributeTable:
    """The labels in a file as bits of an existing schema, such as test labels for a schema made from training labels.

    The file must have the schema's fields, in any order, and no others. A word that the schema does not know means none
    of the words that it knows: all bits of its field are 0, and a `DataWarning` counts such words.
    """
    sheet = _drop_unknown(read_sheet(path, include_person_traits=bool(PERSON_TRAITS & set(schema.groups))), known)
    missing = sorted(set(schema.groups) - set(sheet.words))
    strange = sorted(set(sheet.words) - set(schema.groups) - {name.partition("=")[0] for name in schema.left_out})
    if missing or strange:
        raise DataError(
            f"expected the attribute fields of the schema in {path}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(strange) or 'none'}"
        )
    return _make_table(sheet, schema)


def _drop_unknown(sheet: Sheet, known: npt.NDArray[np.int64] | None) -> Sheet:
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
    return Sheet(sheet.path, sheet.pids[keep], words, sheet.values, sheet.training[keep])


def _make_schema(sheet: Sheet, leave_out: tuple[str, ...]) -> AttributeSchema:
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


def _make_table(sheet: Sheet, schema: AttributeSchema) -> AttributeTable:
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
