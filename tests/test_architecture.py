"""The rules of the house that a reader cannot see in one file: who imports whom, and what starting costs."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitreid.commands.main import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bitreid"

# A room imports only rooms below it. The artifact is above data, whose attribute schema its card holds.
ROOMS = (
    "commands",
    "service",
    "training",
    "models",
    "losses",
    "gallery",
    "encoding",
    "evaluation",
    "drawn",
    "hamming",
    "artifact",
    "open_set",
    "data",
    "coarse",
    "codes",
    "errors",
    "text",
    "arrays",
)
TORCH = {"torch", "kornia"}
TORCH_ROOMS = {"training", "models", "losses"}
# These may reach the rooms above, inside functions, when they are asked to: the last tests show that starting does not.
FRONT_ROOMS = ROOMS[: ROOMS.index("service")]
FRONT = {"bitreid", "__main__", *FRONT_ROOMS}
# What searches and evaluates, and what that imports, needs numpy and the standard library only.
NUMPY_ROOMS = (
    "arrays",
    "gallery",
    "encoding",
    "evaluation",
    "hamming",
    "artifact",
    "open_set",
    "data",
    "coarse",
    "codes",
    "errors",
    "text",
)
MAX_LINES = 400


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def files_of_tests() -> list[Path]:
    return sorted((ROOT / "tests").rglob("*.py"))


def room_of(path: Path) -> str:
    """The room that a file belongs to; `bitreid` for the package's own `__init__`."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "bitreid" if name in ("__init__", "__main__") else name


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    """The rooms of bitreid that a file imports from."""
    dotted = [name.split(".") for name in imports(path)]
    return {parts[1] for parts in dotted if parts[0] == "bitreid" and len(parts) > 1} & set(ROOMS)


def python(code: str) -> str:
    """What a fresh interpreter prints; the test fails with its errors if it fails."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_file_is_in_a_known_room() -> None:
    assert {room_of(path) for path in sources()} <= {*ROOMS, "bitreid"}


def test_the_page_on_architecture_names_the_rooms_in_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("| room |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(ROOMS)


def test_a_folder_holds_more_than_one_file() -> None:
    folders = {path.parent for path in sources()} - {PACKAGE}
    assert [folder.name for folder in folders if len(list(folder.glob("*.py"))) < 3] == []


def test_no_test_imports_a_test_or_a_benchmark() -> None:
    """What tests share is in `cases.py` or `conftest.py` of their folder: else one file cannot change alone."""
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of_tests()
        for name in imports(path)
        if name.startswith("benchmarks") or any(part.startswith("test_") for part in name.split("."))
    ]
    assert found == []


def test_the_folders_of_tests_are_those_of_the_package() -> None:
    """Beside them `reference`, which holds the slow twins, and `formats`, a file of each format that was released."""
    folders = {path.parent.relative_to(ROOT / "tests") for path in files_of_tests() if path.name.startswith("test_")}
    rooms = {path.parent.relative_to(PACKAGE) for path in sources()}
    modules = {path.relative_to(PACKAGE).with_suffix("") for path in sources()}  # whose tests may be several
    pages = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("index.html")}  # no Python, and yet a room
    assert folders <= rooms | modules | pages | {Path("formats")}


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    above = ROOMS[: ROOMS.index(room)] if room in ROOMS else FRONT_ROOMS
    above = () if path.name == "__main__.py" else above
    assert not rooms_imported(path) & set(above)


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_only_training_models_and_losses_import_torch(path: Path) -> None:
    if room_of(path) not in TORCH_ROOMS:
        assert not {name.split(".")[0] for name in imports(path)} & TORCH
        assert room_of(path) in FRONT or not rooms_imported(path) & TORCH_ROOMS


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_a_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


NUMPY_ONLY = """
import importlib, sys

class OnlyNumpy:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "bitreid"}:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, OnlyNumpy())
for name in MODULES:
    importlib.import_module(name)
"""


def numpy_modules() -> list[str]:
    """Every module that promises to need numpy and the standard library only."""
    return [
        module
        for module in map(module_of, sources())
        if any(f"{module}.".startswith(f"bitreid.{room}.") for room in NUMPY_ROOMS)
    ]


def test_search_and_evaluation_need_numpy_only() -> None:
    modules = numpy_modules()
    assert len(modules) >= 8
    python(f"MODULES = {modules}\n{NUMPY_ONLY}")


def test_the_block_of_other_packages_works() -> None:
    with pytest.raises(AssertionError, match="blocked: pydantic"):
        python(f"MODULES = ['pydantic']\n{NUMPY_ONLY}")


# Compiled modules make entries of their own that no import made; those have no __spec__.
LOADED = """
import sys
before = set(sys.modules)
{code}
found = {{name.partition(".")[0] for name in set(sys.modules) - before}}
found = {{name for name in found if getattr(sys.modules.get(name), "__spec__", None)}}
print(*sorted(found - sys.stdlib_module_names))
"""


def packages_loaded_by(code: str) -> set[str]:
    """The packages outside the standard library that running `code` imports."""
    return set(python(LOADED.format(code=code)).splitlines()[-1].split())


HELP = """
from bitreid.commands.main import main
try:
    status = main({arguments})
except SystemExit as end:
    status = end.code
assert not status, status
"""


@pytest.mark.parametrize(
    "arguments",
    [*([command, "--help"] for command in COMMANDS), ["gallery", "search", "--help"]],
)
def test_help_is_quick(arguments: list[str]) -> None:
    """Help may use numpy and what lays out text, and loads nothing that takes long."""
    text = {"rich", "pygments", "markdown_it", "mdurl"}
    assert packages_loaded_by(HELP.format(arguments=arguments)) - {"bitreid"} <= {"numpy"} | text


def test_the_list_of_commands_loads_nothing_else() -> None:
    assert packages_loaded_by(HELP.format(arguments=["--help"])) == {"bitreid"}
