"""Settings of an evaluation in words: rows, shares, and what is refused before any work."""

from typing import Any

import pytest

from bitreid.errors import SettingsError
from bitreid.evaluation.settings import EvaluationSettings, parse_rows, parse_share


@pytest.mark.parametrize(
    ("text", "rows"),
    [("1", 1), ("100", 100), ("5000", 5000), ("1%", 10), ("0.05%", 1), ("100%", 1000), ("33.35%", 334)],
)
def test_rows_of_a_number_or_a_share(text: str, rows: int) -> None:
    assert parse_rows(text, 1000) == rows


@pytest.mark.parametrize(
    "text", ["0", "-3", "0%", "-1%", " -1%", "100.1%", "200%", "nan%", "inf%", "inf", "many", "1.5", "%", "1 %%", ""]
)
def test_rows_of_nonsense(text: str) -> None:
    with pytest.raises(SettingsError, match=f"such as 1%, above 0, got '{text}'"):
        parse_rows(text, 1000)


def test_shares() -> None:
    assert [parse_share(text) for text in ("1%", "0.01", "12.5%", "99%", "1e-4")] == [0.01, 0.01, 0.125, 0.99, 1e-4]
    for text in ("0", "1", "100%", "-1%", "nan", "nan%", "inf%", "1%%", "%", "", "one"):
        with pytest.raises(SettingsError, match=f"between 0 and 1, got '{text}'"):
            parse_share(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "duke"}, "expected a protocol among market1501, .*, tracklets, got 'duke'"),
        ({"w": "1%,many"}, "got 'many'"),
        ({"recall": "0.9,1"}, "between 0 and 1, got '1'"),
        ({"recall": "0.9", "w": "5"}, "expected w or recall for two-stage search, got both"),
        ({"recall": "0.9", "protocol": "single_shot"}, "whole gallery for short lists .*, got single shots"),
        ({"rerank": "1%,2%"}, "got '1%,2%'"),
        ({"rescore": "none"}, "got 'none'"),
        ({"rescore": "5", "protocol": "single_shot"}, "whole gallery for short lists .*, got single shots"),
        ({"fpir": "2"}, "expected a share such as 1% or 0.01, between 0 and 1, got '2'"),
        ({"memory_mb": 10}, "memory_mb of at least 64, got 10"),
        ({"memory_mb": float("inf")}, "memory_mb of at least 64, got inf"),
        ({"w": "5", "protocol": "single_shot"}, "whole gallery for short lists .*, got single shots"),
        ({"rerank": "5", "protocol": "single_shot"}, "whole gallery for short lists .*, got single shots"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        EvaluationSettings(**changes)


def test_impossible_threads_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="at least one thread, got 0; leave it out"):
        EvaluationSettings(n_threads=0)
    monkeypatch.setenv("BITREID_THREADS", "many")
    with pytest.raises(SettingsError, match="BITREID_THREADS"):
        EvaluationSettings()
    assert EvaluationSettings(n_threads=2).n_threads == 2
