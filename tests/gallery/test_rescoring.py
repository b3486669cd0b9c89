"""Searches ordered by the queries' float features, in memory, in a file and on a server."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bitreid.codes import Codes, pack
from bitreid.errors import BadRequest
from bitreid.gallery import Contract, Items, parse_filter, requests
from bitreid.open_set import OpenSet
from tests.gallery.cases import ATTRIBUTES, CONTRACT, IDS, Create, people, queries
from tests.reference.gallery import PlainGallery

Floats = npt.NDArray[np.float32]


def features_of(codes: Codes, seed: int = 0) -> Floats:
    """Features whose signs are the codes."""
    bits = np.unpackbits(codes.packed, axis=1).astype(np.float32)
    return np.asarray((bits * 2 - 1) * np.random.default_rng(seed).exponential(size=bits.shape) + 1e-6, np.float32)


@pytest.mark.parametrize("least", [100, 12])
def test_a_short_list_is_rescored_as_by_the_twin(create: Create, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole gallery as short list, and a part of it."""
    monkeypatch.setattr(requests, "LEAST_RESCORED", least)
    gallery, plain = create(), PlainGallery(ATTRIBUTES)
    gallery.add(people(IDS))
    plain.add(people(IDS))
    codes, short = queries()
    features = features_of(codes)
    changed = 0
    for k, w, bits, where in (
        (1, None, None, None),
        (4, None, None, "camera in (0, 2)"),
        (500, None, None, None),
        (2, 30, None, None),
        (3, 5, None, "not camera = 1"),
        (3, 40, 8, None),
    ):
        parts = () if bits is None else ("head",)
        chosen = None if where is None else parse_filter(where, CONTRACT)
        mask = None if bits is None else range(bits)
        asked: dict[str, Any] = {"parts": parts, "attribute_codes": short}
        found = gallery.search(codes, k, w, where, features=features, rescore=True, **asked)
        by_bits = gallery.search(codes, k, w, where, features=features, **asked)
        for i, (hits, code) in enumerate(zip(found, codes.packed, strict=True)):
            n_short = max(4 * k, least)
            short_list = plain.search(bytes(code), n_short, chosen, w, bytes(short.packed[i]), mask)
            assert [(hit.id, hit.distance) for hit in hits] == plain.rescored(features[i], short_list, k, mask)
            assert hits.n_gallery == by_bits[i].n_gallery
            changed += hits.ids != by_bits[i].ids
    assert changed > 9, "else rescoring would do nothing here"


def test_features_may_be_longer_than_the_codes(create: Create) -> None:
    gallery = create()
    gallery.add(people(IDS))
    codes, _ = queries()
    features = features_of(codes)
    longer = np.concatenate([features, 1000 * features], axis=1)
    first, cut = (gallery.search(codes, 5, features=each, rescore=True) for each in (features, longer))
    assert [hits.ids for hits in first] == [hits.ids for hits in cut]


def test_distances_and_certainty_stay_those_of_the_codes(create: Create) -> None:
    """Near by bits, far by features: the hit that comes second is the certain one."""
    gallery = create(Contract(8, open_set=OpenSet(tail_slope=10.0, tail_offset=-20.0, slope=-1.0, offset=2.0)))
    gallery.add(Items.of([1, 2], Codes(np.array([[0b0111_0000], [0b1000_0000]], np.uint8), 8)))
    features = np.array([[9, 1, 1, 1, -5, -5, -5, -5]], np.float32)
    (plain,) = gallery.search(pack(features), 2)
    (hits,) = gallery.search(pack(features), 2, features=features, rescore=True)
    assert [(hit.id, hit.distance) for hit in plain] == [(1, 1), (2, 3)]
    assert [(hit.id, hit.distance) for hit in hits] == [(2, 3), (1, 1)]
    assert dict(zip(hits.ids, [hit.probability for hit in hits], strict=True)) == {
        hit.id: hit.probability for hit in plain
    }
    assert hits.threshold == plain.threshold == 1
    assert (plain.scattered, hits.scattered) == (False, True)
    assert plain.n_certain == hits.n_certain == 1
    (certain,) = gallery.search(pack(features), 2, features=features, rescore=True, only_certain=True)
    assert certain.ids == (1,)
    assert not certain.scattered


def test_what_cannot_be_rescored_is_refused(create: Create) -> None:
    gallery = create()
    gallery.add(people(IDS))
    codes, _ = queries()
    features = features_of(codes)
    with pytest.raises(BadRequest, match="float features to rescore by, got codes only; leave rescore out"):
        gallery.search(codes, rescore=True)
    with pytest.raises(BadRequest, match="hits by item to rescore, got 'person'; leave rescore out"):
        gallery.search(codes, features=features, rescore=True, by="person")
    for careless in (features[:2], features[:, :24], features[0]):
        with pytest.raises(BadRequest, match=r"features of shape \(3, 32\), one a bit of the codes"):
            gallery.search(codes, features=careless, rescore=True)
    loose: Any = np.ones((3, 32), np.int8)
    for careless in (loose, np.full((3, 32), np.nan, np.float32)):
        with pytest.raises(BadRequest, match="finite features of floats"):
            gallery.search(codes, features=careless, rescore=True)
    assert gallery.search(codes, features=features[:2]), "features that nobody asks for are passed over"


def test_an_empty_gallery_has_nothing_to_rescore(create: Create) -> None:
    codes, short = queries()
    found = create().search(codes, 5, 5, features=features_of(codes), rescore=True, attribute_codes=short)
    assert [len(hits) for hits in found] == [0, 0, 0]
