"""Clustered search of SQLite galleries: exact among what is visited, and never a wrong answer for a damaged file."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from bitreid.arrays import Ints
from bitreid.codes import Part
from bitreid.errors import DataWarning
from bitreid.gallery import Contract, create_gallery, open_gallery
from bitreid.gallery.items import Hits, key_of
from bitreid.gallery.sqlite.file import sealed
from bitreid.gallery.sqlite.gallery import SqliteGallery
from bitreid.gallery.sqlite.segments import plan
from bitreid.gallery.sqlite.segments.listed import listed_in
from bitreid.gallery.table.segment import HEADER, Segment, header_of
from bitreid.hamming import distances_at
from tests.gallery.cases import crowd
from tests.gallery.sqlite.cases import Other

N_BITS, N_PEOPLE, N = 256, 60, 1200
CONTRACT = Contract(N_BITS, parts=(Part("head", 0, 64), Part("legs", 64, N_BITS)))
LATER = 40  # items that come after the segment
K = 20


ITEMS, QUERIES, FEATURES = crowd(N_PEOPLE, N + LATER, N_BITS)


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FEWEST": 100, "TAIL": 10_000, "ROUND": 1, "CLUSTERED": 100}.items():
        monkeypatch.setattr(plan, name, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A gallery of a segment by cluster, and some items more."""
    path = tmp_path / "people.gallery"
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(ITEMS.rows(range(N)))
    with open_gallery(path) as gallery:
        gallery.add(ITEMS.rows(range(N, N + LATER)))
    return path


def opened(path: Path) -> SqliteGallery:
    gallery = open_gallery(path)
    assert isinstance(gallery, SqliteGallery)
    return gallery


def segment_of(gallery: SqliteGallery) -> Segment:
    gallery.count()  # has it follow the file
    (segment,) = gallery._cache.base.segments
    return segment


def pairs(found: list[Hits]) -> list[list[tuple[object, float]]]:
    return [[(hit.id, hit.distance) for hit in hits] for hits in found]


def visited_rows(segment: Segment, query: int, n_lists: int) -> Ints:
    """The rows of the lists that are nearest to a query."""
    clusters = segment.clusters
    assert clusters is not None
    away = distances_at(QUERIES[query : query + 1], clusters.centres, np.arange(len(clusters))[None])[0]
    nearest = np.argsort(away, kind="stable")[:n_lists]
    return np.concatenate([np.arange(*clusters.offsets[i : i + 2]) for i in nearest])


def test_what_is_found_is_exact_among_the_rows_that_are_visited(path: Path) -> None:
    with opened(path) as gallery:
        segment = segment_of(gallery)
        assert segment.clusters is not None
        found = gallery.search(QUERIES, K, method="clustered", recall=0.9)
        n_lists = segment.clusters.lists_for(0.9, K)
        code_of = dict(zip(ITEMS.ids, ITEMS.codes.packed, strict=True))
        keys = {key_of(id): id for id in ITEMS.ids}
        for query, hits in enumerate(found):
            rows = visited_rows(segment, query, n_lists)
            visited = [keys[key] for key in segment.arrays["key"][rows].tolist()] + list(ITEMS.ids[N:])
            assert hits.n_visited == len(visited) < hits.n_gallery == N + LATER
            bits = {id: int(np.unpackbits(QUERIES.packed[query] ^ code_of[id]).sum()) for id in visited}
            wanted = sorted(visited, key=lambda id: (bits[id], key_of(id)))[:K]
            assert pairs([hits])[0] == [(id, bits[id]) for id in wanted]


def test_what_is_deleted_is_not_found_by_anybody(path: Path) -> None:
    with opened(path) as gallery, Other(path, read_only=True) as other:
        code = f"Codes(np.array({QUERIES.packed[:1].tolist()}, np.uint8), {N_BITS})"
        asked = f"gallery.search({code}, 30, method='clustered')[0].ids"
        assert tuple(other.ask(asked)) == gallery.search(QUERIES[:1], 30, method="clustered")[0].ids
        gone = gallery.search(QUERIES[:1], 10)[0].ids
        gallery.delete(gone)
        for found in (gallery.search(QUERIES[:1], 30, method="clustered")[0].ids, other.ask(asked)):
            assert not {*gone} & {*found}
        found = gallery.search(QUERIES, K, method="clustered", recall=1)
        assert found == gallery.search(QUERIES, K)
        assert {hits.n_visited for hits in found} == {N + LATER - 10}


def test_segments_are_by_cluster_when_they_are_merged_and_written_anew(path: Path) -> None:
    with opened(path) as gallery:
        before = segment_of(gallery)
        assert before.clusters is not None
        # A list of one item has its code as the centre.
        alone = np.flatnonzero(np.diff(before.clusters.offsets) == 1)
        keys = before.arrays["key"][before.clusters.offsets[alone]].tolist()
        gone = [id for id in ITEMS.ids if key_of(id) in keys] + list(ITEMS.ids[:100])
        codes = [bytes(ITEMS.codes.packed[ITEMS.ids.index(id)]) for id in gone]
        gallery.delete(gone)
        gallery.compact()
        after = segment_of(gallery)
        assert after.clusters is not None
        assert after.clustered == N
        assert after.clusters.n_rows == after.items < N - 99
        content = after.path.read_bytes()
        assert not any(code in content for code in codes)
        exact = gallery.search(QUERIES, K)
        assert gallery.search(QUERIES, K, method="clustered", recall=1) == exact
        found = gallery.search(QUERIES, K, method="clustered")
        assert np.mean([len({*a.ids} & {*b.ids}) / K for a, b in zip(found, exact, strict=True)]) > 0.9
        gallery.delete(list(ITEMS.ids[:500]))
        gallery.compact()
        assert segment_of(gallery).clustered == segment_of(gallery).items  # learned anew


def test_how_much_is_written_is_told(path: Path) -> None:
    told: list[float] = []
    with opened(path) as gallery:
        gallery.on_writing = told.append
        gallery.delete(list(ITEMS.ids[:500]))
        gallery.compact()
    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


def test_compaction_sorts_what_was_written_without_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.gallery"
    with monkeypatch.context() as before:
        before.setattr(plan, "CLUSTERED", 10**9)
        with create_gallery(path, CONTRACT) as gallery:
            gallery.add(ITEMS)
    with opened(path) as gallery:
        exact = gallery.search(QUERIES, K)
        assert segment_of(gallery).clusters is None
        assert gallery.search(QUERIES, K, method="clustered", recall=0.5) == exact
        gallery.compact()
        assert segment_of(gallery).clusters is not None
        assert gallery.search(QUERIES, K, method="clustered", recall=0.5)[0].n_visited < len(ITEMS)


@pytest.mark.parametrize("name", ["centres", "lists", "nearest", "recalls"])
def test_clusters_that_are_damaged_are_written_anew(path: Path, name: str) -> None:
    with opened(path) as gallery:
        exact, file = gallery.search(QUERIES, K), segment_of(gallery).path
        place = segment_of(gallery)._offsets[name][0]
    content = bytearray(file.read_bytes())
    content[place + 1] ^= 8
    file.unlink()
    file.write_bytes(content)
    words = "got clusters that are none; its items are read from the gallery's file"
    with opened(path) as gallery, pytest.warns(DataWarning, match=words):
        assert gallery.search(QUERIES, K, method="clustered", recall=0.8) == exact
    with opened(path) as gallery:
        assert segment_of(gallery).clusters is not None
        assert gallery.search(QUERIES, K, method="clustered", recall=0.8)[0].n_visited < N
        assert gallery.search(QUERIES, K) == exact


HOSTILE = {
    "lists that end later": ("lists", -1, N + 1),
    "lists that go back": ("lists", 3, 10**12),
    "lists before the first": ("lists", 0, -(2**62)),
    "recall": ("recalls", 5, np.nan),
    "recall above 1": ("recalls", -1, 1.5),
    "recall below 0": ("recalls", 0, -0.5),
    "neighbours": ("nearest", 0, -3),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_clusters_that_somebody_made_up_are_not_trusted(path: Path, how: str) -> None:
    """Checksums and all."""
    name, at, value = HOSTILE[how]
    with opened(path) as gallery:
        exact, segment = gallery.search(QUERIES, K), segment_of(gallery)
        array, place = segment.arrays[name].copy(), segment._offsets[name][0]
    array.reshape(-1)[at] = value
    content = bytearray(segment.path.read_bytes())
    content[place : place + array.nbytes] = array.tobytes()
    said = json.loads(content[28 : 28 + int.from_bytes(content[20:24], "little")])
    said["arrays"][name][3] = crc32(array.tobytes())
    write_with(path, segment.path, said, content)
    with opened(path) as gallery, pytest.warns(DataWarning, match="got clusters that are none"):
        assert gallery.search(QUERIES, K, method="clustered", recall=0.8) == exact


@pytest.mark.parametrize(("name", "shape"), [("lists", [3]), ("centres", [0, N_BITS // 8]), ("recalls", [7, 9])])
def test_clusters_of_other_shapes_are_not_opened(path: Path, name: str, shape: list[int]) -> None:
    with opened(path) as gallery:
        exact, file = gallery.search(QUERIES, K), segment_of(gallery).path
    content = bytearray(file.read_bytes())
    said = json.loads(content[28 : 28 + int.from_bytes(content[20:24], "little")])
    said["arrays"][name][1] = shape
    write_with(path, file, said, content)
    with pytest.warns(DataWarning, match="got a header that does not fit"):
        gallery = opened(path)
    with gallery:
        assert gallery.search(QUERIES, K, method="clustered", recall=0.8) == exact


def write_with(path: Path, file: Path, said: dict[str, Any], content: bytearray) -> None:
    """Write a segment with another header, and list it."""
    header, checksum = header_of(said)
    file.unlink()
    file.write_bytes(header + content[HEADER:])
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        listed = listed_in(connection, path)
        entries = (listed.entries[0]._replace(header=checksum),)
        text, sealing = sealed(listed._replace(entries=entries)._asdict())
        connection.execute("UPDATE meta SET value = ? WHERE name = 'segments'", (text,))
        connection.execute("UPDATE meta SET value = ? WHERE name = 'segments checksum'", (sealing,))
        connection.commit()
