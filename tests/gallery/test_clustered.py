"""Clustered searches of the galleries that have clusters: in a file, and on a Milvus server."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Part
from bitreid.errors import Unsupported
from bitreid.gallery import Contract, Gallery, create_gallery, open_gallery
from bitreid.gallery.milvus import lists
from bitreid.gallery.milvus.gallery import MilvusGallery
from bitreid.gallery.sqlite.segments import plan
from tests.gallery.cases import crowd

N_BITS, K = 256, 20
N, LATER = 3260, 40
"""Items that are clustered, enough that Milvus makes an index of them, and items that come after that. Each person has
more pictures than the 100 nearest that lists are measured by: those of fewer lie anywhere, and take most lists."""
CONTRACT = Contract(N_BITS, parts=(Part("head", 0, 64), Part("legs", 64, N_BITS)))
ITEMS, QUERIES, FEATURES = crowd(30, N + LATER, N_BITS)


@pytest.fixture(scope="module", params=["sqlite", "milvus"])
def gallery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A gallery with clusters, and some items more."""
    with pytest.MonkeyPatch.context() as few_are_many:
        for name, value in {"FEWEST": 100, "TAIL": 10_000, "ROUND": 1, "CLUSTERED": 100}.items():
            few_are_many.setattr(plan, name, value)
        few_are_many.setattr(lists, "FEWEST", N)
        if request.param == "sqlite":
            path = tmp_path_factory.mktemp("clustered") / "people.gallery"
            with create_gallery(path, CONTRACT) as filled:
                assert filled.cluster() == 0
                filled.add(ITEMS.rows(range(N)))
            with open_gallery(path) as gallery:
                gallery.add(ITEMS.rows(range(N, N + LATER)))
                yield gallery
        else:
            with request.getfixturevalue("milvus_galleries").borrowed(CONTRACT) as gallery:
                gallery.add(ITEMS.rows(range(N)))
                assert gallery.cluster(50) == 50
                gallery.add(ITEMS.rows(range(N, N + LATER)))
                yield gallery


def test_as_many_are_found_as_were_asked_for(gallery: Gallery) -> None:
    exact = gallery.search(QUERIES, K)
    for recall in (0.8, 0.95, 0.99):
        found = gallery.search(QUERIES, K, method="clustered", recall=recall)
        shares = [len({*a.ids} & {*b.ids}) / K for a, b in zip(found, exact, strict=True)]
        assert np.mean(shares) >= recall - 0.05
    visited = [hits.n_visited for hits in gallery.search(QUERIES, K, method="clustered")]
    assert max(visited) < 0.75 * N
    assert gallery.search(QUERIES, K, method="clustered", recall=1) == exact
    everybody = gallery.search(QUERIES, N, method="clustered", recall=0.1)
    assert [len(hits) for hits in everybody] == [N] * len(QUERIES)


def test_hits_are_in_order_and_items_that_came_later_are_among_them(gallery: Gallery) -> None:
    exact = gallery.search(QUERIES, K, method="exact")
    found = gallery.search(QUERIES, K, method="clustered", recall=0.8)
    assert found != exact
    for hits, right in zip(found, exact, strict=True):
        away = {hit.id: hit.distance for hit in right}
        assert [hit.id for hit in right if hit.id in hits.ids] == [hit.id for hit in hits if hit.id in away]
        assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
    later = {*ITEMS.ids[N:]}
    assert later & {id for hits in exact for id in hits.ids} <= {id for hits in found for id in hits.ids}


def test_a_filter_that_few_pass_visits_those(gallery: Gallery) -> None:
    for where in (
        "person = P3 and camera in (0, 1)",
        "person in (P4, P5) and camera = 2",
        "person = P1 and camera not in (0, 1, 2)",
    ):
        found = gallery.search(QUERIES, K, where=where, method="clustered", recall=0.8)
        assert found == gallery.search(QUERIES, K, where=where)
        assert {hits.n_visited for hits in found} == {gallery.count(where)}
    some = gallery.search(QUERIES, K, where="not camera = 1", method="clustered", recall=0.8)
    assert {hit.camera for hits in some for hit in hits} == {0, 2, 3, 4, 5}
    assert max(hits.n_visited for hits in some) < some[0].n_gallery == gallery.count("not camera = 1")


def test_what_is_deleted_is_not_found(gallery: Gallery) -> None:
    gone = gallery.search(QUERIES[:1], 10)[0].ids
    n = gallery.count()
    assert gallery.delete(gone) == 10
    assert not {*gone} & {*gallery.search(QUERIES[:1], 30, method="clustered")[0].ids}
    found = gallery.search(QUERIES, K, method="clustered", recall=1)
    assert found == gallery.search(QUERIES, K)
    assert {hits.n_visited for hits in found} == {n - 10}
    assert gallery.add(ITEMS) == 10


def test_all_that_a_search_can_be_asked_for(gallery: Gallery) -> None:
    hows: list[dict[str, Any]] = [
        {"parts": ["legs"]},
        {"max_distance": 60},
        {"by": "person"},
        {"by": "tracklet"},
        {"rescore": True, "features": FEATURES},
        {"person": "P3", "where": "camera in (1, 2, 3)"},
    ]
    if isinstance(gallery, MilvusGallery):
        with pytest.raises(Unsupported, match="expected w in a search by parts of the body on Milvus"):
            gallery.search(QUERIES, 5, method="clustered", **hows.pop(0))
    gallery.reject([gallery.search(QUERIES, 1)[3][0].id], "P3")
    for how in hows:
        exact = gallery.search(QUERIES, 5, **how)
        assert gallery.search(QUERIES, 5, method="clustered", recall=1, **how) == exact
        some = gallery.search(QUERIES, 5, method="clustered", recall=0.95, **how)
        same = [len({*a.ids} & {*b.ids}) / max(len(b), 1) for a, b in zip(some, exact, strict=True) if len(b)]
        assert np.mean(same) > 0.85
        assert all(hits.n_visited <= hits.n_gallery for hits in some)
