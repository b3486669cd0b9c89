"""What the service takes under load: codes and pictures, beside a bare service of FastAPI and faiss.

    sudo apt-get install wrk
    pip install 'bitreid[service,bench]'
    python -m benchmarks.service.load [--quick] [--items N] [--folder DIR] [--json FILE] [--markdown]

Made-up items of the model that comes with bitreid, 1,024 bits, in clusters: 1,000,000 (`--quick`: 20,000), in a gallery
in SQLite as it comes, audited, behind `bitreid serve`. The bare service (`bare.py`) holds the same codes in faiss's
IndexBinaryFlat, and answers rows and distances only. Both run on loopback, in one process of uvicorn with the same
settings, on all cores but the last, which is wrk's. Each request asks for the 10 nearest of one code, or of one drawn
picture. wrk has 1, 8 and 64 clients, each with one request at a time; both services take turns, and figures are medians
over the turns. Rows "at half" are of clients that ask at random moments, each about once a second, and together half as
often as the service can answer; so many, that hardly one waits for an answer when its moment comes.

The JSON has `machine`, `items`, `path` (of the kernel), `loads` and `bars`. The full run takes about 15 minutes, and
2 GB of memory.
"""

import argparse
import base64
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.gallery.tables import short
from benchmarks.search.__main__ import machine
from benchmarks.search.data import SearchSet, clustered
from benchmarks.search.tables import table_of
from benchmarks.service.serving import Running, bitreid
from benchmarks.service.wrk import Load, Task, check_there, load
from bitreid.commands.console import as_markdown, show
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.encoder import Encoder
from bitreid.errors import SettingsError
from bitreid.gallery import Contract, Items, create_gallery
from bitreid.hamming import kernel

OURS, BARE = "bitreid", "FastAPI + faiss"
CODES, PICTURES = "codes", "pictures"
CLIENTS = (1, 8, 64)
CALM_MS = 1000.0
"""How long clients that together ask half as often as the service can answer each take from one request to the next."""
K = 10
TOGETHER = 50_000
"""Items that are added together."""
BOUNDARY = "bitreid"
PACKAGES = ("faiss-cpu", "fastapi", "uvicorn", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Plan:
    """How much is measured: seconds of a turn, and turns."""

    items: int
    seconds: int
    turns: int


@dataclass(frozen=True)
class Measured:
    """Medians of what `clients` saw of a service; at `half` of what it can answer, or as much as they could ask."""

    task: str
    way: str
    clients: int
    half: bool
    load: Load


def main() -> None:
    """Measure, and print the tables."""
    arguments = parser().parse_args()
    check_there()
    plan = Plan(20_000, 3, 1) if arguments.quick else Plan(1_000_000, 10, 5)
    plan = plan if arguments.items is None else Plan(arguments.items, plan.seconds, plan.turns)
    # A line of a table must not be broken where it is Markdown.
    console, progress = Console(width=240 if arguments.markdown else None), Console(stderr=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measured = measure(plan, Path(folder), partial(progress.print, highlight=False, markup=False))
    table = loads_table(measured)
    console.print(f"{plan.items:,} items; requests a second, ms: p50 / p99")
    show(console, as_markdown(table) if arguments.markdown else table)
    bars = bars_of(measured)
    for name, bar in bars.items():
        console.print(f"{name}: {bar['value']:.3g}, bar {bar['bar']:.3g}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        loads = [{**asdict(each), **asdict(each.load)} for each in measured]
        for each in loads:
            del each["load"]
        record = {
            "path": kernel.path(),
            "machine": machine(PACKAGES),
            "items": plan.items,
            "loads": loads,
            "bars": bars,
        }
        arguments.json.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--items", type=int, metavar="N", help="items of the gallery")
    arguments.add_argument("--folder", type=Path, metavar="DIR", help="where the gallery is made, and removed")
    arguments.add_argument("--json", type=Path, metavar="FILE")
    arguments.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return arguments


def measure(plan: Plan, folder: Path, say: Any) -> list[Measured]:
    """Return what was measured of both services; files are made in the folder."""
    *cores, last = sorted(os.sched_getaffinity(0))
    if not cores:
        raise SettingsError("expected two cores, one of which makes the load, got one; leave out taskset")
    say(f"making a gallery of {plan.items:,} items")
    encoder = Encoder.open("drawn", threads=1)
    found = make(encoder, plan.items, folder)
    tasks = tasks_of(encoder, found, folder)
    threads = str(len(cores))
    commands = {
        OURS: bitreid("--gallery", str(folder / "people.gallery"), "--threads", threads),
        BARE: ["-m", "benchmarks.service.bare", str(folder / "codes.npy"), "--threads", threads],
    }
    with Running(commands[OURS], set(cores)) as ours, Running(commands[BARE], set(cores)) as bare:
        at = {OURS: ours.address, BARE: bare.address}

        def turn(task: str, way: str, clients: int, pause_ms: float | None = None) -> Load:
            return load(at[way], tasks[task, way], clients, plan.seconds, folder, {last}, pause_ms)

        measured = []
        for task in (CODES, PICTURES):
            for way in at:
                load(at[way], tasks[task, way], 1, 1, folder, {last})  # what is loaded at first use is loaded
            for clients in CLIENTS:
                say(f"{task}, {clients} clients")
                turns = [{way: turn(task, way, clients) for way in at} for _ in range(plan.turns)]
                measured += [Measured(task, way, clients, False, median([each[way] for each in turns])) for way in at]
            say(f"{task}, at half of saturation")
            mine = [each for each in measured if (each.task, each.way) == (task, OURS)]
            most = max(each.load.rate for each in mine)
            clients, pause_ms = round(most / 2 * CALM_MS / 1000), CALM_MS - mine[0].load.p50_ms
            calm = median([turn(task, OURS, clients, pause_ms) for _ in range(plan.turns)])
            measured.append(Measured(task, OURS, clients, True, calm))
    return measured


def make(encoder: Encoder, n: int, folder: Path) -> SearchSet:
    """Make the gallery and the file of codes of the bare service; return the codes, with queries."""
    contract = Contract.of(encoder.card)
    codes = clustered(n, (contract.attribute_bits, contract.n_bits))
    long, short_codes = codes[contract.n_bits], codes[contract.attribute_bits].gallery
    with create_gallery(folder / "people.gallery", contract) as gallery:
        for start in range(0, n, TOGETHER):
            rows = slice(start, min(start + TOGETHER, n))
            ids = list(range(rows.start, rows.stop))
            cameras = np.arange(rows.start, rows.stop) % 8
            gallery.add(Items.of(ids, long.gallery[rows], short_codes[rows], cameras=cameras, model=contract.model))
    np.save(folder / "codes.npy", long.gallery.packed)
    return long


def tasks_of(encoder: Encoder, codes: SearchSet, folder: Path) -> dict[tuple[str, str], Task]:
    """Return what both services are asked, by task and service."""
    texts = [base64.b64encode(code.tobytes()).decode() for code in codes.queries.packed]
    ours = [json.dumps({"codes": {"codes": text, "model": encoder.model}, "k": K}).encode() for text in texts]
    bare = [json.dumps({"code": text, "k": K}).encode() for text in texts]
    people = DrawnSettings(n_train=2, n_test=16, n_cameras=2, n_distractors=0, n_junk=0)
    draw_people(folder / "people", people)
    pictures = [path.read_bytes() for path in sorted((folder / "people" / "bounding_box_test").glob("*.jpg"))]
    multipart = f"multipart/form-data; boundary={BOUNDARY}"
    request = json.dumps({"k": K, "details": False}).encode()
    return {
        (CODES, OURS): Task("/v1/search", "application/json", ours),
        (CODES, BARE): Task("/search", "application/json", bare),
        (PICTURES, OURS): Task("/v1/search", multipart, [parts(each, "request", request) for each in pictures]),
        (PICTURES, BARE): Task("/pictures", multipart, [parts(each, "k", b"%d" % K) for each in pictures]),
    }


def parts(picture: bytes, name: str, value: bytes) -> bytes:
    """Return a body with a picture and another field."""
    lines = [
        f"--{BOUNDARY}".encode(),
        b'Content-Disposition: form-data; name="picture"; filename="query.jpg"',
        b"Content-Type: image/jpeg",
        b"",
        picture,
        f"--{BOUNDARY}".encode(),
        f'Content-Disposition: form-data; name="{name}"'.encode(),
        b"",
        value,
        f"--{BOUNDARY}--".encode(),
        b"",
    ]
    return b"\r\n".join(lines)


def median(loads: Sequence[Load]) -> Load:
    """Return the medians of several turns, and the sums of what was answered and lost."""
    rate, p50, p99 = (statistics.median(getattr(each, name) for each in loads) for name in ("rate", "p50_ms", "p99_ms"))
    return Load(rate, p50, p99, sum(each.answered for each in loads), sum(each.lost for each in loads))


def loads_table(measured: Sequence[Measured]) -> Table:
    """Return the table of all loads."""
    table = table_of("search by", "clients", OURS, "p50 / p99", BARE, "p50 / p99", "times as many", "lost")
    found = {(each.task, each.clients, each.half, each.way): each.load for each in measured}
    for task, clients, half in dict.fromkeys((each.task, each.clients, each.half) for each in measured):
        mine, other = found[task, clients, half, OURS], found.get((task, clients, half, BARE))
        beside = ["", "", ""] if other is None else [*cells(other), f"{mine.rate / other.rate:.2f}"]
        words = f"{clients}, at half" if half else str(clients)
        table.add_row(task, words, *cells(mine), *beside, str(mine.lost))
    return table


def cells(seen: Load) -> tuple[str, str]:
    """Return a load's cells: requests a second, milliseconds."""
    return short(seen.rate), f"{short(seen.p50_ms)} / {short(seen.p99_ms)}"


def bars_of(measured: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Return the bars of the project, each with its value and whether it is met."""
    found = {(each.task, each.clients, each.half, each.way): each.load for each in measured}
    mine, other = (found[CODES, CLIENTS[-1], False, way].rate for way in (OURS, BARE))
    lost = sum(each.load.lost for each in measured if each.way == OURS)
    bars = {f"searches by code of {CLIENTS[-1]} clients: times {BARE}'s": (mine / other, 1.5, mine >= 1.5 * other)}
    for task in (CODES, PICTURES):
        (calm,) = (each.load for each in measured if each.task == task and each.half)
        times = calm.p99_ms / found[task, CLIENTS[0], False, OURS].p50_ms
        bars[f"p99 at half of saturation, {task}: times the p50 of one client"] = times, 5, times <= 5
    bars["requests lost"] = lost, 0, lost == 0
    return {name: {"value": value, "bar": bar, "met": met} for name, (value, bar, met) in bars.items()}


if __name__ == "__main__":
    main()
