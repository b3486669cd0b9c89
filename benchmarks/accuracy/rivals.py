"""Codes without training against nested codes, at equal bytes a person: rank-1 and mAP by our own evaluation.

    python benchmarks/accuracy/rivals.py --data DATA --artifact ARTIFACT ... [--test] [--out DIR]
        [--quick] [--json FILE] [--markdown]

Of each artifact's float features, fitted on its training pictures: principal directions and their signs (PCA), these
rotated (ITQ), product quantisation (PQ), after an optimised rotation too (OPQ), and RaBitQ with 1 and 4 bits a value
(faiss; the numbers that it stores beside the bits count as bytes). Beside them prefixes of the artifact's nested code
(fitted on the same pictures where its network is not nested), by Hamming distance and, "asymmetric", by the query's
floats against the gallery's bits. A float model that was trained without relaxation is one more --artifact.

Each picture of a held-out training identity is a query, among their own pictures alone and with all training pictures
as distractors. `--test` searches the test set, too, with what was fitted: each full run with it is a look at that set.
Features are kept in the folder `--out`. `--quick` takes every tenth picture and two lengths, and judges no bar.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from bitreid.arrays import Floats32, Numbers
from bitreid.artifact import fingerprint, load_artifact
from bitreid.codes import hamming_distances, pack
from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.files import new_file
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.pictures import Progress, load_pictures
from bitreid.data.samplers import held_out_pictures
from bitreid.encoding.rotation import rotated_directions
from bitreid.evaluation import evaluate_distances
from bitreid.models.nested import NestedMap
from bitreid.models.parts import code_layout
from bitreid.training.engine import TorchEngine
from bitreid.training.export import network_of
from bitreid.training.nested import fit_nested

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.held_out import HeldOut, Marks
from benchmarks.bars import write_json

N_BYTES = (4, 8, 16, 64, 256)
NESTED, ASYMMETRIC = "nested", "nested, asymmetric"
_CHUNK = 256

Distances = Callable[[Floats32, Floats32], Numbers]
"""Of queries (q, d) and a gallery (g, d): `(q, g)`, smaller is nearer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, nargs="+", required=True)
    parser.add_argument("--test", action="store_true", help="search the test set, too")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/rivals"), help="folder of features (default %(default)s)"
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    console = Console()
    manifest = parse(arguments.data)
    rows = [row for artifact in arguments.artifact for row in rows_of(artifact, manifest, arguments, console)]
    for crowd in rows[0]["marks"]:
        console.print(f"\n{crowd}\n")
        table = table_of(rows, crowd)
        show(console, as_markdown(table) if arguments.markdown else table)
    bars = {} if arguments.quick else bars_of(rows)
    for name, bar in bars.items():
        console.print(f"{name}: {bar['value']:.3f}, bar {bar['bar']:.3f}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        write_json(arguments.json, {"rows": rows, "bars": bars})


def rows_of(artifact: Path, data: Manifest, arguments: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Return the marks of one artifact's floats, and of each method at each number of bytes."""
    card = load_artifact(artifact).card
    held_out = held_out_pictures(data, card.training)
    train = data.split("train")
    train = train.rows((train.pids > 0) & ~np.isin(train.pids, held_out.identities()))
    test = [data.split("query"), data.split("gallery")] if arguments.test else []
    if arguments.quick:
        train, *test = (each.take(np.arange(0, len(each), 10)) for each in (train, *test))
        held_out = held_out.take(np.arange(100))  # of few people, every tenth picture has no match

    def features(pictures: Manifest, mirrored: bool = False) -> Floats32:
        with progress_of(console, "encoding") as progress:
            return features_of(artifact, pictures, mirrored, arguments.out, progress)

    fitted_on, own = features(train), features(held_out)
    sides = [(own, np.concatenate([own, fitted_on]))]
    judges: list[Callable[[Numbers], Marks]] = [HeldOut(held_out, train).of_distances]
    if test:
        sides.append((features(test[0]), features(test[1])))
        judges.append(lambda distances: {"test": _mark_of_test(distances, *test)})
    mean = unit(fitted_on).mean(0)
    x = unit(fitted_on) - mean
    ours = nested_of(artifact, lambda: np.stack([fitted_on, features(train, mirrored=True)]), train)
    centred = [(unit(q) - mean, unit(g) - mean) for q, g in sides]
    nested = [(nested_values(ours, q), nested_values(ours, g)) for q, g in sides]
    rows: list[dict[str, Any]] = []

    def score(name: str, n_bytes: int, distances: Distances, of: Sequence[tuple[Floats32, Floats32]]) -> None:
        marks: Marks = {}
        for (q, g), judge in zip(of, judges, strict=True):
            marks |= judge(distances(q, g))
        found = ", ".join(f"{crowd} {_cell(each)}" for crowd, each in marks.items())
        console.print(f"{card.name}, {name}, {n_bytes} bytes: {found}", highlight=False)
        rows.append({"model": card.name, "method": name, "n_bytes": n_bytes, "marks": marks})

    score("float", 0, lambda q, g: 1 - unit(q) @ unit(g).T, sides)
    for n_bytes in (16, 4) if arguments.quick else N_BYTES:
        prefixes = [(q[:, : 8 * n_bytes], g[:, : 8 * n_bytes]) for q, g in nested]
        score(NESTED, n_bytes, hamming, prefixes)
        score(ASYMMETRIC, n_bytes, asymmetric, prefixes)
        for name, fit in METHODS.items():
            distances = fit(x, n_bytes)
            if distances is not None:
                score(name, n_bytes, distances, centred)
    return rows


def _mark_of_test(distances: Numbers, queries: Manifest, gallery: Manifest) -> dict[str, float]:
    found = evaluate_distances(distances, queries.pids, queries.camids, gallery.pids, gallery.camids).expected
    return {"rank1": found.rank1, "mAP": found.mAP}


def features_of(artifact: Path, pictures: Manifest, mirrored: bool, cache: Path, progress: Progress) -> Floats32:
    """Return the student's values of pictures, before activation and nested map `(n, n_bits)`, out of the folder if
    there."""
    loaded = load_artifact(artifact)
    what = (fingerprint(loaded.card), mirrored, [path.name for path in pictures.paths])
    file = cache / f"features-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}.npy"
    if not file.is_file():
        network, picture = network_of(loaded), loaded.card.input
        network.nested = nn.Identity()
        engine, chunks = TorchEngine(network, picture), []
        for start in range(0, len(pictures), _CHUNK):
            paths = pictures.paths[start : start + _CHUNK]
            pixels = load_pictures(paths, picture.height, picture.width)
            chunks.append(engine(np.ascontiguousarray(pixels[:, :, ::-1]) if mirrored else pixels).features)
            progress(start + len(paths), len(pictures))
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file) as unfinished, unfinished.open("wb") as opened:
            np.save(opened, np.concatenate(chunks))
    found: Floats32 = np.load(file)
    return found


def nested_of(artifact: Path, views: Callable[[], Floats32], train: Manifest) -> NestedMap:
    """Return the artifact's nested map, or one that is fitted on its training pictures, plain and mirrored."""
    network = network_of(load_artifact(artifact))
    nested = network.nested
    if not isinstance(nested, NestedMap):
        settings = network.settings
        nested = NestedMap(code_layout(settings.n_bits, settings.n_parts), settings.n_parts)
        fit_nested(nested, views(), np.searchsorted(train.identities(), train.pids))
    return nested


@torch.inference_mode()
def nested_values(nested: NestedMap, features: Floats32) -> Floats32:
    """Return the values of the nested code of a network's features, `(n, n_bits)` both."""
    values: Floats32 = nested(torch.from_numpy(features)).numpy()
    return values


def unit(features: Floats32) -> Floats32:
    """Return features of length 1."""
    scaled: Floats32 = features / np.linalg.norm(features, axis=1, keepdims=True)
    return scaled


def hamming(queries: Floats32, gallery: Floats32) -> Numbers:
    """Return the Hamming distances of the signs."""
    return hamming_distances(pack(queries), pack(gallery)).astype(np.uint16)


def asymmetric(queries: Floats32, gallery: Floats32) -> Numbers:
    """Return the distances of the query's values to the gallery's signs."""
    return -(queries @ np.where(gallery > 0, np.float32(1), np.float32(-1)).T)


def pca(x: Floats32, n_bytes: int) -> Distances | None:
    """Return the distances by signs of the first principal directions."""
    directions = principal(x, 8 * n_bytes)
    return lambda q, g: hamming(q @ directions, g @ directions)


def itq(x: Floats32, n_bytes: int) -> Distances | None:
    """Return the distances by signs of rotated principal directions (Gong and Lazebnik, CVPR 2011)."""
    n_bits = 8 * n_bytes
    # Fewer steps where each takes long.
    steps = 50 if n_bits <= 512 else 10
    directions = rotated_directions(x.astype(np.float64), [n_bits], np.random.default_rng(0), steps).astype(np.float32)
    return lambda q, g: hamming(q @ directions, g @ directions)


def pq(x: Floats32, n_bytes: int) -> Distances | None:
    """Return the distances of queries to what product quantisation keeps (Jegou et al., PAMI 2011)."""
    return decoded(_index_pq(x.shape[1], n_bytes), x)


def opq(x: Floats32, n_bytes: int) -> Distances | None:
    """Return the distances of product quantisation after an optimised rotation of 512 principal directions (Ge et al.,
    PAMI 2014)."""
    directions = principal(x, min(512, x.shape[1]))
    rotation, words = faiss.OPQMatrix(directions.shape[1], n_bytes), _index_pq(directions.shape[1], n_bytes)
    rotation.niter, rotation.pq = 20, words.pq
    distances = decoded(faiss.IndexPreTransform(rotation, words), x @ directions)
    return lambda q, g: distances(q @ directions, g @ directions)


def _index_pq(d: int, n_bytes: int) -> Any:
    index = faiss.IndexPQ(d, n_bytes, 8)
    index.pq.cp.min_points_per_centroid = 1  # no warnings: there are as many pictures as there are
    return index


def rabitq(n_bits: int) -> Callable[[Floats32, int], Distances | None]:
    """Return the fit of RaBitQ with so many bits a value (Gao and Long, SIGMOD 2024 and 2025), of as many rotated
    principal directions as fit; None where the numbers that it stores beside the bits leave no room."""

    def fit(x: Floats32, n_bytes: int) -> Distances | None:
        sizes = [d for d in range(8, x.shape[1] + 1, 8) if index_of(d).code_size <= n_bytes]
        if not sizes:
            return None
        directions = principal(x, sizes[-1])
        rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(sizes[-1], sizes[-1])))[0]
        directions = directions @ rotation.astype(np.float32)

        def distances(q: Floats32, g: Floats32) -> Numbers:
            index = index_of(sizes[-1])
            index.train(x @ directions)
            index.add(g @ directions)
            index.qb = 0  # the query is not rounded
            found, rows = index.search(q @ directions, len(g))
            ordered: Floats32 = np.empty_like(found)
            np.put_along_axis(ordered, rows, found, axis=1)
            return ordered

        return distances

    def index_of(d: int) -> Any:
        return faiss.IndexRaBitQ(d, faiss.METRIC_L2, n_bits)

    return fit


METHODS: dict[str, Callable[[Floats32, int], Distances | None]] = {
    "PCA + sign": pca,
    "PCA + ITQ": itq,
    "PQ": pq,
    "OPQ": opq,
    "RaBitQ, 1 bit": rabitq(1),
    "RaBitQ, 4 bits": rabitq(4),
}
"""By name, what is fitted on centred training features (n, d), at so many bytes a person."""


def principal(x: Floats32, n: int) -> Floats32:
    """Return the first `n` principal directions `(d, n)` of centred values."""
    _, vectors = np.linalg.eigh(x.T @ x)
    return np.ascontiguousarray(vectors[:, ::-1][:, :n])


def decoded(index: Any, x: Floats32) -> Distances:
    """Return the squared distances of queries to decoded rows, after the index is trained."""
    index.train(x)

    def distances(q: Floats32, g: Floats32) -> Numbers:
        rows = index.sa_decode(index.sa_encode(np.ascontiguousarray(g)))
        found: Numbers = np.square(rows).sum(1) - 2 * (q @ rows.T)
        return found

    return distances


def table_of(rows: Sequence[dict[str, Any]], crowd: str) -> Table:
    """Return a table of rank-1 / mAP in per cent, a line a method, a column a number of bytes."""
    n_bytes = sorted({row["n_bytes"] for row in rows if row["n_bytes"]}, reverse=True)
    table = Table("features of", "code", *(f"{each} bytes" for each in n_bytes))
    for model, method in dict.fromkeys((row["model"], row["method"]) for row in rows):
        own = [row for row in rows if (row["model"], row["method"]) == (model, method)]
        by_size = {row["n_bytes"]: row["marks"][crowd] for row in own}
        if method == "float":
            table.add_row(model, f"float: {_cell(by_size[0])}")
        else:
            table.add_row(model, method, *(_cell(by_size.get(each)) for each in n_bytes))
    return table


def _cell(marks: dict[str, float] | None) -> str:
    return "-" if marks is None else f"{100 * marks['rank1']:.1f} / {100 * marks['mAP']:.1f}"


def bars_of(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the bars: at each number of bytes the nested code's mAP, against the best rival by Hamming distance too.

    Both of one model's features; the last of the galleries counts.
    """
    bars = {}
    for model, n_bytes in dict.fromkeys((row["model"], row["n_bytes"]) for row in rows if row["n_bytes"]):
        own = [row for row in rows if (row["model"], row["n_bytes"]) == (model, n_bytes)]
        maps = {row["method"]: list(row["marks"].values())[-1]["mAP"] for row in own}
        best = max(maps["PCA + sign"], maps["PCA + ITQ"])
        name = f"{model}: nested mAP at {n_bytes} bytes, ahead of PCA and ITQ"
        bars[name] = {"value": maps[NESTED], "bar": best, "met": maps[NESTED] > best}
    return bars


if __name__ == "__main__":
    main()
