"""Whether galleries of different kinds give the same hits: memory, a SQLite file, and a Milvus server if one is named.

    python benchmarks/gallery/same.py --real query.npz gallery.npz [--model models/cuhk03-lite2]
                                      [--milvus milvus://localhost:19530] [--quick] [--json FILE] [--markdown]

The files are what `bitreid encode` writes for the query pictures and the gallery of a data set. Each query is searched
in all galleries in several ways: exact, in two stages, with filters, by parts, by tracklet, with the calibrated limit.
Hits are compared whole, ids and distances and all, in order. `--quick` takes every twentieth query. The galleries are
made for the purpose; that on the server is emptied in the end.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.artifact import load_artifact
from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.encoding.files import EncodedSet, load_encoded
from bitreid.gallery import Contract, Gallery, Hits, Items, create_gallery

Search = Callable[[Gallery, EncodedSet, slice], list[Hits]]
BATCH = 50  # queries at once


def two_stages(gallery: Gallery, query: EncodedSet, rows: slice, w: int, **settings: Any) -> list[Hits]:
    assert query.attribute_codes is not None
    return gallery.search(query.codes[rows], 100, w, attribute_codes=query.attribute_codes[rows], **settings)


SEARCHES: dict[str, Search] = {
    "exact, 100 nearest": lambda gallery, query, rows: gallery.search(query.codes[rows], 100, max_distance=None),
    "exact, calibrated limit": lambda gallery, query, rows: gallery.search(query.codes[rows], 100),
    "two stages, w = 53": lambda gallery, query, rows: two_stages(gallery, query, rows, 53, max_distance=None),
    "two stages, w = 533": lambda gallery, query, rows: two_stages(gallery, query, rows, 533, max_distance=None),
    "exact, one camera, no backpack": lambda gallery, query, rows: gallery.search(
        query.codes[rows], 100, where="camera = 1 and not backpack", max_distance=None
    ),
    "two stages, w = 533, filter": lambda gallery, query, rows: two_stages(
        gallery, query, rows, 533, where="jacket or shoulder_bag", max_distance=None
    ),
    "two stages, w = 533, two stripes": lambda gallery, query, rows: two_stages(
        gallery, query, rows, 533, parts=["stripe2", "stripe5"]
    ),
    "tracklets": lambda gallery, query, rows: gallery.search(query.codes[rows], 10, by="tracklet", max_distance=None),
}


def main() -> None:
    arguments = arguments_of().parse_args()
    console = Console()
    query, gallery = (load_encoded(path) for path in arguments.real)
    contract = Contract.of(load_artifact(arguments.model).card)
    queries = list(range(0, len(query), BATCH * (20 if arguments.quick else 1)))
    same: dict[str, list[bool]] = {}
    with ExitStack() as stack, progress_of(console, "searching") as progress:
        galleries = [stack.enter_context(each) for each in made(contract, arguments.milvus, stack)]
        for each in galleries:
            each.add(items_of(gallery))
        for done, (name, search) in enumerate(SEARCHES.items()):
            same[name] = list(compared(search, galleries, query, queries))
            progress(done + 1, len(SEARCHES))
        places = [each.info().place.split("://")[0] for each in galleries]
        if arguments.milvus:
            galleries[-1].delete_where("not camera = 99")
    table = Table("search", "queries", "same hits", title=f"{len(gallery)} items in {len(places)} galleries")
    for name, found in same.items():
        table.add_row(name, f"{len(found):,}", f"{sum(found):,}")
    show(console, as_markdown(table) if arguments.markdown else table)
    share = float(np.mean([equal for each in same.values() for equal in each]))
    if arguments.json:
        bars = {"searches with the same hits everywhere": {"value": share, "bar": 1.0, "met": share == 1.0}}
        counts = {name: {"queries": len(each), "same": sum(each)} for name, each in same.items()}
        arguments.json.write_text(json.dumps({"places": places, "searches": counts, "bars": bars}, indent=2))
    console.print(
        f"searches with the same hits everywhere: {share:.2%}, bar 100%: {'met' if share == 1.0 else 'NOT met'}"
    )


def made(contract: Contract, milvus: str | None, stack: ExitStack) -> Iterator[Gallery]:
    """Yield new galleries, one of each kind."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    yield create_gallery("memory:", contract, audited=False)
    yield create_gallery(folder / "same.gallery", contract, audited=False)
    if milvus:
        yield create_gallery(f"{milvus}/same_{uuid4().hex[:8]}", contract, audited=False)


def items_of(gallery: EncodedSet) -> Items:
    return Items.of(
        [str(path.name) for path in gallery.paths],
        gallery.codes,
        gallery.attribute_codes,
        cameras=gallery.camids,
        tracklets=[f"{pid} by {camid}" for pid, camid in zip(gallery.pids, gallery.camids, strict=True)],
        persons=[str(pid) for pid in gallery.pids],
        model=gallery.model,
    )


def compared(search: Search, galleries: list[Gallery], query: EncodedSet, starts: list[int]) -> Iterator[bool]:
    """Yield for each query whether all galleries give the same hits."""
    for start in starts:
        found = [search(gallery, query, slice(start, start + BATCH)) for gallery in galleries]
        yield from (all(hits == first for hits in others) for first, *others in zip(*found, strict=True))


def arguments_of() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, nargs=2, required=True, metavar=("QUERY.npz", "GALLERY.npz"))
    parser.add_argument("--model", type=Path, default=Path("models/cuhk03-lite2"))
    parser.add_argument("--milvus", metavar="URL", help="a server, milvus://HOST:PORT")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


if __name__ == "__main__":
    main()
