"""The exception tree is the one that its module draws, and callers can tell kinds apart."""

import ast
import re
from pathlib import Path

from bitreid import errors

PACKAGE = Path(errors.__file__).parent


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = dict[str, str]()
    above = {0: "Exception"}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+Error|[A-Z]\w+)(?: |$)(?:  .*)?", line)
        if found and (found[1] or line == "BitreidError"):
            depth = len(found[1]) // 4 + 1
            drawn[found[2]] = above[depth - 1]
            above[depth] = found[2]
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert drawn == {
        name: kind.__bases__[0].__name__ for name, kind in classes.items() if kind is not errors.DataWarning
    }


def test_galleries_raise_kinds_of_errors_only() -> None:
    raised = set()
    for path in sorted((PACKAGE / "gallery").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and hasattr(errors, node.func.id):
                raised.add(node.func.id)
    assert len(raised) >= 10
    assert not raised & {"BitreidError", "GalleryError"}
