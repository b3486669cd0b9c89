"""How long it takes until `import bitreid` is done, and until the first code of a process.

    python -m benchmarks.encode.starting [MODEL] [--repeats 15] [--quick] [--json FILE]

Processes of their own take turns, with their files in the system's cache: Python alone, `import numpy`, `import
bitreid`, and `Encoder.open` with one picture encoded. Medians; CPU seconds are those of all threads, and on a machine
with other work they say more than seconds. The JSON has the `medians`, in seconds, and `bars`. `--quick` takes 3 turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bars import Bars, at_most, write_json

IMPORT_BAR_MS = 50
"""By how much longer `import bitreid` may take than `import numpy`."""
FIRST_BAR_S = 1.5
"""After so long a process has its first code."""

PYTHON, NUMPY, BITREID, FIRST = "Python alone", "import numpy", "import bitreid", "first code"

PROGRAM = """
import numpy
from bitreid import Encoder
encoder = Encoder.open({model!r})
size = encoder.card.input
assert len(encoder.encode(numpy.zeros((1, size.height, size.width, 3), numpy.uint8)).codes) == 1
"""


def main() -> None:
    """Print medians and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="drawn")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="3 turns, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    programs = {PYTHON: "", NUMPY: NUMPY, BITREID: BITREID, FIRST: PROGRAM.format(model=arguments.model)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for repeat in range(1 + (3 if arguments.quick else arguments.repeats)):  # the first fills the cache
        for name, program in programs.items():
            seconds = seconds_of(program)
            if repeat:
                taken[name].append(seconds)
    wall, cpu = ({name: statistics.median(each[i] for each in runs) for name, runs in taken.items()} for i in (0, 1))
    print("| process | ms | CPU ms |")
    print("| --- | --- | --- |")
    for name in programs:
        print(f"| {name} | {1000 * wall[name]:.0f} | {1000 * cpu[name]:.0f} |")
    print("\n| bar | value | by CPU | bar | met |")
    print("| --- | --- | --- | --- | --- |")
    more, more_cpu = (1000 * (each[BITREID] - each[NUMPY]) for each in (wall, cpu))
    bars: Bars = {
        "import bitreid over import numpy, ms": at_most(more, IMPORT_BAR_MS),
        "first code, seconds": at_most(wall[FIRST], FIRST_BAR_S),
    }
    for (name, bar), by_cpu in zip(bars.items(), (more_cpu, cpu[FIRST]), strict=True):
        told = f"{bar['value']:.3g} | {by_cpu:.3g} | {bar['bar']:g} | {'yes' if bar['met'] else '**no**'}"
        print(f"| {name} | {told} |")
    if arguments.json:
        medians = {name: {"s": wall[name], "cpu_s": cpu[name]} for name in programs}
        write_json(arguments.json, {"model": arguments.model, "medians": medians, "bars": bars})


def seconds_of(program: str) -> tuple[float, float]:
    """Return how long a process with this program takes, and how many seconds of the processor."""
    start = time.perf_counter()
    run = subprocess.Popen([sys.executable, "-c", program])
    _, status, used = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0, program
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
