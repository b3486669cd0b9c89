"""Galleries on the move: to a Parquet file, from one, and from gallery to gallery.

The file is plain Parquet with a column for each field of an item and the gallery's contract in its footer. A SHA-256 of
all its bytes stands in the footer too (its own digits count as zeros there), so that a damaged or cut file is refused
before any of it is read as Parquet or added.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bitreid.codes import Codes
from bitreid.data import arrow
from bitreid.data.files import new_file
from bitreid.data.pictures import Progress
from bitreid.errors import DataError, GalleryDamaged, GalleryNotFound, GalleryUnreachable, Unsupported, WrongModel
from bitreid.gallery.about import About
from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import FIELDS, JSON_OBJECT, TEXT, TIME, WHOLE_NUMBER
from bitreid.gallery.items import GalleryItem, Items
from bitreid.gallery.leftovers import check_lasting_name, remove_leftovers
from bitreid.gallery.requests import BATCH, Where

FORMAT_VERSION = 1
"""The newest format of an exported file that this bitreid reads, and the one that it writes."""

_SEAL = b"bitreid sha256 "
_DIGITS = 64
_MAGIC = b"PAR1"
_BLOCK = 1 << 20


def export_parquet(gallery: Gallery, path: Path, where: Where = None, progress: Progress | None = None) -> int:
    """Write the items that pass the filter, by ascending key, to `path`, a Parquet file; return how many there were.

    Columns: `id_number` int64 or `id_text` (the other is null), `code` and `attribute_code` (bytes; the latter only
    where the gallery has them), `camera` int64, `time` (UTC, microseconds), `tracklet`, `person`, `metadata` (JSON) and
    `picture`; null is what is unknown. Names of cameras and of engines stand in the
    footer. Rejections and the audit log are not part of it. The file appears when it is
    complete; one that was there is replaced. `progress` gets items done and in all. `GalleryUnreachable` where there
    is no room, or nothing can be written.
    """
    check_lasting_name(path)
    remove_leftovers(path.parent)
    try:
        return _export(gallery, path, where, progress)
    except OSError as error:
        raise GalleryUnreachable(f"expected to write {path}, got: {error}; look at path and disk") from error


def _export(gallery: Gallery, path: Path, where: Where, progress: Progress | None) -> int:
    pyarrow, parquet = pyarrow_and_parquet()
    contract, total, done = gallery.contract, gallery.count(where), 0
    about = {"bitreid.format": str(FORMAT_VERSION), "bitreid.contract": contract.plain().to_json()}
    learned = gallery.about.to_json()
    about |= {f"bitreid.{name}": json.dumps(value) for name, value in learned.items() if value}
    schema = pyarrow.schema(_fields(pyarrow, contract), metadata=about)
    # Statistics of a column would hold names of people once more.
    options = {"compression": "zstd", "use_dictionary": ["tracklet", "person"], "write_statistics": False}
    with new_file(path) as unfinished:
        with parquet.ParquetWriter(unfinished, schema, **options) as writer:
            for batch in gallery.scan(where):
                writer.write_batch(_record_batch(pyarrow, batch, schema))
                done += len(batch)
                if progress is not None:
                    progress(done, max(done, total))
            writer.add_key_value_metadata({"bitreid.checksum": (_SEAL + b"0" * _DIGITS).decode()})
        with unfinished.open("rb+") as file:
            at = _seal_at(file)
            digits = _digest(file, at)
            file.seek(at)
            file.write(digits)
    return done


def import_parquet(gallery: Gallery, path: Path, progress: Progress | None = None) -> int:
    """Add the items of a file that `export_parquet` wrote, but for ids that are there; return how many were added.

    So an import that was stopped is done again from the start, and goes on. The whole file is checked before the first
    item is added. `GalleryNotFound` if there is no file, `GalleryDamaged` for one that is damaged or of something else,
    `Unsupported` for a newer format, `WrongModel` for items of another model.
    """
    added = done = 0
    for total, batch, about in _stored(path, gallery.contract):
        gallery.learn(about)
        added, done = added + gallery.add(batch), done + len(batch)
        if progress is not None:
            progress(done, total)
    return added


def copy_gallery(source: Gallery, target: Gallery, progress: Progress | None = None) -> int:
    """Write to `target` the items of `source` that are not there as they are in `source`; return how many.

    Items that are in `target` already are compared and, if they differ, replaced, so that a copy that was stopped is
    done again from the start and writes only what is missing. Codes are cut where `target` holds shorter ones of the
    same model. Other items of `target` stay: what was deleted from `source` since an earlier copy is to be deleted
    there too. Decisions (`confirm`, `reject`, `merge`) and names of cameras and engines go along; the audit log does
    not, and the age of items of unknown time begins anew. `progress` gets items done and in all. `WrongModel` for
    galleries of two models, `BadRequest` where the names of cameras disagree.
    """
    check_same_model(source.contract, target.contract)
    target.learn(source.about)
    done, written, total = 0, 0, source.count()
    for batch in source.scan():
        batch = batch.cut_for(target.contract)
        there = target.get(batch.ids)
        differ = [i for i, (item, known) in enumerate(zip(batch, there, strict=True)) if not _same(item, known)]
        if differ:
            target._put(batch.rows(differ), replace=True, decided=False)  # the decisions come, too
        done, written = done + len(batch), written + len(differ)
        if progress is not None:
            progress(done, max(done, total))
    copy_decisions(source, target)
    return written


def check_same_model(found: Contract, wanted: Contract) -> None:
    """Check that codes of the one gallery can go to the other; else `WrongModel`. A model that the caller vouches for
    is any. Longer codes of one model can: they are cut."""
    if found.model and wanted.model and found.model != wanted.model:
        raise WrongModel(
            f"expected items of the model {wanted.name} ({wanted.model}), got items of {found.name} ({found.model}); "
            "encode their pictures again"
        )
    shorter = found.n_bits > wanted.n_bits and found.model == wanted.model != ""
    for name, mine, theirs in (
        ("codes of bits", wanted.n_bits, wanted.n_bits if shorter else found.n_bits),
        ("attributes", ", ".join(wanted.attributes) or "none", ", ".join(found.attributes) or "none"),
    ):
        if mine != theirs:
            raise WrongModel(f"expected items of the same model ({name}: {mine}), got {name}: {theirs}")


def _same(item: GalleryItem, there: GalleryItem | None) -> bool:
    return there is not None and content_of(item) == content_of(there)


def content_of(item: GalleryItem) -> tuple[Any, ...]:
    """Return an item's codes and fields, by which equal ones are equal."""
    short = None if item.attribute_code is None else item.attribute_code.tobytes()
    values = (getattr(item, field.name) for field in FIELDS)
    # Python calls 1 and True equal.
    return item.code.tobytes(), short, *(_json(value) if isinstance(value, Mapping) else value for value in values)


def copy_decisions(source: Gallery, target: Gallery) -> None:
    """Copy the decisions of the source that the target does not have from an earlier copy."""
    there = Counter(_json(note) for _, note in target._notes())
    missing = []
    for _, note in source._notes():
        text = _json(note)
        there[text] -= 1
        if there[text] < 0:
            missing.append(note)
    if missing:
        with target._transaction():
            for note in missing:
                target._note(note)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


# The file's checksum.


def _seal_at(file: BinaryIO) -> int:
    """Return where the digits of the checksum are; `ValueError` where there can be none.

    Parquet ends in its footer, four bytes with the footer's length, and four letters.
    """
    size = file.seek(0, 2)
    file.seek(max(size - 8, 0))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - 8:
        raise ValueError("no whole Parquet file")
    file.seek(size - 8 - length)
    found = file.read(length).rfind(_SEAL)
    if found < 0:
        raise ValueError("a Parquet file without the checksum of a gallery's export")
    return size - 8 - length + found + len(_SEAL)


def _digest(file: BinaryIO, at: int) -> bytes:
    """Return the SHA-256, in hexadecimal digits, of the file with zeros in place of the digits at `at`."""
    sha = hashlib.sha256()
    file.seek(0)
    for block in _blocks(file, at):
        sha.update(block)
    sha.update(b"0" * _DIGITS)
    file.seek(at + _DIGITS)
    for block in _blocks(file, None):
        sha.update(block)
    return sha.hexdigest().encode()


def _blocks(file: BinaryIO, n_bytes: int | None) -> Iterator[bytes]:
    """Yield the next bytes of a file, `n_bytes` of them or all that are left."""
    while n_bytes is None or n_bytes > 0:
        block = file.read(_BLOCK if n_bytes is None else min(_BLOCK, n_bytes))
        if not block:
            return
        n_bytes = None if n_bytes is None else n_bytes - len(block)
        yield block


# Items as columns of Parquet.


def pyarrow_and_parquet() -> tuple[Any, Any]:
    """Return the two modules; `Unsupported` where they are not installed."""
    try:
        return arrow.pyarrow_and_parquet()
    except DataError as error:
        raise Unsupported(str(error)) from error


def _fields(pyarrow: Any, contract: Contract) -> list[Any]:
    types_of_kinds = {
        WHOLE_NUMBER: pyarrow.int64(),
        TIME: pyarrow.timestamp("us", "UTC"),
        TEXT: pyarrow.string(),
        JSON_OBJECT: pyarrow.string(),
    }
    types = {
        "id_number": pyarrow.int64(),
        "id_text": pyarrow.string(),
        "code": pyarrow.binary(contract.n_bits // 8),
        "attribute_code": pyarrow.binary(contract.attribute_bits // 8),
        **{field.name: types_of_kinds[field.kind] for field in FIELDS},
    }
    if not contract.attributes:
        del types["attribute_code"]
    return [pyarrow.field(name, type, nullable=not name.endswith("code")) for name, type in types.items()]


def _record_batch(pyarrow: Any, batch: Items, schema: Any) -> Any:
    def packed(codes: Codes) -> Any:
        buffers = [None, pyarrow.py_buffer(codes.packed)]
        return pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(codes.n_bits // 8), len(codes), buffers)

    columns = {
        "id_number": pyarrow.array([None if isinstance(id, str) else int(id) for id in batch.ids], pyarrow.int64()),
        "id_text": pyarrow.array([id if isinstance(id, str) else None for id in batch.ids], pyarrow.string()),
        "code": packed(batch.codes),
    }
    if batch.attribute_codes is not None:
        columns["attribute_code"] = packed(batch.attribute_codes)
    for field in FIELDS:
        values, type = getattr(batch, field.column), schema.field(field.name).type
        if field.kind.is_number:
            columns[field.name] = pyarrow.array(values, mask=values == field.kind.unknown).cast(type)
        else:
            columns[field.name] = pyarrow.array(field.kind.stored(values), type)
    return pyarrow.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _stored(path: Path, wanted: Contract) -> Iterator[tuple[int, Items, About]]:
    """Yield the items of a file in batches, each with the number of all items and what the gallery learned.

    The file is checked before the first.
    """
    pyarrow, parquet = pyarrow_and_parquet()
    try:
        with path.open("rb") as file:
            at = _seal_at(file)
            file.seek(at)
            if file.read(_DIGITS) != _digest(file, at):
                raise ValueError("a file that was changed or damaged")
            file.seek(0)
            with parquet.ParquetFile(file) as opened:
                contract = _contract_in(opened.schema_arrow.metadata, path)
                check_same_model(contract, wanted)
                footer = opened.schema_arrow.metadata
                stored = {name: json.loads(footer.get(f"bitreid.{name}".encode(), b"{}")) for name in About().to_json()}
                about = About.from_json(stored)
                for rows in opened.iter_batches(BATCH):
                    yield opened.metadata.num_rows, _items(pyarrow, rows, contract), about
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        kind = GalleryNotFound if isinstance(error, FileNotFoundError) else GalleryDamaged
        raise kind(f"expected a gallery's items in Parquet at {path}, got: {error}; export them again") from error


def _contract_in(metadata: Mapping[bytes, bytes], path: Path) -> Contract:
    version = int(metadata[b"bitreid.format"])
    if version > FORMAT_VERSION:
        raise Unsupported(
            f"expected a gallery's items of format {FORMAT_VERSION} or older at {path}, got format {version}; "
            "update bitreid"
        )
    return Contract.from_json(metadata[b"bitreid.contract"].decode())


def _items(pyarrow: Any, rows: Any, contract: Contract) -> Items:
    def codes(name: str, n_bits: int) -> Codes:
        packed = np.frombuffer(b"".join(rows[name].to_pylist()), np.uint8)
        return Codes(packed.reshape(len(rows), n_bits // 8), n_bits, contract.parts if name == "code" else ())

    columns: dict[str, Any] = {}
    for field in FIELDS:
        if field.name not in rows.schema.names:  # a field that is newer than the file: nobody told us
            columns[field.column] = field.kind.column(field.column, None, len(rows))
            continue
        stored, kind = rows[field.name], field.kind
        if kind.is_number:
            columns[field.column] = stored.cast(pyarrow.int64()).fill_null(kind.unknown).to_numpy()
        else:
            columns[field.column] = tuple(map(kind.loaded, stored.to_pylist()))
    numbers, texts = rows["id_number"].to_pylist(), rows["id_text"].to_pylist()
    return Items(
        tuple(text if number is None else number for number, text in zip(numbers, texts, strict=True)),
        codes("code", contract.n_bits),
        codes("attribute_code", contract.attribute_bits) if contract.attributes else None,
        **columns,
        model=contract.model,
    )
