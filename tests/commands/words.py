"""Commands as the command line has them, and what they leave."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bitreid.commands.main import main

Capture = pytest.CaptureFixture[str]


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
