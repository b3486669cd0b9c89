"""The page on video: its commands are understood, and its Python runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from bitreid.commands.main import parser_of
from tests.data.videos import walk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "video.md").read_text(encoding="utf-8")


class Detections:
    """What a detector gives of a frame."""

    def __init__(self, xyxy: object, tracker_id: object) -> None:
        self.xyxy, self.tracker_id = xyxy, tracker_id


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_the_commands_are_understood() -> None:
    for line in "".join(blocks("bash")).splitlines():
        name, *words = shlex.split(line)
        assert name == "bitreid"
        assert parser_of(words).parse_args(words).video == Path("entrance.mp4")


def test_every_option_is_one_of_the_command() -> None:
    options = re.findall(r"^\| `(--[a-z-]+)", PAGE, flags=re.MULTILINE)
    assert len(options) >= 7
    for option in options:
        words = ["crops", "a", "--boxes", "b", option, "1"]
        parser_of(words).parse_args(words)


def test_the_python_runs(people: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    walked = walk(people, n_frames=6)
    detected = []
    for number, frame in enumerate(walked.frames):
        rows = walked.numbers == number
        left_top, size = walked.boxes[rows, :2], walked.boxes[rows, 2:]
        detected.append((frame, Detections(np.hstack([left_top, left_top + size]), walked.tracklets[rows])))
    for block in blocks("python"):
        exec(compile(block, "video.md", "exec"), {"detected": detected})
    assert capsys.readouterr().out.splitlines()[0] == "3 0"
