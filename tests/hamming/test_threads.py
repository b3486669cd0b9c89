"""How many threads a search uses where nobody says."""

import os

import pytest

from bitreid.errors import SettingsError
from bitreid.hamming.threads import default_threads


def test_one_for_each_processor_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", " "):
        monkeypatch.delenv("BITREID_THREADS", raising=False)
        if value is not None:
            monkeypatch.setenv("BITREID_THREADS", value)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 6}, raising=False)
        assert default_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert default_threads() == 7


def test_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITREID_THREADS", " 5 ")
    assert default_threads() == 5


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "many", "1e3", "٣", "²"])
def test_nonsense_in_the_environment_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITREID_THREADS", text)
    with pytest.raises(SettingsError, match=f"expected BITREID_THREADS to be .* at least 1, got '{text}'; unset it"):
        default_threads()
