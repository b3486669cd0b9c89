"""What the API pages make of our docstrings, a Griffe extension: columns become tables, doctests and
trees blocks of text."""

import re
from typing import Any

import griffe

# A name or several, two spaces or more, then what it is: "student, teacher  (N, n_bits) float".
_ROW = re.compile(r"(\w+(?:, \w+)*) {2,}(\S.*)")


class Docstrings(griffe.Extension):
    """Change each docstring, before it is rendered as Markdown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown_of(obj.docstring.value)


def markdown_of(docstring: str) -> str:
    """Return a docstring as Markdown: paragraphs of two columns as tables, doctests and trees as blocks."""
    return "\n\n".join(map(_paragraph, docstring.split("\n\n")))


def _paragraph(text: str) -> str:
    if text.startswith(">>>"):
        return f"```pycon\n{text}\n```"
    if "├──" in text:
        return f"```text\n{text}\n```"
    rows: list[list[str]] = []
    for line in text.splitlines():
        found = _ROW.fullmatch(line)
        if found:
            rows.append(list(found.groups()))
        elif rows and line.startswith("  "):
            rows[-1][1] += " " + line.strip()
        else:
            return text
    cells = [(", ".join(f"`{name}`" for name in names.split(", ")), what.replace("|", "\\|")) for names, what in rows]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {names} | {what} |" for names, what in cells)])
