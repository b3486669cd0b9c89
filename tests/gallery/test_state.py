"""Galleries against a dict, through any sequence of what people do with them."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bitreid.codes import Codes
from bitreid.gallery import Filter, Gallery, Items, create_gallery, open_gallery
from bitreid.gallery.filters.types import CameraIn, HasAttribute, Not, PersonIn
from bitreid.gallery.items import Id
from bitreid.gallery.sqlite.segments import plan
from tests.gallery.cases import CONTRACT, expected_unmet
from tests.gallery.filters import cases as filter_cases
from tests.reference.gallery import PlainGallery

SMALL = {"FEWEST": 1, "TAIL": 3, "FANOUT": 2, "ROUND": 1}
"""Limits with which galleries of a few items have segments."""
IDS: st.SearchStrategy[Id] = st.integers(0, 9) | st.sampled_from(["a", "b", "7"])
CODES = st.integers(0, 2**32 - 1).map(lambda bits: bits.to_bytes(4, "big"))
SHORTS = st.integers(0, 31).map(lambda bits: bytes([bits << 3]))
PERSONS = st.none() | st.sampled_from(["Ada", "Bo"])
WHERE: st.SearchStrategy[Filter] = st.sampled_from(
    [CameraIn(frozenset([1])), HasAttribute("hat"), PersonIn(frozenset(["Ada"])), Not(HasAttribute("skirt"))]
)


@st.composite
def batches(draw: st.DrawFn) -> Items:
    ids = draw(st.lists(IDS, max_size=5, unique=True))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=len(ids), max_size=len(ids)))

    def codes(packed: list[bytes], n_bits: int) -> Codes:
        return Codes(np.frombuffer(b"".join(packed), np.uint8).reshape(len(ids), n_bits // 8), n_bits)

    short, cameras, persons = codes(column(SHORTS), 8), column(st.integers(0, 2)), column(PERSONS)
    tracklets = column(st.none() | st.sampled_from("tu"))
    return Items.of(ids, codes(column(CODES), 32), short, cameras=cameras, persons=persons, tracklets=tracklets)


class GalleryMachine(RuleBasedStateMachine):
    """One gallery in memory, one in a file, with segments or without, and a dict."""

    @initialize(segments=st.booleans())
    def start(self, segments: bool) -> None:
        self.limits = {name: getattr(plan, name) for name in SMALL}
        for name, value in SMALL.items() if segments else ():
            setattr(plan, name, value)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "people.gallery"
        self.memory = create_gallery("memory:", CONTRACT)
        self.file = create_gallery(self.path, CONTRACT)
        self.plain = PlainGallery(CONTRACT.attributes)

    @property
    def both(self) -> tuple[Gallery, Gallery]:
        return self.memory, self.file

    @rule(batch=batches(), replace=st.booleans())
    def put(self, batch: Items, replace: bool) -> None:
        found = {gallery.upsert(batch) if replace else gallery.add(batch) for gallery in self.both}
        assert found == {self.plain.upsert(batch) if replace else self.plain.add(batch)}

    @rule(ids=st.lists(IDS, max_size=3, unique=True))
    def delete(self, ids: list[Id]) -> None:
        assert {gallery.delete(ids) for gallery in self.both} == {self.plain.delete(ids)}

    @rule(where=WHERE)
    def delete_where(self, where: Filter) -> None:
        found = {gallery.delete_where(where) for gallery in self.both}
        assert found == {self.plain.delete_where(where)}

    @rule(action=st.sampled_from(["confirm", "reject"]), id=IDS, person=st.sampled_from(["Ada", "Bo"]))
    def decide(self, action: str, id: Id, person: str) -> None:
        if id in self.plain.items:
            found = {getattr(gallery, action)([id], person) for gallery in self.both}
            assert found == {self.plain.decide(action, person, [id])}

    @rule(person=st.sampled_from(["Ada", "Bo"]), other=st.sampled_from(["Ada", "Bo"]))
    def merge(self, person: str, other: str) -> None:
        theirs = [id for id, item in self.plain.items.items() if item.person == other]
        assert {gallery.merge(person, other) for gallery in self.both} == {self.plain.decide("merge", person, theirs)}

    @rule()
    def undo(self) -> None:
        assert {gallery.undo() for gallery in self.both} == {self.plain.undo()}

    @rule()
    def open_again(self) -> None:
        self.file.close()
        self.file = open_gallery(self.path)

    @rule()
    def compact(self) -> None:
        for gallery in self.both:
            gallery.compact()

    @rule(code=CODES, short=SHORTS, k=st.integers(1, 6), w=st.none() | st.integers(1, 6), where=st.none() | WHERE)
    def search(self, code: bytes, short: bytes, k: int, w: int | None, where: Filter | None) -> None:
        query, attributes = (
            Codes(np.frombuffer(code, np.uint8)[None], 32),
            Codes(np.frombuffer(short, np.uint8)[None], 8),
        )
        expected = self.plain.search(code, k, where, w, short)
        for gallery in self.both:
            with expected_unmet():
                hits = gallery.search(query, k, w, where, max_distance=None, attribute_codes=attributes)[0]
            assert [(hit.id, hit.distance) for hit in hits] == expected

    @invariant()
    def all_is_there(self) -> None:
        for gallery in self.both:
            found = {item.id: item for batch in gallery.scan() for item in batch}
            assert found.keys() == self.plain.items.keys()
            for id, item in self.plain.items.items():
                assert bytes(found[id].code) == bytes(item.code)
                assert (found[id].camera, found[id].person) == (item.camera, item.person)
            assert gallery.count() == len(self.plain.items)
            for person in ("Ada", "Bo"):
                assert gallery.rejected(person) == self.plain.rejected(person)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.file.close()
            self.folder.cleanup()
            for name, value in self.limits.items():
                setattr(plan, name, value)


GalleryMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestGalleryMachine = GalleryMachine.TestCase


@given(batches=st.lists(filter_cases.batches(), max_size=2), where=filter_cases.FILTERS)
@settings(max_examples=60, deadline=None)
def test_any_filter_lets_through_what_the_twin_does(batches: list[Items], where: Filter) -> None:
    plain = PlainGallery(filter_cases.ATTRIBUTES)
    with tempfile.TemporaryDirectory() as folder:
        for place in ("memory:", Path(folder) / "a.gallery"):
            with create_gallery(place, filter_cases.CONTRACT) as gallery:
                for batch in batches:
                    gallery.add(batch)
                    plain.add(batch)
                passing = [item.id for item in plain.passing(where)]
                assert [id for some in gallery.scan(where, batch_size=3) for id in some.ids] == passing
                assert gallery.count(where) == len(passing)
                assert gallery.delete_where(where) == len(passing)
                assert gallery.count() == len(plain.items) - len(passing)
