"""Reasons, in words, why numpy could not load an `.npz` file."""

import zipfile
import zlib
from pathlib import Path

from bitreid.errors import BitreidError
from bitreid.text import brief


def trouble_of(path: Path, error: Exception) -> str:
    """Return what came instead of a sound `.npz` file, for a message that says "got: ...".

    numpy's own words are not passed on for files of other kinds, since they advise to load pickles, which may run
    whatever their author wants.
    """
    if isinstance(error, BitreidError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as other:
        return other.strerror or str(other)
    if not head:
        return "an empty file"
    if head.startswith(b"\x93NUMPY"):
        return "a single array, of np.save; np.savez writes several with their names"
    if not head.startswith((b"PK\3\4", b"PK\5\6")):
        return f"a file that is no .npz, its first bytes are {head!r}"
    if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
        return "an .npz that is damaged or was cut off"
    if isinstance(error, ValueError) and "allow_pickle" in str(error):
        return "Python objects, which are never loaded since that may run a program; save numbers and text"
    if isinstance(error, KeyError):
        return f"an .npz without the array {error}"
    return f"another .npz ({type(error).__name__}: {brief(error)})"
