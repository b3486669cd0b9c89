"""A gallery on a Milvus server while other processes replace some of its items, and writers that wake up late."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bitreid.errors import GalleryReadOnly
from bitreid.gallery import open_gallery
from bitreid.gallery.milvus import gallery as module
from bitreid.gallery.milvus.gallery import MilvusGallery, create_milvus, open_milvus
from bitreid.gallery.milvus.server import Server
from tests.gallery.cases import CONTRACT, people, queries
from tests.gallery.milvus.beside import faults
from tests.gallery.milvus.running import MilvusServer

Create = Callable[..., MilvusGallery]


def test_what_nobody_touches_is_seen_while_others_replace_items(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """On a server with the clock that it has by default: requests that wait for the same tick overtake each other."""
    with MilvusServer(tmp_path, tick_ms=200) as server:
        create_milvus(server.url, "people", CONTRACT, audited=False).close()
        place = f"{server.url.replace('http', 'milvus', 1)}/people"
        found, tries = faults(place, pytestconfig.getoption("beside"))
    assert not found, f"of {tries} tries"


@pytest.mark.parametrize("method", ["add", "upsert", "delete"])
@pytest.mark.parametrize("asleep_before", [1, 2, 3])
def test_a_writer_that_wakes_up_late_writes_once_more(
    create_milvus_gallery: Create, monkeypatch: pytest.MonkeyPatch, method: str, asleep_before: int
) -> None:
    """Another process opens the gallery in the middle of a write, and mends what it takes for left by a dead one."""
    gallery = create_milvus_gallery(audited=False)
    gallery.add(people(range(10)))
    address, name = gallery._server.address, gallery.name
    original, writes = Server.call, 0

    def call(self: Server, asked: str, *arguments: object, **settings: object) -> object:
        nonlocal writes
        if self is gallery._server and asked in ("upsert", "delete"):
            writes += 1
            if writes == asleep_before + 1:
                with monkeypatch.context() as patch:
                    patch.setattr(module, "SETTLED_S", 0.0)
                    open_milvus(address, name).close()
        return original(self, asked, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Server, "call", call)
        if method == "delete":
            assert gallery.delete([3, 4]) == 2
        else:
            getattr(gallery, method)(people([3, 4, 50], seed=1))
    assert writes > asleep_before
    expected = {*range(10)} - {3, 4} if method == "delete" else {*range(10), 50}
    assert {id for batch in gallery.scan() for id in batch.ids} == expected
    codes, short = queries(1)
    hits = gallery.search(codes, 20, 20, max_distance=None, attribute_codes=short)[0]
    assert {*hits.ids} == expected
    assert not list(gallery._notebook.of("write"))
    assert gallery.repair() == 0


def test_opened_to_read_only_nothing_is_written(create_milvus_gallery: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = create_milvus_gallery()
    gallery.add(people(range(10)))
    gallery.confirm([1], "Ada")
    gallery._notebook.keep("write", [{"keys": [1]}])
    monkeypatch.setattr(module, "SETTLED_S", 0.0)
    entries = len(list(gallery.audit()))

    def refuse(self: Server, asked: str, *arguments: object, **settings: object) -> object:
        assert asked not in ("upsert", "delete", "create_collection", "create_index", "flush", "compact")
        return original(self, asked, *arguments, **settings)

    with monkeypatch.context() as patch:
        original = Server.call
        patch.setattr(Server, "call", refuse)
        with open_gallery(gallery.info().place, read_only=True) as reader:
            assert len(reader.search(queries(1)[0], 5, max_distance=None)[0]) == 5
            assert reader.count() == 10
            assert len(list(reader.audit())) == entries
            ways: list[Callable[[], object]] = [
                lambda: reader.add(people([11])),
                lambda: reader.upsert(people([1])),
                lambda: reader.delete([1]),
                lambda: reader.confirm([1], "Bo"),
                reader.undo,
                reader.compact,
                reader.repair,
            ]
            for way in ways:
                with pytest.raises(GalleryReadOnly, match="opened to read only"):
                    way()
    assert len(list(gallery._notebook.of("write"))) == 1
    assert len(list(gallery.audit())) == entries
