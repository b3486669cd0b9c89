"""MATLAB files: read as SciPy reads them, and any damage is one error (SciPy's reader can end the process)."""

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bitreid.data.labels.matfile import read_mat
from bitreid.errors import DataError

VALUES: dict[str, Any] = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "row": np.array([[1, 2, 3]], np.uint8),
    "column": np.array([[1], [-2]], np.int16),
    "one": 7,
    "half": np.float32(0.5),
    "yes": np.array([[True, False]]),
    "cube": np.arange(24).reshape(2, 3, 4),
    "empty": np.zeros((0, 3)),
    "text": "Grüße, 人",
    "texts": np.array(["ab ", "cde"]),
    "cells": np.array([["0002", "0007"]], dtype=object),
    "cell": np.array([["0002"]], dtype=object),
    "mixed": np.array([[1, "two", np.arange(3)]], dtype=object),
    "part": {"a": np.array([[1, 2]], np.uint8), "inner": {"b": "x"}},
    "structs": np.array([(1, "p"), (2, "q")], dtype=[("n", object), ("w", object)]),
}


def plain(value: Any) -> Any:
    """Nested lists and dicts, whatever arrays they came in."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value] if value.shape else plain(value[()])
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", list(VALUES))
def test_values_are_those_that_scipy_reads(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {name: VALUES[name], "last": 1}, do_compression=compressed)
    theirs = loadmat(path, simplify_cells=True)
    ours = read_mat(path)
    assert list(ours) == [name, "last"]
    assert plain(ours[name]) == plain(theirs[name])


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_an_error_or_another_value(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"market_attribute": VALUES["part"], **VALUES}, do_compression=compressed)
    whole = path.read_bytes()
    rng = random.Random(1)
    errors = []
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 4])):
            damaged[rng.randrange(100, len(whole))] = rng.choice([0, 1, 14, 15, 127, 255, rng.randrange(256)])
        path.write_bytes(damaged[: rng.choice([len(whole)] * 3 + [rng.randrange(len(whole))])])
        try:
            read_mat(path)
        except DataError as error:
            errors.append(str(error))
    assert len(errors) > 50
    assert max(map(len, errors)) < 600 + len(str(path))


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, size: tuple[int, ...], *rest: bytes) -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(size)}i", *size)) + element(1, b"x")
    return element(14, head + b"".join(rest))


HEADER = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"


def nested(depth: int) -> bytes:
    value = matrix(9, (1, 1), element(2, b"\x01"))
    for _ in range(depth):
        value = matrix(1, (1, 1), value)
    return value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>" + b" " * 600, "begins with b'<html>"),
        (b"\x01", "something else"),
        (b"", "something else"),
        (b"MATLAB 7.3".ljust(124) + b"\x00\x02IM", r"version 7\.3"),
        (HEADER + nested(40), "nested more than 32 deep"),
        (HEADER + matrix(9, (2**30, 2**30), element(2, b"\x01")), "1 numbers in 'x' where"),
        (HEADER + matrix(1, (2**30, 2**30)), "0 values where"),
        (HEADER + matrix(2, (2**30, 2**30), element(5, b"\x08\0\0\0"), element(1, b"")), "impossible names"),
        (HEADER + matrix(9, (1, -1), element(2, b"\x01")), "impossible size"),
        (HEADER + matrix(5, (1, 1)), r"another kind \(5\)"),
        (HEADER + struct.pack("<II", 14, 2**31), "where 0 are left"),
        (HEADER + element(15, zlib.compress(bytes(4_000_000))), "more than 300000 pieces"),
        (HEADER + element(15, b"nonsense"), "while decompressing"),
        (HEADER + element(15, zlib.compress(nested(1))[:20]), "cut short or too large"),
    ],
)
def test_hostile_files_are_refused_in_little_time(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a \.mat file of version 5 to 7 at .*{message}"):
        read_mat(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.mat file at .*gone\.mat, got nothing"):
        read_mat(tmp_path / "gone.mat")
