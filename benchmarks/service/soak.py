"""A service that many use at once, for as long as one likes: nothing is lost, nothing comes back, memory stays flat.

    pip install 'bitreid[service,client]'
    python -m benchmarks.service.soak [--minutes N] [--quick] [--kills N] [--milvus URL] [--svg FILE] [--json FILE]

Clients add, replace, delete and search, by codes and by drawn pictures, all at once, through `bitreid serve`. Each
keeps in a dict what is acknowledged of its own items, and asks after each step: what was added is found, with its
distance and metadata, and what was deleted is not. Others look at the answers of searches over everybody's items:
their distances are right, in order, no hit was deleted before the question, and nothing nearer that was there all the
while is left out. What anybody sees that should not be is an error, and the run ends with status 1.

The gallery is a file, audited; or a new one at `--milvus`, which stays. The service's memory, with the processes that
decode pictures, is read each second: a table of it is printed, and `--svg` draws it. It is called flat where the median
of the last quarter of the time is at most 1.1 times that of the second quarter (10 minutes at least tell something; the
default is 5, `--quick` 20 seconds).

With `--kills N` the service is killed (SIGKILL) N times at random moments and started again; clients send again what
was not acknowledged, and the time that starting takes is added. The memory of several processes is no curve, and is
not judged then.
"""

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.search.tables import table_of
from benchmarks.service.serving import Running, bitreid, every
from benchmarks.service.workers import Looker, Owner, Painter, Shared, Worker
from bitreid import Client
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, create_gallery, open_gallery

OWNERS, LOOKERS, PAINTERS = 4, 2, 1
"""Clients of each kind."""
FLAT = 1.1
"""What memory may grow by."""
_ROWS = 12


def main() -> int:
    """Soak, and print what was seen; 1 if anything was not as it should be."""
    arguments = parser().parse_args()
    console = Console()
    seconds = 20.0 if arguments.quick else 60 * arguments.minutes
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        seen = soak(seconds, Path(name), arguments.milvus, arguments.kills)
    memory: list[tuple[float, int]] = seen["memory"]
    table = table_of("second", "MB")
    for second, n_bytes in memory[:: max(len(memory) // _ROWS, 1)]:
        table.add_row(f"{second:.0f}", f"{n_bytes / 1e6:.0f}")
    console.print(table)
    if arguments.svg:
        arguments.svg.write_text(curve(memory), encoding="utf-8")
    for what, n in seen["steps"].items():
        console.print(f"{what}: {n:,}", highlight=False)
    for error in seen["errors"][:20]:
        console.print(error, highlight=False, markup=False)
    bars = bars_of(memory, len(seen["errors"]), judged=not arguments.kills)
    for words, bar in bars.items():
        console.print(f"{words}: {bar['value']:.3g}, bar {bar['bar']:g}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        arguments.json.write_text(json.dumps({**seen, "bars": bars}, indent=1) + "\n", encoding="utf-8")
    return int(bool(seen["errors"]))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=5.0, metavar="N")
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--kills", type=int, default=0, metavar="N", help="how often the service is killed")
    arguments.add_argument("--milvus", metavar="URL", help="a new gallery on a Milvus server, instead of a file")
    arguments.add_argument("--folder", type=Path, metavar="DIR", help="where the gallery is made, and removed")
    arguments.add_argument("--svg", type=Path, metavar="FILE", help="the curve of the service's memory")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    return arguments


def soak(seconds: float, folder: Path, place: str | None, kills: int, seed: int = 0) -> dict[str, Any]:
    """Return the `steps` that clients took, by kind, `errors` as text, and `memory` as pairs of seconds and bytes."""
    encoder = Encoder.open("drawn", threads=1)
    contract = Contract.of(encoder.card)
    place = str(folder / "people.gallery") if place is None else place
    create_gallery(place, contract).close()
    people = DrawnSettings(n_train=2, n_test=8, n_cameras=2, n_distractors=0, n_junk=0)
    draw_people(folder / "people", people)
    pictures = [path.read_bytes() for path in sorted((folder / "people" / "bounding_box_test").glob("*.jpg"))]
    shared, memory, chance = Shared(contract), list[tuple[float, int]](), random.Random(seed)
    running = Running(bitreid("--gallery", place))
    with running:
        workers: list[Worker] = [Owner(shared, running.address, i) for i in range(OWNERS)]
        workers += [Looker(shared, running.address, i) for i in range(OWNERS, OWNERS + LOOKERS)]
        workers += [Painter(shared, running.address, OWNERS + LOOKERS + i, pictures) for i in range(PAINTERS)]
        threads = [threading.Thread(target=worker.run) for worker in workers]
        began = time.monotonic()
        end = began + seconds
        with every(1.0, lambda: memory.append((time.monotonic() - began, running.rss()))):
            for thread in threads:
                thread.start()
            for _ in range(kills):
                shared.stop.wait(chance.uniform(0, 2 * seconds / kills))  # of use, however long starting takes
                running.kill()
                running.start()
            shared.stop.wait(max(end - time.monotonic(), 0))
            shared.stop.set()
            for thread in threads:
                thread.join()
        with Client(running.address) as client:
            check(shared, "at the end", lambda: [item.id for item in client.items()])
        if status := running.stop():
            shared.errors.append(f"expected a service that ends with 0, got {status}")
    with open_gallery(place) as gallery:
        check(shared, "in the gallery", lambda: [id for batch in gallery.scan() for id in batch.ids])
    steps = {name: sum(worker.steps[name] for worker in workers) for worker in workers for name in worker.steps}
    return {"steps": steps, "errors": shared.errors, "memory": memory, "starts_s": running.starts_s}


def check(shared: Shared, where: str, ids_of: Callable[[], list[Any]]) -> None:
    """Count as errors the items that are there and should not be, and those that are missing."""
    there, wanted = ids_of(), {id for id, item in shared.items.items() if item.deleted is None}
    for id in sorted(set(there) ^ wanted)[:20]:
        shared.errors.append(f"{where}: {id} is {'there, and was deleted' if id in there else 'missing'}")
    if len(there) != len(set(there)):
        shared.errors.append(f"{where}: an item is there twice")


def bars_of(memory: Sequence[tuple[float, int]], n_errors: int, judged: bool) -> dict[str, dict[str, Any]]:
    """Return the bars, each with its value and whether it is met; the memory's only where it is `judged`."""
    bars: dict[str, tuple[float, float]] = {"errors": (n_errors, 0)}
    quarter = len(memory) // 4
    if judged and quarter:
        sizes = [n_bytes for _, n_bytes in memory]
        growth = statistics.median(sizes[-quarter:]) / statistics.median(sizes[quarter : 2 * quarter])
        bars["memory of the last quarter, times the second's"] = growth, FLAT
    return {name: {"value": value, "bar": bar, "met": value <= bar} for name, (value, bar) in bars.items()}


def curve(memory: Sequence[tuple[float, int]], width: int = 720, height: int = 240) -> str:
    """Return the curve of memory as a picture (SVG), readable on light and dark pages."""
    left, low = 60, height - 30
    seconds, sizes = np.array([each[0] for each in memory]), np.array([each[1] / 1e6 for each in memory])
    most_s, most = max(float(seconds[-1]), 1.0), 1.25 * float(sizes.max())
    x, y = left + seconds / most_s * (width - left - 10), low - sizes / most * (low - 10)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    texts = [(left, low + 20, "0"), (width - 60, low + 20, f"{most_s:.0f} s"), (5, 20, f"{most:.0f} MB"), (5, low, "0")]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="memory of the service over time">',
        "<style>text{font:12px sans-serif;fill:#777}path{stroke:#777;fill:none}"
        "polyline{stroke:#0072b2;fill:none;stroke-width:2}</style>",
        f'<path d="M{left} 10V{low}H{width - 10}"/>',
        f'<polyline points="{points}"/>',
        *(f'<text x="{at}" y="{line}">{words}</text>' for at, line, words in texts),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
