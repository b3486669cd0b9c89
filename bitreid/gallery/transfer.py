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
from bitreid.data.files import new_file
from bitreid.data.manifest import UNKNOWN
from bitreid.data.pictures import Progress
from bitreid.errors import GalleryError
from bitreid.gallery.base import Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.items import NO_TIME, GalleryItem, Items
from bitreid.gallery.requests import BATCH, Where

FORMAT_VERSION = 1
"""The newest format of an exported file that this bitreid reads, and the one that it writes."""

_SEAL = b"bitreid sha256 "
_DIGITS = 64
_MAGIC = b"PAR1"
_BLOCK = 1 << 20


def export_parquet(gallery: Gallery, path: Path, where: Where = None, progress: Progress | None = None) -> int:
    """How many items were written to `path`, a Parquet file: those that pass the filter, by ascending key.

    Columns: `id_number` int64 or `id_text` (the other is null), `code` and `attribute_code` (bytes; the latter only
    where the gallery has them), `camera` int64, `time` (UTC, microseconds), `tracklet`, `person`, `metadata` (JSON) and
    `picture`; null is what nobody told us. Rejections and the audit log are not part of it. The file appears when it is
    complete; one that was there is replaced. `progress` gets items done and in all.
    """
    pyarrow, parquet = _pyarrow()
    contract, total, done = gallery.contract, gallery.count(where), 0
    about = {"bitreid.format": str(FORMAT_VERSION), "bitreid.contract": contract.to_json()}
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
    """How many items of a file that `export_parquet` wrote were added; those whose ids are there stay as they are.

    So an import that was stopped is done again from the start, and goes on. The whole file is checked before the first
    item is added. `GalleryError` for a file that is damaged, of something else, of a newer format or of another model.
    """
    added = done = 0
    for total, batch in _stored(path, gallery.contract):
        added, done = added + gallery.add(batch), done + len(batch)
        if progress is not None:
            progress(done, total)
    return added


def copy_gallery(source: Gallery, target: Gallery, progress: Progress | None = None) -> int:
    """How many items of `source` were written to `target`, which then holds all of them as they are in `source`.

    Items that are in `target` already are compared and, if they differ, replaced, so that a copy that was stopped is
    done again from the start and writes only what is missing. Other items of `target` stay: what was deleted from
    `source` since an earlier copy is to be deleted there too. Decisions (`confirm`, `reject`, `merge`) go along; the
    audit log does not, and the age of items of unknown time begins anew. `progress` gets items done and in all.
    `GalleryError` for galleries of two models.
    """
    check_same_model(source.contract, target.contract)
    done, written, total = 0, 0, source.count()
    for batch in source.scan():
        there = target.get(batch.ids)
        differ = [i for i, (item, known) in enumerate(zip(batch, there, strict=True)) if not _same(item, known)]
        if differ:
            target.upsert(batch.rows(differ))
        done, written = done + len(batch), written + len(differ)
        if progress is not None:
            progress(done, max(done, total))
    _copy_decisions(source, target)
    return written


def check_same_model(found: Contract, wanted: Contract) -> None:
    """Nothing, if codes of the one gallery can go to the other; else `GalleryError`. A model that the caller vouches
    for is any."""
    if found.model and wanted.model and found.model != wanted.model:
        raise GalleryError(
            f"expected items of the model {wanted.name} ({wanted.model}), got items of {found.name} ({found.model}); "
            "encode their pictures again"
        )
    for name, mine, theirs in (
        ("codes of bits", wanted.n_bits, found.n_bits),
        ("attributes", ", ".join(wanted.attributes) or "none", ", ".join(found.attributes) or "none"),
    ):
        if mine != theirs:
            raise GalleryError(f"expected items of the same model ({name}: {mine}), got {name}: {theirs}")


def _same(item: GalleryItem, there: GalleryItem | None) -> bool:
    return there is not None and _content(item) == _content(there)


def _content(item: GalleryItem) -> tuple[Any, ...]:
    short = None if item.attribute_code is None else item.attribute_code.tobytes()
    metadata = None if item.metadata is None else _json(item.metadata)  # Python calls 1 and True equal
    return item._replace(metadata=None)[3:], item.code.tobytes(), short, metadata


def _copy_decisions(source: Gallery, target: Gallery) -> None:
    """Those of the source that the target does not have from an earlier copy."""
    there = Counter(_json(note) for _, note in target._notes())
    wanted = []
    for _, note in source._notes():
        text = _json(note)
        there[text] -= 1
        if there[text] < 0:
            wanted.append(note)
    if wanted:
        with target._transaction():
            for note in wanted:
                target._note(note)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


# The file's checksum.


def _seal_at(file: BinaryIO) -> int:
    """Where the digits of the checksum are; `ValueError` where there can be none.

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
    """The SHA-256, in hexadecimal digits, of the file with zeros in place of the digits at `at`."""
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
    """The next bytes of a file, `n_bytes` of them or all that are left."""
    while n_bytes is None or n_bytes > 0:
        block = file.read(_BLOCK if n_bytes is None else min(_BLOCK, n_bytes))
        if not block:
            return
        n_bytes = None if n_bytes is None else n_bytes - len(block)
        yield block


# Items as columns of Parquet.


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise GalleryError(
            "expected pyarrow to read and write Parquet files, got none; install bitreid[parquet]"
        ) from error
    return pyarrow, parquet


def _fields(pyarrow: Any, contract: Contract) -> list[Any]:
    types = {
        "id_number": pyarrow.int64(),
        "id_text": pyarrow.string(),
        "code": pyarrow.binary(contract.n_bits // 8),
        "attribute_code": pyarrow.binary(contract.attribute_bits // 8),
        "camera": pyarrow.int64(),
        "time": pyarrow.timestamp("us", "UTC"),
        **dict.fromkeys(("tracklet", "person", "metadata", "picture"), pyarrow.string()),
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
        "camera": pyarrow.array(batch.cameras, mask=batch.cameras == UNKNOWN),
        "time": pyarrow.array(batch.times, mask=batch.times == NO_TIME).cast(schema.field("time").type),
        "metadata": pyarrow.array(
            [None if each is None else json.dumps(each) for each in batch.metadata], pyarrow.string()
        ),
        "tracklet": pyarrow.array(batch.tracklets, pyarrow.string()),
        "person": pyarrow.array(batch.persons, pyarrow.string()),
        "picture": pyarrow.array(batch.pictures, pyarrow.string()),
    }
    if batch.attribute_codes is not None:
        columns["attribute_code"] = packed(batch.attribute_codes)
    return pyarrow.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _stored(path: Path, wanted: Contract) -> Iterator[tuple[int, Items]]:
    """The items of a file in batches, each with the number of all items; the file is checked before the first."""
    pyarrow, parquet = _pyarrow()
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
                for rows in opened.iter_batches(BATCH):
                    yield opened.metadata.num_rows, _items(pyarrow, rows, contract)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise GalleryError(
            f"expected a gallery's items in Parquet at {path}, got: {error}; export them again"
        ) from error


def _contract_in(metadata: Mapping[bytes, bytes], path: Path) -> Contract:
    version = int(metadata[b"bitreid.format"])
    if version > FORMAT_VERSION:
        raise GalleryError(
            f"expected a gallery's items of format {FORMAT_VERSION} or older at {path}, got format {version}; "
            "update bitreid"
        )
    return Contract.from_json(metadata[b"bitreid.contract"].decode())


def _items(pyarrow: Any, rows: Any, contract: Contract) -> Items:
    def codes(name: str, n_bits: int) -> Codes:
        packed = np.frombuffer(b"".join(rows[name].to_pylist()), np.uint8)
        return Codes(packed.reshape(len(rows), n_bits // 8), n_bits, contract.parts if name == "code" else ())

    def column(name: str) -> tuple[Any, ...]:
        return tuple(rows[name].to_pylist())

    return Items(
        tuple(
            text if number is None else number
            for number, text in zip(column("id_number"), column("id_text"), strict=True)
        ),
        codes("code", contract.n_bits),
        codes("attribute_code", contract.attribute_bits) if contract.attributes else None,
        rows["camera"].fill_null(UNKNOWN).to_numpy(),
        rows["time"].cast(pyarrow.int64()).fill_null(NO_TIME).to_numpy(),
        column("tracklet"),
        column("person"),
        tuple(None if each is None else json.loads(each) for each in column("metadata")),
        column("picture"),
        contract.model,
    )
