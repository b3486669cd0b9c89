"""Text that is safe to show."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.text import printable


@pytest.mark.parametrize(
    "text",
    ["", "people/0001_c1.jpg", "Straße 7, 東京", "C:\\pictures\\n.jpg", "a b\u00a0c", "می\u200cرود", "👩\u200d🔬"],
)
def test_what_can_be_shown_is_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J\x7f\t\0", r"\x9b2J\x7f\t\x00"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\ufeffa\u200b\u00ad", r"\ufeffa\u200b\xad"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_everything_becomes_one_line_of_utf8(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in shown)
    assert shown.encode("utf-8").decode("utf-8") == printable(shown)
