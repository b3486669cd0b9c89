"""The names that `import bitreid` offers: each is there, documented and no module's; asking for none costs nothing."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import bitreid

PACKAGE = Path(bitreid.__file__).parent


@pytest.mark.parametrize("name", bitreid.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(bitreid, name).__doc__
    assert getattr(bitreid, name) is getattr(bitreid, name)


def test_what_a_type_checker_sees_is_what_is_loaded() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(imported) == sorted(bitreid.__all__)
    for name, module in imported.items():
        assert getattr(bitreid, name) is getattr(importlib.import_module(str(module)), name)


def test_dir_lists_the_names_before_they_are_loaded() -> None:
    code = "import bitreid; assert set(bitreid.__all__) <= set(dir(bitreid)); assert '__version__' in dir(bitreid)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_star_import_and_a_wrong_name() -> None:
    names: dict[str, object] = {}
    exec("from bitreid import *", names)
    assert set(bitreid.__all__) <= set(names)
    with pytest.raises(ImportError, match="cannot import name 'open_galery'"):
        exec("from bitreid import open_galery", {})
    with pytest.raises(AttributeError, match="module 'bitreid' has no attribute 'open_galery'"):
        getattr(bitreid, "open_galery")  # noqa: B009


def test_no_public_name_is_that_of_a_module() -> None:
    assert [name for name in bitreid.__all__ if importlib.util.find_spec(f"bitreid.{name}")] == []


def test_importing_bitreid_loads_no_other_package() -> None:
    code = """
import sys
before = set(sys.modules)
import bitreid
found = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
assert {name for name in found if getattr(sys.modules[name], "__spec__", None)} <= {"bitreid"}, found
"""
    subprocess.run([sys.executable, "-c", code], check=True)
