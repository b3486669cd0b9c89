"""Load the native kernel, if it was built, and choose which of its paths runs.

`native/hamming.cpp` holds one path for each kind of processor; the fastest that this one can run is chosen when the
module is imported. The environment variable `BITREID_KERNEL` forces another: the name of a path (`avx512`, `avx2`,
`popcnt`, `neon`, `scalar`), or `numpy` for the numpy twin, whose results are the same.
"""

import os
import warnings
from importlib import import_module
from types import ModuleType

from bitreid.errors import SettingsError
from bitreid.hamming import twin

NUMPY = "numpy"
VARIABLE = "BITREID_KERNEL"


def _load() -> tuple[ModuleType | None, str]:
    """Return the native module and "", or None and the reason why there is none."""
    try:
        return import_module("bitreid.hamming._native"), ""
    except ModuleNotFoundError:
        return None, "was not built: install a C++ compiler and bitreid again"
    except ImportError as error:
        return None, f"does not load ({error}): install bitreid again"


_native, why_not = _load()
_in_use = NUMPY
_warned = True  # that there is no kernel; set also where a path is chosen by name, which needs no warning


def available_paths() -> tuple[str, ...]:
    """Return the names of the paths that can run here, fastest first; the last one is `numpy`."""
    return (*(_native.paths() if _native else ()), NUMPY)


def path() -> str:
    """Return the name of the path in use."""
    return _in_use


def use_path(name: str) -> None:
    """Search by the path of this name from now on, in all threads. `SettingsError` if it cannot run here."""
    global _in_use, _warned
    if name not in available_paths():
        raise SettingsError(
            f"expected a search path that can run here ({', '.join(available_paths())}), got {name!r}; "
            f"see {VARIABLE} in the environment, or use_path"
        )
    if _native and name != NUMPY:
        _native.use_path(name)
    _in_use, _warned = name, True


def native() -> ModuleType | None:
    """Return the native module, or None where the numpy twin is in use.

    The first call where no kernel was built says so in a warning, once a process, unless numpy was asked for by name.
    """
    global _warned
    if _in_use != NUMPY:
        return _native
    if not _warned:
        _warned = True
        warnings.warn(
            f"searching with numpy, with the same results, many times slower: the native kernel {why_not}",
            RuntimeWarning,
            stacklevel=4,  # who called the search
        )
    return None


def engine() -> ModuleType:
    """Return the native module, or the numpy module that has the same functions."""
    return native() or twin


def usable_cpus() -> int:
    """Return the number of processors that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


use_path(os.environ.get(VARIABLE) or available_paths()[0])
_warned = _native is not None or bool(os.environ.get(VARIABLE))
