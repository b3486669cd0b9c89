"""Commands as the command line has them, what they leave, and files that they read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bitreid.codes import Codes, pack_bits
from bitreid.commands.main import main
from bitreid.encoding.files import EncodedSet, save_encoded
from bitreid.gallery import open_gallery

Capture = pytest.CaptureFixture[str]
N = 12
"""Codes in a file of `codes_of`."""


def done(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def refusal(capsys: Capture, *words: object) -> str:
    """The one line that a command says when it cannot do what it is asked."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("bitreid: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.array(picture.convert("RGB"))


def queries(people: Path, pid: int) -> list[Path]:
    return sorted((people / "query").glob(f"{pid:04d}_*.jpg"))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON in a file, as its standard has it."""

    def no_nan(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=no_nan)
    return record


def features(path: Path, n: int, seed: int, **changes: Any) -> Path:
    """Made-up features of 8 people by 3 cameras, in tracklets of two pictures; None leaves an array out."""
    rng = np.random.default_rng(seed)
    pids = rng.integers(1, 9, n)
    of_people = np.random.default_rng(99).normal(size=(9, 12))[pids]
    arrays = {
        "features": (of_people + rng.normal(size=(n, 12))).astype(np.float32),
        "pids": pids.astype(np.int32),
        "camids": rng.integers(1, 4, n),
        "tracklets": np.arange(n) // 2,
    }
    kept: dict[str, Any] = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(path, allow_pickle=True, **kept)
    return path


def codes_of(path: Path, model: str = "abc", folder: str = "cam", n_bits: int = 64, seed: int = 0) -> Path:
    """A file of random codes: person i // 4 (0 is nobody in particular), camera i % 3, tracklet i % 6."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (N, n_bits // 8), np.uint8)
    rows = np.arange(N)
    paths = tuple(Path(folder, f"{i:02}.jpg") for i in range(N))
    bits = pack_bits((rows[:, None] >> np.arange(3)) % 2 > 0)
    save_encoded(path, EncodedSet(paths, Codes(packed, n_bits), bits, None, rows // 4, rows % 3, model, rows % 6))
    return path


def said(capsys: Capture, *words: object) -> str:
    """What a command on a gallery says."""
    capsys.readouterr()
    done("gallery", *words)
    return capsys.readouterr().out


def answer(capsys: Capture, *words: object) -> Any:
    """What a command on a gallery answers as JSON."""
    return json.loads(said(capsys, *words, "--json", "-"))


def n_items(place: Path, where: str | None = None) -> int:
    with open_gallery(place) as gallery:
        return gallery.count(where)
