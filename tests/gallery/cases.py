"""What the tests of all galleries share: items whose right answers the slow twin knows."""

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import Floats
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, Part, pack_bits
from bitreid.errors import DataWarning
from bitreid.gallery import Contract, Filter, Gallery, Items, parse_filter
from bitreid.gallery.items import Id
from tests.reference.gallery import PlainGallery

Create = Callable[..., Gallery]
"""Makes a gallery; see the fixture `create`."""
ATTRIBUTES = ("backpack", "hat", "upper_colour=red", "upper_colour=blue", "skirt")
PARTS = (Part("head", 0, 8), Part("legs", 8, 32))
CONTRACT = Contract(32, "feed", "tiny", PARTS, ATTRIBUTES)
COARSE = CoarseCode((0, 0, 2, 4), (0, 1, 5, 5, 9, 17, 25, 30, 31, 3, 4, 11), ((0.5, 0.05), (0.9, 0.25)))
"""Of bits that come once and twice."""
START = datetime(2026, 1, 1, tzinfo=UTC)


def people(ids: Sequence[Id], seed: int = 0, **columns: Any) -> Items:
    """Items with codes that tie often, and much that nobody told us."""
    rng = np.random.default_rng(seed)
    n = len(ids)
    codes = np.where(rng.random((n, 4)) < 0.7, 0, 1 << rng.integers(0, 8, (n, 4))).astype(np.uint8)
    attributes = (rng.integers(0, 32, (n, 1)) << 3).astype(np.uint8)

    def some(values: Sequence[Any]) -> list[Any]:
        return [None if rng.random() < 0.2 else values[int(rng.integers(len(values)))] for _ in range(n)]

    known = {
        "cameras": some([0, 1, 2]),
        "times": some([START + timedelta(hours=h) for h in range(0, 96, 6)]),
        "tracklets": some([f"t{i}" for i in range(8)]),
        "persons": some([f"P{i}" for i in range(5)]),
        "metadata": some([{"zone": "north"}, {"zone": "south", "floor": 1}, {"floor": True}, {"floor": 1.0}, {}]),
        "pictures": some(["a.jpg", "b.jpg"]),
    }
    return Items.of(ids, Codes(codes, 32), Codes(attributes, 8), **(known | columns), model="feed")


IDS: tuple[Id, ...] = (*range(-4, 30), *(f"x{i}" for i in range(30)), -(2**63), 2**63 - 2, "Zoë")


def queries(n: int = 3, seed: int = 9) -> tuple[Codes, Codes]:
    batch = people(range(n), seed)
    assert batch.attribute_codes is not None
    return batch.codes, batch.attribute_codes


def agree(gallery: Gallery, plain: PlainGallery, where: str | None, seed: int = 9) -> None:
    """Every way of searching finds what the twin finds."""
    codes, short = queries(seed=seed)
    coarse = gallery.contract.coarse
    chosen: Filter | None = None if where is None else parse_filter(where, CONTRACT)
    for k, w, bits in ((1, None, None), (7, None, None), (500, None, None), (5, 9, None), (20, 20, None), (4, 11, 8)):
        parts = () if bits is None else ("head",)
        settings: dict[str, Any] = {"parts": parts, "max_distance": None, "attribute_codes": short}
        with expected_unmet() if not plain.passing(chosen) else nullcontext():
            found = gallery.search(codes, k, w, where, **settings)
        assert {hits.n_gallery for hits in found} == {len(plain.passing(chosen))}
        for hits, code, attributes in zip(found, codes.packed, short.packed, strict=True):
            expected = plain.search(bytes(code), k, chosen, w, bytes(attributes), range(8) if bits else None, coarse)
            assert [(hit.id, hit.distance) for hit in hits] == expected
            for hit in hits:
                item = plain.items[hit.id]
                assert (hit.camera, hit.time, hit.tracklet, hit.person) == item[3:7]


@contextmanager
def expected_unmet() -> Iterator[None]:
    """Within it, a search may say that no item has what its filter asks for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "expected a filter that some items pass", DataWarning)
        yield


def same(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether items are equal, codes and all."""

    def plain(item: Any) -> Any:
        return None if item is None else [np.asarray(value).tolist() for value in item]

    return [plain(item) for item in found] == [plain(item) for item in expected]


def codes(n: int, seed: int = 0) -> Codes:
    """Random codes of 64 bits."""
    return Codes(np.random.default_rng(seed).integers(0, 256, (n, 8), np.uint8), 64)


def three(create: Create) -> Gallery:
    """A gallery of three items, two of known persons."""
    gallery = create(Contract(64))
    gallery.add(Items.of([1, 2, "a"], codes(3), persons=["Ada", None, "Bo"]))
    return gallery


def crowd(n_people: int, n: int, n_bits: int) -> tuple[Items, Codes, Floats]:
    """Pictures of people, in random order, whose codes lie in clusters, and a query of each of 30, with floats."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((n_people, n_bits))
    pids = rng.permutation(np.repeat(np.arange(n_people), n // n_people + 1))[:n]
    pictures = features[pids] + 0.5 * rng.standard_normal((n, n_bits))
    asked = features[:30] + 0.5 * rng.standard_normal((30, n_bits))
    columns: dict[str, Any] = {
        "persons": [f"P{pid}" for pid in pids],
        "cameras": rng.integers(0, 6, n),
        "tracklets": [f"t{i // 4}" for i in range(n)],
    }
    ids = [f"picture {i}" if i % 3 else i for i in range(n)]
    return Items.of(ids, pack_bits(pictures > 0), **columns), pack_bits(asked > 0), asked


WRITER = """
import sys, threading
from bitreid.gallery import open_gallery
from tests.gallery.cases import people
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
rounds = 0
with open_gallery(sys.argv[1]) as gallery:
    while not stop.is_set():
        gallery.upsert(people(range(1000, 1060), seed=rounds))
        gallery.delete(list(range(1000, 1010)))
        rounds += 1
        if rounds == 2:
            print("writing", flush=True)
print(rounds)
"""


def beside_a_writer(gallery: Gallery, n_looks: int) -> None:
    """While another process replaces and removes items of its own, nobody misses an item that it leaves alone."""
    gallery.add(people(IDS))
    command = [sys.executable, "-c", WRITER, gallery.info().place]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "writing\n"
        for look in range(n_looks):
            assert same(gallery.get(IDS), list(people(IDS)))
            found = [id for batch in gallery.scan(batch_size=25) for id in batch.ids]
            assert set(IDS) <= set(found)
            assert len(set(found)) == len(found)
            assert set(IDS) <= set(gallery.search(queries(1)[0], 500, max_distance=None)[0].ids)
            assert gallery.add(people(IDS, seed=look)) == 0
            gone = range(2000, 2040)
            assert gallery.add(people(gone, seed=look, persons=["gone"] * 40)) == 40
            assert gallery.delete_where("person = gone") == 40
            assert gallery.get(gone) == [None] * 40
        writer.stdin.close()
        assert int(writer.stdout.readline()) > 2
    assert writer.returncode == 0
    assert same(gallery.get(IDS), list(people(IDS)))
