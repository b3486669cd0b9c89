"""Reading files of attribute labels as an `AttributeTable`."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.data.attributes import MIN_POSITIVES, UNKNOWN_LABEL, AttributeSchema, AttributeTable
from bitreid.data.labels.sheets import NOT_SEEN, PERSON_TRAITS, YES_NO, Sheet, read_sheet, values_in
from bitreid.errors import DataError, DataWarning
from bitreid.text import brief, shown

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

    CSV: a column `pid`, then a column for each field. A field holds answers, `1`, `yes` or `true`, `0`, `no` or `false`
    (one bit, named as the column), or else values: any text or numbers, several of them as `red;white` (a bit for each,
    named `column=value`, in alphabetical order; values in `leave_out` get none). `?` or a gap makes all bits of its
    field `UNKNOWN_LABEL`.

    `.mat`: train and test identities in one table. Fields are found by name, since the two parts list them in different
    orders. A code of 0 is unknown; a `DataWarning` counts them. Colours become the fields `upper_colour` and
    `lower_colour`, unknown for identities with no colour or several. Gender (`female`) and Market-1501's age are read
    only where `include_person_traits` asks for them.

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
        words = sheet.words[field]
        values = [
            [str(int(YES_NO[word.lower()]))] if yes_no and word.lower() in YES_NO else values_in(word) for word in words
        ]
        labels[:, bits] = [[meaning in row for meaning in meanings] for row in values]
        labels[np.ix_([word == NOT_SEEN for word in words], bits)] = UNKNOWN_LABEL
        new = sorted({value for row in values for value in row} - {NOT_SEEN, "0" if yes_no else NOT_SEEN, *meanings})
        answers = not any(meaning[:1].isdigit() for meaning in meanings)
        wrong = new if yes_no else [word for word in new if answers and word in ("0", "1")]
        if wrong:
            expected = "0 or 1" if yes_no else "words"
            raise DataError(f"expected {expected} for {field!r} in {sheet.path}, got {shown(wrong[0])}")
        unseen += [name for word in new if (name := f"{field}={word}") not in schema.left_out]
    if unseen:
        names = brief(", ".join(unseen))
        message = f"{len(unseen)} values in {sheet.path} are new to the schema and set no bit: {names}"
        warnings.warn(message, DataWarning, stacklevel=3)
    return AttributeTable(schema, sheet.pids, labels)
