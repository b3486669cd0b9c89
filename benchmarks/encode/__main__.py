"""Pictures a second from JPEG files to codes: exported engines beside PyTorch as users call it, in the same run.

    python -m benchmarks.encode [--quick] [--model FOLDER ...] [--pictures FOLDER] [--json FILE] [--markdown]

Models are those that come with bitreid, `--model` ones (default: models/cuhk03-lite2) and the paper's ResNet-50 with
six stripes at 384x128, of random weights. Each is exported into a copy; ranges of 8 bits come from the pictures that
are encoded, which decides no speed. Pictures are drawn people of 128x64 (JPEG), or those of `--pictures`.

"eager" is what users write: Pillow opens, resizes and converts one picture after the other, PyTorch normalises and runs
the network. The other ways are `Encoder.encode_batches`. Every way runs on 1 thread and on 2 and with batches of 1 and
32; decoding has the same number of threads as inference. Ways take turns, and the median of `REPEATS` counts. CPU
seconds are those of all threads. At last 20,000 pictures are encoded with the smallest model, for the memory that the
process grows by after the first tenth.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bars, at_least, at_most, lines_of, write_json
from bitreid.artifact import load_artifact, load_card, read_engine, save_artifact
from bitreid.artifact.shipped import shipped_models
from bitreid.codes import pack
from bitreid.commands.console import as_markdown, show
from bitreid.data.manifest import Manifest
from bitreid.data.pictures import load_pictures, read_pictures
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.engine import Engine
from bitreid.encoding.onnx import OnnxEngine
from bitreid.models import NetworkSettings, build_network
from bitreid.models.parts import code_layout
from bitreid.training.engine import TorchEngine
from bitreid.training.export import deployed_weights, network_of
from bitreid.training.exporting import INT8, ONNX, Known, export_engine

REPEATS = 3
N_CALIBRATED = 64
RESNET = "resnet50-pcb"
CUHK03 = Path("models/cuhk03-lite2")
LONG = 20_000


@dataclass(frozen=True)
class Rate:
    """How fast a way encodes pictures: pictures a second and CPU seconds a thousand pictures."""

    model: str
    way: str
    threads: int
    batch: int
    pictures_per_s: float
    cpu_s_per_1000: float


@dataclass(frozen=True)
class Step:
    """A step of the exported engine's way, on one thread: CPU seconds a thousand pictures."""

    model: str
    step: str
    cpu_s_per_1000: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pictures, one run of each, to see that it works")
    parser.add_argument("--model", type=Path, action="append", metavar="FOLDER", help="a model (may be repeated)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="JPEG files (default: drawn people)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    console = Console(width=200 if arguments.markdown else None)
    say = Console(stderr=True).print
    n = 8 if arguments.quick else 200
    rates: list[Rate] = []
    steps: list[Step] = []
    proofs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        files = picture_files(arguments.pictures, work, n)
        folders = models_of(arguments.model, work)
        for model, folder in folders.items():
            card = load_card(folder)
            say(f"{model}: exporting")
            known = known_of(files[: 8 if arguments.quick else N_CALIBRATED], card.input.height, card.input.width)
            for engine in (ONNX, INT8):
                export_engine(folder, engine, known, force=True)
            proofs[model] = {name: asdict(each.proof) for name, each in load_card(folder).engines.items()}
            say(f"{model}: timing")
            rates += rates_of(model, folder, files, arguments.quick)
            steps += steps_of(model, folder, files)
        smallest = min(folders, key=lambda model: load_card(folders[model]).weights_bytes)
        grown = memory_of(folders[smallest], files, LONG // 50 if arguments.quick else LONG)
    for table in (rates_table(rates), steps_table(steps)):
        show(console, as_markdown(table) if arguments.markdown else table)
    bars = bars_of(rates, steps, proofs, grown)
    for line in lines_of(bars):
        console.print(line)
    if arguments.quick:
        console.print("a quick run says that it works, and no more")
    if arguments.json:
        record = {
            "rates": [asdict(rate) for rate in rates],
            "steps": [asdict(step) for step in steps],
            "proofs": proofs,
            "memory_mb": grown,
            "bars": bars,
        }
        write_json(arguments.json, record)


def picture_files(folder: Path | None, work: Path, n: int) -> list[Path]:
    """Return n JPEG files: those of a folder, or drawn people's, again and again where they are too few."""
    if folder is None:
        folder = work / "people"
        draw_people(folder, DrawnSettings(n_train=8, n_test=8, height=128, width=64))
    found = sorted(folder.rglob("*.jpg"))
    return [found[i % len(found)] for i in range(n)]


def models_of(given: Sequence[Path] | None, work: Path) -> dict[str, Path]:
    """Return copies of models by name, and a ResNet-50 of random weights."""
    sources = {**shipped_models(), **{path.name: path for path in given or [CUHK03]}}
    copies = {name: Path(shutil.copytree(path, work / name)) for name, path in sources.items()}
    settings = NetworkSettings(backbone="resnet50", n_parts=6, attributes=False, attention=False)
    torch.manual_seed(0)
    network = build_network(settings, 0, None).eval()
    card = load_artifact(next(iter(copies.values()))).card
    copies[RESNET] = work / RESNET
    save_artifact(
        copies[RESNET],
        type(card)(
            name=RESNET,
            model=settings.model_dump(mode="json"),
            input=type(card.input)(),
            n_bits=settings.n_bits,
            parts=code_layout(settings.n_bits, settings.n_parts),
            n_features=settings.n_bits,
            attributes=None,
            thresholds={},
            training={},
            licence="none",
            metrics={},
        ),
        deployed_weights(network, half=True),
    )
    return copies


def known_of(files: Sequence[Path], height: int, width: int) -> Known:
    """Return pictures to quantise with, and to compare bits on; nobody is said to be on them."""
    pictures = load_pictures(files, height, width)
    nobody = np.full(len(files), -1)
    people = Manifest(tuple(files), nobody, nobody, ("train",) * len(files))
    return Known(pictures, pictures, people, "the pictures of this benchmark")


def rates_of(model: str, folder: Path, files: Sequence[Path], quick: bool) -> list[Rate]:
    """Time every way, thread and batch of a model, in turns."""
    ways: dict[tuple[str, int, int], Callable[[], object]] = {}
    for threads in (1,) if quick else (1, 2):
        for batch in (1, 32):
            ways["eager", threads, batch] = eager(folder, files, batch)
            for name in (ONNX, INT8):
                ways[name, threads, batch] = ours(folder, name, files, threads, batch)
    taken: dict[tuple[str, int, int], list[tuple[float, float]]] = {key: [] for key in ways}
    for repeat in range(1 if quick else 1 + REPEATS):  # the first run warms up
        for key, run in ways.items():
            torch.set_num_threads(key[1])
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if repeat or quick:
                taken[key].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {
        key: [statistics.median(each) for each in zip(*runs, strict=True)] for key, runs in sorted(taken.items())
    }
    return [Rate(model, *key, len(files) / wall, 1000 * cpu / len(files)) for key, (wall, cpu) in medians.items()]


def eager(folder: Path, files: Sequence[Path], batch: int) -> Callable[[], object]:
    """Return PyTorch as users call it."""
    artifact = load_artifact(folder)
    network, spec = network_of(artifact), artifact.card.input
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (spec.mean, spec.std))

    def run() -> list[Any]:
        codes = []
        for start in range(0, len(files), batch):
            decoded = []
            for path in files[start : start + batch]:
                with Image.open(path) as image:
                    small = image.convert("RGB").resize((spec.width, spec.height), Image.Resampling.BILINEAR)
                decoded.append(torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255)
            with torch.no_grad():
                codes.append(pack(network((torch.stack(decoded) - mean) / std).student.numpy()))
        return codes

    return run


def ours(folder: Path, name: str, files: Sequence[Path], threads: int, batch: int) -> Callable[[], object]:
    """Return an exported engine as `Encoder` runs it."""
    card = load_card(folder)
    engine = OnnxEngine(read_engine(folder, card, name), card, threads, batch=batch)
    encoder = Encoder(card, engine, runs=name, threads=threads)
    return lambda: [each.encoded.codes for each in encoder.encode_batches(files, size=batch)]


def steps_of(model: str, folder: Path, files: Sequence[Path]) -> list[Step]:
    """Time the steps of encoding on one thread, in batches of 32."""
    torch.set_num_threads(1)
    card = load_card(folder)
    spec = card.input
    pictures = load_pictures(files, spec.height, spec.width)
    engines: dict[str, Engine] = {
        name: OnnxEngine(read_engine(folder, card, name), card, 1, batch=32) for name in (ONNX, INT8)
    }
    engines["torch"] = TorchEngine(network_of(load_artifact(folder)), spec, batch=32)
    features = engines[ONNX](pictures).features
    work: dict[str, Callable[[], object]] = {
        "decode and resize": lambda: read_pictures(files, spec.height, spec.width, n_threads=1),
        "pack": lambda: pack(features),
        **{f"network, {name}": partial(engine, pictures) for name, engine in engines.items()},
    }
    steps = []
    for step, run in work.items():
        taken = []
        for _ in range(2):
            start = time.process_time()
            run()
            taken.append(time.process_time() - start)
        steps.append(Step(model, step, 1000 * statistics.median(taken) / len(files)))
    return steps


def memory_of(folder: Path, files: Sequence[Path], n: int) -> float:
    """Return by how many MB the process grows while n pictures are encoded, after the first tenth of them."""
    encoder = Encoder.open(folder, ONNX, threads=1)
    first: float | None = None
    most = 0.0
    for batch in encoder.encode_batches(files[i % len(files)] for i in range(n)):
        if batch.rows[-1] >= n // 10:
            first = resident_mb() if first is None else first
            most = max(most, resident_mb() - first)
    return most


def resident_mb() -> float:
    """Return the memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def bars_of(rates: Sequence[Rate], steps: Sequence[Step], proofs: dict[str, Any], grown: float) -> Bars:
    """Compare with what was promised, on one thread and in batches of 32.

    2.5 times eager was promised of EfficientNet-Lite0, the network of `drawn`; other models are held to it, too.
    """
    rate = {(each.model, each.way): each.pictures_per_s for each in rates if (each.threads, each.batch) == (1, 32)}
    bars: Bars = {}
    for model in proofs:
        times = rate[model, INT8] / rate[model, "eager"]
        bars[f"{model}: {INT8} over eager"] = at_least(times, 5 if model == RESNET else 2.5)
    for model in shipped_models():
        own = {each.step: each.cpu_s_per_1000 for each in steps if each.model == model}
        decode = own["decode and resize"]
        share = decode / (decode + own[f"network, {ONNX}"] + own["pack"])
        bars[f"{model}: share of decoding"] = at_most(share, 0.15)
    for model, of_engines in proofs.items():
        bars[f"{model}: share of bits flipped by {ONNX}"] = at_most(of_engines[ONNX]["flipped"], 0.001)
    bars["MB grown while encoding"] = at_most(grown, 50)
    return bars


def rates_table(rates: Sequence[Rate]) -> Table:
    table = Table("model", "way", "threads", "batch", title="JPEG files to codes")
    for column in ("pictures/s", "times eager", "CPU s per 1,000"):
        table.add_column(column, justify="right")
    eager_rates = {(r.model, r.threads, r.batch): r.pictures_per_s for r in rates if r.way == "eager"}
    for r in rates:
        times = r.pictures_per_s / eager_rates[r.model, r.threads, r.batch]
        cells = (f"{r.pictures_per_s:.1f}", f"{times:.2f}", f"{r.cpu_s_per_1000:.2f}")
        table.add_row(r.model, r.way, str(r.threads), str(r.batch), *cells)
    return table


def steps_table(steps: Sequence[Step]) -> Table:
    table = Table("model", "step", title="Steps, one thread, batches of 32")
    table.add_column("CPU s per 1,000", justify="right")
    for step in steps:
        table.add_row(step.model, step.step, f"{step.cpu_s_per_1000:.3f}")
    return table


if __name__ == "__main__":
    main()
