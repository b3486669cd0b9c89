"""MATLAB's `.mat` files of version 5 to 7: numbers, text, cells and structs.

The reader checks every size against the bytes that are there before it uses it, so that a damaged file is an error.
(SciPy's reader can end the whole process on such a file.) The format: "MAT-File Format", MathWorks, 2019.
"""

import math
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitreid.data.files import what_is_at
from bitreid.errors import DataError
from bitreid.text import brief

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of stored numbers."""
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Types that arrays of numbers have in MATLAB; whole ones may be stored in fewer bytes."""
_COMPLEX = 0x0800
_MAX_DEPTH = 32
_MAX_BYTES = 2**31
"""Bytes of a file, and of what its compressed parts become."""
_MAX_PIECES = 300_000
"""A compressed file of a few bytes could hold more than memory does."""


def read_mat(path: Path) -> dict[str, Any]:
    """The variables in a `.mat` file of version 5 to 7: structs as dicts, cells as arrays, single values as scalars.

    Dimensions of length 1 are left out. `DataError` for a missing file and for anything else: a damaged file, version
    4, version 7.3 (which is HDF5), and values of other kinds, such as sparse or complex numbers and objects.
    """
    if not path.is_file():
        raise DataError(f"expected a .mat file at {path}, got {what_is_at(path)}")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"more than {_MAX_BYTES} bytes")
        return _File(path.read_bytes()).variables()
    except (OSError, DataError, zlib.error, UnicodeDecodeError, struct.error) as error:
        advice = "save it in MATLAB with -v7, or get it again"
        raise DataError(f"expected a .mat file of version 5 to 7 at {path}, got: {brief(error)}; {advice}") from error


class _Element(NamedTuple):
    """A piece of the file: its type and its bytes."""

    kind: int
    data: memoryview


class _File:
    """The bytes of a file, and in which order those of a number are: `order` is `<` or `>`."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        mark = data[126:128]
        if data.startswith(b"\x89HDF") or data[512:516] == b"\x89HDF" or data[124:126] in (b"\x00\x02", b"\x02\x00"):
            raise DataError("a file of version 7.3 (HDF5)")
        if mark not in (b"IM", b"MI"):
            raise DataError(f"something else, which begins with {data[:20]!r}")
        self.order = "<" if mark == b"IM" else ">"
        self.left = _MAX_BYTES
        self.pieces = 0

    def variables(self) -> dict[str, Any]:
        """Every variable of the file by name."""
        found = {}
        for element in self.elements(self.data[_HEADER:]):
            if element.kind == _COMPRESSED:
                unpacker = zlib.decompressobj()
                data = unpacker.decompress(element.data, self.left)
                if unpacker.unconsumed_tail or not unpacker.eof:
                    raise DataError("a compressed variable that is cut short or too large")
                self.left -= len(data)
                (element,) = self.elements(memoryview(data))[:1] or [_Element(0, element.data[:0])]
            if element.kind != _MATRIX:
                raise DataError(f"no variable but a piece of type {element.kind}")
            name, value = self.matrix(element.data, 0)
            found[name] = value
        return found

    def elements(self, data: memoryview) -> list[_Element]:
        """The pieces that follow each other in `data`; but for compressed ones, each fills a multiple of 8 bytes."""
        found = []
        at = 0
        while at < len(data):
            if len(data) - at < 8:
                if not any(data[at:]):
                    break
                raise DataError("a file that is cut short")
            kind, size = struct.unpack_from(f"{self.order}II", data, at)
            start, stop = at + 8, at + 8 + size
            if kind >> 16:  # up to four bytes lie within the tag
                kind, size = kind & 0xFFFF, kind >> 16
                start, stop = at + 4, at + 4 + size
                if size > 4:
                    raise DataError(f"a small piece of {size} bytes")
                at += 8
            else:
                at = stop if kind == _COMPRESSED else stop + -size % 8
            if stop > len(data):
                raise DataError(f"a piece of {size} bytes where {len(data) - start} are left")
            self.pieces += 1
            if self.pieces > _MAX_PIECES:
                raise DataError(f"more than {_MAX_PIECES} pieces")
            found.append(_Element(kind, data[start:stop]))
        return found

    def matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """A variable, cell or field: its name, empty within others, and its value."""
        if not len(data):
            return "", np.array([])
        if depth > _MAX_DEPTH:
            raise DataError(f"values nested more than {_MAX_DEPTH} deep")
        pieces = self.elements(data)
        if len(pieces) < 3:
            raise DataError("a variable without type, size or name")
        flags = self.whole(pieces[0])
        size = tuple(self.whole(pieces[1]))
        name = bytes(pieces[2].data).decode("ascii", "replace")
        if len(flags) < 1 or len(size) < 2 or min(size) < 0 or len(size) > 32:
            raise DataError(f"a variable {name!r} of impossible size")
        kind, rest, n = flags[0] & 0xFF, pieces[3:], math.prod(size)
        if flags[0] & _COMPLEX or kind not in (_CELL, _STRUCT, _CHAR, *_CLASSES):
            raise DataError(f"a value of another kind ({kind}) in {name!r}: complex, sparse, an object or a function")
        if kind == _STRUCT:
            return name, self.struct(rest, size, n, depth)
        if kind == _CELL:
            return name, _squeezed(self.inner(rest, n, depth), size)
        if n and len(rest) != 1:
            raise DataError(f"{len(rest)} pieces for the values of {name!r}")
        if kind == _CHAR:
            return name, self.text(rest[0], size) if n else ""
        numbers = self.numbers(rest[0]) if rest else np.array([])
        if len(numbers) != n:
            raise DataError(f"{len(numbers)} numbers in {name!r} where {n} are said to be")
        with np.errstate(invalid="ignore", over="ignore"):
            return name, _squeezed(numbers.astype(_CLASSES[kind]), size)

    def struct(self, pieces: list[_Element], size: tuple[int, ...], n: int, depth: int) -> Any:
        """A struct as a dict, or an array of dicts."""
        if len(pieces) < 2:
            raise DataError("a struct without names")
        (length,) = self.whole(pieces[0])[:1] or [0]
        text = bytes(pieces[1].data)
        if length < 1 or len(text) % length or (n > 1 and not text):
            raise DataError("a struct with impossible names")
        names = [
            text[at : at + length].split(b"\0")[0].decode("ascii", "replace") for at in range(0, len(text), length)
        ]
        values = self.inner(pieces[2:], n * len(names), depth)
        rows = np.empty(n, object)
        for i in range(n):
            rows[i] = dict(zip(names, values[i * len(names) :], strict=False))
        return _squeezed(rows, size)

    def inner(self, pieces: list[_Element], n: int, depth: int) -> Any:
        """The values in a cell array or struct."""
        if len(pieces) != n or any(piece.kind != _MATRIX for piece in pieces):
            raise DataError(f"{len(pieces)} values where {n} are said to be")
        values = np.empty(n, object)
        for i, piece in enumerate(pieces):
            values[i] = self.matrix(piece.data, depth + 1)[1]
        return values

    def text(self, piece: _Element, size: tuple[int, ...]) -> Any:
        """Text, or an array of texts, one for each row."""
        if piece.kind not in _TEXT or len(size) != 2:
            raise DataError(f"text of type {piece.kind}")
        encoding = _TEXT[piece.kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.order == "<" else "-be"
        text = bytes(piece.data).decode(encoding)
        rows, columns = size
        if len(text) != rows * columns:
            raise DataError(f"{len(text)} characters where {rows * columns} are said to be")
        return text if rows == 1 else np.array([text[row::rows] for row in range(rows)])

    def whole(self, piece: _Element) -> list[int]:
        """The whole numbers of a piece that says how the next ones are to be read."""
        numbers = self.numbers(piece)
        if numbers.dtype.kind not in "iu":
            raise DataError("a fraction where a whole number has to be")
        found: list[int] = numbers.tolist()
        return found

    def numbers(self, piece: _Element) -> Any:
        """The numbers of a piece, in the file's order."""
        kind = _NUMBERS.get(piece.kind)
        if kind is None or len(piece.data) % int(kind[1]):
            raise DataError(f"{len(piece.data)} bytes of type {piece.kind} for numbers")
        return np.frombuffer(piece.data, np.dtype(self.order + kind))


def _squeezed(values: Any, size: tuple[int, ...]) -> Any:
    """Values, which are stored column by column, as an array without dimensions of length 1; one alone by itself."""
    if not len(values):
        return np.array([], values.dtype)
    shaped = values.reshape(size, order="F").squeeze()
    return shaped.item() if not shaped.shape else shaped
