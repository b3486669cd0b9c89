"""Random filters, and items that some of them let through."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import microseconds
from bitreid.gallery.filters.types import (
    And,
    CameraIn,
    Filter,
    HasAttribute,
    IdIn,
    MetadataIs,
    Not,
    OlderThan,
    Or,
    PersonIn,
    Scalar,
    TimeBetween,
    TrackletIn,
)
from bitreid.gallery.items import Id, Items

ATTRIBUTES = ("backpack", "hat", "upper_colour=red", "upper_colour=pink", "long sleeve", "time", "a=b=c", "=", "NOT")
CONTRACT = Contract(64, attributes=ATTRIBUTES)
START = datetime(2026, 1, 1, tzinfo=UTC)

CAMERAS = st.integers(-1, 3)
TIMES = st.integers(-1, 3).map(lambda step: START + timedelta(microseconds=step))
STAMPS = TIMES.map(microseconds)
TEXTS = st.sampled_from(["a", "P 7", "7", "in", 'say "hi"', "it's", "back\\slash", "two\nlines", "Zoë", "true"])
IDS: st.SearchStrategy[Id] = st.integers(6, 8) | st.sampled_from([-(2**63), 2**63 - 1]) | TEXTS
KEYS = st.sampled_from(["zone", "a b", "", "in", "a.b", "metadata."])
SCALARS: st.SearchStrategy[Scalar] = st.sampled_from([1, 1.0, True, "1", 0, False, None, "null", -2.5, 1e22, "north"])

PREDICATES: st.SearchStrategy[Filter] = st.one_of(
    st.frozensets(CAMERAS, max_size=3).map(CameraIn),
    st.builds(TimeBetween, st.none() | STAMPS, st.none() | STAMPS),
    st.sampled_from(ATTRIBUTES).map(HasAttribute),
    st.builds(MetadataIs, KEYS, SCALARS),
    st.frozensets(TEXTS, max_size=3).map(PersonIn),
    st.frozensets(TEXTS, max_size=3).map(TrackletIn),
    st.frozensets(IDS, max_size=3).map(IdIn),
)


def combined(predicates: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Filters of a few predicates."""

    def larger(parts: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        some = st.lists(parts, min_size=1, max_size=3).map(tuple)
        return some.map(And) | some.map(Or) | parts.map(Not)

    return st.recursive(predicates, larger, max_leaves=6)


WITH_TEXT = combined(PREDICATES)
FILTERS = combined(PREDICATES | STAMPS.map(OlderThan))


@st.composite
def batches(draw: st.DrawFn) -> Items:
    """Up to eight items of which much is unknown."""
    ids = draw(st.lists(IDS, max_size=8, unique=True))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(st.none() | values, min_size=len(ids), max_size=len(ids)))

    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    bits = np.zeros((len(ids), CONTRACT.attribute_bits), np.bool_)
    bits[:, : len(ATTRIBUTES)] = rng.random((len(ids), len(ATTRIBUTES))) < 0.5
    return Items.of(
        ids,
        Codes(np.zeros((len(ids), 8), np.uint8), 64),
        pack_bits(bits),
        cameras=column(CAMERAS),
        times=column(TIMES),
        tracklets=column(TEXTS),
        persons=column(TEXTS),
        metadata=column(st.dictionaries(KEYS, SCALARS, max_size=3)),
    )
