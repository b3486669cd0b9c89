"""Freed memory is kept: a second use of it faults no pages in."""

import platform
import subprocess
import sys

SCRIPT = """
import resource, torch
from bitreid.training.memory import keep_freed_memory
kept = keep_freed_memory()
for _ in range(20):
    torch.ones(10 * 2**20)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10 * 2**20)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
print(kept, faults)
"""


def _faults() -> tuple[bool, int]:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    kept, faults = run.stdout.split()
    return kept == "True", int(faults)


def test_a_block_that_was_freed_is_used_again_without_page_faults() -> None:
    kept, faults = _faults()
    assert kept == (platform.libc_ver()[0] == "glibc")
    if kept:  # 40 MiB are 10240 pages
        assert faults < 100
