"""Pages of the documentation: their blocks of code, and the commands in them run as a shell would run them."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from bitreid.commands.main import main

ROOT = Path(__file__).parent.parent


def text_of(page: str) -> str:
    """Return a page's text, by its path in the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of code in a page that are of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(shell: Sequence[str], name: str) -> list[list[str]]:
    """Return the arguments of each call of the program `name` in blocks of shell, comments left out."""
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words and words[0] == name]


def expand(words: Sequence[str]) -> list[str]:
    """Return the words as a shell would pass them: a pattern becomes the files that it names."""
    expanded: list[str] = []
    for word in words:
        files = sorted(map(str, Path().glob(word))) if "*" in word else [word]
        assert files, f"expected files that fit {word}"
        expanded += files
    return expanded


def run_commands(text: str) -> None:
    """Run the calls of bitreid in a page's bash blocks, in order, in this folder; each must end well."""
    called = commands(blocks(text, "bash"), "bitreid")
    assert called
    for words in called:
        assert main(expand(words)) == 0, f"bitreid {shlex.join(words)}"


def run_python(text: str, page: str, **names: object) -> None:
    """Run a page's blocks of Python, one after the other in one namespace that holds `names`."""
    found = blocks(text, "python")
    assert found
    space = dict(names)
    for block in found:
        exec(compile(block, page, "exec"), space)
