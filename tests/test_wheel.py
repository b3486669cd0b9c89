"""The wheel: built with and without a compiler, unpacked, and used in place of the checkout; its sources, packed."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import bitreid

ROOT = Path(__file__).parent.parent
NO_COMPILER = {"CXX": "/nowhere/c++", "PATH": str(Path(sys.executable).parent)}

# Says which package it found, which path ran and what it was warned of; the same rankings for every path.
SEARCH = """
import sys
import warnings

import numpy as np

from bitreid.codes import Codes
from bitreid.hamming import kernel, search_exact, search_two_stage

rng = np.random.default_rng(0)
queries, gallery = (Codes(rng.integers(0, 256, (n, 13), np.uint8) & 17, 104) for n in (9, 500))
shorts = [Codes(np.ascontiguousarray(codes.packed[:, :3]), 24) for codes in (queries, gallery)]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    exact = search_exact(queries, gallery, 40)
    staged = search_two_stage(shorts[0], queries, shorts[1], gallery, 90, 40)
np.save(sys.argv[1], [exact.positions, exact.distances, staged.positions, staged.distances])
print(kernel.__file__, kernel.path(), len(caught), *(warning.message for warning in caught))
"""


def wheel(folder: Path, environment: dict[str, str], *settings: str, source: Path = ROOT) -> Path:
    """Build a wheel in this environment, without fetching anything, and return the folder that it is unpacked in."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-build-isolation", "--no-deps", *settings, "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, env=os.environ | environment)
    (built,) = folder.glob("bitreid-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(built)], check=True)
    return folder / "site"


def python(site: Path, path: str, *words: str | Path) -> str:
    """What an interpreter prints that finds bitreid in `site` alone: without -S, the checkout would come first."""
    packages = Path(np.__file__).parents[1]
    environment = {name: value for name, value in os.environ.items() if name != "BITREID_KERNEL"}
    environment |= {"PYTHONPATH": f"{site}{os.pathsep}{packages}"} | ({"BITREID_KERNEL": path} if path else {})
    run = subprocess.run(
        [sys.executable, "-S", *words], capture_output=True, text=True, env=environment, cwd=site.parent, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def search(site: Path, path: str = "") -> tuple[str, list[object]]:
    """What the search says by this path, and all that it found."""
    said = python(site, path, "-c", SEARCH, site.parent / "found.npy")
    return said.removeprefix(f"{site}/bitreid/hamming/kernel.py "), np.load(site.parent / "found.npy").tolist()


@pytest.fixture(scope="module")
def with_kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # What was compiled stays in build/wheel, so that only a change to the kernel is compiled again.
    kept = ("--config-settings", f"build-dir={ROOT / 'build' / 'wheel'}")
    return wheel(tmp_path_factory.mktemp("with"), {"BITREID_REQUIRE_KERNEL": "1"}, *kept)


@pytest.fixture(scope="module")
def without_kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("without"), NO_COMPILER | {"BITREID_REQUIRE_KERNEL": ""})


def test_the_wheel_has_a_path_for_every_processor(with_kernel: Path) -> None:
    said, found = search(with_kernel, "numpy")
    assert said == "numpy 0\n"
    assert search(with_kernel, "scalar") == ("scalar 0\n", found)
    shown = python(with_kernel, "", "-m", "bitreid", "info")
    fastest = shown.split()[1]
    assert search(with_kernel) == (f"{fastest} 0\n", found)
    assert shown.startswith(f"search: {fastest} (available: {fastest}, ")
    assert shown.endswith("scalar, numpy)\n")


def test_without_a_compiler_the_wheel_searches_with_numpy_and_says_so_once(
    with_kernel: Path, without_kernel: Path
) -> None:
    said, found = search(without_kernel)
    assert said.startswith("numpy 1 searching with numpy")
    assert search(without_kernel, "numpy") == ("numpy 0\n", found)
    assert found == search(with_kernel, "scalar")[1]
    shown = python(without_kernel, "", "-m", "bitreid", "info")
    assert shown.startswith("search: numpy (the native kernel was not built: ")


def test_who_needs_the_kernel_is_told_that_it_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        wheel(tmp_path, NO_COMPILER | {"BITREID_REQUIRE_KERNEL": "1"})


def files(site: Path) -> set[str]:
    """The files of the package in a folder, by their paths in it."""
    found = (path for path in (site / "bitreid").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(site)) for path in found}


def test_the_source_distribution_is_enough(without_kernel: Path, tmp_path: Path) -> None:
    """A wheel made from it alone is the same; it has the kernel's sources, and nothing of tests, data and models."""
    make = "import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))"
    run = subprocess.run([sys.executable, "-c", make, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    name = run.stdout.decode().split()[-1]
    assert name == f"bitreid-{bitreid.__version__}.tar.gz"
    with tarfile.open(tmp_path / name) as source:
        inside = {member.partition("/")[2] for member in source.getnames()}
    native = {str(path.relative_to(ROOT)) for path in (ROOT / "native").iterdir()}
    assert native <= inside
    assert {"LICENSE", "README.md", "CHANGELOG.md", "PKG-INFO"} <= inside
    assert {path.partition("/")[0] for path in inside if "/" in path} == {"bitreid", "native", "recipes"}
    assert not [path for path in inside if path.endswith((".safetensors", ".so", ".pyc"))]
    site = wheel(tmp_path / "wheel", NO_COMPILER | {"BITREID_REQUIRE_KERNEL": ""}, source=tmp_path / name)
    assert files(site) == files(without_kernel)


def test_wheels_hold_what_the_package_reads(with_kernel: Path, without_kernel: Path) -> None:
    tree = {
        path
        for pattern in (
            "*.py",
            "*.pyi",
            "*.typed",
            "*.j2",
            "*.css",
            "service/page/*.html",
            "service/page/*.js",
            "service/page/*.svg",
            "shipped/*/card.json",
            "shipped/*/model.onnx",
            "shipped/*/LICENSE",
        )
        for path in (ROOT / "bitreid").rglob(pattern)
    }
    expected = {str(path.relative_to(ROOT)) for path in tree}
    expected |= {f"bitreid/recipes/{path.name}" for path in (ROOT / "recipes").iterdir()}
    assert files(without_kernel) == expected
    (module,) = files(with_kernel) - expected
    assert module.startswith("bitreid/hamming/_native.")
