"""Inverted lists on a Milvus server: how many are visited, and what is left when their making stops."""

from collections.abc import Callable

import numpy as np
import pytest

from bitreid.errors import BadRequest, GalleryBusy
from bitreid.gallery import Contract, open_gallery
from bitreid.gallery.milvus import gallery as module
from bitreid.gallery.milvus import lists
from bitreid.gallery.milvus.gallery import MilvusGallery
from bitreid.gallery.milvus.lists import Lists, lists_for
from bitreid.gallery.milvus.server import ALL_LISTS, Server
from tests.gallery.cases import crowd

ITEMS, QUERIES, _ = crowd(60, 1200, 256)
MEASURED = Lists(64, (100, 1000), (1, 8, 64), (0.02, 0.125, 1.0), ((0.5, 0.95, 1.0), (0.3, 0.6, 1.0)))


@pytest.mark.parametrize(
    ("recall", "k", "share", "probed"),
    [
        (0.5, 100, 1.0, (1, 0.02)),
        (0.51, 10, 1.0, (8, 0.125)),
        (0.95, 10, 0.1, (8, 0.125)),
        (0.95, 10, 0.09, (64, 1.0)),
        (0.3, 1000, 1.0, (1, 0.02)),
        (0.3, 1001, 1.0, (ALL_LISTS, 1.0)),
        (0.1, 1, 0.0, (ALL_LISTS, 1.0)),
        (1.0, 1, 1.0, (ALL_LISTS, 1.0)),
    ],
)
def test_how_many_are_visited(recall: float, k: int, share: float, probed: tuple[int, float]) -> None:
    assert MEASURED.probed(recall, k, share) == probed
    assert Lists(64).probed(recall, k, share) == (ALL_LISTS, 1.0)
    assert Lists.from_json({"lists": MEASURED.to_json()}) == MEASURED


def test_how_many_are_made() -> None:
    assert [lists_for(None, n) for n in (0, 32_767, 32_768, 10**6, 10**8)] == [0, 0, 181, 1000, 1024]
    assert lists_for(4096, 40_000) == 4096
    wrong: list[object] = [0, ALL_LISTS + 1, True, 2.0]
    for n_lists in wrong:
        with pytest.raises(BadRequest, match="expected a number of lists from 1 to 65536"):
            lists_for(n_lists, 40_000)  # type: ignore[arg-type]


def test_a_making_that_stopped_is_done_again(
    create_milvus_gallery: Callable[..., MilvusGallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "FEWEST", 1000)
    gallery = create_milvus_gallery(Contract(256))
    gallery.add(ITEMS)
    exact, place = gallery.search(QUERIES, 20), gallery.info().place

    def stops(server: Server, collection: str, *_: object) -> None:
        server.call("release_collection", collection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "build", stops)
        with pytest.raises(KeyboardInterrupt):
            gallery.cluster()
    with open_gallery(place) as again:
        with monkeypatch.context() as patch:
            patch.setattr("bitreid.gallery.milvus.server.time.sleep", lambda s: None)
            with pytest.raises(GalleryBusy, match="whose lists are being made; wait, or repeat"):
                again.count()
        assert again.cluster(16) == 16
        again.calibrate(None)
    with open_gallery(place, read_only=True) as reader:
        assert isinstance(reader, MilvusGallery)
        (note,) = reader._notebook.of("gallery")
        assert (note.content["format"], note.content["lists"]["n_lists"]) == (3, 16)
        assert reader._server.call("describe_index", reader.name, "code")["nlist"] == "16"
        found = reader.search(QUERIES, 20, method="clustered", recall=0.8)
        assert max(hits.n_visited for hits in found) < len(ITEMS)
        assert reader.search(QUERIES, 20) == exact
        away = np.array([[hit.distance for hit in hits] for hits in found])
        right = np.array([hits[19].distance for hits in exact])
        assert 0.7 < np.mean(away <= right[:, None]) < 1
