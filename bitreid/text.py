"""Showing text that somebody else wrote: names of files, ids, persons, cards."""

import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, but letters of Persian and Hindi words and parts of emoji need them."""


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


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
