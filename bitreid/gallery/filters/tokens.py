"""The words, signs and quoted text that a filter's text is made of, and errors that point into it."""

import json
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from bitreid.errors import FilterError

KEYWORDS = frozenset({"and", "or", "not", "in", "true", "false", "null"})

_TOKEN = re.compile(
    r"""(?P<word>[\w.:+-]+) | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') | (?P<sign>[<>!=]=|[<>=(),]) | \s+""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPED = re.compile(r"\\.|\"", re.DOTALL)
_SHOWN = 100  # characters of a long text about the place of an error


class Token(NamedTuple):
    """A word, a sign or what stands in quotes, and the number of its first character, from 0 on."""

    kind: Literal["word", "string", "sign", "end"]
    text: str
    at: int

    def says(self, *wanted: str) -> bool:
        """Whether it is one of these keywords or signs."""
        return self.kind in ("word", "sign") and self.text.lower() in wanted

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else f"{self.text!r:.80}"


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, an end last; `FilterError` at what is none."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            quote = text[at] in "\"'"
            wanted = f"a {text[at]} that closes this one" if quote else "a word, a sign or text in quotes"
            raise error_at(text, at, f"expected {wanted}, got {'none' if quote else repr(text[at])}")
        match found.lastgroup:
            case "word" | "sign" as kind:
                yield Token("word" if kind == "word" else "sign", found[0], at)
            case "string":
                yield Token("string", _unquoted(text, found[0], at), at)
        at = found.end()
    yield Token("end", "", at)


def is_word(text: str) -> bool:
    """Whether a text needs no quotes to be one word that is no keyword."""
    found = _TOKEN.fullmatch(text)
    return found is not None and found.lastgroup == "word" and text.lower() not in KEYWORDS


def error_at(text: str, at: int, message: str) -> FilterError:
    """The error that says `message` of character `at`, from 0 on, of a text, and shows the place below it."""
    start = max(0, at - _SHOWN // 2)
    shown = "".join(letter if letter.isprintable() else " " for letter in text[start : start + _SHOWN])
    return FilterError(f"at character {at + 1}: {message}\n{shown}\n{' ' * (at - start)}^")


def _unquoted(text: str, quoted: str, at: int) -> str:
    # JSON has no ' to escape; what stands in ' may hold " as they are.
    body = _ESCAPED.sub(lambda found: {"\\'": "'", '"': '\\"'}.get(found[0], found[0]), quoted[1:-1])
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except ValueError:
        wanted = r"expected backslashes in quotes as JSON has them (\\ for one itself), got another"
        raise error_at(text, at, wanted) from None
