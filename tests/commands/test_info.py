"""`bitreid info`: a model's card, and how this machine searches."""

from pathlib import Path

import pytest

from tests.commands.words import Capture, done, refusal


def test_info_shows_the_card(artifact: Path, capsys: Capture) -> None:
    done("info", artifact)
    out = capsys.readouterr().out
    for word in ("fingerprint", "96x32 RGB, bilinear", "global 32", "stripe6 16", "Apache-2.0", "val_agreement"):
        assert word in out
    assert "card.json" in refusal(capsys, "info", artifact.parent)


def test_info_says_how_it_searches(artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("bitreid.hamming.kernel.available_paths", lambda: ("avx2", "scalar", "numpy"))
    monkeypatch.setattr("bitreid.hamming.kernel.path", lambda: "scalar")
    for words in ((), (artifact,)):
        done("info", *words)
        assert "search: scalar (available: avx2, scalar, numpy)\n" in capsys.readouterr().out
    monkeypatch.setattr("bitreid.hamming.kernel.available_paths", lambda: ("numpy",))
    monkeypatch.setattr("bitreid.hamming.kernel.why_not", "was not built: install a C++ compiler")
    done("info")
    assert capsys.readouterr().out == "search: numpy (the native kernel was not built: install a C++ compiler)\n"
