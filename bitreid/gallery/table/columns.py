"""Columns that grow at their end, while those who were given one go on reading what it was."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from bitreid.arrays import AnyArray, Ints32
from bitreid.gallery.table.stitched import Piece, stitched

_ROOM = 2**17  # rows after those of files, which take no memory until they are written


class Column:
    """An array that grows at its end; what was handed out stays as it is. Its first rows may be pieces of files."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None, pieces: Sequence[Piece] = ()) -> None:
        self._pieces = tuple(pieces)
        self._n_mapped = self.n = sum(len(piece.values) for piece in pieces)
        self._room: AnyArray = np.empty((0,) if width is None else (0, width), dtype)
        if pieces:
            self._room = stitched(self._pieces, (self.n + _ROOM, *self._room.shape[1:]), self._room.dtype)

    def append(self, values: AnyArray) -> None:
        n = self.n + len(values)
        if n > len(self._room):
            self.make_room(max(n, len(self._room) * 5 // 4))
        self._room[self.n : n] = values
        self.n = n

    def make_room(self, n: int) -> None:
        larger = stitched(self._pieces, (n, *self._room.shape[1:]), self._room.dtype)
        own = slice(self._n_mapped, self.n)
        larger[own] = self._room[own]
        self._room = larger

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the rows take, without those that are mapped."""
        return self.values[self._n_mapped :].nbytes

    @property
    def values(self) -> AnyArray:
        return self._room[: self.n]

    def copy(self) -> "Column":
        """A column of the same values, which may be changed."""
        column = Column(self._room.dtype)
        column._room, column.n = self.values.copy(), self.n
        return column


class Names:
    """Texts that many rows share, as small numbers; -1 is None."""

    def __init__(self) -> None:
        self.of_number: list[str] = []
        self._numbers: dict[bytes | None, int] = {None: -1}

    def numbers(self, texts: Sequence[bytes | None]) -> Ints32:
        for text in dict.fromkeys(texts):
            if text is not None and text not in self._numbers:
                self._numbers[text] = len(self.of_number)
                self.of_number.append(text.decode())
        return np.fromiter(map(self._numbers.__getitem__, texts), np.int32, len(texts))

    def known(self, texts: Iterable[str]) -> list[int]:
        return [number for text in texts if (number := self._numbers.get(text.encode())) is not None]


class Texts:
    """A text of its own for each row, or None: UTF-8, one after the other. Nothing is kept while all are None."""

    def __init__(self) -> None:
        self.n = 0
        self._bytes = Column(np.uint8)
        self._ends = Column(np.int64)

    def append(self, texts: Sequence[bytes | None]) -> None:
        if self._ends.n or texts.count(None) < len(texts):
            self._ends.append(np.full(self.n - self._ends.n, 0, np.int64))
            some = [text or b"" for text in texts]
            self._ends.append(self._bytes.n + np.cumsum(np.fromiter(map(len, some), np.int64, len(some))))
            self._bytes.append(np.frombuffer(b"".join(some), np.uint8))
        self.n += len(texts)

    def at(self, rows: Sequence[int]) -> list[bytes | None]:
        if not self._ends.n:
            return [None] * len(rows)
        ends, data = self._ends.values, self._bytes.values
        spans = ((int(ends[row - 1]) if row else 0, int(ends[row])) for row in rows)
        return [data[start:stop].tobytes() or None for start, stop in spans]

    @property
    def n_bytes(self) -> int:
        return self._bytes.n + 8 * self._ends.n


def texts_of(numbers: Ints32, names: Names) -> list[bytes | None]:
    return encoded([None if number < 0 else names.of_number[number] for number in numbers.tolist()])


def encoded(texts: Iterable[str | None]) -> list[bytes | None]:
    """Texts as UTF-8."""
    return [None if text is None else text.encode() for text in texts]
