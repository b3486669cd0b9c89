"""Segments: files of columns that are mapped and never change; the format, and reading it.

A file begins with a header in its first `HEADER` bytes: `MAGIC`, the format, the length of a JSON text, its CRC-32, and
the text. Arrays follow, each at a multiple of `ALIGNED` bytes. The text says

- `rows`, a multiple of `BLOCK`, so that all columns begin and end at a page, and `items`: the first rows. The others
  are padding: the last item again, and never found.
- `ascending`: whether the items' keys do, from row to row.
- `clustered`: of how many items the clusters were learned and measured, where there are any.
- `first` and `last`: the sequence numbers that the segment covers. All items of these are in it.
- `n_bits` and `attribute_bits` of the codes; `coarse`: which coarse code the array of that name holds, if there is one.
- `arrays`: for each name its type (of `TYPES`), shape, offset and CRC-32.

The arrays that are always there have the names of an item's searched fields, `seq`, `key`, `code`, `attributes` and
`added`. A text field's array has numbers of names; the names are in ascending order, one after the other as UTF-8 in
`FIELD names`, and `FIELD ends` says where each ends. `id names` and `id ends` are the same for ids that are text, a row
each. Arrays of other names are optional and passed over by who does not know them. Rows may be in any order; in another
than that of their sequence numbers, `by seq` `(rows,) i4` lists them in that order.

Where the items are sorted by cluster (`hamming.clusters`) there are `centres` `(n_lists, bytes) u1`, `lists`
`(n_lists + 1,) i8`, where each list begins and ends, `nearest` `(n,) i8` and `recalls` `(n, n_lists) f4`. They are read
and checked when a search first asks for them.
"""

import json
import mmap
import os
import struct
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from bitreid.arrays import AnyArray, Ints
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import CodesError, GalleryDamaged
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import SEARCHED_NUMBERS, SEARCHED_TEXTS
from bitreid.gallery.table.stitched import Piece
from bitreid.hamming import Clusters

MAGIC = b"bitreid segment\n"
FORMAT = 1
HEADER = ALIGNED = 16_384
BLOCK = 4096
TYPES = ("|u1", "<u4", "<i4", "<i8", "<f4")
NUMBERS = ("seq", "key", "added", *(field.name for field in SEARCHED_NUMBERS))
CLUSTERS = ("centres", "lists", "nearest", "recalls")
TEXTS = tuple(field.name for field in SEARCHED_TEXTS)

_head = struct.Struct("<16sIII")  # MAGIC, FORMAT, bytes of the text, CRC-32 of the text
_READ_AT_ONCE = 2**22


class SortedNames:
    """Texts in ascending order, by number; the arrays of a file."""

    def __init__(self, data: AnyArray, ends: Ints) -> None:
        self._data, self._ends = data.data, ends.data  # single elements of which are quicker to get

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> bytes:
        ends = self._ends
        return bytes(self._data[ends[number - 1] if number else 0 : ends[number]])

    def known(self, texts: Iterable[str]) -> list[int]:
        """Return the numbers of those texts that are there."""
        found = ((bisect_left(self, text.encode()), text.encode()) for text in texts)
        return [number for number, text in found if number < len(self) and self[number] == text]


class Segment:
    """An open segment; `GalleryDamaged` where the file is none for codes of this contract.

    `header` is the CRC-32 that its header must have. No array is read; `verify` does that.
    """

    def __init__(self, path: Path, contract: Contract, header: int) -> None:
        self.path, self.name = path, path.name
        self.header = header
        # Nothing waits for whoever writes to a pipe of this name.
        self.file = os.open(
            path, sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_NOFOLLOW", "O_BINARY", "O_NONBLOCK"))
        )
        weakref.finalize(self, os.close, self.file)
        size = os.fstat(self.file).st_size
        self._offsets: dict[str, tuple[int, int]] = {}  # and checksums
        self.arrays: dict[str, AnyArray] = {}
        try:
            said = self._said()
            self._memory = mmap.mmap(self.file, size, access=mmap.ACCESS_READ)
            self.rows, self.items = _whole(said["rows"]), _whole(said["items"])
            self.first, self.last = _whole(said["first"]), _whole(said["last"])
            self.coarse, self.ascending = str(said["coarse"]), said["ascending"] is True
            self.clustered = _whole(said.get("clustered", 0))
            """Items that its clusters were learned of; 0 where it has none."""
            for name, (kind, shape, offset, checksum) in said["arrays"].items():
                self._add(name, kind, tuple(map(_whole, shape)), _whole(offset), _whole(checksum), size)
            self._check(contract, said)
            self.coarse_bytes: int = self.arrays["coarse"].shape[1] if self.coarse else 0
            """Bytes of a row's coarse code."""
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self.damaged(f"a header that does not fit ({error})") from error
        self.verified = self.compared = False  # as a whole, and with the record
        self._clusters: Clusters | None = None
        self.names = {name: self._names(name) for name in TEXTS}
        self.texts = self._names("id") if "id ends" in self.arrays else None

    def damaged(self, what: str) -> GalleryDamaged:
        """Return the error for a file that is not what was written."""
        return GalleryDamaged(f"{self.path}: expected a sound segment, got {what}")

    def piece(self, name: str) -> Piece:
        """Return an array as it can be mapped elsewhere."""
        return Piece(self.file, self._offsets[name][0], self.arrays[name])

    @property
    def clusters(self) -> Clusters | None:
        """The clusters that the items are sorted by, None without any; `GalleryDamaged` where they can be none."""
        if self.clustered and self._clusters is None:
            if not all(self._is_written(name) for name in CLUSTERS):
                raise self.damaged("other clusters than were written")
            # What the kernel goes by is copied: nobody changes it after it was checked.
            centres, lists, nearest, recalls = (np.array(self.arrays[name]) for name in CLUSTERS)
            shares = recalls.astype(np.float64)
            try:
                found = Clusters(Codes(centres, self._n_bits), lists, nearest, shares)
            except CodesError as error:
                raise self.damaged(f"clusters that are none ({error})") from error
            if found.n_rows != self.items or not ((shares >= 0) & (shares <= 1)).all() or (nearest < 1).any():
                raise self.damaged("clusters of other items, or recalls that are no shares")
            self._clusters = found
        return self._clusters

    def rows_of(self, seqs: Ints) -> Ints:
        """Return the row of each sequence number, the first of several; where there is none, any row."""
        own, order = self.arrays["seq"], self.arrays.get("by seq")
        if order is None:
            return np.searchsorted(own, seqs).clip(max=self.rows - 1)
        # The array `by seq` may be long, and is not read as a whole.
        low, high = np.zeros(len(seqs), np.int64), np.full(len(seqs), self.rows, np.int64)
        for _ in range(self.rows.bit_length()):
            middle = (low + high) // 2
            at = order[middle.clip(max=self.rows - 1)].clip(0, self.rows - 1)
            before = (own[at] < seqs) & (low < high)
            low, high = np.where(before, middle + 1, low), np.where(before, high, middle)
        return np.asarray(order[low.clip(max=self.rows - 1)].clip(0, self.rows - 1), np.int64)

    def id_text(self, row: int) -> bytes | None:
        """Return the id of a row as text; None where the key is the id."""
        return None if self.texts is None else self.texts[row] or None

    def verify(self, wait: Any = None) -> bool:
        """Return whether all arrays are what was written, and keep that; `wait` is called between stretches."""
        for name in self._offsets:
            found = self._is_written(name, wait)
            if not found:
                return found is None
        self.verified = True
        return True

    def _is_written(self, name: str, wait: Any = None) -> bool | None:
        """Return whether an array is what was written; None where `wait` ended that."""
        data, found = self.arrays[name].reshape(-1).view(np.uint8).data, 0
        for start in range(0, len(data), _READ_AT_ONCE):
            if self.is_cut:
                return False
            found = crc32(data[start : start + _READ_AT_ONCE], found)
            if wait is not None and wait():
                return None
        return found == self._offsets[name][1]

    @property
    def is_cut(self) -> bool:
        """Whether the file was cut short since it was opened: reading what is gone ends the process."""
        return os.fstat(self.file).st_size < self.n_bytes

    @property
    def n_bytes(self) -> int:
        """Bytes of the file."""
        return len(self._memory)

    def _said(self) -> Mapping[str, Any]:
        start = os.pread(self.file, HEADER, 0) if hasattr(os, "pread") else os.read(self.file, HEADER)
        if len(start) < HEADER:
            raise self.damaged("a file that is too short")
        magic, version, length, checksum = _head.unpack_from(start)
        text = start[_head.size : _head.size + length]
        if magic != MAGIC or version != FORMAT:
            raise self.damaged("another file, or one of another format")
        if crc32(text) != checksum or checksum != self.header:
            raise self.damaged("another header than was written")
        said: Mapping[str, Any] = json.loads(text)
        return said

    def _add(self, name: str, kind: str, shape: tuple[int, ...], offset: int, checksum: int, size: int) -> None:
        if kind not in TYPES or len(shape) not in (1, 2) or offset % ALIGNED or offset < HEADER:
            raise ValueError(f"the array {name!r:.40}")
        dtype = np.dtype(kind)
        n_bytes = dtype.itemsize * int(np.prod(shape, dtype=object))
        if offset + n_bytes > size:
            raise ValueError(f"the array {name!r:.40} past the end of the file")
        # An array without elements may begin at the end of the file, where a buffer cannot.
        n = n_bytes // dtype.itemsize
        values = np.frombuffer(self._memory, dtype, n, offset) if n else np.empty(0, dtype)
        self.arrays[name], self._offsets[name] = values.reshape(shape), (offset, checksum)

    def _check(self, contract: Contract, said: Mapping[str, Any]) -> None:
        n, self._n_bits = self.rows, contract.n_bits
        if n % BLOCK or not 0 < self.items <= n or not 0 < self.first <= self.last:
            raise ValueError("numbers of rows or items")
        if (said["n_bits"], said["attribute_bits"]) != (contract.n_bits, contract.attribute_bits):
            raise ValueError("codes of other lengths")
        expected: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(NUMBERS, ("<i8", (n,)))
        expected |= dict.fromkeys(TEXTS, ("<i4", (n,)))
        expected |= {
            "code": ("|u1", (n, contract.n_bits // 8)),
            "attributes": ("|u1", (n, contract.attribute_bits // 8)),
        }
        if "by seq" in self.arrays:
            expected["by seq"] = "<i4", (n,)
        if self.clustered:
            lists = self.arrays["centres"].shape[0]
            nearest = self.arrays["nearest"].shape[0]
            if not 0 < lists <= self.items:
                raise ValueError("more lists than items, or none")
            expected |= {
                "centres": ("|u1", (lists, contract.n_bits // 8)),
                "lists": ("<i8", (lists + 1,)),
                "nearest": ("<i8", (nearest,)),
                "recalls": ("<f4", (nearest, lists)),
            }
        for name in (*TEXTS, *(["id"] if "id ends" in self.arrays else [])):
            ends = len(self.arrays[f"{name} ends"]) if name != "id" else n
            expected |= {
                f"{name} ends": ("<i8", (ends,)),
                f"{name} names": ("|u1", self.arrays[f"{name} names"].shape[:1]),
            }
        if self.coarse:
            expected["coarse"] = "|u1", (n, self.arrays["coarse"].shape[1])
        for name, (kind, shape) in expected.items():
            if self.arrays[name].dtype.str != kind or self.arrays[name].shape != shape:
                raise ValueError(f"the array {name!r} of another type or shape")

    def _names(self, field: str) -> SortedNames:
        return SortedNames(self.arrays[f"{field} names"], self.arrays[f"{field} ends"])


def header_of(said: Mapping[str, Any]) -> tuple[bytes, int]:
    """Return a header, and its checksum."""
    text = json.dumps(said).encode()
    checksum = crc32(text)
    header = _head.pack(MAGIC, FORMAT, len(text), checksum) + text
    assert len(header) <= HEADER, "it has some dozen arrays"
    return header.ljust(HEADER, b"\0"), checksum


def coarse_name(coarse: CoarseCode | None) -> str:
    """Return what a header calls a coarse code: a hash of the bits that make it; nothing for none."""
    if coarse is None:
        return ""
    bits: Sequence[Sequence[int]] = (coarse.attribute_bits, coarse.identity_bits)
    return sha256(json.dumps(bits).encode()).hexdigest()


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError("a number that is none")
    return value
