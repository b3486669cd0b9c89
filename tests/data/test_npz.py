"""What is said of `.npz` files that are none, by both readers of them."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.encoding.files import load_encoded
from bitreid.errors import DataError
from bitreid.evaluation.vectors import load_vectors


class Marker:
    """What runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def whole() -> bytes:
    file = io.BytesIO()
    np.savez(file, pids=np.arange(500), features=np.ones((500, 4), np.float32))
    return file.getvalue()


def damaged() -> bytes:
    data = bytearray(whole())
    data[3000] ^= 1
    return bytes(data)


def single() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def objects(marker: Path) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, pids=np.array([Marker(marker)], dtype=object))
    return file.getvalue()


@pytest.mark.parametrize("load", [load_encoded, load_vectors])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda _: b"", "got: an empty file;"),
        (lambda _: b"\x00", r"got: a file that is no \.npz, its first bytes are b'\\x00';"),
        (lambda _: b"hello, world", r"got: a file that is no \.npz, its first bytes are b'hello, w';"),
        (lambda marker: pickle.dumps(Marker(marker)), r"got: a file that is no \.npz, its first bytes are b'\\x80"),
        (lambda _: whole()[:-300], r"got: an \.npz that is damaged or was cut off;"),
        (lambda _: b"PK", r"got: a file that is no \.npz, its first bytes are b'PK';"),
        (lambda _: damaged(), r"got: an \.npz that is damaged or was cut off;"),
        (lambda _: single(), r"got: a single array, of np\.save; np\.savez writes several"),
        (objects, "got: Python objects, which are never loaded since that may run a program;"),
    ],
    ids=["empty", "one byte", "text", "a pickle", "cut off", "two bytes", "damaged", "an array", "objects"],
)
def test_nobody_is_told_to_load_pickles(
    load: Callable[[Path], object], content: Callable[[Path], bytes], what: str, tmp_path: Path
) -> None:
    path, marker = tmp_path / "x.npz", tmp_path / "ran"
    path.write_bytes(content(marker))
    with pytest.raises(DataError, match=what) as caught:
        load(path)
    assert "pickle" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_a_zip_of_other_things_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match=r"got: an \.npz without the array 'format_version'"):
        load_encoded(tmp_path / "x.npz")
