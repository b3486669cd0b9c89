"""Arrays whose first rows are files and whose other rows are memory: one array to whoever reads it.

Addresses are reserved for all rows, and the files mapped over the first of them, one after the other. So the kernel
scans segments and what came since in one call, and processes share the memory of what is mapped.
"""

import ctypes
import mmap
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bitreid.arrays import AnyArray

_FIXED = 0x10  # MAP_FIXED, the same on Linux and macOS


class Piece(NamedTuple):
    """Rows of a column in a file: its descriptor, where they begin, and the rows themselves."""

    file: int
    offset: int
    values: AnyArray


def stitched(pieces: Sequence[Piece], shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> AnyArray:
    """Return an array whose first rows are those of the pieces, in order, and must not be written to; others are 0.

    A piece that does not begin and end at a page, or a system that cannot map it there, has it read into memory.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    if not pieces or not size:
        return np.empty(shape, dtype)
    whole = np.frombuffer(_reserved(size), np.uint8)
    at = 0
    for piece in pieces:
        n_bytes = piece.values.nbytes
        if not _mapped(whole.ctypes.data + at, n_bytes, piece):
            whole[at : at + n_bytes] = piece.values.reshape(-1).view(np.uint8)
        at += n_bytes
    return whole[:size].view(dtype).reshape(shape)


def _reserved(size: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    # Rows that are never written take no memory, and none is promised for them.
    no_reserve = 0x4000 if sys.platform == "linux" else 0
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve)


def _mapped(address: int, n_bytes: int, piece: Piece) -> bool:
    if sys.platform == "win32" or any(each % mmap.PAGESIZE for each in (address, n_bytes, piece.offset)):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    numbers = (ctypes.c_int,) * 3
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *numbers, ctypes.c_longlong]
    flags = mmap.MAP_SHARED | _FIXED
    return bool(library.mmap(address, n_bytes, mmap.PROT_READ, flags, piece.file, piece.offset) == address)
