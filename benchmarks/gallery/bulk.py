"""Items a second from a folder of shards into a gallery: item by item, and as `bitreid gallery add` does it.

    python -m benchmarks.gallery.bulk milvus://HOST:PORT/NAME [--items 100000] [--single 100] [--quick] [--storage DIR]
        [--json FILE]

The place is that of a new gallery, on a Milvus server or a file. Codes of 2048 random bits and of 32 attributes are
written as shards of 4,096 first, as `bitreid encode --out FOLDER` writes them. Before and after, the gallery is asked
how many items it has. One by one the median counts, and all shards are loaded once. The JSON has both in seconds an
item, and `bars`. `--quick` takes 2,000 items.

Milvus has a bulk insert of its own: it reads files from the server's storage, to which those who fill a gallery have no
access, and takes rows whose keys are there already once more. So we write batches, which may be repeated. With
`--storage`, the folder of a server that stores on its own disk, the same items are given to it as Parquet files, of
both collections of the items, until it finds them, and once more to see that it takes them twice.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.bars import Bars, at_least, lines_of, write_json
from bitreid.codes import Codes
from bitreid.data.shards import Shards
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, load_encoded, save_encoded
from bitreid.gallery import Contract, Items, create_gallery
from bitreid.gallery.ingest import add_sources, items_of, sources_of
from bitreid.gallery.milvus.rows import ITEM, SHARED, rows_of, short_rows
from bitreid.gallery.milvus.server import Row, Server

N_BITS, N_ATTRIBUTES, SHARD, MODEL = 2048, 32, 4096, "bulk"
BAR = 10
"""Times as many items a second as one by one."""


def main() -> None:
    """Print the two rates, and whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--single", type=int, default=100, help="items that are added one by one")
    parser.add_argument("--storage", type=Path, metavar="DIR", help="where the server reads files of its bulk insert")
    parser.add_argument("--quick", action="store_true", help="2,000 items, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    n, single = (2_000, 10) if arguments.quick else (arguments.items, arguments.single)
    contract = Contract(N_BITS, MODEL, "bulk", attributes=tuple(f"a{i}" for i in range(N_ATTRIBUTES)))
    with tempfile.TemporaryDirectory() as name, create_gallery(arguments.place, contract) as gallery:
        folder = Path(name) / "codes"
        write_shards(folder, n)
        some = load_encoded(folder).take(np.arange(single))
        items = items_of(some, [f"single {i}" for i in range(single)], attributes=True)
        calls = []
        for i in range(single):
            start = time.perf_counter()
            gallery.add(items.rows([i]))
            calls.append(time.perf_counter() - start)
        assert gallery.count() == single
        start = time.perf_counter()
        sources = sources_of([folder], no_encoder, ids="path", time_unit=None, attributes=True, same_people=True)
        added = add_sources(gallery, sources)
        seconds = {"one by one": statistics.median(calls), "from shards": (time.perf_counter() - start) / n}
        assert (added.new, gallery.count()) == (n, n + single)
        if arguments.storage is not None:
            items = items_of(load_encoded(folder), [f"bulk {i}" for i in range(n)], attributes=True)
            seconds["bulk insert"] = bulk_inserted(arguments.place, contract, items, arguments.storage)
    times = seconds["one by one"] / seconds["from shards"]
    bars: Bars = {"from shards, times as fast as one by one": at_least(times, BAR)}
    print("; ".join(f"{way}: {1 / each:,.1f} items/s" for way, each in seconds.items()))
    print(*lines_of(bars), sep="\n")
    if arguments.json:
        write_json(arguments.json, {"items": n, "single": single, "seconds_an_item": seconds, "bars": bars})


def bulk_inserted(place: str, contract: Contract, items: Items, storage: Path) -> float:
    """Return the seconds an item of the server's own bulk insert; print how many rows it leaves when done twice."""
    address, name = place.replace("milvus", "http", 1).rsplit("/", 1)
    server = Server(address, timeout_s=120)
    start = time.perf_counter()
    rows = [{**row, "revision": 1} for row in rows_of(items, np.zeros(len(items), np.int64))]
    both = {f"{name}_bulk": rows, f"{name}_bulk_short": short_rows(rows, contract)}
    server.create(
        {f"{name}_bulk": (N_BITS, ("key", *ITEM)), f"{name}_bulk_short": (contract.short_bits, ("key", *SHARED))}
    )
    for again in (False, True):
        for collection, some in both.items():
            file = storage / f"{collection}.parquet"
            write_parquet(file, some)
            task = server._client._get_connection().do_bulk_insert(collection, "", [str(file)], timeout=120)
            while (state := server._client._get_connection().get_bulk_insert_state(task)).state_name != "Completed":
                assert "Failed" not in state.state_name, state.failed_reason
                time.sleep(0.2)
            file.unlink()
        if not again:
            while min(server.count(collection, "") for collection in both) < len(items):
                time.sleep(0.2)
            seconds = (time.perf_counter() - start) / len(items)
    for collection in both:
        print(f"{collection}, done twice: {server.call('get_collection_stats', collection)['row_count']} rows")
    server.close()
    return seconds


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of a collection as Milvus reads them."""
    import pyarrow
    from pyarrow import parquet

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["code"] = [list(code) for code in columns["code"]]
    types = {"code": pyarrow.list_(pyarrow.uint8())}
    types |= dict.fromkeys(("attributes", "metadata"), pyarrow.list_(pyarrow.int64()))
    table = pyarrow.table({name: pyarrow.array(each, types.get(name)) for name, each in columns.items()})
    parquet.write_table(table, path)


def write_shards(folder: Path, n: int) -> None:
    """Write n codes as shards."""
    shards, rng = Shards.begin(folder, {"features": False}, n, SHARD), np.random.default_rng(0)
    for i in range(len(shards)):
        rows = np.asarray(shards.rows(i))
        save_encoded(
            shards.file(i),
            EncodedSet(
                tuple(Path(f"camera/{row:08}.jpg") for row in rows),
                Codes(rng.integers(0, 256, (len(rows), N_BITS // 8), np.uint8), N_BITS),
                Codes(rng.integers(0, 256, (len(rows), N_ATTRIBUTES // 8), np.uint8), N_ATTRIBUTES),
                None,
                1 + rows // 20,
                rows % 6,
                MODEL,
                engine="onnx",
            ),
        )
        shards.commit(i, {"codes": len(rows), "bad": [], "odd": []})


def no_encoder() -> Encoder:
    """There are no pictures to encode."""
    raise AssertionError("a folder of shards needs no encoder")


if __name__ == "__main__":
    main()
