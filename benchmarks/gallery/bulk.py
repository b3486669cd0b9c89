"""Items a second from a folder of shards into a gallery: item by item, and as `bitreid gallery add` does it.

    python -m benchmarks.gallery.bulk milvus://HOST:PORT/NAME [--items 100000] [--single 100] [--quick]

The place is that of a new gallery, on a Milvus server or a file. Codes of 2048 random bits and of 32 attributes are
written as shards of 4,096 first, as `bitreid encode --out FOLDER` writes them. Before and after, the gallery is asked
how many items it has.

Milvus has a bulk insert of its own: it reads files from the server's storage, to which those who fill a gallery have no
access, and takes rows whose keys are there already once more. So we write batches, which may be repeated.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bitreid.codes import Codes
from bitreid.data.shards import Shards
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, load_encoded, save_encoded
from bitreid.gallery import Contract, create_gallery
from bitreid.gallery.ingest import add_sources, items_of, sources_of

N_BITS, N_ATTRIBUTES, SHARD, MODEL = 2048, 32, 4096, "bulk"


def main() -> None:
    """Print the two rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--single", type=int, default=100, help="items that are added one by one")
    parser.add_argument("--quick", action="store_true", help="few items, to see that it runs")
    arguments = parser.parse_args()
    n, single = (2_000, 10) if arguments.quick else (arguments.items, arguments.single)
    contract = Contract(N_BITS, MODEL, "bulk", attributes=tuple(f"a{i}" for i in range(N_ATTRIBUTES)))
    with tempfile.TemporaryDirectory() as name, create_gallery(arguments.place, contract) as gallery:
        folder = Path(name) / "codes"
        write_shards(folder, n)
        some = load_encoded(folder).take(np.arange(single))
        items = items_of(some, [f"single {i}" for i in range(single)], attributes=True)
        start = time.perf_counter()
        for i in range(single):
            gallery.add(items.rows([i]))
        one_by_one = single / (time.perf_counter() - start)
        assert gallery.count() == single
        start = time.perf_counter()
        sources = sources_of([folder], no_encoder, ids="path", time_unit=None, attributes=True, same_people=True)
        added = add_sources(gallery, sources)
        together = n / (time.perf_counter() - start)
        assert (added.new, gallery.count()) == (n, n + single)
    print(f"one by one: {one_by_one:,.1f} items/s; from shards: {together:,.0f} items/s, {together / one_by_one:,.0f}x")


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
