"""Which path runs: by default, by name, by the environment, and where no kernel was built."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bitreid.errors import SettingsError
from bitreid.hamming import kernel
from tests.hamming.cases import using

SEARCH = """
import numpy as np
from bitreid.codes import Codes
from bitreid.hamming import search_exact
codes = Codes(np.arange(9, dtype=np.uint8)[:, None], 8)
assert search_exact(codes, codes, 1).positions.ravel().tolist() == list(range(9))
"""
PATH = "from bitreid.hamming import kernel\nprint(kernel.path(), kernel.native() is not None)\n"
NO_KERNEL = "import sys\nsys.modules['bitreid.hamming._native'] = None\n"
WARNING = "many times slower: the native kernel was not built: install a C++ compiler"


def python(code: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter's run, with `BITREID_KERNEL` set to this path."""
    environment = {name: value for name, value in os.environ.items() if name != kernel.VARIABLE}
    if path is not None:
        environment[kernel.VARIABLE] = path
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_environment_chooses_the_path() -> None:
    for path in kernel.available_paths():
        run = python(SEARCH + PATH, path)
        assert (run.stdout, run.stderr) == (f"{path} {path != kernel.NUMPY}\n", "")
    fastest = kernel.available_paths()[0]
    for unset in (None, ""):
        assert python(PATH, unset).stdout.startswith(fastest)


def test_a_path_that_cannot_run_is_refused() -> None:
    run = python(SEARCH, "abacus")
    assert run.returncode == 1
    assert "SettingsError: expected a search path that can run here" in run.stderr
    assert "numpy), got 'abacus'; see BITREID_KERNEL" in run.stderr
    before = kernel.path()
    with pytest.raises(SettingsError, match=r"expected a search path that can run here \(.*numpy\), got 'abacus'"):
        kernel.use_path("abacus")
    assert kernel.path() == before


def test_without_a_kernel_numpy_searches_and_says_so_once() -> None:
    run = python(NO_KERNEL + SEARCH + SEARCH + PATH)
    assert run.stdout == "numpy False\n"
    assert run.stderr.count(WARNING) == 1
    assert run.stderr.startswith("<string>:8: RuntimeWarning")  # the line that searched


def test_a_kernel_that_does_not_load_is_not_taken_for_one_that_was_not_built(tmp_path: Path) -> None:
    broken = tmp_path / "_native.py"
    broken.write_text("raise ImportError('libstdc++ is too old')", encoding="utf-8")
    early = "import importlib.util, sys\n"
    spec = f"spec = importlib.util.spec_from_file_location('bitreid.hamming._native', {str(broken)!r})\n"
    finder = "class Finder:\n    find_spec = staticmethod(lambda name, *_: spec if name == spec.name else None)\n"
    run = python(early + spec + finder + "sys.meta_path.insert(0, Finder)\n" + SEARCH)
    assert "the native kernel does not load (libstdc++ is too old): install bitreid again" in run.stderr
    assert run.returncode == 0


@pytest.mark.parametrize("path", ["numpy", "by name"])
def test_who_asks_for_numpy_is_not_warned(path: str) -> None:
    by_name = "from bitreid.hamming import kernel\nkernel.use_path('numpy')\n"
    run = python(NO_KERNEL + by_name * (path == "by name") + SEARCH, "numpy" if path == "numpy" else None)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_path_by_name_is_in_use_until_another_is() -> None:
    for path in kernel.available_paths():
        with using(path):
            native = kernel.native()
            assert kernel.path() == path
            assert (native is None) == (path == kernel.NUMPY)
            assert native is None or native.path() == path


DAEMON = """
import threading
import numpy as np
from bitreid.codes import Codes
from bitreid.hamming import search_exact
codes = Codes(np.zeros((20_000, 256), np.uint8), 2048)
searching = threading.Event()
def search():
    while True:
        searching.set()
        search_exact(codes[:16], codes, 5)
threading.Thread(target=search, daemon=True).start()
searching.wait()
"""


@pytest.mark.parametrize("path", kernel.available_paths())
def test_a_process_ends_quietly_while_a_daemon_thread_searches(path: str) -> None:
    environment = os.environ | {kernel.VARIABLE: path}
    command = [sys.executable, "-c", DAEMON]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    assert [(run.communicate(timeout=120)[1], run.returncode) for run in runs] == [("", 0)] * 3


def test_processors_are_counted() -> None:
    assert 1 <= kernel.usable_cpus() <= (os.cpu_count() or 1)
