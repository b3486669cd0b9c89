"""The page on video: its commands are understood, and its Python runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from bitreid.commands.main import parser_of
from tests.data.videos import walk
from tests.pages import ROOT, blocks, commands, run_python, text_of

PAGE = text_of("docs/video.md")


class Detections:
    """What a detector gives of a frame."""

    def __init__(self, xyxy: object, tracker_id: object) -> None:
        self.xyxy, self.tracker_id = xyxy, tracker_id


def test_the_commands_are_about_one_video() -> None:
    called = commands(blocks(PAGE, "bash"), "bitreid")
    assert called
    for words in called:
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
    run_python(PAGE, "video.md", detected=detected)
    assert capsys.readouterr().out.splitlines()[0] == "3 0"
