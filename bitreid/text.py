"""Showing text that somebody else wrote: names of files, ids, persons, cards."""

import reprlib
import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, but letters of Persian and Hindi words and parts of emoji need them."""


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 2, 80, 80, 40


def printable(text: str) -> str:
    r"""Return the text with all that a terminal would obey, hide or refuse escaped as Python writes it; else unchanged.

    Escaped are control characters (line ends, tabs and ESC among them), marks of the direction of writing and other
    invisible ones, and bytes of a file's name that are not UTF-8 (which Python keeps as surrogates). A backslash stays
    as it is, so that paths can be copied; the result is to be read, not to be parsed.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    >>> printable("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def shown(value: object) -> str:
    """Return a value from a file as a message shows it: as `repr`, cut to 200 characters, in little time for any value.

    >>> shown("0041")
    "'0041'"
    """
    return brief(_REPR.repr(value), 200)


def brief(words: object, limit: int = 300) -> str:
    """Return the text of an error, or other words, printable, as one line of at most `limit` characters."""
    text = printable(" ".join(str(words)[: 4 * limit].split()))
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
